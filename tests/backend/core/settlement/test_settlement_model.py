"""Retirement, corrections, money and certificates against a slow and plain ledger.

The ledger here is a list of lots: every µWh of a wallet is in one that was minted or bought.
Hypothesis chooses what happens; beside the core runs its double, restored from a snapshot every
now and then, and at the end everything is replayed from what the journal would hold.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from tests.backend.core.settlement.lots import Person, share
from tests.backend.core.settlement.money_rules import MoneyRules
from tests.backend.settling import MWH, NOON_MS, QUARTER_MS, Settling, roof_meters
from tests.backend.village import HOUR_MS, KWH, START_MS, assert_sound, order_input

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import Input
from gridtokenx_backend.core.messages.outcomes import (
    NotJournaled,
    OrderAccepted,
    Result,
    Ticked,
    trades_of,
)
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected, SettlementRefused
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.ledger import FED_IN, GRID, GRX, REC, RETIRED, issuer
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.journal.entry import Entry, make_entry
from gridtokenx_backend.replay.replay import replay_entry
from gridtokenx_wire.order import Instruction

METERS = {"ABB-1": "anna", "ABB-2": "ben"}
MOST_UWH_AN_HOUR = 10 * MWH
RESOLUTION_UWH = KWH // 10
COVER_MS = 72 * HOUR_MS


class SettlementAgainstLots(MoneyRules):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.double = Community()
        outer = self

        class Recorded(Settling):
            def apply(self, input_: Input, at_ms: int | None = None) -> Result:
                return outer.record(self, input_, at_ms)

            def tell(self, instruction: Instruction, at_ms: int | None = None) -> Result:
                (who,) = (
                    each
                    for each in (self.anna, self.ben, self.cleo)
                    if each.wallet == instruction.wallet
                )
                return self.apply(order_input(who.sign(instruction)), at_ms)

        self.village = Recorded(meter=roof_meters())
        self.people = {name: Person() for name in ("anna", "ben", "cleo")}
        self.counted: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in METERS}
        self.untaken: dict[str, set[int]] = {name: set() for name in METERS}
        self.last_ms = dict.fromkeys(METERS, NOON_MS)
        self.minted = self.fresh = 0
        self.by_meter = dict.fromkeys(METERS, 0)
        self.withdrawals: dict[int, tuple[str, int]] = {}
        self.certified: list[tuple[int, int]] = []

    def record(self, village: Settling, input_: Input, at_ms: int | None) -> Result:
        village.at_ms = village.at_ms if at_ms is None else at_ms
        outcome = machine.apply(village.community, input_, village.at_ms)
        assert machine.apply(self.double, input_, village.at_ms) == outcome
        if not isinstance(outcome, NotJournaled):
            seq = village.community.entries
            self.entries.append(make_entry(seq, village.at_ms, input_, outcome, bytes(16)))
        return outcome

    # --- energy ---------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        assert self.village.at_ms == NOON_MS > START_MS
        self.read("ABB-1", 3, 0, 2 * MWH)
        self.read("ABB-2", 1, KWH, 0)

    @rule(
        meter=st.sampled_from(["ABB-1", "ABB-1", "ABB-2"]),
        quarters=st.sampled_from([1, 1, 1, 2, 5, 4 * 24, 4 * 73]),
        import_uwh=st.sampled_from([0, KWH, 2 * KWH, 7]),
        export_uwh=st.sampled_from([0, KWH, 11, MWH, MWH // 3, 2 * MWH]),
    )
    def read(self, meter: str, quarters: int, import_uwh: int, export_uwh: int) -> None:
        sent = self.village.read(meter, import_uwh, export_uwh, quarters)
        assert sent.verdicts == []
        passed = (self.village.at_ms - self.last_ms[meter]) // QUARTER_MS
        for index in range(passed):
            start_ms = self.last_ms[meter] + index * QUARTER_MS
            self.counted[meter][start_ms] = share(import_uwh, export_uwh, index, passed)
            self.untaken[meter].add(start_ms)
        self.last_ms[meter] = self.village.at_ms
        if export_uwh:
            self._mint(meter, export_uwh)

    def _mint(self, meter: str, amount: int) -> None:
        person = self.people[METERS[meter]]
        back = min(person.owed, amount)
        person.owed -= back
        if amount > back:
            person.receive(0, amount - back)
        self.minted += amount - back
        self.by_meter[meter] += amount

    @rule(
        meter=st.sampled_from([*METERS, "ABB-9"]),
        ago=st.integers(1, 6),
        quarters=st.integers(1, 4),
        factors=st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2])),
        mistake=st.sampled_from([""] * 6 + ["counted", "bound", "future", "reason"]),
    )
    def correct(
        self, meter: str, ago: int, quarters: int, factors: tuple[int, int], mistake: str
    ) -> None:
        end_ms = self.last_ms.get(meter, NOON_MS) - (ago - 1) * QUARTER_MS
        start_ms = max(NOON_MS, end_ms - quarters * QUARTER_MS)
        known = self.counted.get(meter, {})
        span = [at_ms for at_ms in known if start_ms <= at_ms < end_ms]
        if end_ms <= start_ms:
            return
        counted = sum(known[at][0] for at in span), sum(known[at][1] for at in span)
        moved = counted[0] * factors[0], counted[1] * factors[1]
        if factors[0] == 2:
            moved = (moved[0] + 5, moved[1])
        reason = "" if mistake == "reason" else "the register jumped"
        start_ms += mistake == "bound"
        end_ms += 40 * HOUR_MS if mistake == "future" else 0
        said = self.village.correct(meter, (start_ms, end_ms), moved, counted, reason)
        most_uwh = MOST_UWH_AN_HOUR * (end_ms - start_ms) // HOUR_MS - RESOLUTION_UWH
        too_much = any(new > max(most_uwh, old) for new, old in zip(moved, counted, strict=True))
        if mistake in ("bound", "future", "reason") or meter == "ABB-9" or too_much:
            assert isinstance(said, SettlementRefused)
            return
        assert isinstance(said, MeterCorrected), said
        assert (said.import_uwh, said.export_uwh) == (moved[0] - counted[0], moved[1] - counted[1])
        self._corrected(meter, span, moved, counted)
        assert [(row.interval_ms, row.import_uwh, row.export_uwh) for row in said.rows] == [
            (at, *known[at]) for at in sorted(span)
        ]

    def _corrected(
        self, meter: str, span: list[int], moved: tuple[int, int], counted: tuple[int, int]
    ) -> None:
        person, known, untaken = (
            self.people[METERS[meter]],
            self.counted[meter],
            self.untaken[meter],
        )
        difference = moved[1] - counted[1]
        if difference > 0:
            self._mint(meter, difference)
        elif difference < 0:
            free = self.village.community.ledger.posted(self.who(METERS[meter]).wallet, GRID)
            taken = min(-difference, person.owns() - self._held(METERS[meter]))
            person.spend(taken)
            person.owed += -difference - taken
            self.minted -= taken
            self.by_meter[meter] += difference
            assert free >= 0
        before = sum(known[at][0] for at in span if at in untaken)
        for index, at_ms in enumerate(sorted(span)):
            known[at_ms] = share(*moved, index, len(span))
        waiting = sum(known[at][0] for at in span if at in untaken) - before
        rest = moved[0] - counted[0] - waiting
        if rest > 0 and max(span) >= self.village.at_ms - COVER_MS:
            self._consume(person, max(span), rest)
        for at_ms in sorted(span, reverse=True):
            part = min(person.open.get(at_ms, 0), max(0, -rest))
            if part:
                person.open[at_ms] -= part
                rest += part
        if rest < 0:
            person.ahead += min(-rest, person.retired - person.ahead)

    def _consume(self, person: Person, at_ms: int, amount: int) -> None:
        ahead = min(person.ahead, amount)
        person.ahead -= ahead
        person.open[at_ms] = person.open.get(at_ms, 0) + amount - ahead

    def _held(self, name: str) -> int:
        return self.village.community.ledger.held(self.who(name).wallet, GRID)

    # --- trades, retirement ---------------------------------------------------------------------

    @rule(
        seller=st.sampled_from(["anna", "anna", "ben", "cleo"]),
        buyer=st.sampled_from(["anna", "ben", "ben", "cleo"]),
        offered=st.sampled_from(["0.5", "1", "1.5", "900"]),
        wanted=st.sampled_from(["0", "0.5", "1", "2"]),
    )
    def trade(self, seller: str, buyer: str, offered: str, wanted: str) -> None:
        at_ms = self.village.at_ms
        self.fresh += 1
        ask = self.who(seller).order(f"s{self.fresh}", "sell", offered, "0.2", issued_ms=at_ms)
        instructions = [ask]
        if wanted != "0":
            bid = self.who(buyer).order(
                f"b{self.fresh}", "buy", wanted, "0.2", "IOC", issued_ms=at_ms
            )
            instructions.append(bid)
        for instruction in instructions:
            outcome = self.village.tell(instruction)
            if isinstance(outcome, OrderAccepted):
                self._traded(outcome)

    def _traded(self, outcome: OrderAccepted) -> None:
        names = {self.who(name).wallet: name for name in self.people}
        for trade in trades_of(outcome):
            self.people[names[trade.seller]].spend(trade.quantity_uwh)
            buyer = self.people[names[trade.buyer]]
            buyer.receive(self.village.community.entries, trade.quantity_uwh)
            buyer.money -= trade.gross_ugrx
            self.people[names[trade.seller]].money += trade.net_ugrx

    @rule(who=st.sampled_from(["anna", "ben", "cleo"]))
    def cancel_all(self, who: str) -> None:
        wallet = self.who(who).wallet
        for order in list(self.village.community.book.orders.values()):
            if order.wallet == wallet:
                self.fresh += 1
                self.village.tell(
                    self.who(who).cancel(
                        f"c{self.fresh}", order.key.partition(":")[2], self.village.at_ms
                    )
                )

    @rule(quarters=st.sampled_from([0, 0, 1, 4 * 24]))
    def tick(self, quarters: int) -> None:
        self.village.at_ms += quarters * QUARTER_MS
        outcome = self.village.tick()
        assert isinstance(outcome, Ticked)
        expected = []
        for meter, name in METERS.items():
            for at_ms in sorted(self.untaken[meter]):
                self._consume(self.people[name], at_ms, self.counted[meter][at_ms][0])
            self.untaken[meter].clear()
        for name, person in self.people.items():
            expected += self._retired(name, person)
        assert [
            (each.wallet, each.interval_ms, each.bought_entry, each.amount_uwh)
            for each in outcome.retirements
        ] == expected

    def _retired(self, name: str, person: Person) -> list[tuple[str, int, int, int]]:
        at_ms = self.village.at_ms
        person.open = {
            start: left for start, left in person.open.items() if start >= at_ms - COVER_MS and left
        }
        free = person.owns() - self._held_before(name)
        found = []
        while person.open and person.bought() and free:
            start, wanted = min(person.open.items())
            entry, there = min(lot for lot in person.lots if lot[0])
            part = min(wanted, there, free)
            found.append((self.who(name).wallet, start, entry, part))
            person.lots.remove((entry, there))
            if there > part:
                person.lots.append((entry, there - part))
            person.open[start] -= part
            if not person.open[start]:
                del person.open[start]
            free -= part
            person.retired += part
        return found

    def _held_before(self, name: str) -> int:
        """What open orders hold; a tick does not change it here."""
        return self._held(name)

    @rule()
    def restart(self) -> None:
        snapshot = self.village.community.snapshot()
        assert self.double.snapshot() == snapshot
        self.double = restore(snapshot)
        assert self.double.snapshot() == snapshot

    # --- after every rule -----------------------------------------------------------------------

    @invariant()
    def everybody_has_what_the_lots_say(self) -> None:
        community = self.village.community
        assert_sound(community)
        for name, person in self.people.items():
            member = community.members[self.who(name).wallet]
            assert community.ledger.posted(member.wallet, GRID) == person.owns(), name
            assert community.ledger.posted(member.wallet, GRX) == person.money, name
            assert member.bought_uwh == person.bought(), name
            assert (member.owed_uwh, member.ahead_uwh) == (person.owed, person.ahead), name
            assert member.retired_uwh == person.retired, name
            open_import = {at_ms: left for at_ms, left in person.open.items() if left}
            assert dict(queues.pairs(member.open_import)) == open_import, name

    @invariant()
    def nothing_is_lost_or_made(self) -> None:
        ledger = self.village.community.ledger
        wallets = sum(ledger.posted(self.who(name).wallet, GRID) for name in self.people)
        gone = ledger.posted(RETIRED, GRID) + ledger.posted(FED_IN, GRID)
        assert -ledger.posted(issuer(GRID), GRID) == wallets + gone == self.minted
        assert self.village.community.counters.minted_uwh == self.minted

    @invariant()
    def no_energy_is_certified_twice(self) -> None:
        assert self.certified == [(n * MWH, (n + 1) * MWH) for n in range(len(self.certified))]
        ledger = self.village.community.ledger
        assert -ledger.posted(issuer(REC), REC) == len(self.certified)

    def teardown(self) -> None:
        replayed = Community()
        for entry in self.entries:
            replay_entry(replayed, entry)
        assert replayed.snapshot() == self.village.community.snapshot() == self.double.snapshot()


TestSettlementAgainstLots = SettlementAgainstLots.TestCase
TestSettlementAgainstLots.settings = settings(
    settings.get_profile("whole core"), max_examples=40, stateful_step_count=40
)


def test_what_one_order_buys_of_two_others_is_one_purchase() -> None:
    model = SettlementAgainstLots()
    model.begin()
    model.trade(seller="anna", buyer="ben", offered="1", wanted="0.5")
    model.correct(meter="ABB-2", ago=1, quarters=1, factors=(2, 0), mistake="")
    model.trade(seller="anna", buyer="ben", offered="0.5", wanted="1")
    model.tick(quarters=0)
    model.everybody_has_what_the_lots_say()
    model.teardown()


pytestmark = pytest.mark.timeout(400)  # it takes seconds, but a failure is shrunk
