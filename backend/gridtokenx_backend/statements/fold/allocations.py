"""What the community's key allocated in a month, added up from the journal's clearings.

The newest allocation of each interval holds. What the clearings moved on the ledger is added up
beside it, from the movements of the leaves, so that statement and report can compare the two. The
two sums have nothing in common but `covered_of`, a function of the core: it says whose energy it
was where the grid operator allocated more than known producers gave.

Whether an allocation follows the key is a question for `allocation_checks`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.ledger import GRID, GRX, RETIRED, Movement
from gridtokenx_backend.core.model.sharing_keys import Mode
from gridtokenx_backend.core.sharing.allocation_pairs import covered_of
from gridtokenx_backend.statements.fold.energy import slot_of
from gridtokenx_backend.statements.fold.journal_rows import DecodedRow
from gridtokenx_backend.statements.fold.posting_kinds import is_wallet
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month

EVERYBODY = "community:key"
"""Stands among the accounts that an entry concerned for: anything was allocated by the key. That
concerns every member's statement."""


class SharedAmounts(msgspec.Struct, kw_only=True, gc=False):
    """Energy that one wallet took and gave by the key, and what it paid (below zero: was paid)."""

    took_uwh: int = 0
    gave_uwh: int = 0
    paid_ugrx: int = 0

    def add(self, other: SharedAmounts, sign: int = 1) -> None:
        """Add the other amounts; with the sign -1, take them off."""
        self.took_uwh += sign * other.took_uwh
        self.gave_uwh += sign * other.gave_uwh
        self.paid_ugrx += sign * other.paid_ugrx


class ConsumerMonth:
    """What a consuming meter received by interval of the month, for one wallet.

    `held_uwh` is set aside for it while it is missing, `missing` are the intervals in which it is.
    `formerly_filled` are intervals in which an earlier allocation had energy.
    """

    __slots__ = ("cost_ugrx", "formerly_filled", "held_uwh", "missing", "received_uwh")

    def __init__(self, intervals: int) -> None:
        self.received_uwh = array("q", bytes(8 * intervals))
        self.cost_ugrx = array("q", bytes(8 * intervals))
        self.held_uwh: dict[int, int] = {}
        self.missing: set[int] = set()
        self.formerly_filled: set[int] = set()

    def clear(self, slot: int) -> None:
        """Forget an interval's allocation, because a newer one follows."""
        if self.received_uwh[slot] or slot in self.held_uwh:
            self.formerly_filled.add(slot)
        self.received_uwh[slot] = self.cost_ugrx[slot] = 0
        self.held_uwh.pop(slot, None)
        self.missing.discard(slot)


class ProducerMonth:
    """What a producing meter gave by interval of the month, for one wallet.

    `held_uwh`, `missing` and `formerly_filled` are as in ConsumerMonth.
    """

    __slots__ = (
        "earned_ugrx",
        "formerly_filled",
        "given_uwh",
        "held_uwh",
        "missing",
        "surplus_uwh",
    )

    def __init__(self, intervals: int) -> None:
        self.given_uwh = array("q", bytes(8 * intervals))
        self.surplus_uwh = array("q", bytes(8 * intervals))
        self.earned_ugrx = array("q", bytes(8 * intervals))
        self.held_uwh: dict[int, int] = {}
        self.missing: set[int] = set()
        self.formerly_filled: set[int] = set()

    def clear(self, slot: int) -> None:
        """Forget an interval's allocation, because a newer one follows."""
        if self.given_uwh[slot] or slot in self.held_uwh:
            self.formerly_filled.add(slot)
        self.given_uwh[slot] = self.surplus_uwh[slot] = self.earned_ugrx[slot] = 0
        self.held_uwh.pop(slot, None)
        self.missing.discard(slot)


class AllocatedSlot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an interval's newest allocation says of the interval as a whole."""

    entry: int
    rules: int
    revision: int
    corrects: int
    key: int
    mode: Mode
    quality: int
    price_ugrx: int
    waiting_uwh: int
    uncovered_uwh: int


class MonthAllocations:
    """The allocations so far.

    `consumers` and `producers` are by wallet and meter, `slots` by the interval's number in the
    month. `moved` is what the clearings moved for the month's intervals, by wallet.
    """

    def __init__(self, month: Month) -> None:
        self.month = month
        self.slots: dict[int, AllocatedSlot] = {}
        self.consumers: dict[str, dict[str, ConsumerMonth]] = {}
        self.producers: dict[str, dict[str, ProducerMonth]] = {}
        self.moved: dict[str, SharedAmounts] = {}
        self.given_later_uwh: dict[str, int] = {}
        """By wallet: what the key gave of it in intervals after the month."""
        self.is_comparable = True
        """Whether it is known for which month everything was moved."""
        self._allocated: dict[int, dict[str, SharedAmounts]] = {}
        """By interval, as long as something can change it."""
        self._final: dict[str, SharedAmounts] = {}
        """The sums of the month's intervals that nothing changes any more."""

    @property
    def is_empty(self) -> bool:
        return not self.slots

    @property
    def waiting_uwh(self) -> int:
        """What is allocated in the month, but not moved yet."""
        return sum(slot.waiting_uwh for slot in self.slots.values())

    @property
    def uncovered_uwh(self) -> int:
        """What the grid operator's figures allocated in the month beyond what producers gave."""
        return sum(slot.uncovered_uwh for slot in self.slots.values())

    def allocated(self, wallet: str) -> SharedAmounts:
        """Return what the newest allocations of the month come to for a wallet."""
        total = SharedAmounts()
        total.add(self._final.get(wallet, SharedAmounts()))
        for interval_ms, wallets in self._allocated.items():
            if self.month.has(interval_ms) and wallet in wallets:
                total.add(wallets[wallet])
        return total

    def add(
        self,
        row: DecodedRow,
        cleared: IntervalCleared,
        moved: Mapping[str, SharedAmounts],
        finality_ms: int,
    ) -> set[str]:
        """Take what a clearing allocated and moved; return whom of this month it concerns."""
        month, elsewhere = self.month, dict[str, SharedAmounts]()
        concerned: set[str] = set()
        is_blurred = False
        for allocation in cleared.shared:
            changes = self._replace(allocation)
            if month.has(allocation.interval_ms):
                self._put(row, slot_of(month, allocation.interval_ms), allocation)
                concerned |= {EVERYBODY, *changes}
                continue
            is_blurred |= bool(allocation.waiting_uwh)
            for wallet, change in changes.items():
                elsewhere.setdefault(wallet, SharedAmounts()).add(change)
                if allocation.interval_ms >= month.to_ms:
                    later_uwh = self.given_later_uwh.get(wallet, 0) + change.gave_uwh
                    self.given_later_uwh[wallet] = later_uwh
        if concerned:
            self.is_comparable &= not is_blurred
            for wallet in {*moved, *elsewhere}:
                total = self.moved.setdefault(wallet, SharedAmounts())
                total.add(moved.get(wallet, SharedAmounts()))
                total.add(elsewhere.get(wallet, SharedAmounts()), -1)
        self._forget(cleared.interval_ms - finality_ms - INTERVAL_MS)
        return concerned

    def _replace(self, allocation: Allocation) -> dict[str, SharedAmounts]:
        """Keep what an allocation comes to by wallet; return how it differs from the one before."""
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
        """Forget intervals that nothing changes any more; of the month's, keep the sums."""
        for at_ms in [each for each in self._allocated if each < before_ms]:
            wallets = self._allocated.pop(at_ms)
            if self.month.has(at_ms):
                for wallet, amounts in wallets.items():
                    self._final.setdefault(wallet, SharedAmounts()).add(amounts)

    def _put(self, row: DecodedRow, slot: int, allocation: Allocation) -> None:
        if slot in self.slots:
            for each in self._meter_months():
                each.clear(slot)
        self.slots[slot] = AllocatedSlot(
            entry=row.seq,
            rules=row.rules,
            revision=allocation.revision,
            corrects=allocation.corrects,
            key=allocation.key,
            mode=allocation.mode,
            quality=allocation.quality,
            price_ugrx=allocation.price_ugrx,
            waiting_uwh=allocation.waiting_uwh,
            uncovered_uwh=allocation.uncovered_uwh,
        )
        for line in allocation.consumers:
            consumer = self._consumer(line.wallet, line.meter)
            consumer.received_uwh[slot] = line.received_uwh or 0
            consumer.cost_ugrx[slot] = line.cost_ugrx
            if line.held_uwh:
                consumer.held_uwh[slot] = line.held_uwh
            if line.quality == Quality.MISSING:
                consumer.missing.add(slot)
        for out in allocation.producers:
            producer = self._producer(out.wallet, out.meter)
            producer.given_uwh[slot] = out.given_uwh
            producer.surplus_uwh[slot] = out.surplus_uwh
            producer.earned_ugrx[slot] = out.earned_ugrx
            if out.held_uwh:
                producer.held_uwh[slot] = out.held_uwh
            if out.quality == Quality.MISSING:
                producer.missing.add(slot)

    def _consumer(self, wallet: str, meter: str) -> ConsumerMonth:
        of_wallet = self.consumers.setdefault(wallet, {})
        if meter not in of_wallet:
            of_wallet[meter] = ConsumerMonth(self.month.intervals)
        return of_wallet[meter]

    def _producer(self, wallet: str, meter: str) -> ProducerMonth:
        of_wallet = self.producers.setdefault(wallet, {})
        if meter not in of_wallet:
            of_wallet[meter] = ProducerMonth(self.month.intervals)
        return of_wallet[meter]

    def _meter_months(self) -> Iterator[ConsumerMonth | ProducerMonth]:
        for consumers in self.consumers.values():
            yield from consumers.values()
        for producers in self.producers.values():
            yield from producers.values()


def _by_wallet(allocation: Allocation) -> dict[str, SharedAmounts]:
    amounts: dict[str, SharedAmounts] = {}
    covered = covered_of(allocation)
    for line in allocation.consumers:
        amounts.setdefault(line.wallet, SharedAmounts()).took_uwh += covered.get(line.meter, 0)
    for out in allocation.producers:
        amounts.setdefault(out.wallet, SharedAmounts()).gave_uwh += out.given_uwh
    for wallet, paid_ugrx in allocation.paid_ugrx.items():
        amounts.setdefault(wallet, SharedAmounts()).paid_ugrx = paid_ugrx
    return amounts


def moved_by_sharing(
    movements: Iterable[Movement], retirements: Sequence[Retirement]
) -> dict[str, SharedAmounts]:
    """Return what a clearing's movements come to for each wallet, without what bought GRID covered.

    Who takes energy has it retired at once; what else comes and goes between wallets is given.
    """
    moved: dict[str, SharedAmounts] = {}
    for movement in movements:
        debit, credit, amount = movement.debit, movement.credit, movement.amount
        for wallet, sign in ((debit, 1), (credit, -1)):
            if not is_wallet(wallet):
                continue
            amounts = moved.setdefault(wallet, SharedAmounts())
            if movement.asset == GRX:
                amounts.paid_ugrx += sign * amount
            elif movement.asset == GRID:
                amounts.gave_uwh += sign * amount
                if RETIRED in (debit, credit):
                    amounts.took_uwh += sign * amount
    for retirement in retirements:
        amounts = moved.setdefault(retirement.wallet, SharedAmounts())
        amounts.took_uwh -= retirement.amount_uwh
        amounts.gave_uwh -= retirement.amount_uwh
    return moved
