"""The most energy that a meter can count over any window of time.

Each register may move by power × time and, as it may have been about to step, by one resolution.
This holds between any two readings and not only between neighbours, so many readings in a short
time bring no more than two. It is the bucket of ITU-T I.371 (generic cell rate algorithm): what
moved is put in, power × time runs out, and it never holds more than one resolution.
"""

from __future__ import annotations

from gridtokenx_backend.core.model.held_energy import MeterGuard
from gridtokenx_backend.core.model.registry import Meter


def possible_uwh(power_w: int, elapsed_ms: int) -> int:
    """Return the energy that `power_w` moves in `elapsed_ms`, rounded down to the µWh.

    1 W for 1 ms is 10/36 µWh. Rounded down, many short windows never allow more than a long one.
    """
    return power_w * elapsed_ms * 10 // 36


def drain(guard: MeterGuard, power_w: int, elapsed_ms: int) -> None:
    """Let the excess of import and export run out for a time in which nothing was counted."""
    possible = possible_uwh(power_w, elapsed_ms)
    guard.excess_import_uwh = max(0, guard.excess_import_uwh - possible)
    guard.excess_export_uwh = max(0, guard.excess_export_uwh - possible)


def fill(meter: Meter, imported_uwh: int, exported_uwh: int, possible: int) -> None:
    """Note that the registers of a meter moved so far in a time that allows `possible` µWh."""
    guard = meter.guard or MeterGuard()
    import_uwh = max(0, guard.excess_import_uwh + imported_uwh - possible)
    export_uwh = max(0, guard.excess_export_uwh + exported_uwh - possible)
    set_excess(meter, (import_uwh, export_uwh))


def set_excess(meter: Meter, excess: tuple[int, int]) -> None:
    """Set the excess of import and export at a meter's last reading."""
    guard = meter.guard
    if guard is None:
        if not any(excess):
            return
        guard = meter.guard = MeterGuard()
    guard.excess_import_uwh, guard.excess_export_uwh = excess
    if guard.is_empty:
        meter.guard = None
