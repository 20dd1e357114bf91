"""Runs a program of examples/ as a stranger would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def command(name: str, *arguments: str) -> list[str]:
    """Return the command line of an example."""
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]


def example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    return subprocess.run(
        command(name, *arguments), check=False, capture_output=True, text=True, timeout=60
    )
