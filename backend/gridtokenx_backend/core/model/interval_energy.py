"""The energy of a meter's 15-minute intervals, and what is kept to make estimates more exact.

All registers here are counted registers: they go on over a rollover and over a change of the meter,
so that the energy of any span of time is the difference of two of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import IntEnum
from operator import attrgetter

import msgspec

INTERVAL_MS = 900_000
"""An interval is named by its start, a multiple of this in Unix time (UTC)."""


class Quality(IntEnum):
    """How well the energy of an interval is known; the least of its parts counts."""

    MISSING = 0
    """Nothing is known. Such an interval has no IntervalEnergy, and is never shown as zero."""
    PROVISIONAL = 1
    """The interval is still open, and this is what was counted so far."""
    INTERPOLATED = 2
    """The registers at one of its boundaries were interpolated between readings further away."""
    SUBSTITUTE = 3
    """The operator entered it in a correction."""
    MEASURED = 4
    """There is a reading within the tolerance of each of its two boundaries."""

    @property
    def label(self) -> str:
        """The name in the API: `measured`."""
        return self.name.lower()

    @staticmethod
    def of_boundaries(start: BoundaryRegisters, end: BoundaryRegisters) -> Quality:
        """Return the quality of an interval with these boundary registers."""
        is_measured = start.is_measured and end.is_measured
        return Quality.MEASURED if is_measured else Quality.INTERPOLATED


class IntervalEnergy(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What a meter counted in the interval that starts at `interval_ms`.

    `revision` is 0 at first and grows with every change. `quality` is a Quality's number.
    """

    interval_ms: int
    import_uwh: int
    export_uwh: int
    quality: int
    revision: int = 0

    @property
    def end_ms(self) -> int:
        return self.interval_ms + INTERVAL_MS


class BoundaryRegisters(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The counted registers at an interval boundary.

    `is_measured` says that there is a reading within the tolerance of the boundary.
    """

    import_uwh: int
    export_uwh: int
    is_measured: bool


class EstimatedSpan(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The time between two accepted readings over which boundary registers were estimated.

    It has the counted registers at both ends. `base` is what was added at its start to the values
    that the meter itself showed, and `excess` is that of `MeterGuard` at its start.
    """

    from_ms: int
    from_import_uwh: int
    from_export_uwh: int
    to_ms: int
    to_import_uwh: int
    to_export_uwh: int
    base_import_uwh: int
    base_export_uwh: int
    excess_import_uwh: int = 0
    excess_export_uwh: int = 0

    @property
    def first_interval_ms(self) -> int:
        """The start of the first interval that the span has a part in."""
        return self.from_ms - self.from_ms % INTERVAL_MS

    @property
    def last_interval_end_ms(self) -> int:
        """The end of the last interval that the span has a part in."""
        return self.to_ms + -self.to_ms % INTERVAL_MS

    def holds(self, interval_end_ms: int) -> bool:
        """Return whether the registers at that boundary are estimated in this span."""
        return self.from_ms < interval_end_ms <= self.to_ms

    def at(self, interval_end_ms: int, tolerance_ms: int) -> BoundaryRegisters:
        """Return the registers at a time in the span: interpolated, and rounded down to the µWh."""
        passed_ms, span_ms = interval_end_ms - self.from_ms, self.to_ms - self.from_ms
        moved_import_uwh = self.to_import_uwh - self.from_import_uwh
        moved_export_uwh = self.to_export_uwh - self.from_export_uwh
        return BoundaryRegisters(
            import_uwh=self.from_import_uwh + moved_import_uwh * passed_ms // span_ms,
            export_uwh=self.from_export_uwh + moved_export_uwh * passed_ms // span_ms,
            is_measured=min(passed_ms, span_ms - passed_ms) <= tolerance_ms,
        )


_end_of = attrgetter("to_ms")


class MeterPast(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """What is kept of a meter's past; most meters need none of it.

    `estimated_spans` are those that a late reading may still split, oldest first. Their ends
    ascend, so one is found by bisection: a frame may split a span into a thousand.
    `boundary_registers` are the registers at the outer boundaries of their intervals, where no span
    holds them. `revisions` has the revision of each interval that was changed. `offset` is added to
    the registers since the meter was changed; its last reading before the newest change was taken
    at `changed_ms`, and all energy up to it was settled. `wrapped` is added for rollovers since.
    """

    offset_import_uwh: int = 0
    offset_export_uwh: int = 0
    estimated_spans: list[EstimatedSpan] = []
    boundary_registers: dict[int, BoundaryRegisters] = {}
    revisions: dict[int, int] = {}
    wrapped_import_uwh: int = 0
    wrapped_export_uwh: int = 0
    changed_ms: int = -1

    def at(self, interval_end_ms: int, tolerance_ms: int) -> BoundaryRegisters | None:
        """Return the registers at a boundary; None where they were not kept."""
        spans = self.estimated_spans
        index = bisect_left(spans, interval_end_ms, key=_end_of)
        if index < len(spans) and spans[index].from_ms < interval_end_ms:
            return spans[index].at(interval_end_ms, tolerance_ms)
        return self.boundary_registers.get(interval_end_ms)

    def span_around(self, time_ms: int) -> int:
        """Return the index of the estimated span that a time lies within; -1 if there is none."""
        spans = self.estimated_spans
        index = bisect_right(spans, time_ms, key=_end_of)
        return index if index < len(spans) and spans[index].from_ms < time_ms else -1
