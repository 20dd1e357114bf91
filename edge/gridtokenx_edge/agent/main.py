"""The agent as a process: it runs until SIGTERM and reads its config again at SIGHUP.

`gridtokenx-edge run` starts it as `python -m gridtokenx_edge.agent.main CONFIG VERSION`, so that
nothing of the command line stays in memory.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.agent import loop
from gridtokenx_edge.agent.gateway import Gateway, Setup
from gridtokenx_edge.agent.sd_notify import Notifier
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import Paths, resolve_paths
from gridtokenx_edge.log import start_logging
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError
from gridtokenx_wire.errors import ConfigError, KeyFileError
from gridtokenx_wire.keys import load_private_key
from gridtokenx_wire.plain_text import escaped_lines

USER_ERROR = 2


async def run_agent(setup: Setup, key: Ed25519PrivateKey, version: str) -> None:
    """Run a gateway until SIGTERM or SIGINT. SIGHUP makes it read its config again."""
    running = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)
    running.add_signal_handler(signal.SIGHUP, reload.set)
    bugs: list[Any] = []

    def on_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        bugs.append(context)
        stop.set()

    running.set_exception_handler(on_exception)
    notifier = Notifier.of_process(os.environ)
    try:
        await Gateway(setup, key, version, start_logging(), notifier).run(stop, reload)
    finally:
        notifier.close()
    if bugs:
        raise RuntimeError(bugs[0]["message"]) from bugs[0].get("exception")


def _load_key(paths: Paths, path: Path) -> Ed25519PrivateKey:
    if paths.is_key_credential:
        return load_private_key(paths.key, is_credential=True)
    if not paths.key.exists():
        hint = f"make it: gridtokenx-edge key --config {path}"
        raise KeyFileError(f"{paths.key}: expected the device's key; {hint}")
    return load_private_key(paths.key)


def main(arguments: list[str]) -> int:
    """Run with the config file and the version in `arguments`. Return the process's exit code."""
    path, version = Path(arguments[0]), arguments[1]
    try:
        config = load_config(path)
        paths = resolve_paths(config, path)
        loop.run(run_agent(Setup(path, config, paths), _load_key(paths, path), version))
    except (ConfigError, KeyFileError, OutboxRefusedError) as error:
        sys.stderr.write(f"{escaped_lines(str(error))}\n")
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
