"""The auction's worked numbers of docs/market.md come out of the core."""

from __future__ import annotations

import re
from itertools import pairwise

from tests.backend.interval_village import IntervalVillage
from tests.docs.markdown import DOCS, section, table

from gridtokenx_backend.core.auction.clearing import Clearing, clear
from gridtokenx_backend.core.auction.orders import RULES, AuctionOrder
from gridtokenx_backend.core.auction.volume import price_points
from gridtokenx_backend.core.model.ledger import CONGESTION, GRX, LOSSES, WHEELING
from gridtokenx_wire.units import format_grx, parse_grx, parse_kwh

PAGE = (DOCS / "market.md").read_text()
TICK_UGRX = 1000


def orders_in(heading: str) -> list[AuctionOrder]:
    return [
        AuctionOrder(
            number=int(number),
            wallet=member,
            side=side,
            price_ugrx=parse_grx(price),
            quantity_uwh=parse_kwh(kwh),
        )
        for number, member, side, kwh, price in table(section(PAGE, heading))
    ]


def changed(orders: list[AuctionOrder], what: str) -> list[AuctionOrder]:
    """`"order 2 sells 4"`: the same orders, one with another quantity."""
    if what == "nothing":
        return orders
    match = re.fullmatch(r"order (\d) (?:sells|buys) (\d+)", what)
    assert match is not None
    number, kwh = int(match[1]), match[2]
    return [
        AuctionOrder(
            number=o.number,
            wallet=o.wallet,
            side=o.side,
            price_ugrx=o.price_ugrx,
            quantity_uwh=parse_kwh(kwh),
        )
        if o.number == number
        else o
        for o in orders
    ]


def ends(cleared: Clearing) -> tuple[int | None, int | None]:
    return cleared.equilibrium.low_ugrx, cleared.equilibrium.high_ugrx


FIRST = orders_in("Interval: the call auction")


def test_demand_supply_and_volume_at_each_price() -> None:
    bids = [order for order in FIRST if order.side == "buy"]
    asks = [order for order in FIRST if order.side == "sell"]
    bids.sort(key=lambda order: -order.price_ugrx)
    points = price_points(bids, asks)
    assert [
        (parse_grx(price), parse_kwh(demand), parse_kwh(supply), parse_kwh(volume))
        for price, demand, supply, volume in table(section(PAGE, "Volume"))
    ] == [
        (point.price_ugrx, point.demand_uwh, point.supply_uwh, point.volume_uwh) for point in points
    ]
    assert all(former.price_ugrx < point.price_ugrx for former, point in pairwise(points))


def test_interval_price_and_welfare_of_each_variation() -> None:
    for what, volume, interval, price, welfare in table(section(PAGE, "Price")):
        cleared = clear(changed(FIRST, what), TICK_UGRX)
        low, high = interval.split(" to ")
        assert ends(cleared) == (parse_grx(low), parse_grx(high)), what
        assert cleared.volume_uwh == parse_kwh(volume)
        assert cleared.price_ugrx == parse_grx(price)
        assert cleared.welfare_ugrx == parse_grx(welfare)


def test_who_trades_is_as_the_page_says() -> None:
    first = clear(FIRST, TICK_UGRX)
    filled = {order.number for order, quantity in (*first.bids, *first.asks)}
    assert filled == {1, 2, 3, 4}
    assert all(quantity == order.quantity_uwh for order, quantity in (*first.bids, *first.asks))
    second = clear(changed(FIRST, "order 2 sells 4"), TICK_UGRX)
    assert {o.number: q for o, q in second.asks}[2] == parse_kwh("2")


def test_one_member_on_both_sides() -> None:
    cleared = clear(orders_in("One member on both sides"), TICK_UGRX)
    text = section(PAGE, "One member on both sides")
    told = re.search(r"volume is (\S+) kWh, the interval (\S+) to (\S+), the price (\S+)\. ", text)
    assert told is not None
    assert cleared.volume_uwh == parse_kwh(told[1])
    assert ends(cleared) == (parse_grx(told[2]), parse_grx(told[3]))
    assert cleared.price_ugrx == parse_grx(told[4])


def test_between_zones_every_microgrx_is_where_the_page_says() -> None:
    link = {"from": "north", "to": "south", "capacity_kwh": "4", "wheeling_grx_per_kwh": "0.02"}
    link |= {"loss_bps": 100, "loss_price_grx_per_kwh": "1"}
    village = IntervalVillage([link], market={"fee_bps": 0})
    village.place("anna sells 9 at 0.10", "cleo buys 9 at 0.50")
    (trade,) = village.clear().trades
    moved = [
        -village.change("cleo")[1],
        village.change("anna")[1],
        *(village.balance(account, GRX)[0] for account in (WHEELING, LOSSES, CONGESTION)),
    ]
    rows = table(section(PAGE, "Between zones"))
    assert [parse_grx(total) for _, _, total in rows] == moved
    assert [parse_grx(each) * 4 for _, each, _ in rows] == moved
    assert trade.rent_ugrx == moved[-1]
    assert format_grx(moved[-1]) == "1.480000"


def test_the_page_names_the_rules() -> None:
    assert f"`{RULES}`" in section(PAGE, "What is published")
