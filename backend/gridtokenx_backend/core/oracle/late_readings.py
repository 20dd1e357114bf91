"""Late readings: where they may still fall, and what they change.

A stretch is the time between two readings over which intervals were worked out. A reading that
arrives late splits it, and the intervals between are worked out anew. What the registers moved
over the whole stretch stays the same: it was settled when the later reading came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    IntervalEnergy,
    Past,
    Quality,
    Registers,
    Stretch,
)

if TYPE_CHECKING:
    from gridtokenx_backend.core.model.oracle_limits import OracleLimits
    from gridtokenx_backend.core.model.registry import Meter

STRETCHES_KEPT = 96
"""For each meter; beyond, the oldest is forgotten and its intervals stay as they are."""
REVISIONS_KEPT = 2976


def start_of(stretch: Stretch) -> int:
    """Where the first interval starts that it has a part in."""
    return stretch.from_ms - stretch.from_ms % INTERVAL_MS


def end_of(stretch: Stretch) -> int:
    """Where the last interval ends that it has a part in."""
    return stretch.to_ms + -stretch.to_ms % INTERVAL_MS


def remember(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    stretch: Stretch,
    opened_ms: int,
    opened: Registers,
) -> None:
    """Keeps a stretch for late readings; `opened` are the registers at its first interval's start.

    It is not kept if it is too long ago already.
    """
    if stretch.to_ms + limits.correction_ms < at_ms:
        return
    past = meter.past = meter.past or Past()
    if past.at(opened_ms, limits.bound_tolerance_ms) is None:
        past.edges[opened_ms] = opened
    past.stretches = (*past.stretches, stretch)
    prune(past, limits, at_ms)


def find(past: Past, limits: OracleLimits, at_ms: int, time_ms: int) -> Stretch | None:
    """The stretch that a late reading falls into, as far as its intervals are not final.

    None if there is no bound in it any more.
    """
    for stretch in past.stretches:
        if stretch.from_ms < time_ms < stretch.to_ms:
            if stretch.to_ms + limits.correction_ms < at_ms:
                return None
            open_part = _without_final(stretch, limits, at_ms)
            is_wanted = open_part.from_ms < time_ms and _is_open(open_part, limits)
            return open_part if is_wanted else None
    return None


def _without_final(stretch: Stretch, limits: OracleLimits, at_ms: int) -> Stretch:
    """The part of a stretch from the end of the last final interval on."""
    final_ms = max(0, at_ms - limits.finality_ms)
    final_ms -= final_ms % INTERVAL_MS
    if final_ms <= stretch.from_ms:
        return stretch
    final_ms = min(final_ms, stretch.to_ms)
    fixed = stretch.at(final_ms, 0)
    return msgspec.structs.replace(
        stretch,
        from_ms=final_ms,
        from_import_uwh=fixed.import_uwh,
        from_export_uwh=fixed.export_uwh,
    )


def counted_in(stretch: Stretch, rollover_uwh: int, import_uwh: int, export_uwh: int) -> Stretch:
    """A late reading's registers, counted, as the end of the first part of its stretch.

    Its time is not set. A register that began again at zero, which it can have done once, is
    counted on.
    """
    import_uwh += stretch.base_import_uwh
    export_uwh += stretch.base_export_uwh
    if import_uwh < stretch.from_import_uwh:
        import_uwh += rollover_uwh
    if export_uwh < stretch.from_export_uwh:
        export_uwh += rollover_uwh
    return msgspec.structs.replace(stretch, to_import_uwh=import_uwh, to_export_uwh=export_uwh)


class Reopened:
    """What the late readings of one frame opened again of one meter's intervals.

    `before` is the past as it was; the intervals from `from_ms` to `to_ms` are to be worked out.
    """

    __slots__ = ("before", "from_ms", "to_ms")

    def __init__(self, past: Past) -> None:
        self.before = Past(stretches=past.stretches, edges=dict(past.edges))
        self.from_ms = self.to_ms = 0

    def widen(self, from_ms: int, to_ms: int) -> None:
        self.from_ms = min(self.from_ms or from_ms, from_ms)
        self.to_ms = max(self.to_ms, to_ms)


def split(
    meter: Meter,
    limits: OracleLimits,
    at_ms: int,
    reopened: Reopened,
    reading: tuple[int, int, int],
) -> None:
    """Puts an accepted late reading (its time and registers) into its stretch."""
    time_ms, import_uwh, export_uwh = reading
    past = meter.past
    assert past is not None
    index = next(n for n, each in enumerate(past.stretches) if each.from_ms < time_ms < each.to_ms)
    whole = past.stretches[index]
    stretch = _without_final(whole, limits, at_ms)
    if stretch is not whole:
        past.edges[stretch.from_ms] = whole.at(stretch.from_ms, limits.bound_tolerance_ms)
    rollover_uwh = meter.rules.rollover_uwh
    first = counted_in(stretch, rollover_uwh, import_uwh, export_uwh)
    first = msgspec.structs.replace(first, to_ms=time_ms)
    second = msgspec.structs.replace(
        stretch,
        from_ms=time_ms,
        from_import_uwh=first.to_import_uwh,
        from_export_uwh=first.to_export_uwh,
    )
    past.stretches = (*past.stretches[:index], first, second, *past.stretches[index + 1 :])
    opened_ms = meter.bound_ms - INTERVAL_MS
    reopened.widen(start_of(stretch), min(end_of(stretch), opened_ms))
    if stretch.holds(opened_ms):
        opened = past.at(opened_ms, limits.bound_tolerance_ms)
        assert opened is not None
        meter.opened_import_uwh, meter.opened_export_uwh = opened.import_uwh, opened.export_uwh
        meter.opened_near = opened.is_near


def revise(
    meter: Meter, limits: OracleLimits, at_ms: int, reopened: Reopened
) -> list[IntervalEnergy]:
    """The intervals that have changed, as they are now; and what is no stretch any more goes."""
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


def _energy(past: Past, start_ms: int, limits: OracleLimits) -> IntervalEnergy | None:
    first = past.at(start_ms, limits.bound_tolerance_ms)
    last = past.at(start_ms + INTERVAL_MS, limits.bound_tolerance_ms)
    if first is None or last is None:
        return None
    return IntervalEnergy(
        start_ms,
        last.import_uwh - first.import_uwh,
        last.export_uwh - first.export_uwh,
        Quality.MEASURED if first.is_near and last.is_near else Quality.INTERPOLATED,
    )


def next_revision(past: Past, interval_ms: int) -> int:
    """The number of an interval's next revision, which is counted."""
    revision = past.revisions.pop(interval_ms, 0) + 1
    past.revisions[interval_ms] = revision  # the newest change comes last
    if len(past.revisions) > REVISIONS_KEPT:
        del past.revisions[next(iter(past.revisions))]
    return revision


def drop(past: Past, limits: OracleLimits, from_ms: int, to_ms: int) -> None:
    """Forgets the stretches that have a part in the intervals of a span."""
    kept = [each for each in past.stretches if end_of(each) <= from_ms or start_of(each) >= to_ms]
    _keep(past, kept, limits.bound_tolerance_ms)


def prune(past: Past, limits: OracleLimits, at_ms: int) -> None:
    """Keeps the stretches that are recent enough and have a bound in them."""
    kept = [
        stretch
        for stretch in past.stretches
        if stretch.to_ms + limits.correction_ms >= at_ms and _is_open(stretch, limits)
    ]
    _keep(past, kept[-STRETCHES_KEPT:], limits.bound_tolerance_ms)


def _keep(past: Past, kept: list[Stretch], tolerance_ms: int) -> None:
    """Forgets the other stretches, but not the registers at the outer bounds of these.

    They are in order and each has a bound inside, so only a neighbour can hold another's.
    """
    edges = {}
    for index, stretch in enumerate(kept):
        neighbours = kept[max(0, index - 1) : index + 2]
        for bound_ms in (start_of(stretch), end_of(stretch)):
            if any(each.holds(bound_ms) for each in neighbours):
                continue
            found = past.edges.get(bound_ms) or past.at(bound_ms, tolerance_ms)
            if found is not None:
                edges[bound_ms] = found
    past.stretches, past.edges = tuple(kept), edges


def _is_open(stretch: Stretch, limits: OracleLimits) -> bool:
    """Whether a late reading could still tell more of a bound in it."""
    span_ms = stretch.to_ms - stretch.from_ms
    return span_ms > limits.bound_tolerance_ms and start_of(stretch) + INTERVAL_MS < stretch.to_ms
