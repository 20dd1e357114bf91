"""The realtime examples of docs/market.md are what the core does."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.village import START_MS, Resident, convert_terms, member_terms
from tests.docs.markdown import DOCS, blocks, section, table

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import OrderInput
from gridtokenx_backend.core.messages.outcomes import OrderAccepted, OrderRefused, Trade
from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Order
from gridtokenx_wire.units import UWH_PER_KWH

PAGE = (DOCS / "market.md").read_text()
NAMES = ("anna", "ben", "cleo", "dora")
ZONES = {"anna": "east", "ben": "east", "cleo": "west", "dora": "west"}
ACROSS = {
    "zone": [{"name": "east"}, {"name": "west"}],
    "link": [
        {
            "from": "east",
            "to": "west",
            "capacity_kwh": "4",
            "wheeling_grx_per_kwh": "0.010",
            "loss_bps": 200,
            "loss_price_grx_per_kwh": "0.30",
        }
    ],
}
BREAKER = {"zone": [{"name": "main", "breaker_bps": 2000}]}
TERMS: dict[str, dict[str, Any]] = {
    "text trades": {},
    "text trades across zones": ACROSS,
    "text trades under a breaker": BREAKER,
}


class Floor:
    """Four people with 100 GRX and 100 kWh each."""

    def __init__(self, terms: dict[str, Any], **market: Any) -> None:
        people = {name: Resident(name) for name in NAMES}
        homes = ZONES if "link" in terms else {}
        members = [
            member_terms(person, "100") | {"zone": homes.get(name, "")}
            for name, person in people.items()
        ]
        document = {"community": {"name": "lane"}, "market": market, "member": members, **terms}
        self.people = people
        self.names = {person.wallet: name for name, person in people.items()}
        self.community = Community()
        machine.apply(self.community, inputs.configuration_input(convert_terms(document)), START_MS)
        for person in people.values():
            minted = Movement(
                asset=GRID, debit=issuer(GRID), credit=person.wallet, amount=100 * UWH_PER_KWH
            )
            assert self.community.ledger.post([minted]) is None
        self.told = 0

    def tell(self, line: str) -> OrderAccepted | OrderRefused:
        """`dora buys 6 at 0.25 FOK` as an order."""
        who, verb, kwh, _, price, *how = line.split()
        more: dict[str, Any] = {}
        if how and how[0] in ("IOC", "FOK"):
            more["tif"] = how[0]
        elif how and how[0] == "min":
            more["min_quantity_kwh"] = how[1]
        elif how:
            more["stp"] = how[0]
        self.told += 1
        order = Order(
            v=1,
            community="lane",
            wallet=self.people[who].wallet,
            id=f"o{self.told}",
            issued_ms=START_MS,
            side="buy" if verb == "buys" else "sell",
            quantity_kwh=kwh,
            price_grx_per_kwh=price,
            **more,
        )
        outcome = machine.apply(self.community, OrderInput(b"", order), START_MS)
        assert isinstance(outcome, OrderAccepted | OrderRefused)
        return outcome

    def shown(self, outcome: OrderAccepted | OrderRefused, line: str) -> list[str]:
        """How the page writes what became of an order."""
        if isinstance(outcome, OrderRefused):
            return [f"{line}: {outcome.reason.value}"]
        return [f"{line}: {outcome.status}", *map(self._traded, outcome.trades)]

    def _traded(self, trade: Trade) -> str:
        buyer, seller = self.names[trade.buyer], self.names[trade.seller]
        kwh = trade.quantity_uwh // UWH_PER_KWH
        return f"  {buyer} from {seller} {kwh} at {trade.price_ugrx / 10**6:.2f}"


EXAMPLES = [
    pytest.param(each.info, each.text, id=f"{n}: {each.info}")
    for n, each in enumerate(blocks(PAGE))
    if each.info in TERMS
]


@pytest.mark.parametrize(("info", "text"), EXAMPLES)
def test_an_example_comes_out_as_the_page_says(info: str, text: str) -> None:
    floor = Floor(TERMS[info])
    lines = text.rstrip("\n").split("\n")
    orders = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    shown = [line for order in orders for line in floor.shown(floor.tell(order), order)]
    assert shown == lines


def test_all_examples_are_run() -> None:
    assert len(EXAMPLES) == 6


def test_the_charges_of_the_page_are_the_cores() -> None:
    for fee_payer, network_payer, *figures in table(section(PAGE, "Charges")):
        floor = Floor(ACROSS, fee_payer=fee_payer, network_payer=network_payer)
        floor.tell("anna sells 5 at 0.18")
        outcome = floor.tell("dora buys 6 at 0.25")
        assert isinstance(outcome, OrderAccepted)
        (trade,) = outcome.trades
        told = [
            trade.price_ugrx,
            trade.gross_ugrx,
            trade.net_ugrx,
            trade.fee_ugrx,
            trade.wheeling_ugrx,
            trade.loss_ugrx,
        ]
        assert told == [int(figure) for figure in figures], (fee_payer, network_payer)


def test_the_least_price_of_the_page_is_the_cores() -> None:
    floor = Floor({})
    assert isinstance(floor.tell("anna sells 1 at 0.002"), OrderAccepted)
    refused = floor.tell("anna sells 1 at 0.001")
    assert isinstance(refused, OrderRefused)
    assert refused.reason.value == "not_settleable"
    assert "0.002" in refused.detail
