"""The realtime market against a naive matcher: zones, links, breakers, and every kind of order.

Hypothesis draws terms and orders from small pools that collide; the journal's entries are replayed
at the end and must give the same bytes.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.backend.core.market.reference_market import ReferenceMarket, Refusal
from tests.backend.village import (
    KWH,
    NAME,
    START_MS,
    Gateway,
    Resident,
    convert_terms,
    device_terms,
    frame_input,
    member_terms,
    meter_terms,
    order_input,
    reading,
)

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import (
    DUE,
    Input,
    MarketCommand,
    TickInput,
    market_input,
)
from gridtokenx_backend.core.messages.outcomes import (
    AllCancelled,
    NotJournaled,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRefused,
    Result,
    Ticked,
    Trade,
)
from gridtokenx_backend.core.model.ledger import FEES, GRID, GRX, LOSSES, WHEELING, issuer
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.journal.entry import Entry, make_entry
from gridtokenx_backend.replay.replay import replay_entry
from gridtokenx_wire.order import Amend, CancelAll, Instruction, Order
from gridtokenx_wire.units import format_grx, format_kwh

LOT, TICK = KWH // 1000, 1000
HOMES = {"anna": "east", "ben": "east", "cleo": "west", "dora": "south"}
PEOPLE = {name: Resident(name) for name in HOMES}
GATEWAY = Gateway("north")
OPENING_UGRX = 20_000
OPENING_UWH = KWH // 20
ACCOUNTS = {FEES: "fees", WHEELING: "wheeling", LOSSES: "losses"}

people = st.sampled_from(list(HOMES))
prices = st.sampled_from([1, 2, 10, 11, 12, 12, 13, 13, 14, 15, 20, 39, 40, 41])
quantities = st.sampled_from([1, 2, 3, 5, 8, 30, 51])
orders = st.lists(
    st.fixed_dictionaries(
        {
            "who": people,
            "side": st.sampled_from(["buy", "sell"]),
            "price": prices,
            "quantity": quantities,
            "tif": st.sampled_from(["GTC"] * 7 + ["GTT", "IOC", "FOK"]),
            "kind": st.sampled_from(["limit"] * 7 + ["market"]),
            "stp": st.sampled_from(["skip", "skip", "cancel_resting", "cancel_incoming"]),
            "wish": st.sampled_from([""] * 7 + ["post_only", "minimum", "both"]),
            "ahead_ms": st.sampled_from([1, 7, 60_000, 900_000]),
        }
    ),
    min_size=3,
    max_size=8,
)
waits = st.sampled_from([0, 0, 1, 7, 60_000, 900_000])


class RealtimeMarket(RuleBasedStateMachine):
    @initialize(
        fee_bps=st.sampled_from([0, 50, 777]),
        fee_payer=st.sampled_from(["seller", "buyer"]),
        network_payer=st.sampled_from(["buyer", "seller"]),
        breaker=st.sampled_from([0, 0, 1000, 3000]),
        capacity=st.sampled_from([0, 3, 10, 10_000]),
    )
    def begin(
        self, fee_bps: int, fee_payer: str, network_payer: str, breaker: int, capacity: int
    ) -> None:
        self.core = Community()
        self.at_ms, self.named = START_MS, 0
        self.entries: list[Entry] = []
        fees = {"fee_bps": fee_bps, "fee_payer": fee_payer, "network_payer": network_payer}
        self._configure(fees, breaker, capacity)
        links = {
            ("east", "west"): (capacity * LOT, TICK, TICK),  # a loss of 0.4 ticks, rounded up
            ("west", "east"): (capacity * LOT, 2 * TICK, 0),
            ("west", "south"): (7 * LOT, 0, 0),
        }
        zones: dict[str, Any] = {
            "east": {"breaker": breaker, "pause": 5000},
            "west": {"floor": 3 * TICK, "ceiling": 40 * TICK},
            "south": {"breaker": breaker, "pause": 60_000},
        }
        terms = {"lot": LOT, "tick": TICK, "highest": 41 * TICK, "most_open": 6} | fees
        terms |= {"zones": zones, "links": links}
        self.reference = ReferenceMarket(terms, HOMES)
        for name in HOMES:
            self.reference.money[name] = OPENING_UGRX
            self.reference.energy[name] = OPENING_UWH

    def _configure(self, fees: dict[str, Any], breaker: int, capacity: int) -> None:
        document = {
            "community": {"name": NAME},
            "market": {"highest_price_grx_per_kwh": "0.041", "most_open_orders": 6} | fees,
            "zone": [
                {"name": "east", "breaker_bps": breaker, "breaker_pause_s": 5},
                {
                    "name": "west",
                    "floor_grx_per_kwh": "0.003",
                    "ceiling_grx_per_kwh": "0.04",
                },
                {"name": "south", "breaker_bps": breaker, "breaker_pause_s": 60},
            ],
            "link": [
                {
                    "from": "east",
                    "to": "west",
                    "capacity_kwh": format_kwh(capacity * LOT + LOT // 2),
                    "wheeling_grx_per_kwh": "0.001",
                    "loss_bps": 200,
                    "loss_price_grx_per_kwh": "0.02",
                },
                {
                    "from": "west",
                    "to": "east",
                    "capacity_kwh": format_kwh(capacity * LOT),
                    "wheeling_grx_per_kwh": "0.002",
                },
                {"from": "west", "to": "south", "capacity_kwh": "0.007"},
            ],
            "member": [
                member_terms(person, format_grx(OPENING_UGRX)) | {"zone": HOMES[name]}
                for name, person in PEOPLE.items()
            ],
            "device": [device_terms(GATEWAY)],
            "meter": [meter_terms(name, GATEWAY, person) for name, person in PEOPLE.items()],
        }
        self.apply(inputs.configuration_input(convert_terms(document)))
        gateway = Gateway("north")
        for time_ms, export_uwh in ((START_MS - 900_000, 0), (START_MS, OPENING_UWH)):
            exported = [reading(name, time_ms, export_uwh) for name in PEOPLE]
            self.apply(frame_input(gateway.next(exported)))

    def apply(self, input_: Input) -> Result:
        """As the writer does it: what is due comes first, and every outcome is an entry."""
        if self.core.due_ms <= self.at_ms:
            self._apply(TickInput(DUE))
        return self._apply(input_)

    def _apply(self, input_: Input) -> Result:
        outcome = machine.apply(self.core, input_, self.at_ms)
        if not isinstance(outcome, NotJournaled):
            seq = self.core.entries
            self.entries.append(make_entry(seq, self.at_ms, input_, outcome, bytes(16)))
        return outcome

    def tell(self, who: str, instruction: Instruction, carry_out: Any) -> tuple[Any, Any] | None:
        """Both answers; None if both refuse for the same reason, and then nothing has changed."""
        self._wait(0)
        before = self.core.snapshot()
        outcome = self.apply(order_input(PEOPLE[who].sign(instruction)))
        try:
            expected = carry_out()
        except Refusal as refusal:
            expected = refusal
        if isinstance(expected, Refusal):
            assert isinstance(outcome, OrderRefused), (outcome, expected)
            assert outcome.reason.value == expected.reason, outcome
            assert self.core.snapshot() == before
            return None
        assert not isinstance(outcome, NotJournaled), (outcome, expected)
        return outcome, expected

    def head(self, who: str) -> dict[str, Any]:
        self.named += 1
        wallet = PEOPLE[who].wallet
        return {
            "v": 1,
            "community": NAME,
            "wallet": wallet,
            "id": f"n{self.named}",
            "issued_ms": self.at_ms,
        }

    @rule(drawn=orders)
    def place_orders(self, drawn: list[dict[str, Any]]) -> None:
        for each in drawn:
            self._order(**each)

    def _order(self, who: str, kind: str, wish: str, ahead_ms: int, **drawn: Any) -> None:
        tif = drawn["tif"]
        if kind == "market":
            tif = {"GTC": "IOC", "GTT": "FOK"}.get(tif, tif)
        fields = {
            "side": drawn["side"],
            "type": kind,
            "tif": tif,
            "price": drawn["price"] * TICK,
            "quantity": drawn["quantity"] * LOT,
            "expires": self.at_ms + ahead_ms if tif == "GTT" else 0,
            "post_only": wish in ("post_only", "both"),
            "minimum": 2 * LOT if wish in ("minimum", "both") else 0,
            "stp": drawn["stp"],
        }
        head = self.head(who)
        order = Order(
            **head,
            side=fields["side"],
            quantity_kwh=format_kwh(fields["quantity"]),
            price_grx_per_kwh=format_grx(fields["price"]) if kind == "limit" else "",
            tif=tif,
            type=kind,
            expires_ms=fields["expires"],
            post_only=fields["post_only"],
            min_quantity_kwh=format_kwh(fields["minimum"]) if fields["minimum"] else "",
            stp=fields["stp"],
        )
        told = self.tell(
            who, order, lambda: self.reference.place(who, head["id"], fields, self.at_ms)
        )
        if told is not None:
            outcome, (number, status, trades, own, paused) = told
            assert isinstance(outcome, OrderAccepted)
            assert (outcome.number, outcome.status) == (number, status)
            assert (outcome.cancelled, outcome.paused) == (own, paused)
            assert seen(outcome.trades) == trades

    @rule(who=people, data=st.data())
    def cancel(self, who: str, data: st.DataObject) -> None:
        which = data.draw(st.sampled_from(self._names(who)))
        command = PEOPLE[who].cancel(self.head(who)["id"], which, self.at_ms)
        told = self.tell(who, command, lambda: self.reference.cancel(who, which))
        if told is not None:
            assert isinstance(told[0], OrderCancelled)
            assert told[0].remaining_uwh == told[1]

    @rule(who=people, side=st.sampled_from(["", "buy", "sell"]), rarely=st.integers(0, 9))
    def cancel_all(self, who: str, side: Any, rarely: int) -> None:
        if rarely:
            return
        command = CancelAll(**self.head(who), side=side)
        told = self.tell(who, command, lambda: self.reference.cancel_all(who, side))
        if told is not None:
            assert isinstance(told[0], AllCancelled)
            assert told[0].cancelled == told[1]

    @rule(
        who=people,
        price=prices | st.none(),
        quantity=quantities | st.none(),
        data=st.data(),
    )
    def amend(self, who: str, price: int | None, quantity: int | None, data: st.DataObject) -> None:
        which = data.draw(st.sampled_from(self._names(who)))
        if price is None and quantity is None:
            return
        total = None if quantity is None else quantity * LOT
        limit = None if price is None else price * TICK
        command = Amend(
            **self.head(who),
            order=which,
            quantity_kwh="" if total is None else format_kwh(total),
            price_grx_per_kwh="" if limit is None else format_grx(limit),
        )
        told = self.tell(
            who, command, lambda: self.reference.amend(who, which, total, limit, self.at_ms)
        )
        if told is not None:
            outcome, (number, status, trades, paused) = told
            assert isinstance(outcome, OrderAmended)
            assert (outcome.number, outcome.status, outcome.paused) == (number, status, paused)
            assert seen(outcome.trades) == trades

    def _names(self, who: str) -> list[str]:
        return [order.name for order in self.reference.open if order.who == who] or ["none"]

    @rule(later_ms=waits)
    def wait(self, later_ms: int) -> None:
        self._wait(later_ms)

    def _wait(self, later_ms: int) -> None:
        self.at_ms += later_ms
        expired = self.reference.pass_time(self.at_ms)
        if self.core.due_ms <= self.at_ms:
            outcome = self._apply(TickInput(DUE))
            assert isinstance(outcome, Ticked)
            assert outcome.expired == expired
        else:
            assert expired == []

    @rule(
        action=st.sampled_from(["halt", "cancel_only", "resume", "resume", "resume"]),
        zone=st.sampled_from(["east", "west", "south", ""]),
        rarely=st.integers(0, 3),
    )
    def switch(self, action: Any, zone: str, rarely: int) -> None:
        if rarely and action != "resume":
            return
        self._wait(0)
        self.apply(market_input(MarketCommand(action=action, reason="drawn", zone=zone)))
        for name, state in self.reference.zones.items():
            if zone in ("", name):
                status = {"halt": "halted", "resume": "open"}.get(action, action)
                state.status = status
                state.paused_until = 0 if status == "open" else state.paused_until

    @rule()
    def restart(self) -> None:
        snapshot = self.core.snapshot()
        self.core = restore(snapshot)
        assert self.core.snapshot() == snapshot

    @invariant()
    def balances_and_orders_agree(self) -> None:
        ledger, reference = self.core.ledger, self.reference
        for name, person in PEOPLE.items():
            wallet = person.wallet
            assert ledger.posted(wallet, GRX) == reference.money[name], name
            assert ledger.posted(wallet, GRID) == reference.energy[name], name
            assert ledger.held(wallet, GRX) == reference.held(name, "buy"), name
            assert ledger.held(wallet, GRID) == reference.held(name, "sell"), name
            assert ledger.available(wallet, GRX) >= 0 <= ledger.available(wallet, GRID)
        for account, name in ACCOUNTS.items():
            assert ledger.posted(account, GRX) == reference.money[name]
        assert sum(reference.money.values()) == -ledger.posted(issuer(GRX), GRX)
        resting = self.core.book.orders.values()
        assert [(o.number, o.remaining_uwh, o.price_ugrx) for o in resting] == [
            (o.number, o.left, o.price) for o in sorted(reference.open, key=lambda o: o.number)
        ]

    def teardown(self) -> None:
        replayed = Community()
        for entry in getattr(self, "entries", []):
            replay_entry(replayed, entry)
        if hasattr(self, "core"):
            assert replayed.snapshot() == self.core.snapshot()


def seen(trades: list[Trade]) -> list[tuple[int, int, dict[str, int]]]:
    for trade in trades:
        parts = trade.net_ugrx + trade.fee_ugrx + trade.wheeling_ugrx + trade.loss_ugrx
        assert trade.gross_ugrx == parts
        assert trade.net_ugrx > 0
    return [
        (
            trade.maker,
            trade.quantity_uwh,
            {
                "wheeling": trade.wheeling_ugrx,
                "loss": trade.loss_ugrx,
                "price": trade.price_ugrx,
                "gross": trade.gross_ugrx,
                "fee": trade.fee_ugrx,
                "net": trade.net_ugrx,
            },
        )
        for trade in trades
    ]


TestRealtimeMarket = RealtimeMarket.TestCase
TestRealtimeMarket.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, derandomize=True
)
pytestmark = pytest.mark.timeout(400)  # it takes seconds, but a failure is shrunk
