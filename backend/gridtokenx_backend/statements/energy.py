"""The 15-minute energy of meters, as the statements ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from gridtokenx_backend.statements.months import INTERVAL_MS


class Interval(NamedTuple):
    """`quality` is measured, interpolated, substitute or provisional; `revision` counts from 0."""

    interval_ms: int
    import_uwh: int
    export_uwh: int
    quality: str = "measured"
    revision: int = 0


class EnergySource(Protocol):
    """Where interval energy is kept. An interval that is not there is missing, not zero."""

    def intervals(self, meter: str, from_ms: int, to_ms: int) -> Iterable[Interval]:
        """Those that begin in [from_ms, to_ms), in order."""
        ...


class Nothing:
    """No interval energy at all: every interval is missing."""

    def intervals(self, meter: str, from_ms: int, to_ms: int) -> Iterable[Interval]:  # noqa: ARG002
        return ()


class Metered(NamedTuple):
    """A meter's month, or the part of it in which it was one member's."""

    meter: str
    policy: str
    from_ms: int
    to_ms: int
    rows: Sequence[Interval]

    @property
    def expected(self) -> int:
        return (self.to_ms - self.from_ms) // INTERVAL_MS

    @property
    def import_uwh(self) -> int:
        return sum(row.import_uwh for row in self.rows)

    @property
    def export_uwh(self) -> int:
        return sum(row.export_uwh for row in self.rows)
