"""What the community's key allocated in a month, folded from the journal's clearings.

The newest allocation of each interval holds. What clearings moved on the ledger is counted beside
it, from the leaves' movements, so that both can be compared.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.ledger import GRID, GRX, RETIRED, Movement
from gridtokenx_backend.core.sharing.allocation_pairs import covered_of
from gridtokenx_backend.statements.fold.energy import slot_of
from gridtokenx_backend.statements.fold.posting_kinds import is_wallet
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month

EVERYBODY = "community:key"
"""What `touched` calls that anything was allocated: it concerns every member's statement."""


class SharedAmounts(msgspec.Struct, gc=False):
    """Of one wallet: energy that it took and gave, and what it paid (below zero: it was paid)."""

    took_uwh: int = 0
    gave_uwh: int = 0
    paid_ugrx: int = 0

    def add(self, other: SharedAmounts, sign: int = 1) -> None:
        self.took_uwh += sign * other.took_uwh
        self.gave_uwh += sign * other.gave_uwh
        self.paid_ugrx += sign * other.paid_ugrx


class ConsumerMonth:
    """A consuming meter's month by interval, as one wallet's."""

    __slots__ = ("cost_ugrx", "held_uwh", "missing", "received_uwh", "was")

    def __init__(self, intervals: int) -> None:
        self.received_uwh = array("q", bytes(8 * intervals))
        self.cost_ugrx = array("q", bytes(8 * intervals))
        self.held_uwh: dict[int, int] = {}
        self.missing: set[int] = set()
        self.was: set[int] = set()
        """Intervals in which an earlier allocation had energy."""

    def clear(self, slot: int) -> None:
        if self.received_uwh[slot] or slot in self.held_uwh:
            self.was.add(slot)
        self.received_uwh[slot] = self.cost_ugrx[slot] = 0
        self.held_uwh.pop(slot, None)
        self.missing.discard(slot)


class ProducerMonth:
    """A producing meter's month by interval, as one wallet's."""

    __slots__ = ("earned_ugrx", "given_uwh", "held_uwh", "missing", "surplus_uwh", "was")

    def __init__(self, intervals: int) -> None:
        self.given_uwh = array("q", bytes(8 * intervals))
        self.surplus_uwh = array("q", bytes(8 * intervals))
        self.earned_ugrx = array("q", bytes(8 * intervals))
        self.held_uwh: dict[int, int] = {}
        self.missing: set[int] = set()
        self.was: set[int] = set()
        """Intervals in which an earlier allocation had energy."""

    def clear(self, slot: int) -> None:
        if self.given_uwh[slot] or slot in self.held_uwh:
            self.was.add(slot)
        self.given_uwh[slot] = self.surplus_uwh[slot] = self.earned_ugrx[slot] = 0
        self.held_uwh.pop(slot, None)
        self.missing.discard(slot)


class AllocatedSlot(NamedTuple):
    """An interval as it was allocated last, but for its meters."""

    entry: int
    revision: int
    corrects: int
    key: int
    mode: str
    quality: int
    price_ugrx: int
    waiting_uwh: int
    uncovered_uwh: int


class MonthAllocations:
    """The state of the fold. `moved` is what clearings moved for the month's intervals."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.slots: dict[int, AllocatedSlot] = {}
        self.taken: dict[str, dict[str, ConsumerMonth]] = {}
        self.given: dict[str, dict[str, ProducerMonth]] = {}
        self.moved: dict[str, SharedAmounts] = {}
        self.given_later_uwh: dict[str, int] = {}
        """By wallet: what the key gave of it in intervals after the month."""
        self.comparable = True
        """Whether what was moved can be told apart by month."""
        self._allocated: dict[int, dict[str, SharedAmounts]] = {}
        """By interval, until nothing changes it any more."""
        self._final: dict[str, SharedAmounts] = {}
        """Those of the month that nothing changes any more, together."""

    @property
    def is_empty(self) -> bool:
        return not self.slots

    @property
    def waiting_uwh(self) -> int:
        """Allocated in the month, but not moved yet."""
        return sum(slot.waiting_uwh for slot in self.slots.values())

    @property
    def uncovered_uwh(self) -> int:
        """Received in the month by the grid operator's word, but given by no known producer."""
        return sum(slot.uncovered_uwh for slot in self.slots.values())

    def allocated(self, wallet: str) -> SharedAmounts:
        """What the newest allocations of the month come to for a wallet."""
        total = SharedAmounts()
        total.add(self._final.get(wallet, SharedAmounts()))
        for interval_ms, wallets in self._allocated.items():
            if self._is_inside(interval_ms) and wallet in wallets:
                total.add(wallets[wallet])
        return total

    def add(
        self,
        entry: int,
        cleared: IntervalCleared,
        moved: Mapping[str, SharedAmounts],
        finality_ms: int,
    ) -> set[str]:
        """Takes what a clearing allocated and moved; whom of this month's members it concerns."""
        month, elsewhere = self.month, dict[str, SharedAmounts]()
        concerned: set[str] = set()
        is_blurred = False
        for allocation in cleared.shared:
            changes = self._replace(allocation)
            if self._is_inside(allocation.interval_ms):
                self._put(entry, slot_of(month, allocation.interval_ms), allocation)
                concerned |= {EVERYBODY, *changes}
                continue
            is_blurred |= bool(allocation.waiting_uwh)
            for wallet, change in changes.items():
                elsewhere.setdefault(wallet, SharedAmounts()).add(change)
                if allocation.interval_ms >= month.to_ms:
                    later_uwh = self.given_later_uwh.get(wallet, 0) + change.gave_uwh
                    self.given_later_uwh[wallet] = later_uwh
        if concerned:
            self.comparable &= not is_blurred
            for wallet in {*moved, *elsewhere}:
                total = self.moved.setdefault(wallet, SharedAmounts())
                total.add(moved.get(wallet, SharedAmounts()))
                total.add(elsewhere.get(wallet, SharedAmounts()), -1)
        self._forget(cleared.interval_ms - finality_ms - INTERVAL_MS)
        return concerned

    def _replace(self, allocation: Allocation) -> dict[str, SharedAmounts]:
        """Keeps what an allocation comes to by wallet; the differences to the one before it."""
        now = _by_wallet(allocation)
        former = self._allocated.get(allocation.interval_ms, {})
        self._allocated[allocation.interval_ms] = now
        changes = dict[str, SharedAmounts]()
        for wallet in {*now, *former}:
            change = changes.setdefault(wallet, SharedAmounts())
            change.add(now.get(wallet, SharedAmounts()))
            change.add(former.get(wallet, SharedAmounts()), -1)
        return changes

    def _forget(self, before_ms: int) -> None:
        """Intervals that nothing changes any more; of the month's, their sums are kept."""
        for at_ms in [each for each in self._allocated if each < before_ms]:
            wallets = self._allocated.pop(at_ms)
            if self._is_inside(at_ms):
                for wallet, amounts in wallets.items():
                    self._final.setdefault(wallet, SharedAmounts()).add(amounts)

    def _is_inside(self, interval_ms: int) -> bool:
        return self.month.from_ms <= interval_ms < self.month.to_ms

    def _put(self, entry: int, slot: int, allocation: Allocation) -> None:
        if slot in self.slots:
            for each in self._parts():
                each.clear(slot)
        self.slots[slot] = AllocatedSlot(
            entry,
            allocation.revision,
            allocation.corrects,
            allocation.key,
            allocation.mode,
            allocation.quality,
            allocation.price_ugrx,
            allocation.waiting_uwh,
            allocation.uncovered_uwh,
        )
        for line in allocation.consumers:
            taken = self._taken(line.wallet, line.meter)
            taken.received_uwh[slot] = line.received_uwh or 0
            taken.cost_ugrx[slot] = line.cost_ugrx
            if line.held_uwh:
                taken.held_uwh[slot] = line.held_uwh
            if line.quality == Quality.MISSING:
                taken.missing.add(slot)
        for out in allocation.producers:
            given = self._given(out.wallet, out.meter)
            given.given_uwh[slot] = out.given_uwh
            given.surplus_uwh[slot] = out.surplus_uwh
            given.earned_ugrx[slot] = out.earned_ugrx
            if out.held_uwh:
                given.held_uwh[slot] = out.held_uwh
            if out.quality == Quality.MISSING:
                given.missing.add(slot)

    def _taken(self, wallet: str, meter: str) -> ConsumerMonth:
        of_wallet = self.taken.setdefault(wallet, {})
        if meter not in of_wallet:
            of_wallet[meter] = ConsumerMonth(self.month.intervals)
        return of_wallet[meter]

    def _given(self, wallet: str, meter: str) -> ProducerMonth:
        of_wallet = self.given.setdefault(wallet, {})
        if meter not in of_wallet:
            of_wallet[meter] = ProducerMonth(self.month.intervals)
        return of_wallet[meter]

    def _parts(self) -> Iterator[ConsumerMonth | ProducerMonth]:
        for of_wallet in self.taken.values():
            yield from of_wallet.values()
        for made in self.given.values():
            yield from made.values()


def _by_wallet(allocation: Allocation) -> dict[str, SharedAmounts]:
    found: dict[str, SharedAmounts] = {}
    covered = covered_of(allocation)
    for line in allocation.consumers:
        found.setdefault(line.wallet, SharedAmounts()).took_uwh += covered.get(line.meter, 0)
    for out in allocation.producers:
        found.setdefault(out.wallet, SharedAmounts()).gave_uwh += out.given_uwh
    for wallet, paid_ugrx in allocation.paid_ugrx.items():
        found.setdefault(wallet, SharedAmounts()).paid_ugrx = paid_ugrx
    return found


def moved_by(
    movements: Iterable[Movement], retirements: Sequence[Retirement]
) -> dict[str, SharedAmounts]:
    """What a clearing's movements come to for each wallet, but for what bought GRID covered.

    Who takes has it retired at once; what else comes and goes between wallets is given.
    """
    found: dict[str, SharedAmounts] = {}
    for movement in movements:
        debit, credit, amount = movement.debit, movement.credit, movement.amount
        for wallet, sign in ((debit, 1), (credit, -1)):
            if not is_wallet(wallet):
                continue
            amounts = found.setdefault(wallet, SharedAmounts())
            if movement.asset == GRX:
                amounts.paid_ugrx += sign * amount
            elif movement.asset == GRID:
                amounts.gave_uwh += sign * amount
                if RETIRED in (debit, credit):
                    amounts.took_uwh += sign * amount
    for retirement in retirements:
        amounts = found.setdefault(retirement.wallet, SharedAmounts())
        amounts.took_uwh -= retirement.amount_uwh
        amounts.gave_uwh -= retirement.amount_uwh
    return found
