"""A wallet as a list of lots, and energy spread over intervals: slow and plain."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Person:
    """`lots` are (entry bought in or 0 for minted, µWh); `open` is import by interval.

    What one entry brought is one lot, however many trades it took.
    """

    lots: list[tuple[int, int]] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)
    owed: int = 0
    ahead: int = 0
    retired: int = 0
    money: int = 1000 * 10**6

    def receive(self, entry: int, amount: int) -> None:
        """Add to what the entry brought before."""
        before = sum(part for other, part in self.lots if other == entry)
        self.lots = [lot for lot in self.lots if lot[0] != entry]
        self.lots.append((entry, before + amount))

    def spend(self, amount: int) -> list[tuple[int, int]]:
        """Minted lots first, then the oldest purchase."""
        assert sum(part for _, part in self.lots) >= amount
        spent = []
        for entry, whole in sorted(self.lots):
            part = min(whole, amount)
            amount -= part
            self.lots.remove((entry, whole))
            if whole > part:
                self.lots.append((entry, whole - part))
            spent.append((entry, part))
        return spent

    def owns(self) -> int:
        return sum(part for _, part in self.lots)

    def bought(self) -> int:
        return sum(part for entry, part in self.lots if entry)


def share(import_uwh: int, export_uwh: int, index: int, parts: int) -> tuple[int, int]:
    """The part of an interval in energy that is spread evenly, rounded down at each bound."""

    def up_to(whole: int, bound: int) -> int:
        return int(Fraction(whole * bound, parts))

    return (
        up_to(import_uwh, index + 1) - up_to(import_uwh, index),
        up_to(export_uwh, index + 1) - up_to(export_uwh, index),
    )
