"""The 15-minute energy of meters in a month, taken from the journal's outcomes as it is.

Nothing is computed again: whether an interval was measured, estimated or corrected is the core's
decision. A meter's month is 54 kB, so that of a thousand meters fits into memory beside the rest.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.statements.model.document import MeterPolicy
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month


class MeterMonth:
    """A meter's energy by interval of the month. Where the quality is 0 (missing), it is unknown.

    `revision` counts how often an interval was changed, up to 255.
    """

    __slots__ = ("export_uwh", "import_uwh", "quality", "revision")

    def __init__(self, intervals: int) -> None:
        self.import_uwh = array("q", bytes(8 * intervals))
        self.export_uwh = array("q", bytes(8 * intervals))
        self.quality = bytearray(intervals)
        self.revision = bytearray(intervals)

    def put(self, from_ms: int, rows: Sequence[IntervalEnergy]) -> None:
        """Store intervals of the month that begins at `from_ms`, in place of older values."""
        import_uwh, export_uwh, quality = self.import_uwh, self.export_uwh, self.quality
        for row in rows:
            slot = (row.interval_ms - from_ms) // INTERVAL_MS
            import_uwh[slot] = row.import_uwh
            export_uwh[slot] = row.export_uwh
            quality[slot] = row.quality
            if row.revision:
                self.revision[slot] = min(row.revision, 255)


class MeterSpan(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals [first, end) of the month in which a meter was one member's."""

    meter: str
    policy: MeterPolicy
    first: int
    end: int


class MeteredSpan(msgspec.Struct, frozen=True):
    """A span with its energy; `month` is None where the journal has nothing of the meter."""

    span: MeterSpan
    month: MeterMonth | None

    @property
    def expected(self) -> int:
        """How many intervals the span has."""
        return self.span.end - self.span.first

    @property
    def imports(self) -> Sequence[int]:
        """The import of each interval in µWh; empty where nothing is known."""
        return self.month.import_uwh[self.span.first : self.span.end] if self.month else ()

    @property
    def import_uwh(self) -> int:
        return sum(self.imports)

    @property
    def export_uwh(self) -> int:
        return sum(self.month.export_uwh[self.span.first : self.span.end]) if self.month else 0

    @property
    def qualities(self) -> bytes:
        """The Quality of each interval."""
        if self.month is None:
            return bytes(self.expected)
        return bytes(self.month.quality[self.span.first : self.span.end])

    @property
    def missing(self) -> int:
        """How many intervals are missing."""
        return self.qualities.count(Quality.MISSING)

    @property
    def is_known(self) -> bool:
        """Whether the energy of any interval is known."""
        return self.missing < self.expected

    @property
    def revised(self) -> int:
        """How many intervals were changed since they were first known."""
        if self.month is None:
            return 0
        revisions = self.month.revision[self.span.first : self.span.end]
        return len(revisions) - revisions.count(0)

    def is_revised_at(self, slot: int) -> bool:
        """Return whether an interval of the month was changed since it was first known."""
        return self.month is not None and self.month.revision[slot] > 0

    def used_uwh_at(self, slot: int) -> int:
        """Return what bought GRID can cover in an interval: import, or by `net` less the export."""
        if self.month is None:
            return 0
        if self.span.policy == "net":
            return max(0, self.month.import_uwh[slot] - self.month.export_uwh[slot])
        return self.month.import_uwh[slot]


def slot_of(month: Month, at_ms: int) -> int:
    """Return the number of the interval that begins at `at_ms`; the month's first is 0."""
    return (at_ms - month.from_ms) // INTERVAL_MS
