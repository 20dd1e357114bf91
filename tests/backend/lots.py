"""A slow and plain ledger of one member: every µWh is in a lot that was minted or bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Person:
    """`lots` are (entry bought in or 0 for minted, µWh); `open` is import by interval."""

    lots: list[tuple[int, int]] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)
    owed: int = 0
    ahead: int = 0
    retired: int = 0
    money: int = 1000 * 10**6

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

    def mint(self, amount: int) -> int:
        """What is new of it, after the debt is paid."""
        back = min(self.owed, amount)
        self.owed -= back
        if amount > back:
            self.lots.append((0, amount - back))
        return amount - back

    def give_back(self, amount: int, free: int) -> int:
        """What was taken of it at once; the rest is owed."""
        taken = min(amount, free)
        self.spend(taken)
        self.owed += amount - taken
        return taken

    def consume(self, at_ms: int, amount: int) -> None:
        """Import of an interval, less what was retired ahead of it."""
        ahead = min(self.ahead, amount)
        self.ahead -= ahead
        self.open[at_ms] = self.open.get(at_ms, 0) + amount - ahead

    def uncover(self, newest_first: Sequence[int], amount: int) -> None:
        """Import that was not: out of these intervals, and what is retired for it stays ahead."""
        for at_ms in newest_first:
            part = min(self.open.get(at_ms, 0), amount)
            if part:
                self.open[at_ms] -= part
                amount -= part
        self.ahead += min(amount, self.retired - self.ahead)

    def retire(self, free: int, oldest_ms: int) -> list[tuple[int, int, int]]:
        """(interval, entry bought in, µWh): the oldest import by the oldest purchase."""
        self.open = {
            start: left for start, left in self.open.items() if start >= oldest_ms and left
        }
        found = []
        while self.open and self.bought() and free:
            start, wanted = min(self.open.items())
            entry, there = min(lot for lot in self.lots if lot[0])
            part = min(wanted, there, free)
            found.append((start, entry, part))
            self.lots.remove((entry, there))
            if there > part:
                self.lots.append((entry, there - part))
            self.open[start] -= part
            if not self.open[start]:
                del self.open[start]
            free -= part
            self.retired += part
        return found


def share(import_uwh: int, export_uwh: int, index: int, parts: int) -> tuple[int, int]:
    """The part of an interval in energy that is spread evenly, rounded down at each bound."""

    def up_to(whole: int, bound: int) -> int:
        return int(Fraction(whole * bound, parts))

    return (
        up_to(import_uwh, index + 1) - up_to(import_uwh, index),
        up_to(export_uwh, index + 1) - up_to(export_uwh, index),
    )
