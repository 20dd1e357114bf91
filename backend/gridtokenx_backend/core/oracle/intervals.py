"""The energy of each 15-minute interval, exactly, from a meter's accepted readings.

The boundary registers of an interval are interpolated between the readings around each boundary,
and rounded down. Its energy is the difference of the two, so the intervals of any span of time add
up to what the registers moved in it, to the µWh, wherever the rounding fell.

A reading that ends no interval (see `Meter.interval_end_ms`) is not seen here at all.
"""

from __future__ import annotations

from collections.abc import Iterable

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
from gridtokenx_backend.core.oracle.registers import CountedRegisters, counted_registers

CLOSED_KEPT = 2976
"""Closed intervals of a meter that no clearing has taken: a month. Older ones are summed up."""
_CLOSED_SLACK = 96  # summed up a day at a time
_MEASURED = int(Quality.MEASURED)
_INTERPOLATED = int(Quality.INTERPOLATED)


def begin(meter: Meter, limits: OracleLimits) -> list[IntervalEnergy]:
    """Open the interval of a meter's first reading, or of the first since its registers changed.

    Returns the interval that the former registers had opened, closed with their last values:
    nothing is known of the time in between.
    """
    start_ms = meter.last_ms - meter.last_ms % INTERVAL_MS
    is_measured = meter.last_ms - start_ms <= limits.boundary_tolerance_ms
    if not meter.interval_end_ms:
        meter.interval_end_ms = start_ms + INTERVAL_MS
        meter.set_interval_start(
            BoundaryRegisters(
                import_uwh=meter.last_import_uwh,
                export_uwh=meter.last_export_uwh,
                is_measured=is_measured,
            )
        )
        return []
    past = meter.past
    assert past is not None  # there is one since the registers changed
    import_uwh, export_uwh = past.offset_import_uwh, past.offset_export_uwh
    past.offset_import_uwh -= meter.last_import_uwh
    past.offset_export_uwh -= meter.last_export_uwh
    if start_ms < meter.interval_end_ms:
        meter.interval_start_is_measured = False
        return []
    row = _open_interval(meter, import_uwh, export_uwh, Quality.INTERPOLATED)
    if late_readings.awaited_boundary_ms(past) == meter.interval_end_ms:
        past.boundary_registers[meter.interval_end_ms] = BoundaryRegisters(
            import_uwh=import_uwh, export_uwh=export_uwh, is_measured=False
        )
    meter.interval_end_ms = start_ms + INTERVAL_MS
    meter.set_interval_start(
        BoundaryRegisters(import_uwh=import_uwh, export_uwh=export_uwh, is_measured=is_measured)
    )
    _add_closed(meter, [row])
    return [row]


def close(
    meter: Meter, limits: OracleLimits, at_ms: int, previous: CountedRegisters
) -> list[IntervalEnergy]:
    """Close the intervals that ended between the previous reading and the last, and return them."""
    last = counted_registers(meter)
    _prepare_for_late_readings(meter, limits, at_ms, previous, last)
    rows = _close_ended(meter, limits.boundary_tolerance_ms, previous, last)
    _add_closed(meter, rows)
    return rows


def _close_ended(
    meter: Meter, tolerance_ms: int, previous: CountedRegisters, last: CountedRegisters
) -> list[IntervalEnergy]:
    """Return the intervals that ended up to the last reading, and open the one it lies in.

    This is `EstimatedSpan.at` for each boundary, without the objects that it makes: a gateway that
    was offline sends a reading for each interval.
    """
    from_ms, from_import_uwh, from_export_uwh = (
        previous.time_ms,
        previous.import_uwh,
        previous.export_uwh,
    )
    to_ms = last.time_ms
    span_ms = to_ms - from_ms
    moved_import_uwh = last.import_uwh - from_import_uwh
    moved_export_uwh = last.export_uwh - from_export_uwh
    start_import_uwh, start_export_uwh = (
        meter.interval_start_import_uwh,
        meter.interval_start_export_uwh,
    )
    start_is_measured, end_ms = meter.interval_start_is_measured, meter.interval_end_ms
    rows = []
    while end_ms <= to_ms:
        passed_ms = end_ms - from_ms
        import_uwh = from_import_uwh + moved_import_uwh * passed_ms // span_ms
        export_uwh = from_export_uwh + moved_export_uwh * passed_ms // span_ms
        is_measured = passed_ms <= tolerance_ms or to_ms - end_ms <= tolerance_ms
        rows.append(
            IntervalEnergy(
                interval_ms=end_ms - INTERVAL_MS,
                import_uwh=import_uwh - start_import_uwh,
                export_uwh=export_uwh - start_export_uwh,
                quality=_MEASURED if start_is_measured and is_measured else _INTERPOLATED,
            )
        )
        start_import_uwh, start_export_uwh = import_uwh, export_uwh
        start_is_measured = is_measured
        end_ms += INTERVAL_MS
    meter.interval_start_import_uwh = start_import_uwh
    meter.interval_start_export_uwh = start_export_uwh
    meter.interval_start_is_measured, meter.interval_end_ms = start_is_measured, end_ms
    return rows


def _prepare_for_late_readings(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    previous: CountedRegisters,
    last: CountedRegisters,
) -> None:
    """Keep what late readings need of the span between two readings, before its intervals close."""
    span_ms, tolerance_ms = last.time_ms - previous.time_ms, limits.boundary_tolerance_ms
    # Of a meter that was changed, readings may be older than what is closed already.
    is_estimated = (
        span_ms > INTERVAL_MS + tolerance_ms and meter.interval_start_ms <= previous.time_ms
    )
    awaited_ms = late_readings.awaited_boundary_ms(meter.past)
    is_awaited = meter.interval_end_ms <= awaited_ms <= last.time_ms
    if not (is_estimated or is_awaited):
        return
    span = EstimatedSpan(
        from_ms=previous.time_ms,
        from_import_uwh=previous.import_uwh,
        from_export_uwh=previous.export_uwh,
        to_ms=last.time_ms,
        to_import_uwh=last.import_uwh,
        to_export_uwh=last.export_uwh,
        base_import_uwh=previous.base_import_uwh,
        base_export_uwh=previous.base_export_uwh,
        excess_import_uwh=previous.excess_import_uwh,
        excess_export_uwh=previous.excess_export_uwh,
    )
    if is_awaited:
        assert meter.past is not None
        meter.past.boundary_registers[awaited_ms] = span.at(awaited_ms, tolerance_ms)
    if is_estimated:
        late_readings.remember(meter, limits, at_ms, span)


def still_open(meter: Meter) -> IntervalEnergy | None:
    """Return what the open interval has counted up to the last reading; None before the first."""
    if not meter.interval_end_ms or meter.last_ms < 0:
        return None
    last = counted_registers(meter)
    return _open_interval(meter, last.import_uwh, last.export_uwh, Quality.PROVISIONAL)


def _open_interval(
    meter: Meter, import_uwh: int, export_uwh: int, quality: Quality
) -> IntervalEnergy:
    """Return the energy of the open interval up to these counted registers."""
    return IntervalEnergy(
        interval_ms=meter.interval_start_ms,
        import_uwh=import_uwh - meter.interval_start_import_uwh,
        export_uwh=export_uwh - meter.interval_start_export_uwh,
        quality=quality,
    )


def take(meters: Iterable[Meter], until_ms: int) -> dict[str, list[IntervalEnergy]]:
    """Return the closed intervals that start before `until_ms`, by meter, each only once.

    A late reading that comes after that only moves energy between a meter's intervals: what it
    changes is a revision, and not returned here again.
    """
    taken: dict[str, list[IntervalEnergy]] = {}
    for meter in meters:
        if not meter.closed_intervals:
            continue
        if rows := [row for row in meter.closed_intervals if row.interval_ms < until_ms]:
            taken[meter.id] = rows
            meter.closed_intervals = [
                row for row in meter.closed_intervals if row.interval_ms >= until_ms
            ]
    return taken


def _add_closed(meter: Meter, rows: list[IntervalEnergy]) -> None:
    if meter.closed_intervals is None:
        meter.closed_intervals = []
    closed = meter.closed_intervals
    closed += rows
    if len(closed) > CLOSED_KEPT + _CLOSED_SLACK:
        oldest = closed[: len(closed) - CLOSED_KEPT + 1]
        closed[: len(oldest)] = [
            IntervalEnergy(
                interval_ms=oldest[-1].interval_ms,
                import_uwh=sum(row.import_uwh for row in oldest),
                export_uwh=sum(row.export_uwh for row in oldest),
                quality=min(row.quality for row in oldest),
                revision=oldest[-1].revision,
            )
        ]


def replace_closed(meter: Meter, rows: list[IntervalEnergy]) -> None:
    """Put revised intervals in place of those that no clearing has taken yet."""
    if meter.closed_intervals:
        revised = {row.interval_ms: row for row in rows}
        meter.closed_intervals = [
            revised.get(row.interval_ms, row) for row in meter.closed_intervals
        ]


def substitute(
    meter: Meter,
    limits: OracleLimits,
    span_ms: tuple[int, int],
    import_uwh: int,
    export_uwh: int,
) -> list[IntervalEnergy]:
    """Replace the closed intervals of a span by the operator's values, and return their revisions.

    The energy is spread evenly over the span, and adds up exactly. `span_ms` is its start and end,
    both interval boundaries, the end not after the start of the open interval. No late reading
    changes these intervals any more.
    """
    from_ms, to_ms = span_ms
    assert from_ms % INTERVAL_MS == to_ms % INTERVAL_MS == 0 <= from_ms < to_ms
    assert to_ms <= meter.interval_start_ms
    past = meter.past = meter.past or MeterPast()
    even = EstimatedSpan(
        from_ms=from_ms,
        from_import_uwh=0,
        from_export_uwh=0,
        to_ms=to_ms,
        to_import_uwh=import_uwh,
        to_export_uwh=export_uwh,
        base_import_uwh=0,
        base_export_uwh=0,
    )
    late_readings.drop(past, limits, from_ms, to_ms)
    rows = []
    for start_ms in range(from_ms, to_ms, INTERVAL_MS):
        start, end = even.at(start_ms, 0), even.at(start_ms + INTERVAL_MS, 0)
        rows.append(
            IntervalEnergy(
                interval_ms=start_ms,
                import_uwh=end.import_uwh - start.import_uwh,
                export_uwh=end.export_uwh - start.export_uwh,
                quality=Quality.SUBSTITUTE,
                revision=late_readings.next_revision(past, start_ms),
            )
        )
    replace_closed(meter, rows)
    return rows
