"""Coupling between zones, against every flow tried one by one and against a linear program."""

from __future__ import annotations

from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from tests.backend.core.auction.books import KWH, book

from gridtokenx_backend.core.auction.clearing import clear
from gridtokenx_backend.core.auction.coupling import Coupling, couple
from gridtokenx_backend.core.auction.flow import CouplingLink
from gridtokenx_backend.core.auction.offers import ZoneOffers, offers
from gridtokenx_backend.core.auction.orders import BUY, SELL, AuctionOrder

ZONES = ("north", "south", "west")


def zone(name: str, *texts: str, first: int = 1) -> ZoneOffers:
    """What is left of a book after its own auction; order numbers count from `first`."""
    orders = [
        msgspec.structs.replace(each, number=each.number + first - 1) for each in book(*texts)
    ]
    return offers(name, orders, clear(orders, 1), 1)


def link(text: str) -> CouplingLink:
    """`"north south 5 at 2"`: 5 kWh, 2 µGRX a kWh."""
    source, target, capacity, _, cost = text.split()
    return CouplingLink(
        source=source, target=target, capacity_uwh=int(capacity) * KWH, cost_ugrx=int(cost)
    )


def coupled(result: Coupling) -> list[tuple[int, int, int, list[int]]]:
    return [(p.buyer, p.seller, p.quantity_uwh // KWH, p.way) for p in result.pairs]


def test_energy_goes_where_it_is_worth_more_until_the_link_is_full() -> None:
    zones = [
        zone("north", "anna sells 9 at 2"),
        zone("south", "ben buys 9 at 10", first=11),
    ]
    result = couple(zones, [link("north south 4 at 3")], 1)
    assert coupled(result) == [(11, 1, 4, [0])]
    # Neither side is served whole, so both margins set their zone's price; the link keeps the rest.
    assert [each.price_ugrx for each in result.zones] == [2, 10]
    assert (result.links[0].rent_ugrx_per_kwh, result.links[0].rent_ugrx) == (5, 20)
    assert result.welfare_ugrx == 4 * (10 - 2 - 3)


def test_with_room_on_the_link_the_prices_differ_by_its_cost() -> None:
    zones = [
        zone("north", "anna sells 4 at 2"),
        zone("south", "ben buys 4 at 10", first=11),
    ]
    result = couple(zones, [link("north south 9 at 3")], 1)
    north, south = result.zones
    assert (north.low_ugrx, north.high_ugrx, north.price_ugrx) == (2, 7, 4)
    assert (south.low_ugrx, south.high_ugrx, south.price_ugrx) == (5, 10, 7)
    assert result.links[0].rent_ugrx == 0


def test_energy_passes_through_a_zone_that_wants_none() -> None:
    zones = [
        zone("north", "anna sells 4 at 2"),
        zone("west"),
        zone("south", "ben buys 4 at 10", first=11),
    ]
    result = couple(zones, [link("north west 9 at 3"), link("west south 9 at 1")], 1)
    assert coupled(result) == [(11, 1, 4, [0, 1])]
    assert [each.price_ugrx for each in result.zones] == [4, 7, 8]


@pytest.mark.parametrize("cost", [8, 9])
def test_energy_goes_as_long_as_nobody_loses(cost: int) -> None:
    zones = [
        zone("north", "anna sells 4 at 2"),
        zone("south", "ben buys 4 at 10", first=11),
    ]
    result = couple(zones, [link(f"north south 9 at {cost}")], 1)
    assert bool(result.pairs) == (cost == 8)


def test_of_two_ways_that_cost_the_same_the_one_over_fewer_links_is_taken() -> None:
    zones = [
        zone("north", "anna sells 4 at 2"),
        zone("west"),
        zone("south", "ben buys 4 at 10", first=11),
    ]
    links = [link("north west 9 at 1"), link("west south 9 at 1"), link("north south 9 at 2")]
    assert coupled(couple(zones, links, 1)) == [(11, 1, 4, [2])]


def test_a_member_does_not_reach_itself_by_way_of_another_zone() -> None:
    zones = [
        zone("north", "anna sells 4 at 1", "anna buys 4 at 20"),
        zone("south"),
    ]
    result = couple(zones, [link("north south 9 at 0"), link("south north 9 at 0")], 1)
    assert result.pairs == []


def test_a_member_kept_apart_from_itself_may_still_buy_from_another_zone() -> None:
    zones = [
        zone("north", "anna sells 4 at 1", "anna buys 4 at 20"),
        zone("south", "ben sells 3 at 5", first=11),
    ]
    result = couple(zones, [link("south north 9 at 1")], 1)
    assert coupled(result) == [(2, 11, 3, [0])]
    assert result.zones[0].price_ugrx is not None
    assert result.zones[0].price_ugrx <= 10


@st.composite
def grids(draw: st.DrawFn) -> tuple[list[ZoneOffers], list[CouplingLink]]:
    """Three zones after their own auctions, members of one zone each, and up to five links."""
    zones = []
    for place, name in enumerate(ZONES):
        lines = draw(
            st.lists(
                st.tuples(
                    st.integers(0, 2),
                    st.sampled_from((BUY, SELL)),
                    st.integers(1, 12),
                    st.integers(1, 4),
                ),
                max_size=5,
            )
        )
        orders = [
            AuctionOrder(
                number=100 * place + at,
                wallet=f"{name}{member}",
                side=side,
                price_ugrx=price,
                quantity_uwh=quantity * KWH,
            )
            for at, (member, side, price, quantity) in enumerate(lines)
        ]
        zones.append(offers(name, orders, clear(orders, 1), 1))
    pairs = [(a, b) for a in ZONES for b in ZONES if a != b]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=5))
    links = [
        CouplingLink(
            source=a,
            target=b,
            capacity_uwh=draw(st.integers(1, 3)) * KWH,
            cost_ugrx=draw(st.integers(0, 3)),
        )
        for a, b in chosen
    ]
    return zones, links


Grid = tuple[list[ZoneOffers], list[CouplingLink]]


def effective_welfare(zones: list[ZoneOffers], links: list[CouplingLink], result: Coupling) -> int:
    """At the offers' prices, which only differ from the limits where a member meets itself."""
    total = 0
    for each, offered in zip(result.zones, zones, strict=True):
        total += worth(offered.bids, each.imported_uwh) - worth(offered.asks, each.exported_uwh)
    for line, use in zip(links, result.links, strict=True):
        total -= line.cost_ugrx * use.flow_uwh
    assert total % KWH == 0
    return total // KWH


def worth(offered: list, used: int) -> int:
    total = 0
    for each in offered:
        part = min(used, each.quantity_uwh)
        total += part * each.price_ugrx
        used -= part
    assert used == 0
    return total


def best_by_trial(zones: list[ZoneOffers], links: list[CouplingLink]) -> tuple[int, int]:
    """(welfare, kWh) of the best of all whole-kWh flows; welfare first."""
    best = 0, 0
    for over in product(*(range(each.capacity_uwh // KWH + 1) for each in links)):
        net = dict.fromkeys(ZONES, 0)
        for each, flow in zip(links, over, strict=True):
            net[each.source] -= flow
            net[each.target] += flow
        welfare = -sum(each.cost_ugrx * flow for each, flow in zip(links, over, strict=True))
        volume = 0
        possible = True
        for offered in zones:
            side = offered.bids if net[offered.zone] > 0 else offered.asks
            amount = abs(net[offered.zone])
            if amount * KWH > sum(each.quantity_uwh for each in side):
                possible = False
                break
            value = worth(side, amount * KWH) // KWH
            welfare += value if net[offered.zone] > 0 else -value
            volume += max(0, net[offered.zone])
        if possible:
            best = max(best, (welfare, volume))
    return best


@settings(max_examples=150)
@given(grids())
def test_no_other_flow_is_worth_more_or_moves_more_for_the_same(grid: Grid) -> None:
    zones, links = grid
    result = couple(zones, links, 1)
    volume = sum(each.imported_uwh for each in result.zones) // KWH
    assert (effective_welfare(zones, links, result), volume) == best_by_trial(zones, links)


def program(zones: list[ZoneOffers], links: list[CouplingLink]) -> object:
    """The same as a linear program: asks in, bids out, conserved in every zone."""
    costs, most, columns = [], [], []
    for row, offered in enumerate(zones):
        for sign, side in ((1, offered.asks), (-1, offered.bids)):
            for each in side:
                costs.append(sign * each.price_ugrx)
                most.append(each.quantity_uwh / KWH)
                columns.append(unit(row) * sign)
    for each in links:
        costs.append(each.cost_ugrx)
        most.append(each.capacity_uwh / KWH)
        columns.append(unit(ZONES.index(each.target)) - unit(ZONES.index(each.source)))
    bounds = [(0, upper) for upper in most]
    return linprog(costs, A_eq=np.array(columns).T, b_eq=np.zeros(3), bounds=bounds)


def unit(row: int) -> np.ndarray:
    return np.eye(3)[row]


@settings(max_examples=150, deadline=None)
@given(grids())
def test_a_linear_program_finds_the_same_welfare_and_prices_inside_our_ranges(grid: Grid) -> None:
    zones, links = grid
    if not links or not any(each.bids or each.asks for each in zones):
        return
    result = couple(zones, links, 1)
    solved = program(zones, links)
    assert effective_welfare(zones, links, result) == pytest.approx(-solved.fun)
    for each, dual in zip(result.zones, solved.eqlin.marginals, strict=True):
        if each.price_ugrx is not None:
            assert each.low_ugrx - 1e-6 <= dual <= each.high_ugrx + 1e-6


@settings(max_examples=150)
@given(grids())
def test_everybody_is_content_and_all_money_is_accounted_for(grid: Grid) -> None:
    zones, links = grid
    result = couple(zones, links, 1)
    prices = {each.zone: each.price_ugrx for each in result.zones}
    of = {
        each.order.number: (each, offered.zone)
        for offered in zones
        for each in (*offered.bids, *offered.asks)
    }
    over = [0] * len(links)
    traded: dict[int, int] = {}
    paid = got = 0
    for each in result.pairs:
        (buyer, to), (seller, source) = of[each.buyer], of[each.seller]
        assert buyer.order.wallet != seller.order.wallet
        assert buyer.order.price_ugrx >= prices[to]
        assert seller.order.price_ugrx <= prices[source]
        here = source
        for number in each.way:
            assert links[number].source == here
            here = links[number].target
            over[number] += each.quantity_uwh
        assert here == to != source
        paid += prices[to] * each.quantity_uwh
        got += prices[source] * each.quantity_uwh
        for number in (each.buyer, each.seller):
            traded[number] = traded.get(number, 0) + each.quantity_uwh
    assert all(amount <= of[number][0].quantity_uwh for number, amount in traded.items())
    assert over == [use.flow_uwh for use in result.links]
    charges = sum(
        use.flow_uwh * (line.cost_ugrx + use.rent_ugrx_per_kwh)
        for line, use in zip(links, result.links, strict=True)
    )
    assert paid == got + charges
    for line, use in zip(links, result.links, strict=True):
        assert use.flow_uwh <= line.capacity_uwh
        assert use.rent_ugrx >= 0
        assert use.rent_ugrx == 0 or use.flow_uwh == line.capacity_uwh
