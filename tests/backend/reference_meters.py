"""What the core ought to remember of a meter, and to say of a reading that comes late; slowly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

KWH = 10**9
QUARTER_MS = 900_000
CORRECTION_MS = 72 * 3_600_000
FINALITY_MS = 168 * 3_600_000


def whole(text: str, unit: int) -> int | None:
    """A decimal as a whole number of base units; None if it is not one."""
    value = Decimal(text) * unit
    return int(value) if value == int(value) else None


Point = tuple[int, int, int]


def has_open_bound(before: Point, after: Point) -> bool:
    """Whether a quarter of an hour ends between them, and they are more than a minute apart."""
    bounds = range(before[0] // QUARTER_MS, after[0] // QUARTER_MS + 1)
    is_between = any(before[0] < bound * QUARTER_MS < after[0] for bound in bounds)
    return is_between and after[0] - before[0] > 60_000


@dataclass
class Metered:
    """`epochs` is a list of lists of the accepted readings: (time, import, export).

    `gaps` are pairs of them between which a late reading is still wanted. `line` are the refused
    readings that go on from each other, and `jumps` what was refused, as (register, movement).
    From the epoch numbered `held_since` on (if it is not 0) all energy is held: `steps` of it are
    doubtful.
    """

    device: str
    owner: str
    terms: dict[str, Any]
    epochs: list[list[tuple[int, int, int]]] = field(default_factory=lambda: [[]])
    minted: int = 0
    gaps: list[tuple[Point, Point]] = field(default_factory=list)
    opened_ms: int = 0
    line: list[Point] = field(default_factory=list)
    jumps: list[tuple[int, int]] = field(default_factory=list)
    held_since: int = 0
    steps: int = 0
    former: tuple[str, int] | None = None
    """Who owned it before, and up to which bound of intervals."""
    minted_ms: int = -1
    """The time of the newest reading when its surplus was minted last."""

    def give(self, owner: str, at_ms: int) -> None:
        """The interval of the change is the new owner's."""
        if owner != self.owner:
            self.former = self.owner, at_ms - at_ms % QUARTER_MS
            self.owner = owner

    def parts(self, fresh: int) -> list[tuple[str, int]]:
        """Whose new surplus is, of a meter that does not subtract its import."""
        accepted = self.epochs[-1]
        if not accepted:
            return []
        before_ms, self.minted_ms = self.minted_ms, max(self.minted_ms, accepted[-1][0])
        if self.former is None or not before_ms < self.former[1] <= accepted[-1][0]:
            return [(self.owner, fresh)]
        name, until_ms = self.former
        at_change = accepted[0][2]
        for before, after in pairwise(accepted):
            if before[0] < until_ms <= after[0]:
                share = Fraction(until_ms - before[0], after[0] - before[0])
                at_change = before[2] + int(share * (after[2] - before[2]))
        later = min(fresh, accepted[-1][2] - at_change)
        return [(self.owner, later), (name, fresh - later)]

    def surplus(self, reading: tuple[int, int, int]) -> int:
        _, imported, exported = reading
        return exported - imported if self.terms.get("policy") == "net" else exported

    def due(self) -> int:
        """All that should have been minted: in each epoch, the highest surplus over the first."""
        minting = self.epochs[: self.held_since] if self.held_since else self.epochs
        return sum(
            max(map(self.surplus, epoch)) - self.surplus(epoch[0]) for epoch in minting if epoch
        )

    def possible(self, elapsed_ms: int) -> int:
        max_w = int(Decimal(self.terms["max_power_kw"]) * 1000)
        step = whole(self.terms["resolution_kwh"], KWH) or 0
        return math.floor(Fraction(max_w * elapsed_ms * 10, 36)) + step

    def judge_registers(self, before: Point, new: Point) -> int:
        """The verdict on the registers of a reading after the last accepted one."""
        moved = new[1] - before[1], new[2] - before[2]
        if min(moved) < 0:
            return 7
        far = max(moved) > self.possible(new[0] - before[0])
        again = any(moved[register] >= least for register, least in self.jumps)
        return 8 if far or again else 0

    def doubt(self, before: Point, new: Point) -> bool:
        """Notes a refused reading; whether refused readings have gone on for an interval now."""
        if self.line and new[0] <= self.line[-1][0]:
            return False
        for register in (0, 1):
            moved = new[register + 1] - before[register + 1]
            if moved > self.possible(new[0] - before[0]):
                self.jumps.append((register, moved))
        first, last = (self.line[0], self.line[-1]) if self.line else (new, new)
        most = self.possible(new[0] - first[0])
        goes_on = all(last[n] <= new[n] <= first[n] + most for n in (1, 2))
        self.line = [*self.line, new] if goes_on else [new]
        return new[0] - self.line[0][0] >= QUARTER_MS and self.steps < 16

    def begin_anew(self) -> None:
        self.line, self.jumps = [], []
        self.epochs.append([])

    def changed_ms(self) -> int:
        """The time of the last reading before the newest change of the meter; -1 without one."""
        former = [epoch[-1][0] for epoch in self.epochs[:-1] if epoch]
        return former[-1] if former else -1

    def judge_late(self, late: Point, power_w: int, synchronised: bool, at_ms: int) -> int:
        """The verdict on a reading before the last one: it may complete a gap, and nothing else."""
        final_ms = (at_ms - FINALITY_MS) // QUARTER_MS * QUARTER_MS
        for index, (before, after) in enumerate(self.gaps):
            if not before[0] < late[0] < after[0] or after[0] + CORRECTION_MS < at_ms:
                continue
            if final_ms >= late[0]:
                return 5
            since = before
            if final_ms > before[0]:
                share = Fraction(final_ms - before[0], after[0] - before[0])
                moved = after[1] - before[1], after[2] - before[2]
                since = (
                    final_ms,
                    before[1] + int(share * moved[0]),
                    before[2] + int(share * moved[1]),
                )
            if not has_open_bound(since, after):
                return 5
            for first, second in ((since, late), (late, after)):
                if second[0] - first[0] < 1000 * self.terms["min_interval_s"]:
                    return 6
            if not (since[1] <= late[1] <= after[1] and since[2] <= late[2] <= after[2]):
                return 7
            max_w = int(Decimal(self.terms["max_power_kw"]) * 1000)
            for first, second in ((since, late), (late, after)):
                possible = self.possible(second[0] - first[0])
                if max(second[1] - first[1], second[2] - first[2]) > possible:
                    return 8
            if abs(power_w) > max_w:
                return 9
            if not synchronised:
                return 64
            self.gaps[index : index + 1] = [(since, late), (late, after)]
            return 0
        return 5
