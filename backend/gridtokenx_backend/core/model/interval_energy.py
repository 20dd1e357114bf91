"""What is known of a meter's 15-minute intervals, as values.

Registers are *counted* here: over their rollovers, and over a change of the meter itself, at
which they stand still. So the energy of every span is a difference of two of them.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

INTERVAL_MS = 900_000
"""An interval is named by its start, a multiple of this in Unix time (UTC)."""


class Quality(IntEnum):
    """How well the energy of an interval is known; the least of its parts counts."""

    MISSING = 0
    """Nothing is known: never a row, and never shown as zero."""
    PROVISIONAL = 1
    """The interval is still open: what was counted so far."""
    INTERPOLATED = 2
    """A register at one of its bounds was worked out between readings further away."""
    SUBSTITUTE = 3
    """Put in by the operator."""
    MEASURED = 4
    """A reading lies within the tolerance of each of its two bounds."""

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
    """Counted registers at a time. `is_measured`: a reading lies within the tolerance of it."""

    import_uwh: int
    export_uwh: int
    is_measured: bool


class EstimatedSpan(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The time between two accepted readings, with a bound of intervals in it.

    Counted registers at both ends. `base` is what the register's own value lacked of it at the
    start.
    """

    from_ms: int
    from_import_uwh: int
    from_export_uwh: int
    to_ms: int
    to_import_uwh: int
    to_export_uwh: int
    base_import_uwh: int
    base_export_uwh: int

    @property
    def first_interval_ms(self) -> int:
        """The start of the first interval that the span has a part in."""
        return self.from_ms - self.from_ms % INTERVAL_MS

    @property
    def last_interval_end_ms(self) -> int:
        """The end of the last interval that the span has a part in."""
        return self.to_ms + -self.to_ms % INTERVAL_MS

    def holds(self, interval_end_ms: int) -> bool:
        """Whether the registers at that time are a matter of this span."""
        return self.from_ms < interval_end_ms <= self.to_ms

    def at(self, interval_end_ms: int, tolerance_ms: int) -> BoundaryRegisters:
        """The registers at a time within it, on the straight line, rounded down to the µWh."""
        passed_ms, span_ms = interval_end_ms - self.from_ms, self.to_ms - self.from_ms
        moved_import_uwh = self.to_import_uwh - self.from_import_uwh
        moved_export_uwh = self.to_export_uwh - self.from_export_uwh
        return BoundaryRegisters(
            import_uwh=self.from_import_uwh + moved_import_uwh * passed_ms // span_ms,
            export_uwh=self.from_export_uwh + moved_export_uwh * passed_ms // span_ms,
            is_measured=min(passed_ms, span_ms - passed_ms) <= tolerance_ms,
        )


class MeterPast(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """What a meter's state keeps of its past; most meters need none of it.

    `estimated_spans` are those that a late reading may still fall into, oldest first.
    `boundary_registers` are those at the outer bounds of their intervals, where no span holds them.
    `revisions` are those above 0, by interval. `offset` is added to the registers since the meter
    was changed, the last time after the reading at `changed_ms`: what was read up to then was
    settled. `wrapped` is what a register lost by beginning again at zero: with it, the register
    counts on.
    """

    offset_import_uwh: int = 0
    offset_export_uwh: int = 0
    estimated_spans: tuple[EstimatedSpan, ...] = ()
    boundary_registers: dict[int, BoundaryRegisters] = {}
    revisions: dict[int, int] = {}
    wrapped_import_uwh: int = 0
    wrapped_export_uwh: int = 0
    changed_ms: int = -1

    def at(self, interval_end_ms: int, tolerance_ms: int) -> BoundaryRegisters | None:
        """The registers at a bound, None where nothing was kept of them."""
        for span in self.estimated_spans:
            if span.from_ms < interval_end_ms <= span.to_ms:
                return span.at(interval_end_ms, tolerance_ms)
        return self.boundary_registers.get(interval_end_ms)
