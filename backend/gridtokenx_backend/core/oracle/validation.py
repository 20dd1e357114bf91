"""The oracle's verdict on a reading: whether it is possible, and whether it is probable.

Reasons to reject a reading come first and reasons to quarantine it after them, each in the order of
`Reason`. By rules of version 1 each reading is judged against the last accepted one, and what was
refused is forgotten. Since version 2 a meter's energy is bounded over every window of time, see
`energy_window`, and no jump that was refused is accepted because time has passed.
"""

from __future__ import annotations

from gridtokenx_backend.core.model.held_energy import MeterGuard
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.oracle import discontinuities, late_readings
from gridtokenx_backend.core.oracle.energy_window import possible_uwh
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
    *,
    synchronised: bool,
    version: int,
) -> Reason | None:
    """Return the verdict on one reading of a meter that is bound to the device that sent it.

    None is `accepted` too, for a calm reading, as almost all are: it is newer than the meter's last
    one, power × time allows what it moved, and nothing doubtful is remembered of its meter.

    `at_ms` is the backend's time; `synchronised` says whether the gateway's clock was; `version` is
    that of the rules: PRODUCTION_RATIO refuses by version 1 only. A reading from before the last
    accepted one is late: it is accepted where it makes an estimated span more exact.
    """
    rules, last_ms = meter.rules, meter.last_ms
    is_calm = False
    if not rules.active:
        return Reason.INACTIVE_METER
    if time_ms > at_ms + limits.future_tolerance_ms:
        return Reason.FUTURE_TIME
    if time_ms < at_ms - limits.oldest_reading_ms:
        return Reason.STALE_TIME
    if last_ms < 0:
        # A new baseline that is older than the meter's change would mint the same energy again.
        if meter.past is not None and time_ms <= meter.past.changed_ms:
            return Reason.NOT_AFTER_LAST
    elif time_ms <= last_ms:
        reason = _judge_late(meter, limits, at_ms, time_ms, import_uwh, export_uwh, version)
        if reason is not _ACCEPTED:
            return reason
    else:
        elapsed_ms = time_ms - last_ms
        if elapsed_ms < rules.min_interval_ms:
            return Reason.TOO_FREQUENT
        # This is `possible_uwh` without the call, which would cost 5 % of a verdict.
        possible = rules.max_power_w * elapsed_ms * 10 // 36
        is_calm = (
            0 <= import_uwh - meter.last_import_uwh <= possible
            and 0 <= export_uwh - meter.last_export_uwh <= possible
            and meter.guard is None
        )
        if not is_calm:
            reason = _judge_step(meter, elapsed_ms, import_uwh, export_uwh, version)
            if reason is not _ACCEPTED:
                return reason
    if not -rules.max_power_w <= power_w <= rules.max_power_w:
        return Reason.IMPLAUSIBLE_POWER
    if not synchronised:
        return Reason.CLOCK_UNSYNCHRONISED
    is_compared = rules.max_production_ratio and meter.older_ms >= 0 and time_ms > last_ms
    if is_compared and _is_improbable(meter, import_uwh, export_uwh):
        return Reason.PRODUCTION_RATIO
    return None if is_calm else _ACCEPTED


def _judge_step(
    meter: Meter, elapsed_ms: int, import_uwh: int, export_uwh: int, version: int
) -> Reason:
    """Return whether a meter's registers can have moved so far in the time since its last reading.

    A register may have been about to step, so one resolution more is possible.
    """
    rules, guard = meter.rules, meter.guard
    limit_of = possible_uwh if version > 1 else energy_limit_uwh
    limit_uwh = limit_of(rules.max_power_w, elapsed_ms) + rules.resolution_uwh
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
    if guard is not None and _is_too_far(guard, imported_uwh, exported_uwh, limit_uwh):
        return Reason.IMPLAUSIBLE_JUMP
    return _ACCEPTED


def _is_too_far(guard: MeterGuard, imported_uwh: int, exported_uwh: int, limit_uwh: int) -> bool:
    """Return whether registers cannot move so far, after what moved before and what was refused."""
    return (
        imported_uwh > limit_uwh - guard.excess_import_uwh
        or exported_uwh > limit_uwh - guard.excess_export_uwh
        or discontinuities.is_refused_jump(guard, imported_uwh, exported_uwh)
    )


def _is_improbable(meter: Meter, import_uwh: int, export_uwh: int) -> bool:
    """Return whether a meter produced too much for what it consumed.

    What counts is the energy from the start of the ratio window before the present one up to a
    reading with these registers. A late reading adds none to it.
    """
    rules, past = meter.rules, meter.past
    produced_uwh = export_uwh - meter.older_export_uwh
    consumed_uwh = import_uwh - meter.older_import_uwh
    if past is not None:
        produced_uwh += past.wrapped_export_uwh
        consumed_uwh += past.wrapped_import_uwh
    if export_uwh < meter.last_export_uwh:
        produced_uwh += rules.rollover_uwh
    if import_uwh < meter.last_import_uwh:
        consumed_uwh += rules.rollover_uwh
    # Below a resolution step of consumption the ratio would be an accident of rounding.
    ceiling_uwh = rules.max_production_ratio * (consumed_uwh + rules.resolution_uwh)
    return produced_uwh > ceiling_uwh


def _judge_late(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    time_ms: int,
    import_uwh: int,
    export_uwh: int,
    version: int,
) -> Reason:
    """Return whether a late reading fits between the two readings around its estimated span."""
    past, rules = meter.past, meter.rules
    span = late_readings.open_span(past, limits, at_ms, time_ms) if past is not None else None
    if span is None:
        return Reason.NOT_AFTER_LAST
    since_ms, until_ms = time_ms - span.from_ms, span.to_ms - time_ms
    if min(since_ms, until_ms) < rules.min_interval_ms:
        return Reason.TOO_FREQUENT
    first = late_readings.first_part(span, rules.rollover_uwh, time_ms, import_uwh, export_uwh)
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
    if version > 1 and late_readings.excesses(meter, first) is None:
        return Reason.IMPLAUSIBLE_JUMP
    return _ACCEPTED


def _rolled_over_uwh(last_uwh: int, new_uwh: int, rules: MeterRules, limit_uwh: int) -> int:
    """Return what a register that fell has counted if it passed its end once; -1 if it cannot have.

    Where power and time allow a whole round, nobody can know how many rounds there were.
    """
    moved_uwh = rules.rollover_uwh + new_uwh - last_uwh
    is_known = last_uwh < rules.rollover_uwh and limit_uwh < rules.rollover_uwh
    return moved_uwh if is_known and moved_uwh <= limit_uwh else -1
