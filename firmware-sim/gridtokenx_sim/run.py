"""`gridtokenx-sim run`: serve a config's meters until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from gridtokenx_sim import status as status_file
from gridtokenx_sim.bus_error import BusError
from gridtokenx_sim.config.loading import ConfigError, load_config
from gridtokenx_sim.config.sim_config import SimConfig
from gridtokenx_sim.simulation import serve

_PARENT_CHECK_S = 0.5


def run(
    config: Annotated[Path, typer.Argument(help="The simulator's TOML file.")],
    status: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rewrite FILE each second with the true registers."),
    ] = None,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Stop when the starting process ends.")
    ] = False,
) -> None:
    """Serve simulated meters until SIGTERM or Ctrl-C.

    Prints one line of JSON, with each bus's path or port, once everything is served.

    Example: gridtokenx-sim run config/sim.toml --status /tmp/meters.json
    """
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # the faults are made on purpose
    try:
        asyncio.run(_run(load_config(config), status, exit_with_parent=exit_with_parent))
    except ConfigError as error:
        _refuse(error.lines)
    except BusError as error:
        _refuse([str(error)])
    except OSError as error:
        _refuse([f"{error.filename or config}: {error.strerror}"])


def _refuse(lines: list[str]) -> NoReturn:
    for line in lines:
        sys.stderr.write(f"{line}\n")
    raise typer.Exit(2)


async def _run(config: SimConfig, status: Path | None, *, exit_with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        _watch_parent(os.getppid(), stop)
    async with serve(config, complain=_complain) as simulation:
        if status is not None:
            status_file.write(status, simulation)
        sys.stdout.write(msgspec.json.encode(simulation.announcement()).decode() + "\n")
        sys.stdout.flush()
        if status is None:
            await stop.wait()
        else:
            await status_file.keep_writing(status, simulation, stop, _complain)


def _watch_parent(parent: int, stop: asyncio.Event) -> None:
    """Set `stop` once the process `parent` has gone and we were given to another."""
    if os.getppid() != parent:
        stop.set()
    else:
        asyncio.get_running_loop().call_later(_PARENT_CHECK_S, _watch_parent, parent, stop)


def _complain(message: str) -> None:
    sys.stderr.write(f"{message}\n")
