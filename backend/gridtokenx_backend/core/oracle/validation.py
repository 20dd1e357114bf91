"""The oracle: is this reading possible, and is it probable?

Rejections come first and quarantine after them, each in the order of `Reason`. Only an accepted
reading moves what the oracle remembers, so a refused one never excuses the next.
"""

from __future__ import annotations

from gridtokenx_backend.core.model.interval_energy import MeterPast
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.oracle import intervals, late_readings
from gridtokenx_wire.units import energy_limit_uwh
from gridtokenx_wire.verdict import Reason

_ACCEPTED = Reason.ACCEPTED


def judge(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    time_ms: int,
    import_uwh: int,
    export_uwh: int,
    power_w: int,
    synchronised: bool,  # noqa: FBT001
) -> Reason:
    """The verdict on one reading of a meter that is bound to the device that sent it.

    `at_ms` is the backend's time; `synchronised` tells of the gateway's clock. A reading before the
    last one is accepted where it completes what had to be interpolated.
    """
    rules = meter.rules
    if not rules.active:
        return Reason.INACTIVE_METER
    if time_ms > at_ms + limits.future_tolerance_ms:
        return Reason.FUTURE_TIME
    if time_ms < at_ms - limits.oldest_reading_ms:
        return Reason.STALE_TIME
    imported_uwh = exported_uwh = 0
    if meter.last_ms >= 0:
        elapsed_ms = time_ms - meter.last_ms
        if elapsed_ms <= 0:
            reason = _judge_late(meter, limits, at_ms, time_ms, import_uwh, export_uwh)
            return reason or _judge_power(rules, power_w, synchronised)
        if elapsed_ms < rules.min_interval_ms:
            return Reason.TOO_FREQUENT
        # A register may have been about to step when it was last read.
        limit_uwh = energy_limit_uwh(rules.max_power_w, elapsed_ms) + rules.resolution_uwh
        imported_uwh = import_uwh - meter.last_import_uwh
        exported_uwh = export_uwh - meter.last_export_uwh
        if imported_uwh < 0:
            imported_uwh = _rolled_over_uwh(meter.last_import_uwh, import_uwh, rules, limit_uwh)
        if exported_uwh < 0:
            exported_uwh = _rolled_over_uwh(meter.last_export_uwh, export_uwh, rules, limit_uwh)
        if imported_uwh < 0 or exported_uwh < 0:
            return Reason.REGISTER_ROLLBACK
        if imported_uwh > limit_uwh or exported_uwh > limit_uwh:
            return Reason.IMPLAUSIBLE_JUMP
    elif meter.past is not None and time_ms <= meter.past.changed_ms:
        return Reason.NOT_AFTER_LAST  # else a new baseline would mint the same time again
    if reason := _judge_power(rules, power_w, synchronised):
        return reason
    if rules.max_production_ratio and meter.older_ms >= 0:
        # In what the registers have counted, over their rollovers.
        exported_uwh += meter.last_export_uwh
        imported_uwh += meter.last_import_uwh
        if meter.past is not None:
            exported_uwh += meter.past.wrapped_export_uwh
            imported_uwh += meter.past.wrapped_import_uwh
        produced_uwh = exported_uwh - meter.older_export_uwh
        consumed_uwh = imported_uwh - meter.older_import_uwh
        # Below a resolution step of consumption the ratio would be an accident of rounding.
        ceiling_uwh = rules.max_production_ratio * (consumed_uwh + rules.resolution_uwh)
        if produced_uwh > ceiling_uwh:
            return Reason.PRODUCTION_RATIO
    return _ACCEPTED


def _judge_power(rules: MeterRules, power_w: int, synchronised: bool) -> Reason:  # noqa: FBT001
    if not -rules.max_power_w <= power_w <= rules.max_power_w:
        return Reason.IMPLAUSIBLE_POWER
    return _ACCEPTED if synchronised else Reason.CLOCK_UNSYNCHRONISED


def _judge_late(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    time_ms: int,
    import_uwh: int,
    export_uwh: int,
) -> Reason:
    """Whether a reading fits between the two that a span was interpolated from."""
    past, rules = meter.past, meter.rules
    span = late_readings.find(past, limits, at_ms, time_ms) if past is not None else None
    if span is None:
        return Reason.NOT_AFTER_LAST
    since_ms, until_ms = time_ms - span.from_ms, span.to_ms - time_ms
    if min(since_ms, until_ms) < rules.min_interval_ms:
        return Reason.TOO_FREQUENT
    first = late_readings.counted_in(span, rules.rollover_uwh, import_uwh, export_uwh)
    since_uwh = (
        first.to_import_uwh - span.from_import_uwh,
        first.to_export_uwh - span.from_export_uwh,
    )
    until_uwh = (
        span.to_import_uwh - first.to_import_uwh,
        span.to_export_uwh - first.to_export_uwh,
    )
    if min(since_uwh) < 0 or min(until_uwh) < 0:
        return Reason.REGISTER_ROLLBACK
    for moved_uwh, elapsed_ms in ((since_uwh, since_ms), (until_uwh, until_ms)):
        limit_uwh = energy_limit_uwh(rules.max_power_w, elapsed_ms) + rules.resolution_uwh
        if max(moved_uwh) > limit_uwh:
            return Reason.IMPLAUSIBLE_JUMP
    return _ACCEPTED


def _rolled_over_uwh(last_uwh: int, new_uwh: int, rules: MeterRules, limit_uwh: int) -> int:
    """What a register that fell has counted if it passed its end once; -1 if it cannot have.

    Where power and time would allow a whole round, nobody knows how many there were.
    """
    moved_uwh = rules.rollover_uwh + new_uwh - last_uwh
    is_known = last_uwh < rules.rollover_uwh and limit_uwh < rules.rollover_uwh
    return moved_uwh if is_known and moved_uwh <= limit_uwh else -1


def accept(
    meter: Meter, limits: OracleLimits, time_ms: int, import_uwh: int, export_uwh: int
) -> int:
    """Remembers an accepted reading, and moves the ratio's window along.

    Returns what was imported since the last one, in µWh; 0 for the first.
    """
    imported_uwh = 0
    if meter.last_ms >= 0:
        imported_uwh = import_uwh - meter.last_import_uwh
        if imported_uwh < 0 or export_uwh < meter.last_export_uwh:
            past = meter.past = meter.past or MeterPast()
            if imported_uwh < 0:
                imported_uwh += meter.rules.rollover_uwh
                past.wrapped_import_uwh += meter.rules.rollover_uwh
            if export_uwh < meter.last_export_uwh:
                past.wrapped_export_uwh += meter.rules.rollover_uwh
    if time_ms - meter.mark_ms >= limits.ratio_window_ms:
        if meter.last_ms >= 0:
            meter.older_ms = meter.mark_ms
            meter.older_import_uwh = meter.mark_import_uwh
            meter.older_export_uwh = meter.mark_export_uwh
        meter.mark_ms = time_ms
        # Without a past the very same number: 100,000 meters share them with what was opened.
        meter.mark_import_uwh, meter.mark_export_uwh = import_uwh, export_uwh
        if meter.past is not None:
            meter.mark_import_uwh += meter.past.wrapped_import_uwh
            meter.mark_export_uwh += meter.past.wrapped_export_uwh
    meter.last_ms = time_ms
    meter.last_import_uwh = import_uwh
    meter.last_export_uwh = export_uwh
    return imported_uwh


def surplus_uwh(meter: Meter) -> int:
    """What the meter's policy counts as surplus, since its registers began.

    `export`: register 2.8.0. `net`: generation less consumption, so it can fall.
    """
    past, surplus_uwh = meter.past, meter.last_export_uwh
    if past is not None:
        surplus_uwh += past.wrapped_export_uwh
    if meter.rules.policy == "net":
        surplus_uwh -= meter.last_import_uwh
        if past is not None:
            surplus_uwh -= past.wrapped_import_uwh
    return surplus_uwh


def forget(meter: Meter) -> None:
    """Makes the next reading a new baseline (a register was reset or replaced)."""
    if meter.last_ms >= 0:
        intervals.change(meter)
    meter.last_ms = meter.older_ms = -1
    meter.mark_ms = meter.last_import_uwh = meter.last_export_uwh = meter.settled_uwh = 0
    if meter.past is not None:
        meter.past.wrapped_import_uwh = meter.past.wrapped_export_uwh = 0
