"""Late readings: which of them are still of use, and what they change.

The boundary registers within an estimated span were interpolated between the two readings at its
ends. A reading that arrives late splits the span, and the intervals in it are worked out again.
The energy of the whole span stays the same: it was settled when the reading at its end came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    EstimatedSpan,
    IntervalEnergy,
    MeterPast,
    Quality,
)
from gridtokenx_backend.core.oracle import energy_window
from gridtokenx_backend.core.oracle.registers import counted_registers

if TYPE_CHECKING:
    from gridtokenx_backend.core.model.oracle_limits import OracleLimits
    from gridtokenx_backend.core.model.registry import Meter

SPANS_KEPT = 96
"""The estimated spans that are kept of a meter; the intervals of older ones are not revised."""
REVISIONS_KEPT = 2976
"""The intervals of a meter whose revision is kept: a month of them."""


def remember(meter: Meter, limits: OracleLimits, at_ms: int, span: EstimatedSpan) -> None:
    """Keep a new estimated span, in which the meter's open interval ends, for late readings.

    It is not kept if it ended too long ago for late readings to be accepted.
    """
    if span.to_ms + limits.late_reading_ms < at_ms:
        return
    past = meter.past = meter.past or MeterPast()
    start_ms = meter.interval_start_ms
    if past.at(start_ms, limits.boundary_tolerance_ms) is None:
        past.boundary_registers[start_ms] = meter.interval_start
    past.estimated_spans.append(span)
    prune(past, limits, at_ms)


def awaited_boundary_ms(past: MeterPast | None) -> int:
    """Return the end of the interval in which the newest kept span ends; 0 if there is none.

    The registers there have to be kept once they are known: they are those of the span's last
    interval.
    """
    if past is None or not past.estimated_spans:
        return 0
    return past.estimated_spans[-1].last_interval_end_ms


def open_span(
    past: MeterPast, limits: OracleLimits, at_ms: int, time_ms: int
) -> EstimatedSpan | None:
    """Return the part of an estimated span, not yet final, that a late reading would split.

    None if there is no such span, or no interval boundary in it that could become more exact.
    """
    index = past.span_around(time_ms)
    if index < 0:
        return None
    span = past.estimated_spans[index]
    if span.to_ms + limits.late_reading_ms < at_ms:
        return None
    open_part = _without_final(span, limits, at_ms)
    is_wanted = open_part.from_ms < time_ms and _is_open(open_part, limits)
    return open_part if is_wanted else None


def first_part(
    span: EstimatedSpan, rollover_uwh: int, time_ms: int, import_uwh: int, export_uwh: int
) -> EstimatedSpan:
    """Return the part of an estimated span up to a late reading with these registers.

    A register that fell since the start of the span is taken to have begun again at zero, once.
    """
    import_uwh += span.base_import_uwh
    export_uwh += span.base_export_uwh
    if import_uwh < span.from_import_uwh:
        import_uwh += rollover_uwh
    if export_uwh < span.from_export_uwh:
        export_uwh += rollover_uwh
    return msgspec.structs.replace(
        span, to_ms=time_ms, to_import_uwh=import_uwh, to_export_uwh=export_uwh
    )


Excess = tuple[int, int]
"""The excess of import and of export at a reading, see `MeterGuard`."""


class Excesses(NamedTuple):
    """What the excess is after a late reading was put between others.

    At the `start` of the open part of its estimated span, at the `late` reading, at the start of
    the kept spans after it as far as it has changed there, and at the meter's `last` reading, which
    is None if it has not changed.
    """

    start: Excess
    late: Excess
    later: list[Excess]
    last: Excess | None


def excesses(meter: Meter, first: EstimatedSpan) -> Excesses | None:
    """Return what the excess is after a late reading; `first` is the open part of a span up to it.

    None if one is beyond a resolution: some window would hold more than the meter's power allows.
    """
    past, power_w, most_uwh = meter.past, meter.rules.max_power_w, meter.rules.resolution_uwh
    assert past is not None
    spans = past.estimated_spans
    index = past.span_around(first.to_ms)
    span = spans[index]
    at = _start_of(span)
    excess = (span.excess_import_uwh, span.excess_export_uwh)
    found: list[Excess] = []
    for vertex in (
        _start_of(first),
        _end_of(first),
        _end_of(span),
    ):
        excess = at.excess_at(vertex, excess, power_w, (0, 0))
        if max(excess) > most_uwh:
            return None
        found.append(excess)
        at = vertex
    later: list[Excess] = []
    for number in range(index + 1, len(spans)):
        after = spans[number]
        known = (after.excess_import_uwh, after.excess_export_uwh)
        vertex = _start_of(after)
        excess = at.excess_at(vertex, excess, power_w, known)
        if max(excess) > most_uwh:
            return None
        if excess == known:  # and so it is in all that follow
            return Excesses(start=found[0], late=found[1], later=later, last=None)
        later.append(excess)
        at = vertex
    last = counted_registers(meter)
    known = (last.excess_import_uwh, last.excess_export_uwh)
    vertex = _Vertex(time_ms=last.time_ms, import_uwh=last.import_uwh, export_uwh=last.export_uwh)
    excess = at.excess_at(vertex, excess, power_w, known)
    if max(excess) > most_uwh:
        return None
    return Excesses(start=found[0], late=found[1], later=later, last=excess)


class _Vertex(NamedTuple):
    """The counted registers at a time."""

    time_ms: int
    import_uwh: int
    export_uwh: int

    def excess_at(self, to: _Vertex, excess: Excess, power_w: int, known: Excess) -> Excess:
        """Return the excess at a later reading, which is at least what is known of it."""
        possible = energy_window.possible_uwh(power_w, to.time_ms - self.time_ms)
        return (
            max(known[0], excess[0] + to.import_uwh - self.import_uwh - possible),
            max(known[1], excess[1] + to.export_uwh - self.export_uwh - possible),
        )


def _start_of(span: EstimatedSpan) -> _Vertex:
    return _Vertex(
        time_ms=span.from_ms, import_uwh=span.from_import_uwh, export_uwh=span.from_export_uwh
    )


def _end_of(span: EstimatedSpan) -> _Vertex:
    return _Vertex(time_ms=span.to_ms, import_uwh=span.to_import_uwh, export_uwh=span.to_export_uwh)


class ReopenedIntervals:
    """The intervals of one meter that the late readings of one frame have opened again."""

    __slots__ = ("_from_ms", "_previous", "_to_ms", "meter")

    def __init__(self, meter: Meter) -> None:
        past = meter.past
        assert past is not None  # without it no late reading is accepted
        self.meter = meter
        self._previous = MeterPast(
            estimated_spans=list(past.estimated_spans),
            boundary_registers=dict(past.boundary_registers),
        )
        self._from_ms = self._to_ms = 0

    def split(
        self,
        limits: OracleLimits,
        at_ms: int,
        time_ms: int,
        import_uwh: int,
        export_uwh: int,
        *,
        is_bounded: bool,
    ) -> None:
        """Split the estimated span that an accepted late reading falls into, at the reading.

        `is_bounded` says that the excess of the readings after it is kept.
        """
        meter, past = self.meter, self.meter.past
        assert past is not None
        spans = past.estimated_spans
        index = past.span_around(time_ms)
        assert index >= 0
        span = _without_final(spans[index], limits, at_ms)
        if span is not spans[index]:
            past.boundary_registers[span.from_ms] = spans[index].at(
                span.from_ms, limits.boundary_tolerance_ms
            )
        first = first_part(span, meter.rules.rollover_uwh, time_ms, import_uwh, export_uwh)
        second = msgspec.structs.replace(
            span,
            from_ms=time_ms,
            from_import_uwh=first.to_import_uwh,
            from_export_uwh=first.to_export_uwh,
        )
        if is_bounded:
            found = excesses(meter, first)
            assert found is not None, "the reading was judged to be acceptable"
            first, second = _with_excess(first, found.start), _with_excess(second, found.late)
            for number, excess in enumerate(found.later, index + 1):
                spans[number] = _with_excess(spans[number], excess)
            if found.last is not None:
                energy_window.set_excess(meter, found.last)
        spans[index : index + 1] = [first, second]
        start_ms = meter.interval_start_ms
        self._from_ms = min(self._from_ms or span.first_interval_ms, span.first_interval_ms)
        self._to_ms = max(self._to_ms, min(span.last_interval_end_ms, start_ms))
        if span.holds(start_ms):
            start = past.at(start_ms, limits.boundary_tolerance_ms)
            assert start is not None
            meter.set_interval_start(start)

    def revise(self, limits: OracleLimits, at_ms: int) -> list[IntervalEnergy]:
        """Return the new revisions of the intervals that changed, and forget spans of no use."""
        past = self.meter.past
        assert past is not None
        rows = []
        for start_ms in range(self._from_ms, self._to_ms, INTERVAL_MS):
            energy = _energy(past, start_ms, limits)
            if energy is not None and energy != _energy(self._previous, start_ms, limits):
                revision = next_revision(past, start_ms)
                rows.append(msgspec.structs.replace(energy, revision=revision))
        prune(past, limits, at_ms)
        return rows


def _with_excess(span: EstimatedSpan, excess: Excess) -> EstimatedSpan:
    if excess == (span.excess_import_uwh, span.excess_export_uwh):
        return span
    return msgspec.structs.replace(span, excess_import_uwh=excess[0], excess_export_uwh=excess[1])


def next_revision(past: MeterPast, interval_ms: int) -> int:
    """Return the number of an interval's next revision, and count it."""
    revision = past.revisions.pop(interval_ms, 0) + 1
    past.revisions[interval_ms] = revision  # the newest change comes last
    if len(past.revisions) > REVISIONS_KEPT:
        del past.revisions[next(iter(past.revisions))]
    return revision


def drop(past: MeterPast, limits: OracleLimits, from_ms: int, to_ms: int) -> None:
    """Forget the estimated spans that have a part in the intervals from `from_ms` to `to_ms`."""
    kept = [
        span
        for span in past.estimated_spans
        if span.last_interval_end_ms <= from_ms or span.first_interval_ms >= to_ms
    ]
    _keep(past, kept, limits.boundary_tolerance_ms)


def prune(past: MeterPast, limits: OracleLimits, at_ms: int) -> None:
    """Forget the estimated spans that are too old, or in which no boundary can be improved."""
    kept = [
        span
        for span in past.estimated_spans
        if span.to_ms + limits.late_reading_ms >= at_ms and _is_open(span, limits)
    ]
    _keep(past, kept[-SPANS_KEPT:], limits.boundary_tolerance_ms)


def _without_final(span: EstimatedSpan, limits: OracleLimits, at_ms: int) -> EstimatedSpan:
    """Return the part of a span that begins at the end of the last final interval."""
    final_ms = max(0, at_ms - limits.finality_ms)
    final_ms -= final_ms % INTERVAL_MS
    if final_ms <= span.from_ms:
        return span
    final_ms = min(final_ms, span.to_ms)
    final = span.at(final_ms, 0)
    return msgspec.structs.replace(
        span,
        from_ms=final_ms,
        from_import_uwh=final.import_uwh,
        from_export_uwh=final.export_uwh,
    )


def _energy(past: MeterPast, start_ms: int, limits: OracleLimits) -> IntervalEnergy | None:
    """Return an interval's energy out of its boundary registers; None where one is not kept."""
    start = past.at(start_ms, limits.boundary_tolerance_ms)
    end = past.at(start_ms + INTERVAL_MS, limits.boundary_tolerance_ms)
    if start is None or end is None:
        return None
    return IntervalEnergy(
        interval_ms=start_ms,
        import_uwh=end.import_uwh - start.import_uwh,
        export_uwh=end.export_uwh - start.export_uwh,
        quality=Quality.of_boundaries(start, end),
    )


def _keep(past: MeterPast, kept: list[EstimatedSpan], tolerance_ms: int) -> None:
    """Forget all estimated spans but `kept`, and the boundary registers that these do not need.

    The registers at the outer boundaries of a span's intervals are needed. Spans are in order of
    time and each has a boundary in it, so only a neighbour can hold the outer boundary of another.
    """
    boundary_registers = {}
    for index, span in enumerate(kept):
        neighbours = kept[max(0, index - 1) : index + 2]
        for boundary_ms in (span.first_interval_ms, span.last_interval_end_ms):
            for neighbour in neighbours:
                if neighbour.from_ms < boundary_ms <= neighbour.to_ms:
                    break
            else:
                known = past.boundary_registers.get(boundary_ms)
                found = known or past.at(boundary_ms, tolerance_ms)
                if found is not None:
                    boundary_registers[boundary_ms] = found
    past.estimated_spans, past.boundary_registers = kept, boundary_registers


def _is_open(span: EstimatedSpan, limits: OracleLimits) -> bool:
    """Return whether a late reading could still make a boundary in the span more exact."""
    span_ms = span.to_ms - span.from_ms
    return (
        span_ms > limits.boundary_tolerance_ms and span.first_interval_ms + INTERVAL_MS < span.to_ms
    )
