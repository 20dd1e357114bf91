"""A meter's registers: how an accepted reading moves them on, and what they have counted.

A meter's own registers can begin again: at zero after their highest value (a rollover), or anywhere
when the meter is changed. Counted registers go on over both, so that the energy between any two
readings is the difference of two of them.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.model.interval_energy import MeterPast
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter


class CountedRegisters(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The counted registers of an accepted reading, and the time at which it was taken.

    `base` is what was added to the values that the meter itself showed. `excess` is that of
    `MeterGuard`.
    """

    time_ms: int
    import_uwh: int
    export_uwh: int
    base_import_uwh: int
    base_export_uwh: int
    excess_import_uwh: int = 0
    excess_export_uwh: int = 0


def counted_registers(meter: Meter) -> CountedRegisters:
    """Return the counted registers of a meter's last accepted reading."""
    base_import_uwh = base_export_uwh = 0
    if (past := meter.past) is not None:
        base_import_uwh = past.offset_import_uwh + past.wrapped_import_uwh
        base_export_uwh = past.offset_export_uwh + past.wrapped_export_uwh
    guard = meter.guard
    return CountedRegisters(
        time_ms=meter.last_ms,
        import_uwh=base_import_uwh + meter.last_import_uwh,
        export_uwh=base_export_uwh + meter.last_export_uwh,
        base_import_uwh=base_import_uwh,
        base_export_uwh=base_export_uwh,
        excess_import_uwh=guard.excess_import_uwh if guard is not None else 0,
        excess_export_uwh=guard.excess_export_uwh if guard is not None else 0,
    )


def advance(
    meter: Meter, limits: OracleLimits, time_ms: int, import_uwh: int, export_uwh: int
) -> int:
    """Move a meter's registers, and its windows for the production ratio, on to a reading.

    Returns the energy that was imported since the reading before, in µWh; 0 for the first one.
    """
    last_ms, imported_uwh = meter.last_ms, 0
    if last_ms >= 0:
        imported_uwh = import_uwh - meter.last_import_uwh
        if imported_uwh < 0 or export_uwh < meter.last_export_uwh:
            past = meter.past = meter.past or MeterPast()
            if imported_uwh < 0:
                imported_uwh += meter.rules.rollover_uwh
                past.wrapped_import_uwh += meter.rules.rollover_uwh
            if export_uwh < meter.last_export_uwh:
                past.wrapped_export_uwh += meter.rules.rollover_uwh
    if time_ms - meter.mark_ms >= limits.ratio_window_ms:
        if last_ms >= 0:
            meter.older_ms = meter.mark_ms
            meter.older_import_uwh = meter.mark_import_uwh
            meter.older_export_uwh = meter.mark_export_uwh
        meter.mark_ms = time_ms
        # Without a past these are the very same objects as the registers at the interval's start:
        # 100,000 meters take less memory for it.
        meter.mark_import_uwh, meter.mark_export_uwh = import_uwh, export_uwh
        if meter.past is not None:
            meter.mark_import_uwh += meter.past.wrapped_import_uwh
            meter.mark_export_uwh += meter.past.wrapped_export_uwh
    meter.last_ms = time_ms
    meter.last_import_uwh = import_uwh
    meter.last_export_uwh = export_uwh
    return imported_uwh


def surplus_uwh(meter: Meter) -> int:
    """Return what the meter's policy counts as surplus since its registers began, in µWh.

    `export` is register 2.8.0. `net` is that less register 1.8.0, so it can fall.
    """
    past, surplus_uwh = meter.past, meter.last_export_uwh
    if past is not None:
        surplus_uwh += past.wrapped_export_uwh
    if meter.rules.policy == "net":
        surplus_uwh -= meter.last_import_uwh
        if past is not None:
            surplus_uwh -= past.wrapped_import_uwh
    return surplus_uwh


def begin_anew(meter: Meter) -> None:
    """Make a meter's next reading a new baseline, because a register was reset or replaced.

    What the registers have counted so far is kept as an offset.
    """
    if meter.last_ms >= 0:
        last = counted_registers(meter)
        past = meter.past = meter.past or MeterPast()
        past.offset_import_uwh, past.offset_export_uwh = last.import_uwh, last.export_uwh
        past.changed_ms = last.time_ms
    meter.last_ms = meter.older_ms = -1
    meter.mark_ms = meter.last_import_uwh = meter.last_export_uwh = meter.settled_uwh = 0
    if meter.past is not None:
        meter.past.wrapped_import_uwh = meter.past.wrapped_export_uwh = 0
    if meter.guard is not None:
        meter.guard.baseline_ms, meter.guard.suspect = -1, None
