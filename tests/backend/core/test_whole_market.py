"""Everything together, in any order: the books hold after every input, and replay to the byte.

Hypothesis chooses who reads, orders, shares, pays, corrects, certifies, halts and reconfigures.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.backend.core.terms_in_turn import EAST_WEST, INTERVALS, LINKS, MARKETS, SHARING, ZONES
from tests.backend.core.whole_market import FIRST_MS, OWNERS, PEOPLE, WholeMarket, assert_statements
from tests.backend.village import KWH

from gridtokenx_backend.core.market.trading_state import OPEN
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import MarketCommand, OracleCommand, TickInput
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.settlement import (
    ConfirmWithdrawal,
    Deposit,
    IssueCertificates,
    RefuseWithdrawal,
)
from gridtokenx_backend.core.settlement.certificates import MWH_UWH
from gridtokenx_wire.order import (
    Amend,
    Cancel,
    CancelAll,
    Order,
    RecRetire,
    RecTransfer,
    Standing,
    Withdraw,
)

people = st.sampled_from(list(PEOPLE))
meters = st.sampled_from(list(OWNERS))
energies = st.sampled_from([0, 0, 7, KWH // 3, KWH, 2 * KWH, 40 * KWH])
prices = st.sampled_from(["0.05", "0.1", "0.12", "0.12", "0.15", "0.15", "0.2", "0.3"])
amounts = st.sampled_from(["0.001", "0.5", "1", "1", "2", "5", "30"])
segments = st.sampled_from(["realtime", "interval"])
sides = st.sampled_from(["buy", "sell"])

wishes = st.fixed_dictionaries(
    {
        "who": people,
        "side": sides,
        "quantity_kwh": amounts,
        "price_grx_per_kwh": prices,
        "tif": st.sampled_from(["GTC"] * 5 + ["GTT", "IOC", "FOK"]),
        "stp": st.sampled_from(["skip", "skip", "cancel_resting", "cancel_incoming"]),
        "wish": st.sampled_from([""] * 6 + ["market", "post_only", "minimum"]),
        "ahead": st.sampled_from([1, 1000, 300_000, INTERVAL_MS]),
    }
)

THOROUGH = int(os.environ.get("WHOLE_MARKET_EXAMPLES", "0"))


class Everything(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.market = WholeMarket()

    # --- terms and time -------------------------------------------------------------------------

    @initialize(terms=st.sampled_from(MARKETS), homes=st.tuples(*[st.integers(0, 1)] * 4))
    def begin(self, terms: dict[str, Any], homes: tuple[int, ...]) -> None:
        assert self.market.at_ms == FIRST_MS
        member = self._homes(EAST_WEST, homes)
        self.market.configure(market=terms, zone=EAST_WEST, link=LINKS, member=member)
        assert self.market.core.entries == 1
        for meter in OWNERS:
            self.market.read(meter, 0, 0)
        self.market.at_ms += INTERVAL_MS
        for meter, energy in zip(OWNERS, (MWH_UWH, 30 * KWH, 20 * KWH, 0), strict=True):
            self.market.read(meter, KWH, energy)

    def _homes(self, zones: list[dict[str, Any]], homes: tuple[int, ...]) -> list[dict[str, Any]]:
        return [
            member | {"zone": zones[home % len(zones)]["name"]}
            for member, home in zip(self.market.document["member"], homes, strict=True)
        ]

    @rule(
        terms=st.sampled_from(MARKETS),
        zones=st.sampled_from(ZONES),
        interval=st.sampled_from(INTERVALS),
        homes=st.tuples(*[st.integers(0, 1)] * 4),
        links=st.integers(0, 2),
    )
    def new_terms(
        self,
        terms: dict[str, Any],
        zones: list[dict[str, Any]],
        interval: dict[str, Any],
        homes: tuple[int, ...],
        links: int,
    ) -> None:
        names = {zone["name"] for zone in zones}
        link = [each for each in LINKS[:links] if {each["from"], each["to"]} <= names]
        self.market.configure(
            market=terms,
            zone=zones,
            link=link,
            interval=interval,
            member=self._homes(zones, homes),
            community={"name": self.market.document["community"]["name"]},
        )

    @rule(sharing=st.sampled_from(SHARING), is_shared=st.sampled_from([True] + [False] * 4))
    def share(self, sharing: dict[str, Any], is_shared: bool) -> None:
        community = {"name": "lane"} | ({"mode": "dynamic"} if is_shared else {})
        self.market.configure(community=community, sharing=sharing, interval={})

    @rule(
        meter=meters,
        owner=people,
        policy=st.sampled_from(["export", "net"]),
        renewable=st.booleans(),
        epoch=st.integers(0, 1),
        gone=st.sampled_from([False, False, True]),
    )
    def new_meter(
        self, meter: str, owner: str, policy: str, renewable: bool, epoch: int, gone: bool
    ) -> None:
        """It is sold, changed, reset, or no longer there."""
        changed: dict[str, Any] = {"owner": owner, "policy": policy, "epoch": epoch}
        changed |= {"renewable": renewable, "technology": "solar" if renewable else ""}
        known = {each["id"]: each for each in self.market.document["meter"]}
        known.setdefault(meter, self.market._meter(meter))
        known[meter] = known[meter] | changed
        if gone:
            del known[meter]
        self.market.configure(meter=list(known.values()))

    @rule(ms=st.sampled_from([0, 1, 60_000, 300_000, INTERVAL_MS, 4 * INTERVAL_MS, 90_000_000]))
    def wait(self, ms: int) -> None:
        self.market.at_ms += ms

    @rule(clears=st.sampled_from([1, 4, 120]), ticks=st.booleans())
    def work(self, clears: int, ticks: bool) -> None:
        self.market.clear(clears)
        if ticks:
            self.market.apply(TickInput())

    @rule()
    def restart(self) -> None:
        self.market.restart()

    # --- meters ---------------------------------------------------------------------------------

    @rule(
        quarters=st.sampled_from([1, 1, 2, 6]),
        moved=st.lists(st.tuples(energies, energies), min_size=4, max_size=4),
        missing=st.sampled_from([None, None, "A1", "C1"]),
        ticks=st.booleans(),
        drawn=st.lists(wishes, max_size=6),
        segment=segments,
    )
    def some_time(
        self,
        quarters: int,
        moved: list[tuple[int, int]],
        missing: str | None,
        ticks: bool,
        drawn: list[dict[str, Any]],
        segment: str,
    ) -> None:
        """Every meter but one is read at the end of some quarters, and what is due happens."""
        self.orders(drawn, segment)
        market = self.market
        market.at_ms += quarters * INTERVAL_MS
        for meter, (imported, exported) in zip(OWNERS, moved, strict=True):
            if meter != missing:
                market.read(meter, imported, exported)
        market.at_ms += 300_000
        market.clear(2 * quarters)
        if ticks:
            market.apply(TickInput())

    @rule(meter=meters, at=st.integers(0, 3), part=st.integers(0, 10), more=st.booleans())
    def read_late(self, meter: str, at: int, part: int, more: bool) -> None:
        """What was read between two readings that arrived, and comes only now."""
        told = self.market.told[meter]
        if len(told) < 2 + at:
            return
        first, last = told[-2 - at], told[-1 - at]
        parts = [part, part + 1] if more else [part]
        rows = []
        for each in parts:
            time_ms, imported, exported = (
                a + (b - a) * each // 11 for a, b in zip(first, last, strict=True)
            )
            rows.append((time_ms, imported, exported))
        self.market.send(meter, rows)

    @rule(
        meter=meters,
        ago=st.sampled_from([0, 0, 1, 3]),
        quarters=st.integers(1, 5),
        imported=energies,
        exported=energies,
    )
    def correct(self, meter: str, ago: int, quarters: int, imported: int, exported: int) -> None:
        self.market.correct(meter, ago, quarters, (imported, exported))

    @rule(paused=st.sampled_from([True, False, False, False, False]))
    def pause_oracle(self, paused: bool) -> None:
        self.market.apply(inputs.oracle_input(OracleCommand(paused, "a look")))

    # --- orders ---------------------------------------------------------------------------------

    @rule(drawn=st.lists(wishes, min_size=4, max_size=10), segment=segments, opens=st.booleans())
    def several(self, drawn: list[dict[str, Any]], segment: str, opens: bool) -> None:
        if opens:
            self._open_all()
        self.orders(drawn, segment)

    def _open_all(self) -> None:
        """Trading goes on everywhere, whatever closed it."""
        core = self.market.core
        if core.active_terms.sharing.is_sharing or not core.active_terms.interval.enabled:
            self.market.configure(community={"name": "lane"}, interval={})
        if any(state.status != OPEN for state in core.market.trading.zones.values()):
            self.market.apply(
                inputs.market_input(MarketCommand(action="resume", reason="it is over"))
            )
        if core.paused:
            self.market.apply(inputs.oracle_input(OracleCommand(False, "it is over")))

    def orders(self, drawn: list[dict[str, Any]], segment: str) -> None:
        for each in drawn:
            self._order(segment=segment if each["tif"] in ("GTC", "GTT") else "realtime", **each)

    def _order(self, who: str, wish: str, ahead: int, **fields: Any) -> None:
        if fields["tif"] == "GTT":
            fields["expires_ms"] = self.market.at_ms + ahead
        if wish == "market":
            fields |= {"type": "market", "price_grx_per_kwh": ""}
        elif wish == "post_only":
            fields["post_only"] = True
        elif wish == "minimum":
            fields["min_quantity_kwh"] = "0.5"
        self.market.tell(who, Order, **fields)

    @rule(index=st.integers(0, 5), kwh=st.sampled_from(["", "0.5", "1", "5"]), price=prices)
    def amend(self, index: int, kwh: str, price: str) -> None:
        if (found := self._open(index)) is not None:
            who, name = found
            self.market.tell(who, Amend, order=name, quantity_kwh=kwh, price_grx_per_kwh=price)

    @rule(index=st.integers(0, 5))
    def cancel(self, index: int) -> None:
        if (found := self._open(index)) is not None:
            self.market.tell(found[0], Cancel, order=found[1])

    def _open(self, index: int) -> tuple[str, str] | None:
        """(who, client id) of an open order, if there is any."""
        core = self.market.core
        keys = [*core.book.by_key, *core.interval.book.by_key]
        if not keys:
            return None
        wallet, _, name = keys[index % len(keys)].partition(":")
        return core.members[wallet].name, name

    @rule(who=people, segment=st.sampled_from(["", "interval"]), side=st.sampled_from(["", "buy"]))
    def cancel_all(self, who: str, segment: Any, side: Any) -> None:
        self.market.tell(who, CancelAll, segment=segment, side=side)

    @rule(
        who=people,
        side=sides,
        price=prices,
        segment=segments,
        keep=st.sampled_from(["0", "0", "1"]),
        curve=st.sampled_from([[], [(6, "0.12"), (18, "0.3")], [(0, "0.15")]]),
        state=st.sampled_from(["on", "on", "on", "off", "paused"]),
    )
    def standing(self, who: str, side: Any, price: str, **how: Any) -> None:
        self.market.tell(
            who,
            Standing,
            side=side,
            price_grx_per_kwh=price,
            keep_kwh=how["keep"],
            active=how["state"] != "off",
            segment=how["segment"],
            curve=how["curve"],
            paused=how["state"] == "paused",
        )

    @rule(segment=segments, price=st.sampled_from(["0.12", "0.15"]))
    def everybody_stands(self, segment: Any, price: str) -> None:
        self._open_all()
        fields = {"segment": segment, "price_grx_per_kwh": price}
        for who in PEOPLE:
            for side in ("sell", "buy"):
                self.market.tell(who, Standing, side=side, **fields)

    @rule(
        action=st.sampled_from(["halt", "resume", "resume", "resume", "cancel_only"]),
        zone=st.sampled_from(["", "east", "west"]),
    )
    def switch(self, action: Any, zone: str) -> None:
        self.market.apply(
            inputs.market_input(MarketCommand(action=action, reason="a look", zone=zone))
        )

    # --- money, certificates, months ------------------------------------------------------------

    @rule(who=people, grx=st.sampled_from(["1", "10", "990", "5000"]))
    def withdraw(self, who: str, grx: str) -> None:
        self.market.named += 1
        self.market.tell(who, Withdraw, amount_grx=grx, reference=f"w{self.market.named}")

    @rule(paid=st.booleans(), deposit=st.booleans(), who=people)
    def answer(self, paid: bool, deposit: bool, who: str) -> None:
        self.market.named += 1
        text = f"r{self.market.named}"
        number = next(iter(self.market.core.settlement.withdrawals), 0)
        command: Any = RefuseWithdrawal(number=number, reason=text)
        if deposit:
            command = Deposit(wallet=PEOPLE[who].wallet, amount_ugrx=10**7, reference=text)
        elif paid:
            command = ConfirmWithdrawal(number=number, reference=text)
        self.market.apply(inputs.settlement_input(command))

    @rule(month=st.sampled_from([202605, 202606, 202607]))
    def certify(self, month: int) -> None:
        self.market.at_ms += 3 * 86_400_000
        self.market.apply(inputs.settlement_input(IssueCertificates(month=month)))

    @rule(index=st.integers(0, 2), to=people, use=st.booleans())
    def use_certificate(self, index: int, to: str, use: bool) -> None:
        core = self.market.core
        known = list(core.settlement.certificates.values())
        if not known:
            return
        certificate = known[index % len(known)]
        owner, serial = core.members[certificate.owner].name, certificate.serial
        if use:
            self.market.tell(owner, RecRetire, serial=serial, beneficiary="the bakery")
        else:
            self.market.tell(owner, RecTransfer, serial=serial, to=PEOPLE[to].wallet)

    @rule(status=st.sampled_from(["provisional", "final", "revised"]), index=st.integers(0, 3))
    def step(self, status: str, index: int) -> None:
        self.market.step(status, index)

    def teardown(self) -> None:
        assert_statements(self.market)
        self.market.assert_replays()


TestEverything = Everything.TestCase
TestEverything.settings = settings(
    settings.get_profile("whole core"),
    max_examples=THOROUGH or 60,
    stateful_step_count=60 if THOROUGH else 40,
)
pytestmark = pytest.mark.timeout(7200 if THOROUGH else 400)
