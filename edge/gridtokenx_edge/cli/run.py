"""`gridtokenx-edge run`: becomes the agent."""

from __future__ import annotations

import os
import sys

from gridtokenx_edge.cli.options import ConfigOption
from gridtokenx_edge.cli.terminal import load
from gridtokenx_wire.release import release


def run(config: ConfigOption) -> None:
    """Run the agent until SIGTERM; logs go to stderr as JSON lines."""
    load(config)
    # The agent is a new program in this process, as it has no use for the memory of Typer and Rich.
    # One malloc arena is enough for a loop and its database thread.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    sys.stdout.flush()
    agent = [
        sys.executable,
        "-P",
        "-m",
        "gridtokenx_edge.agent.main",
        str(config),
        release(),
    ]
    os.execv(sys.executable, agent)  # noqa: S606 (no shell is meant)
