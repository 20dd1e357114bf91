"""A serial port from outside: which program has it open, and what its lasting name is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_BY_ID = Path("/dev/serial/by-id")
_PROC = Path("/proc")
_PSEUDO_TERMINALS = "/dev/pts/"


def agent_runs(outbox: Path) -> bool:
    """Return whether an agent works with this outbox: it holds the lock beside it."""
    try:
        descriptor = os.open(outbox.with_name(outbox.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def agent_has(ports: str, command: str) -> str:
    """Return what a person can do about ports that the running agent works with."""
    return f"the agent runs and has {ports}; stop it first, then {command}"


def with_holders(error: str, port: str) -> str:
    """Return the error, with the name of the program that has the port if it can be seen."""
    taken = holders(port) if "another program" in error else []
    return f"{error}: {', '.join(taken)}" if taken else error


def holders(port: str, proc: Path = _PROC) -> list[str]:
    """Return the programs that have the port open, as `name (pid N)`, if we may look at them.

    A pseudo-terminal is always open at its other end, and it is no adapter.
    """
    device = os.path.realpath(port)
    if device.startswith(_PSEUDO_TERMINALS):
        return []
    own = str(os.getpid())
    return sorted(
        {
            f"{_name_of(process)} (pid {process.name})"
            for process, opened in _open_files(proc)
            if opened == device and process.name != own
        }
    )


def lasting_name(port: str, by_id: Path = _BY_ID) -> str:
    """Return the name in /dev/serial/by-id that leads to the same adapter, or ""."""
    if port.startswith(f"{by_id}/"):
        return ""
    device = os.path.realpath(port)
    try:
        names = sorted(by_id.iterdir())
    except OSError:
        return ""
    return next((str(name) for name in names if os.path.realpath(name) == device), "")


def adapters(by_id: Path = _BY_ID) -> list[str]:
    """Return the names of the adapters that are plugged in."""
    try:
        return sorted(map(str, by_id.iterdir()))
    except OSError:
        return []


def _open_files(proc: Path) -> Iterator[tuple[Path, str]]:
    for process in proc.glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                yield process, str(descriptor.readlink())
        except OSError:  # it is gone meanwhile, or belongs to another user
            continue


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"
