"""The quantities of a snapshot that registers show."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from gridtokenx_sim.models.snapshot import Snapshot

Quantity = Callable[[Snapshot], int | str | None]

import_uwh: Quantity = attrgetter("import_uwh")
export_uwh: Quantity = attrgetter("export_uwh")
power_mw: Quantity = attrgetter("power_mw")
frequency_mhz: Quantity = attrgetter("frequency_mhz")
time_ms: Quantity = attrgetter("time_ms")
serial_text: Quantity = attrgetter("serial")


def serial_number(snapshot: Snapshot) -> int:
    return int(snapshot.serial)


def total_uwh(snapshot: Snapshot) -> int | None:
    """Import plus export, as Eastron's "total kWh" counts."""
    if snapshot.import_uwh is None or snapshot.export_uwh is None:
        return None
    return snapshot.import_uwh + snapshot.export_uwh


def net_uwh(snapshot: Snapshot) -> int | None:
    """Import minus export; negative for a household that feeds in more than it draws."""
    if snapshot.import_uwh is None or snapshot.export_uwh is None:
        return None
    return snapshot.import_uwh - snapshot.export_uwh


def phase_mw(phase: int) -> Quantity:
    """Return the active power of a phase, counted from 0."""
    return lambda snapshot: snapshot.phase_mw[phase]


def voltage_mv(phase: int) -> Quantity:
    return lambda snapshot: snapshot.voltage_mv[phase]


def current_ma(phase: int) -> Quantity:
    return lambda snapshot: snapshot.current_ma[phase]


def constant(value: int | str) -> Quantity:
    return lambda _snapshot: value
