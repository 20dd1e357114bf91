"""The energy of each 15-minute interval, exactly, out of a meter's accepted readings.

The registers at a bound are worked out between the readings around it, and rounded down. An
interval's energy is the difference of its two bounds, so the intervals of any span add up to what
the registers moved in it, to the µWh, wherever the rounding fell.

Between two bounds a reading costs a comparison (`Meter.interval_end_ms`) and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    BoundaryRegisters,
    EstimatedSpan,
    IntervalEnergy,
    MeterPast,
    Quality,
)
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.oracle import late_readings

__all__ = ["INTERVAL_MS", "IntervalEnergy", "Quality", "substitute", "take"]

CLOSED_KEPT = 2976
"""Closed intervals of a meter that no clearing has taken: a month. Older ones are summed up."""
_CLOSED_SLACK = 96  # summed up a day at a time
_MEASURED = int(Quality.MEASURED)
_INTERPOLATED = int(Quality.INTERPOLATED)


class Before(NamedTuple):
    """A meter as the last reading left it: its time, counted registers, and their base."""

    time_ms: int
    import_uwh: int
    export_uwh: int
    base_import_uwh: int
    base_export_uwh: int


def state_of(meter: Meter) -> Before:
    """The counted registers of a meter's last accepted reading."""
    base_import_uwh = base_export_uwh = 0
    if (past := meter.past) is not None:
        base_import_uwh = past.offset_import_uwh + past.wrapped_import_uwh
        base_export_uwh = past.offset_export_uwh + past.wrapped_export_uwh
    return Before(
        meter.last_ms,
        base_import_uwh + meter.last_import_uwh,
        base_export_uwh + meter.last_export_uwh,
        base_import_uwh,
        base_export_uwh,
    )


def begin(meter: Meter, limits: OracleLimits) -> list[IntervalEnergy]:
    """Takes note of a meter's first reading, or of the first after its registers were changed.

    What the former registers had counted last closes their interval; nothing is known of the time
    in between. Returns what was closed.
    """
    start_ms = meter.last_ms - meter.last_ms % INTERVAL_MS
    is_measured = meter.last_ms - start_ms <= limits.bound_tolerance_ms
    if not meter.interval_end_ms:
        meter.interval_start_import_uwh, meter.interval_start_export_uwh = (
            meter.last_import_uwh,
            meter.last_export_uwh,
        )
        meter.interval_start_is_measured, meter.interval_end_ms = (
            is_measured,
            start_ms + INTERVAL_MS,
        )
        return []
    past = meter.past
    assert past is not None  # `change` made it
    counted = BoundaryRegisters(past.offset_import_uwh, past.offset_export_uwh, False)
    past.offset_import_uwh -= meter.last_import_uwh
    past.offset_export_uwh -= meter.last_export_uwh
    if start_ms < meter.interval_end_ms:
        meter.interval_start_is_measured = False
        return []
    row = _row(meter, counted)
    _note_edge(past, meter.interval_end_ms, counted)
    _open(meter, start_ms, BoundaryRegisters(counted.import_uwh, counted.export_uwh, is_measured))
    _add_closed(meter, [row])
    return [row]


def change(meter: Meter) -> None:
    """The meter's registers will begin anew: what they counted so far is kept as an offset."""
    before = state_of(meter)
    if meter.past is None:
        meter.past = MeterPast()
    meter.past.offset_import_uwh = before.import_uwh
    meter.past.offset_export_uwh = before.export_uwh
    meter.past.changed_ms = before.time_ms


def close(meter: Meter, limits: OracleLimits, at_ms: int, before: Before) -> list[IntervalEnergy]:
    """Closes the intervals that ended between the reading before and the last one.

    The same line as `EstimatedSpan.at`, but without values in between: a backlog has a reading for
    each interval.
    """
    from_ms, from_import_uwh, from_export_uwh, base_import_uwh, base_export_uwh = before
    to_ms, to_import_uwh, to_export_uwh, _, _ = state_of(meter)
    span_ms, tolerance_ms = to_ms - from_ms, limits.bound_tolerance_ms
    moved_import_uwh, moved_export_uwh = (
        to_import_uwh - from_import_uwh,
        to_export_uwh - from_export_uwh,
    )
    import_uwh, export_uwh = meter.interval_start_import_uwh, meter.interval_start_export_uwh
    was_near, interval_end_ms, past = (
        meter.interval_start_is_measured,
        meter.interval_end_ms,
        meter.past,
    )
    opened_ms, opened = (
        interval_end_ms - INTERVAL_MS,
        BoundaryRegisters(import_uwh, export_uwh, was_near),
    )
    rows = []
    while interval_end_ms <= to_ms:
        passed_ms = interval_end_ms - from_ms
        import_there_uwh = from_import_uwh + moved_import_uwh * passed_ms // span_ms
        export_there_uwh = from_export_uwh + moved_export_uwh * passed_ms // span_ms
        is_measured = passed_ms <= tolerance_ms or to_ms - interval_end_ms <= tolerance_ms
        rows.append(
            IntervalEnergy(
                interval_end_ms - INTERVAL_MS,
                import_there_uwh - import_uwh,
                export_there_uwh - export_uwh,
                _MEASURED if was_near and is_measured else _INTERPOLATED,
            )
        )
        import_uwh, export_uwh, was_near = import_there_uwh, export_there_uwh, is_measured
        if past is not None:
            _note_edge(
                past, interval_end_ms, BoundaryRegisters(import_uwh, export_uwh, is_measured)
            )
        interval_end_ms += INTERVAL_MS
    meter.interval_start_import_uwh, meter.interval_start_export_uwh = import_uwh, export_uwh
    meter.interval_start_is_measured, meter.interval_end_ms = was_near, interval_end_ms
    # Of a meter that was changed, readings may be older than what is closed already.
    if span_ms > INTERVAL_MS + tolerance_ms and opened_ms <= from_ms:
        span = EstimatedSpan(
            from_ms,
            from_import_uwh,
            from_export_uwh,
            to_ms,
            to_import_uwh,
            to_export_uwh,
            base_import_uwh,
            base_export_uwh,
        )
        late_readings.remember(meter, limits, at_ms, span, opened_ms, opened)
    _add_closed(meter, rows)
    return rows


def _row(meter: Meter, at_bound: BoundaryRegisters) -> IntervalEnergy:
    """The open interval, if its end is at these registers."""
    return IntervalEnergy(
        meter.interval_end_ms - INTERVAL_MS,
        at_bound.import_uwh - meter.interval_start_import_uwh,
        at_bound.export_uwh - meter.interval_start_export_uwh,
        _MEASURED if meter.interval_start_is_measured and at_bound.is_measured else _INTERPOLATED,
    )


def _open(meter: Meter, start_ms: int, opened: BoundaryRegisters) -> None:
    meter.interval_start_import_uwh, meter.interval_start_export_uwh = (
        opened.import_uwh,
        opened.export_uwh,
    )
    meter.interval_start_is_measured = opened.is_measured
    meter.interval_end_ms = start_ms + INTERVAL_MS


def _note_edge(past: MeterPast, interval_end_ms: int, at_bound: BoundaryRegisters) -> None:
    """Keeps the registers at the end of the interval in which the newest span ended."""
    if past.estimated_spans and late_readings.end_of(past.estimated_spans[-1]) == interval_end_ms:
        past.boundary_registers[interval_end_ms] = at_bound


def still_open(meter: Meter) -> IntervalEnergy | None:
    """What the open interval has counted up to the last reading; None before the first."""
    if not meter.interval_end_ms or meter.last_ms < 0:
        return None
    _, import_uwh, export_uwh, _, _ = state_of(meter)
    return IntervalEnergy(
        meter.interval_end_ms - INTERVAL_MS,
        import_uwh - meter.interval_start_import_uwh,
        export_uwh - meter.interval_start_export_uwh,
        Quality.PROVISIONAL,
    )


def take(meters: Iterable[Meter], until_ms: int) -> dict[str, list[IntervalEnergy]]:
    """The closed intervals that start before `until_ms`, by meter, each handed out once.

    What a late reading changes after that only moves energy between a meter's intervals: it is a
    revision, and not handed out again.
    """
    taken: dict[str, list[IntervalEnergy]] = {}
    for meter in meters:
        if not meter.closed:
            continue
        if rows := [row for row in meter.closed if row.interval_ms < until_ms]:
            taken[meter.id] = rows
            meter.closed = [row for row in meter.closed if row.interval_ms >= until_ms]
    return taken


def _add_closed(meter: Meter, rows: list[IntervalEnergy]) -> None:
    if meter.closed is None:
        meter.closed = []
    closed = meter.closed
    closed += rows
    if len(closed) > CLOSED_KEPT + _CLOSED_SLACK:
        oldest = closed[: len(closed) - CLOSED_KEPT + 1]
        closed[: len(oldest)] = [
            IntervalEnergy(
                oldest[-1].interval_ms,
                sum(row.import_uwh for row in oldest),
                sum(row.export_uwh for row in oldest),
                min(row.quality for row in oldest),
                oldest[-1].revision,
            )
        ]


def replace_closed(meter: Meter, rows: list[IntervalEnergy]) -> None:
    """Puts revised intervals in place of what was not handed out yet."""
    if meter.closed:
        revised = {row.interval_ms: row for row in rows}
        meter.closed = [revised.get(row.interval_ms, row) for row in meter.closed]


def substitute(
    meter: Meter,
    limits: OracleLimits,
    span_ms: tuple[int, int],
    import_uwh: int,
    export_uwh: int,
) -> list[IntervalEnergy]:
    """The operator's values for the closed intervals of a span, spread evenly and exactly.

    `span_ms` is two bounds, the second not beyond the open interval's start. No late reading
    changes these intervals any more.
    """
    from_ms, to_ms = span_ms
    assert from_ms % INTERVAL_MS == to_ms % INTERVAL_MS == 0 <= from_ms < to_ms
    assert to_ms <= meter.interval_end_ms - INTERVAL_MS
    past = meter.past = meter.past or MeterPast()
    even = EstimatedSpan(from_ms, 0, 0, to_ms, import_uwh, export_uwh, 0, 0)
    late_readings.drop(past, limits, from_ms, to_ms)
    rows = []
    for start_ms in range(from_ms, to_ms, INTERVAL_MS):
        first, last = even.at(start_ms, 0), even.at(start_ms + INTERVAL_MS, 0)
        rows.append(
            IntervalEnergy(
                start_ms,
                last.import_uwh - first.import_uwh,
                last.export_uwh - first.export_uwh,
                Quality.SUBSTITUTE,
                late_readings.next_revision(past, start_ms),
            )
        )
    replace_closed(meter, rows)
    return rows
