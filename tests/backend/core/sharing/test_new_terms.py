"""New terms while orders rest and standing orders are at work."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.backend.settling import Settling
from tests.backend.sharing_village import key
from tests.backend.village import KWH, NAME, Village, assert_sound, convert_terms

from gridtokenx_backend.config.terms_checks import check_terms
from gridtokenx_backend.core.messages.outcomes import Ticked

SHARED: dict[str, Any] = {
    "community": {"name": NAME, "mode": "dynamic"},
    "sharing": {"key": [key()]},
    "interval": {"enabled": True},
}
MARKET: dict[str, Any] = {"community": {"name": NAME}, "sharing": {}}


@pytest.mark.parametrize(
    ("terms", "stays"),
    [
        ({"zone": [{"name": "main", "ceiling_grx_per_kwh": "0.4"}]}, False),
        ({"zone": [{"name": "main", "floor_grx_per_kwh": "0.6"}]}, False),
        ({"market": {"highest_price_grx_per_kwh": "0.4"}}, False),
        ({"zone": [{"name": "main", "ceiling_grx_per_kwh": "0.5"}]}, True),
        ({"market": {"highest_price_grx_per_kwh": "0.5"}}, True),
    ],
)
@pytest.mark.parametrize("segment", ["realtime", "interval"])
def test_an_order_whose_price_the_new_terms_refuse_is_cancelled(
    terms: dict[str, Any], stays: bool, segment: str
) -> None:
    village = Village()
    village.give_grid(village.north, "ABB-1", 5 * KWH)
    order = village.anna.order("a", "sell", "1", "0.5")
    village.accept(msgspec.structs.replace(order, segment=segment))
    village.configure(**terms)
    community = village.community
    found = len(community.book.orders) + len(community.interval.book.orders)
    assert found == stays
    assert village.grid(village.anna) == (5 * KWH, KWH * stays)


def test_a_standing_order_at_less_than_a_tick_waits_for_a_price_that_is_one() -> None:
    village = Settling()
    village.tell(village.ben.standing("s", "buy", "0.001", issued_ms=village.at_ms))
    market = {"lot_kwh": "0.0001", "tick_grx_per_kwh": "0.01"}
    village.configure(market=market)
    assert _findings(village) == []
    village.read("ABB-2", import_uwh=2 * KWH, quarters=1)
    ticked = village.tick()
    assert isinstance(ticked, Ticked)
    assert ticked.orders == []
    village.tell(village.ben.standing("t", "buy", "0.02", issued_ms=village.at_ms))
    ticked = village.tick()
    assert isinstance(ticked, Ticked)
    assert [order.remaining_uwh for order in ticked.orders] == [2 * KWH]


@pytest.mark.parametrize("segment", ["realtime", "interval"])
def test_no_order_rests_or_is_placed_where_energy_is_shared(segment: str) -> None:
    village = Settling(interval={"enabled": True})
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    at_ms = village.at_ms
    order = village.ben.order("b", "buy", "1", "0.2", issued_ms=at_ms)
    village.accept(msgspec.structs.replace(order, segment=segment))
    village.tell(village.anna.standing("s", "sell", "0.1", issued_ms=at_ms))
    village.configure(**SHARED)
    assert _findings(village) == []
    ticked = village.tick()
    assert isinstance(ticked, Ticked)
    assert ticked.orders == []
    community = village.community
    assert not community.book.orders
    assert not community.interval.book.orders
    assert community.ledger.state.pendings == {}


def test_what_was_imported_while_it_was_shared_is_not_ordered_afterwards() -> None:
    village = Settling(interval={"enabled": True})
    village.tell(village.ben.standing("s", "buy", "0.2", issued_ms=village.at_ms))
    village.configure(**SHARED)
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    village.configure(**MARKET)
    village.read("ABB-2", import_uwh=2 * KWH, quarters=1)
    ticked = village.tick()
    assert isinstance(ticked, Ticked)
    assert [order.remaining_uwh for order in ticked.orders] == [2 * KWH]
    assert_sound(village.community)


def _findings(village: Village) -> list[tuple[str, str]]:
    return list(check_terms(convert_terms(village.document)))
