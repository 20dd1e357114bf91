"""The gateway itself: clock, disk, key file, serial ports."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gridtokenx_edge.commissioning.check.finding import Finding, error, note, ok, warning
from gridtokenx_edge.commissioning.check.ports import adapters, holders, lasting_name
from gridtokenx_edge.config.edge_config import BusConfig, SerialBus
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import device_id, device_text, load_private_key

_MIB = 2**20
# A site writes some MiB a day while it is offline. For six weeks it needs a few hundred.
_PLENTY_MIB = 500
_LEAST_MIB = 50


def judge_clock(config: ClockConfig, is_synchronised: Callable[[], bool]) -> Finding:
    """Return the finding on the clock. Readings under a clock that nobody keeps are quarantined."""
    if config.source == "scaled":
        return note("clock", "", "a scaled clock, as for a demo", "remove [clock] on a real site")
    if not is_synchronised():
        return error(
            "clock",
            "",
            "the machine's clock is not synchronised: every reading would be quarantined",
            "timedatectl set-ntp true; is the NTP port (UDP 123) open?",
        )
    return ok("clock", "", "synchronised")


def judge_disk(outbox: Path) -> Iterator[Finding]:
    """Yield findings on whether frames can be stored, and for how long."""
    folder = outbox.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"gridtokenx")
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        seen = f"{folder} cannot be written to: {fault.strerror}"
        yield error("disk", "", seen, "make the folder, for the agent's user, on a disk with room")
        return
    space = os.statvfs(folder)
    free_mib = space.f_bavail * space.f_frsize // _MIB
    yield judge_free_space(str(folder), free_mib)


def judge_free_space(folder: str, free_mib: int) -> Finding:
    seen = f"{free_mib} MiB free in {folder}"
    if free_mib < _LEAST_MIB:
        return error("disk", "", seen, f"make room: at least {_LEAST_MIB} MiB")
    if free_mib < _PLENTY_MIB:
        return warning("disk", "", seen, f"make room: {_PLENTY_MIB} MiB last for weeks offline")
    return ok("disk", "", seen)


def judge_key(file: Path) -> Finding:
    """Return findings on whether the device has a key that only its user may read."""
    if not file.exists():
        do = "gridtokenx-edge enrol, or gridtokenx-edge key and tell the operator"
        return error("key", "", f"no key at {file}", do)
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return error("key", "", f"{file} has mode {mode:04o}", f"chmod 600 {file}")
    try:
        device = device_text(device_id(load_private_key(file).public_key()))
    except KeyFileError as fault:
        return error("key", "", str(fault), "restore the key, or enrol anew")
    return ok("key", "", f"device {device}, mode {mode:04o}")


def judge_port(bus: BusConfig, *, agent_runs: bool) -> Iterator[Finding]:
    """Yield findings on a serial port before it is opened."""
    if not isinstance(bus, SerialBus):
        return
    port = Path(bus.port)
    if not port.exists():
        there = ", ".join(adapters()) or "none"
        do = "plug in the adapter, or correct the port"
        yield error("port", bus.name, f"no {port}; adapters that are there: {there}", do)
        return
    if not os.access(port, os.R_OK | os.W_OK):
        do = "sudo usermod -aG dialout USER, then log in again"
        yield error("port", bus.name, f"this user may not open {port}", do)
        return
    if agent_runs:
        do = "stop it, check, and start it again: sudo systemctl stop gridtokenx-edge"
        yield error("port_taken", bus.name, f"the agent runs and has {port}", do)
        return
    if taken := holders(bus.port):
        do = "stop it: two programs on a line disturb each other"
        yield error("port_taken", bus.name, f"{port} is open in {', '.join(taken)}", do)
        return
    if name := lasting_name(bus.port):
        do = f'port = "{name}" stays the same when adapters are plugged in in another order'
        yield note("port_name", bus.name, f"{port} is a name by order", do)


def judge_down(bus: BusConfig, reason: str) -> Finding:
    """Return the finding on a line that could not be opened, or that went down."""
    if "another program" in reason:
        do = "stop the other program: fuser -v shows it"
        return error("port_taken", bus.name, reason, do)
    if isinstance(bus, SerialBus):
        return error("line_down", bus.name, reason, "look at the adapter, its cable and its power")
    do = "host and port right? Some converters take one connection: stop the agent, if it runs"
    return error("line_down", bus.name, reason, do)
