"""The 15-minute energy of meters in a month, as the journal has it.

A meter's month is 54 kB, so that of a thousand meters fits into memory beside the rest.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month


class MeterMonth:
    """By interval of the month. Quality 0 is missing: then the energy says nothing."""

    __slots__ = ("export_uwh", "import_uwh", "quality", "revision")

    def __init__(self, intervals: int) -> None:
        self.import_uwh = array("q", bytes(8 * intervals))
        self.export_uwh = array("q", bytes(8 * intervals))
        self.quality = bytearray(intervals)
        self.revision = bytearray(intervals)

    def put(self, from_ms: int, rows: Sequence[IntervalEnergy]) -> None:
        """Takes what is known of intervals now, in place of what was known before.

        The month begins at `from_ms`; all of them are in it.
        """
        import_uwh, export_uwh, quality = self.import_uwh, self.export_uwh, self.quality
        for row in rows:
            slot = (row.interval_ms - from_ms) // INTERVAL_MS
            import_uwh[slot] = row.import_uwh
            export_uwh[slot] = row.export_uwh
            quality[slot] = row.quality
            if row.revision:
                self.revision[slot] = min(row.revision, 255)


class MeteredSpan(NamedTuple):
    """A meter's month, or the intervals [first, end) of it in which it was one member's."""

    meter: str
    policy: str
    first: int
    end: int
    of_month: MeterMonth | None

    @property
    def expected(self) -> int:
        return self.end - self.first

    @property
    def imports(self) -> Sequence[int]:
        return self.of_month.import_uwh[self.first : self.end] if self.of_month else ()

    @property
    def import_uwh(self) -> int:
        return sum(self.imports)

    @property
    def export_uwh(self) -> int:
        return sum(self.of_month.export_uwh[self.first : self.end]) if self.of_month else 0

    @property
    def qualities(self) -> bytes:
        """The Quality of each interval."""
        if self.of_month is None:
            return bytes(self.expected)
        return bytes(self.of_month.quality[self.first : self.end])

    @property
    def missing(self) -> int:
        return self.qualities.count(Quality.MISSING)

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return self.missing < self.expected

    @property
    def revised(self) -> int:
        """How many intervals were changed since they were first known."""
        if self.of_month is None:
            return 0
        revisions = self.of_month.revision[self.first : self.end]
        return len(revisions) - revisions.count(0)


def slot_of(month: Month, at_ms: int) -> int:
    """The number of the interval that begins at `at_ms`, from 0 at the month's begin."""
    return (at_ms - month.from_ms) // INTERVAL_MS
