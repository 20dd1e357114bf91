"""The whole core against a slow, plain reference, with everything that may be put to it.

Hypothesis chooses the inputs: frames with good and mad readings, orders, cancellations, standing
orders, ticks, pauses and new terms. Beside the core runs its double, restored from a snapshot
every now and then, and at the end everything is replayed from what the journal would hold.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.backend.drawn import (
    CHANGES,
    DEVICES,
    FIRST_TERMS,
    METER_TERMS,
    NAMES,
    PEOPLE,
    client_ids,
    core_terms,
    issued,
    links,
    orders,
    people,
    prices,
    readings,
    sides,
)
from tests.backend.reference import KWH, Reference, Refusal
from tests.backend.village import (
    HOUR_MS,
    NO_NTP,
    NTP,
    START_MS,
    assert_sound,
    convert_terms,
    frame_input,
    order_input,
)

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import Input, OracleCommand, TickInput
from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    FrameRefused,
    NotJournaled,
    OrderAccepted,
    OrderCancelled,
    OrderRefused,
    Repeated,
    Result,
    StandingAccepted,
    Ticked,
    movements_of,
)
from gridtokenx_backend.core.model.ledger import GRID, GRX, issuer
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.journal.entry import Entry, make_entry
from gridtokenx_backend.replay.replay import replay_entry
from gridtokenx_wire import cose
from gridtokenx_wire.frame import build_frame, encode_frame, frame_hash
from gridtokenx_wire.order import Instruction
from gridtokenx_wire.reading import Reading


class CoreAgainstReference(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference()
        self.core, self.double = Community(), Community()
        self.at_ms = START_MS
        self.entries: list[Entry] = []
        self.sealed = 0
        self.messages: dict[bytes, bytes] = {}
        self.fresh = 0
        self.said: tuple[str, Instruction] | None = None
        self.terms = copy.deepcopy(FIRST_TERMS)
        for name, terms in self.terms["meters"].items():
            self.terms["meters"][name] = METER_TERMS | terms

    # --- the two cores --------------------------------------------------------------------------

    def apply(self, input_: Input) -> Result:
        outcome = machine.apply(self.core, input_, self.at_ms)
        assert machine.apply(self.double, input_, self.at_ms) == outcome
        if not isinstance(outcome, NotJournaled):
            seq = self.core.entries
            self.entries.append(make_entry(seq, self.at_ms, input_, outcome, bytes(16)))
            self._same_movements(outcome)
        return outcome

    def _same_movements(self, outcome: Any) -> None:
        """Every transfer of the core, in order, is one that the reference is about to make."""
        self.moved = [
            (movement.asset, _name(movement.debit), _name(movement.credit), movement.amount)
            for movement in movements_of(outcome)
        ]

    def _moved_as(self, before: int) -> None:
        expected = [transfer for transfer in self.reference.transfers[before:] if transfer[3]]
        assert self.moved == expected

    # --- rules ----------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self._configure()
        for hours in (3, 2, 1):
            at_ms, export_uwh = self.at_ms - hours * HOUR_MS, (4 - hours) * KWH
            here = [(name, at_ms, KWH, export_uwh, 0) for name in ("ABB-1", "ABB-2")]
            self._frame("north", "next", True, here)
            self._frame("south", "next", True, [("ABB-3", at_ms, KWH, export_uwh, 0)])
        for who in ("ben", "cleo"):
            self._stand(who, "buy", "0.004", "0", True, self._id("", 0))
        self._stand("anna", "sell", "0.004", "0", True, self._id("", 0))

    @rule(change=st.sampled_from(CHANGES), undo=st.booleans())
    def change_terms(self, change: tuple[str, Any], undo: bool) -> None:
        section, changed = change
        if undo:
            self.terms["market"] = dict(FIRST_TERMS["market"])
            self.terms["devices"] = copy.deepcopy(FIRST_TERMS["devices"])
        elif section in ("devices", "meters"):
            for name, terms in changed.items():
                self.terms[section][name] = self.terms[section][name] | terms
        elif section == "market":
            self.terms[section] = self.terms[section] | changed
        else:
            self.terms[section] = changed
        self._configure()

    def _configure(self) -> None:
        before = len(self.reference.transfers)
        terms = copy.deepcopy(self.terms)
        self.apply(inputs.configuration_input(convert_terms(core_terms(terms))))
        self.reference.configure(terms, self.at_ms)
        self._moved_as(before)

    @rule(
        device=st.sampled_from(["north", "north", "south", "south", "stranger"]),
        link=links,
        synchronised=st.sampled_from([True, True, True, False]),
        drawn=readings,
    )
    def send_frame(self, device: str, link: str, synchronised: bool, drawn: list[Any]) -> None:
        made = []
        for name, ahead_ms, import_uwh, export_uwh, power_w in drawn:
            last = self._last(name)
            made.append(
                (
                    name,
                    max(0, self.at_ms + ahead_ms),
                    max(0, last[1] + import_uwh),
                    max(0, last[2] + export_uwh),
                    power_w,
                )
            )
        self._frame(device, link, synchronised, made)

    def _last(self, meter: str) -> tuple[int, int, int]:
        known = self.reference.meters.get(meter)
        accepted = known.epochs[-1] if known else []
        return accepted[-1] if accepted else (0, KWH, KWH)

    def _frame(self, device: str, link: str, synchronised: bool, made: list[Any]) -> None:
        known = self.reference.chains.get(device, [])
        chain, seq = known[0] if known else b"chain-01", max(0, len(known) - 1)
        prev = known[-1] if seq else bytes(32)
        seq += {"duplicate": -1, "fork": -1, "gap": 1}.get(link, 0)
        chain = b"another." if link == "wrong chain" else chain
        prev = b"x" * 32 if link == "broken chain" else prev
        if seq < 0:
            return
        clock = NTP if synchronised else NO_NTP
        listed = [
            Reading(**dict(zip(Reading.__struct_fields__, reading, strict=False)))
            for reading in made
        ]
        frame = build_frame(DEVICES[device].device, chain, seq, prev, clock, listed)
        self.sealed += 1
        signature = self.sealed.to_bytes(64, "big")
        message = cose.assemble(encode_frame(frame), signature)
        if link == "duplicate":
            message = self.messages[known[-1]]
        self.messages[frame_hash(message)] = message
        before = len(self.reference.transfers)
        outcome = self.apply(frame_input(message))
        link_of = (chain, prev, frame_hash(message))
        try:
            told: Any = self.reference.frame(device, seq, link_of, synchronised, made, self.at_ms)
        except Refusal as refusal:
            told = refusal.reason
        if isinstance(outcome, FrameRefused):
            assert outcome.reason.value == told
            return
        assert isinstance(outcome, FrameAccepted), outcome
        assert outcome.verdicts == told
        assert sorted(self.moved) == sorted(
            transfer for transfer in self.reference.transfers[before:] if transfer[3]
        )

    @rule(drawn=orders)
    def place_orders(self, drawn: list[Any]) -> None:
        for who, side, kwh, price, tif, client_id, issued_ms in drawn:
            self._order(who, side, kwh, price, tif, self._id(client_id, issued_ms))

    def _order(
        self, who: str, side: str, kwh: str, price: str, tif: str, head: tuple[str, int]
    ) -> None:
        client_id, issued_ms = head
        order = PEOPLE[who].order(client_id, side, kwh, price, tif, issued_ms)
        outcome = self._tell(
            who,
            order,
            lambda: self.reference.place(who, client_id, side, kwh, price, rests=tif == "GTC"),
        )
        if outcome is None:
            return
        result, (status, trades) = outcome
        assert isinstance(result, OrderAccepted)
        assert result.status == status
        told = [(t.maker, t.quantity_uwh, t.gross_ugrx, t.fee_ugrx) for t in result.trades]
        assert told == trades

    @rule(who=people, client_id=client_ids, issued_ms=issued, data=st.data())
    def cancel(self, who: str, client_id: str, issued_ms: int, data: st.DataObject) -> None:
        client_id, issued_ms = self._id(client_id, issued_ms)
        open_ids = [order.client_id for order in self.reference.open if order.who == who]
        which = data.draw(st.sampled_from([*open_ids, *open_ids, "a"]))
        cancel = PEOPLE[who].cancel(client_id, which, issued_ms)
        outcome = self._tell(who, cancel, lambda: self.reference.cancel(who, which))
        if outcome is not None:
            result, left = outcome
            assert isinstance(result, OrderCancelled)
            assert result.remaining_uwh == left

    @rule(
        who=people,
        client_id=client_ids,
        issued_ms=issued,
        side=sides,
        price=prices,
        keep=st.sampled_from(["0", "0", "0", "0.0005", "1", "-1"]),
        active=st.sampled_from([True, True, False]),
    )
    def stand(self, who: str, side: str, price: str, keep: str, active: bool, **head: Any) -> None:
        self._stand(who, side, price, keep, active, self._id(**head))

    def _stand(
        self, who: str, side: str, price: str, keep: str, active: bool, head: tuple[str, int]
    ) -> None:
        client_id, issued_ms = head
        standing = PEOPLE[who].standing(
            client_id, side, price, keep, active=active, issued_ms=issued_ms
        )
        outcome = self._tell(
            who, standing, lambda: self.reference.stand(who, side, price, keep, active=active)
        )
        if outcome is not None:
            result, withdrawn = outcome
            assert isinstance(result, StandingAccepted)
            assert result.cancelled == withdrawn

    def _id(self, client_id: str, issued_ms: int) -> tuple[str, int]:
        self.fresh += 1
        return client_id or f"fresh-{self.fresh}", self.at_ms + issued_ms

    def _tell(
        self, who: str, instruction: Instruction, carry_out: Any
    ) -> tuple[Result, Any] | None:
        """(outcome, the reference's) of an instruction, or None if both refuse or repeat it."""
        before = len(self.reference.transfers)
        outcome = self.apply(order_input(PEOPLE[who].sign(instruction)))
        at_ms, client_id = self.at_ms, instruction.id
        try:
            entry = self.reference.remember(
                who, client_id, instruction, instruction.issued_ms, at_ms
            )
            expected = Repeated(entry) if entry else carry_out()
        except Refusal as refusal:
            expected = refusal.reason
        if isinstance(outcome, OrderRefused | Repeated):
            said = outcome.reason.value if isinstance(outcome, OrderRefused) else outcome
            assert said == expected
            return None
        assert not isinstance(expected, str), (outcome, expected)
        self.said = (who, instruction)
        self.reference.carried_out(who, client_id, instruction, at_ms)
        self._moved_as(before)
        return outcome, expected

    @rule(later_ms=st.sampled_from([0, 1, 1000, 60_000, HOUR_MS, HOUR_MS + 60_001, 200 * HOUR_MS]))
    def tick(self, later_ms: int) -> None:
        self.at_ms += later_ms
        before = len(self.reference.transfers)
        outcome = self.apply(TickInput())
        assert isinstance(outcome, Ticked)
        expected = self.reference.tick_over(self.at_ms)
        assert [(order.number, order.status) for order in outcome.orders] == expected
        for movement in outcome.movements:
            self.reference.retire(NAMES[movement.debit], movement.amount)
        self._moved_as(before)

    @rule()
    def say_it_again(self) -> None:
        if self.said is not None:
            who, instruction = self.said
            assert self._tell(who, instruction, lambda: pytest.fail("carried out twice")) is None

    @rule(what=st.sampled_from(["restart", "restart", "resume", "resume", "pause"]))
    def interrupt(self, what: str) -> None:
        if what != "restart":
            self.apply(inputs.oracle_input(OracleCommand(what == "pause", "drawn")))
            self.reference.paused = what == "pause"
            self.reference.entries += 1
            return
        # The double goes on from a snapshot of the core, which is its own snapshot too.
        snapshot = self.core.snapshot()
        assert self.double.snapshot() == snapshot
        self.double = restore(snapshot)
        assert self.double.snapshot() == snapshot

    # --- after every rule -----------------------------------------------------------------------

    @invariant()
    def books_and_balances_agree(self) -> None:
        assert_sound(self.core)
        core, reference = self.core, self.reference
        assert core.entries == reference.entries
        for asset in (GRID, GRX):
            assert core.ledger.posted(issuer(asset), asset) == reference.posted("issuer", asset)
            for account, name in NAMES.items():
                owns = core.ledger.posted(account, asset), core.ledger.held(account, asset)
                assert owns == (reference.posted(name, asset), reference.held(name, asset)), name
        resting = [
            (order.number, NAMES[order.wallet], order.side, order.price_ugrx, order.remaining_uwh)
            for order in core.book.orders.values()
        ]
        assert sorted(resting) == sorted(
            (order.number, order.who, order.side, order.price, order.left)
            for order in reference.open
        )

    @invariant()
    def meters_and_members_agree(self) -> None:
        for meter in self.reference.meters.values():
            assert meter.minted == meter.due()
        minted = sum(meter.minted for meter in self.reference.meters.values())
        assert self.core.counters.minted_uwh == minted
        for wallet, member in self.core.members.items():
            name = NAMES[wallet]
            assert member.imported_uwh == self.reference.imported[name]
            bought = self.reference.buys.get(name)
            assert (member.buy and member.buy.covered_uwh) == (bought and bought.covered)

    def teardown(self) -> None:
        """What the journal would hold gives the same community again."""
        replayed = Community()
        for entry in self.entries:
            replay_entry(replayed, entry)
        assert replayed.snapshot() == self.core.snapshot() == self.double.snapshot()


def _name(account: str) -> str:
    return "issuer" if account.startswith("issuer:") else NAMES[account]


TestCoreAgainstReference = CoreAgainstReference.TestCase
TestCoreAgainstReference.settings = settings.get_profile("whole core")


def test_a_changed_meter_does_not_begin_at_the_time_of_its_last_reading_before() -> None:
    model = CoreAgainstReference()
    model.begin()
    again = ("ABB-1", 0, KWH // 500, KWH // 100, 0)
    model.send_frame(device="north", link="next", synchronised=True, drawn=[again])
    change = ("meters", {"ABB-1": {"epoch": 1}, "ABB-3": {"epoch": 1}})
    model.change_terms(change=change, undo=False)
    model.send_frame(device="north", link="next", synchronised=True, drawn=[again])
    assert model.reference.meters["ABB-1"].epochs[-1] == []
    model.meters_and_members_agree()
    model.teardown()


pytestmark = pytest.mark.timeout(400)  # it takes seconds, but a failure is shrunk
