"""Late readings: where they may still fall, and what they change.

A span is the time between two readings over which intervals were worked out. A reading that
arrives late splits it, and the intervals between are worked out anew. What the registers moved
over the whole span stays the same: it was settled when the later reading came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    BoundaryRegisters,
    EstimatedSpan,
    IntervalEnergy,
    MeterPast,
    Quality,
)

if TYPE_CHECKING:
    from gridtokenx_backend.core.model.oracle_limits import OracleLimits
    from gridtokenx_backend.core.model.registry import Meter

STRETCHES_KEPT = 96
"""For each meter; beyond, the oldest is forgotten and its intervals stay as they are."""
REVISIONS_KEPT = 2976


def start_of(span: EstimatedSpan) -> int:
    """Where the first interval starts that it has a part in."""
    return span.from_ms - span.from_ms % INTERVAL_MS


def end_of(span: EstimatedSpan) -> int:
    """Where the last interval ends that it has a part in."""
    return span.to_ms + -span.to_ms % INTERVAL_MS


def remember(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    span: EstimatedSpan,
    opened_ms: int,
    opened: BoundaryRegisters,
) -> None:
    """Keeps a span for late readings; `opened` are the registers at its first interval's start.

    It is not kept if it is too long ago already.
    """
    if span.to_ms + limits.correction_ms < at_ms:
        return
    past = meter.past = meter.past or MeterPast()
    if past.at(opened_ms, limits.bound_tolerance_ms) is None:
        past.boundary_registers[opened_ms] = opened
    past.estimated_spans = (*past.estimated_spans, span)
    prune(past, limits, at_ms)


def find(past: MeterPast, limits: OracleLimits, at_ms: int, time_ms: int) -> EstimatedSpan | None:
    """The span that a late reading falls into, as far as its intervals are not final.

    None if there is no bound in it any more.
    """
    for span in past.estimated_spans:
        if span.from_ms < time_ms < span.to_ms:
            if span.to_ms + limits.correction_ms < at_ms:
                return None
            open_part = _without_final(span, limits, at_ms)
            is_wanted = open_part.from_ms < time_ms and _is_open(open_part, limits)
            return open_part if is_wanted else None
    return None


def _without_final(span: EstimatedSpan, limits: OracleLimits, at_ms: int) -> EstimatedSpan:
    """The part of a span from the end of the last final interval on."""
    final_ms = max(0, at_ms - limits.finality_ms)
    final_ms -= final_ms % INTERVAL_MS
    if final_ms <= span.from_ms:
        return span
    final_ms = min(final_ms, span.to_ms)
    fixed = span.at(final_ms, 0)
    return msgspec.structs.replace(
        span,
        from_ms=final_ms,
        from_import_uwh=fixed.import_uwh,
        from_export_uwh=fixed.export_uwh,
    )


def counted_in(
    span: EstimatedSpan, rollover_uwh: int, import_uwh: int, export_uwh: int
) -> EstimatedSpan:
    """A late reading's registers, counted, as the end of the first part of its span.

    Its time is not set. A register that began again at zero, which it can have done once, is
    counted on.
    """
    import_uwh += span.base_import_uwh
    export_uwh += span.base_export_uwh
    if import_uwh < span.from_import_uwh:
        import_uwh += rollover_uwh
    if export_uwh < span.from_export_uwh:
        export_uwh += rollover_uwh
    return msgspec.structs.replace(span, to_import_uwh=import_uwh, to_export_uwh=export_uwh)


class ReopenedIntervals:
    """What the late readings of one frame opened again of one meter's intervals.

    `before` is the past as it was; the intervals from `from_ms` to `to_ms` are to be worked out.
    """

    __slots__ = ("before", "from_ms", "to_ms")

    def __init__(self, past: MeterPast) -> None:
        self.before = MeterPast(
            estimated_spans=past.estimated_spans, boundary_registers=dict(past.boundary_registers)
        )
        self.from_ms = self.to_ms = 0

    def widen(self, from_ms: int, to_ms: int) -> None:
        self.from_ms = min(self.from_ms or from_ms, from_ms)
        self.to_ms = max(self.to_ms, to_ms)


def split(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    reopened: ReopenedIntervals,
    reading: tuple[int, int, int],
) -> None:
    """Puts an accepted late reading (its time and registers) into its span."""
    time_ms, import_uwh, export_uwh = reading
    past = meter.past
    assert past is not None
    index = next(
        n for n, each in enumerate(past.estimated_spans) if each.from_ms < time_ms < each.to_ms
    )
    whole = past.estimated_spans[index]
    span = _without_final(whole, limits, at_ms)
    if span is not whole:
        past.boundary_registers[span.from_ms] = whole.at(span.from_ms, limits.bound_tolerance_ms)
    rollover_uwh = meter.rules.rollover_uwh
    first = counted_in(span, rollover_uwh, import_uwh, export_uwh)
    first = msgspec.structs.replace(first, to_ms=time_ms)
    second = msgspec.structs.replace(
        span,
        from_ms=time_ms,
        from_import_uwh=first.to_import_uwh,
        from_export_uwh=first.to_export_uwh,
    )
    past.estimated_spans = (
        *past.estimated_spans[:index],
        first,
        second,
        *past.estimated_spans[index + 1 :],
    )
    opened_ms = meter.interval_end_ms - INTERVAL_MS
    reopened.widen(start_of(span), min(end_of(span), opened_ms))
    if span.holds(opened_ms):
        opened = past.at(opened_ms, limits.bound_tolerance_ms)
        assert opened is not None
        meter.interval_start_import_uwh, meter.interval_start_export_uwh = (
            opened.import_uwh,
            opened.export_uwh,
        )
        meter.interval_start_is_measured = opened.is_measured


def revise(
    meter: Meter, limits: OracleLimits, at_ms: int, reopened: ReopenedIntervals
) -> list[IntervalEnergy]:
    """The intervals that have changed, as they are now; and what is no span any more goes."""
    past = meter.past
    assert past is not None
    rows = []
    for start_ms in range(reopened.from_ms, reopened.to_ms, INTERVAL_MS):
        now = _energy(past, start_ms, limits)
        if now is not None and now != _energy(reopened.before, start_ms, limits):
            revision = next_revision(past, start_ms)
            rows.append(msgspec.structs.replace(now, revision=revision))
    prune(past, limits, at_ms)
    return rows


def _energy(past: MeterPast, start_ms: int, limits: OracleLimits) -> IntervalEnergy | None:
    first = past.at(start_ms, limits.bound_tolerance_ms)
    last = past.at(start_ms + INTERVAL_MS, limits.bound_tolerance_ms)
    if first is None or last is None:
        return None
    return IntervalEnergy(
        start_ms,
        last.import_uwh - first.import_uwh,
        last.export_uwh - first.export_uwh,
        Quality.MEASURED if first.is_measured and last.is_measured else Quality.INTERPOLATED,
    )


def next_revision(past: MeterPast, interval_ms: int) -> int:
    """The number of an interval's next revision, which is counted."""
    revision = past.revisions.pop(interval_ms, 0) + 1
    past.revisions[interval_ms] = revision  # the newest change comes last
    if len(past.revisions) > REVISIONS_KEPT:
        del past.revisions[next(iter(past.revisions))]
    return revision


def drop(past: MeterPast, limits: OracleLimits, from_ms: int, to_ms: int) -> None:
    """Forgets the estimated_spans that have a part in the intervals of a span."""
    kept = [
        each for each in past.estimated_spans if end_of(each) <= from_ms or start_of(each) >= to_ms
    ]
    _keep(past, kept, limits.bound_tolerance_ms)


def prune(past: MeterPast, limits: OracleLimits, at_ms: int) -> None:
    """Keeps the estimated_spans that are recent enough and have a bound in them."""
    kept = [
        span
        for span in past.estimated_spans
        if span.to_ms + limits.correction_ms >= at_ms and _is_open(span, limits)
    ]
    _keep(past, kept[-STRETCHES_KEPT:], limits.bound_tolerance_ms)


def _keep(past: MeterPast, kept: list[EstimatedSpan], tolerance_ms: int) -> None:
    """Forgets the other estimated_spans, but not the registers at the outer bounds of these.

    They are in order and each has a bound inside, so only a neighbour can hold another's.
    """
    boundary_registers = {}
    for index, span in enumerate(kept):
        neighbours = kept[max(0, index - 1) : index + 2]
        for interval_end_ms in (start_of(span), end_of(span)):
            if any(each.holds(interval_end_ms) for each in neighbours):
                continue
            found = past.boundary_registers.get(interval_end_ms) or past.at(
                interval_end_ms, tolerance_ms
            )
            if found is not None:
                boundary_registers[interval_end_ms] = found
    past.estimated_spans, past.boundary_registers = tuple(kept), boundary_registers


def _is_open(span: EstimatedSpan, limits: OracleLimits) -> bool:
    """Whether a late reading could still tell more of a bound in it."""
    span_ms = span.to_ms - span.from_ms
    return span_ms > limits.bound_tolerance_ms and start_of(span) + INTERVAL_MS < span.to_ms
