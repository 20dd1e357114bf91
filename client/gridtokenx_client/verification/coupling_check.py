"""The coupling between zones, checked against what it must be: nobody could gain by another flow.

A flow is the best there is if prices exist that it fits (linear programming's complementary
slackness): every zone's price is at or above all asks that were served and all bids that were not,
at or below all bids that were served and all asks that were not; over a link that carries, it rises
by the link's cost at least, over one that has room, by its cost at most. So the flow is taken as it
is published, and the prices that fit it are computed from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gridtokenx_client.verification.auction_check import (
    UWH_PER_KWH,
    Comparison,
    comparison,
    equilibrium,
    spell,
    spell_fills,
    traded,
)
from gridtokenx_client.verification.clearing_document import (
    Clearing,
    ClearingLink,
    Plain,
    plain,
    price_of,
)
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx, parse_kwh

Offer = tuple[int, int, int]
"""price, number, quantity: what an order has left, and for how much it is offered."""


def check_coupling(clearings: Sequence[Clearing]) -> Iterator[Comparison]:
    """Yield a comparison for everything that is published of one interval's coupling, from the
    documents of all its zones.

    Raises ValueError for amounts that are none.
    """
    links = clearings[0].links
    for clearing in clearings:
        is_same = clearing.links == links
        said = f"{len(links)}, the same as in {clearings[0].zone}"
        yield Comparison(
            zone=clearing.zone,
            check="links",
            published=said if is_same else "others",
            computed=said,
            holds=is_same,
        )
    names = {clearing.zone for clearing in clearings}
    for link in links:
        missing = {link.from_zone, link.to_zone} - names
        if missing:
            yield comparison(
                ", ".join(sorted(missing)), "documents of all zones", "missing", "there"
            )
            return
    bids = {clearing.zone: offered(clearing, "buy") for clearing in clearings}
    asks = {clearing.zone: offered(clearing, "sell") for clearing in clearings}
    for link in links:
        yield from check_link(link, clearings)
    ranges = price_ranges(clearings, links, bids, asks)
    for clearing in clearings:
        yield from check_zone(clearing, links, bids, asks, ranges[clearing.zone])


def offered(clearing: Clearing, side: str) -> list[Offer]:
    """Return what a zone's orders have left after its auction, first served first.

    Where bids and asks are left that would trade, only one member's own orders stand against each
    other: bids are then offered at the zone's price at most, asks at that price at least, or a tick
    above it where bids are left at it.
    """
    orders = [plain(order) for order in clearing.book]
    done = traded(clearing)
    left = [
        msgspec.structs.replace(order, quantity=order.quantity - done.get(order.number, 0))
        for order in orders
    ]
    left = [order for order in left if order.quantity]
    best_bid = max((order.price for order in left if order.side == "buy"), default=None)
    best_ask = min((order.price for order in left if order.side == "sell"), default=None)
    crossed = best_bid is not None and best_ask is not None and best_bid >= best_ask
    price = zone_price(clearing, orders) if crossed else None
    sign = -1 if side == "buy" else 1
    mine = sorted(
        (order for order in left if order.side == side),
        key=lambda order: (sign * order.price, order.number),
    )
    if price is None:
        return [(order.price, order.number, order.quantity) for order in mine]
    if side == "buy":
        return [(min(order.price, price), order.number, order.quantity) for order in mine]
    if best_bid is not None and best_bid >= price:
        price += parse_grx(clearing.tick_grx_per_kwh)
    return [(max(order.price, price), order.number, order.quantity) for order in mine]


def zone_price(clearing: Clearing, orders: Sequence[Plain]) -> int:
    """Return the auction's price, or where nothing traded the middle of its interval."""
    if clearing.price_grx_per_kwh is not None:
        return parse_grx(clearing.price_grx_per_kwh)
    _, low, high = equilibrium(orders)
    tick = parse_grx(clearing.tick_grx_per_kwh)
    return ((low or 0) + (high or 0)) // 2 // tick * tick


def check_link(link: ClearingLink, clearings: Sequence[Clearing]) -> Iterator[Comparison]:
    """Yield a link carries no more than it can, and earns what prices rise by above its cost."""
    name = f"{link.from_zone} to {link.to_zone}"
    flow, capacity = parse_kwh(link.flow_kwh), parse_kwh(link.capacity_kwh)
    yield comparison(name, "flow within capacity", yes(0 <= flow <= capacity), "yes")
    prices = {each.zone: price_of(each.coupling_price_grx_per_kwh) for each in clearings}
    rent = 0
    below, above = prices[link.from_zone], prices[link.to_zone]
    if flow and below is not None and above is not None:
        rent = above - below - cost_of(link)
    yield comparison(name, "rent for each kWh", link.rent_grx_per_kwh, format_grx(rent))
    yield comparison(name, "rent", link.rent_grx, format_grx(rent * flow // UWH_PER_KWH))
    yield comparison(name, "rent only where it is full", yes(rent == 0 or flow == capacity), "yes")


def yes(holds: bool) -> str:  # noqa: FBT001
    return "yes" if holds else "no"


def cost_of(link: ClearingLink) -> int:
    return parse_grx(link.wheeling_grx_per_kwh) + parse_grx(link.loss_grx_per_kwh)


def price_ranges(
    clearings: Sequence[Clearing],
    links: Sequence[ClearingLink],
    bids: dict[str, list[Offer]],
    asks: dict[str, list[Offer]],
) -> dict[str, tuple[int | None, int | None]]:
    """Return the lowest and the highest price of each zone that fit the flow (Bellman, Ford)."""
    lows: dict[str, int | None] = {}
    highs: dict[str, int | None] = {}
    for clearing in clearings:
        served_ask, spare_ask = margin(asks[clearing.zone], parse_kwh(clearing.exported_kwh))
        served_bid, spare_bid = margin(bids[clearing.zone], parse_kwh(clearing.imported_kwh))
        lows[clearing.zone] = max(known(served_ask, spare_bid), default=None)
        highs[clearing.zone] = min(known(served_bid, spare_ask), default=None)
    rules = []
    for link in links:
        flow, cost = parse_kwh(link.flow_kwh), cost_of(link)
        if flow:
            rules.append((link.from_zone, link.to_zone, cost))
        if flow < parse_kwh(link.capacity_kwh):
            rules.append((link.to_zone, link.from_zone, -cost))
    for _ in clearings:
        for lower, upper, difference in rules:  # price of upper >= price of lower + difference
            below, above = lows[lower], highs[upper]
            if below is not None:
                lows[upper] = max(known(lows[upper], below + difference))
            if above is not None:
                highs[lower] = min(known(highs[lower], above - difference))
    return {zone: (lows[zone], highs[zone]) for zone in lows}


def margin(offers: Sequence[Offer], used: int) -> tuple[int | None, int | None]:
    """Return the price of the last offer that is served, and of the first that has
    something left.
    """
    last = None
    for price, _, quantity in offers:
        if used:
            last = price
        if used < quantity:
            return last, price
        used -= quantity
    return last, None


def known(*prices: int | None) -> list[int]:
    return [price for price in prices if price is not None]


def check_zone(
    clearing: Clearing,
    links: Sequence[ClearingLink],
    bids: dict[str, list[Offer]],
    asks: dict[str, list[Offer]],
    found: tuple[int | None, int | None],
) -> Iterator[Comparison]:
    """Yield whether energy is conserved, prices fit, and the orders that come first were served
    first.
    """
    zone = clearing.zone
    exported, imported = parse_kwh(clearing.exported_kwh), parse_kwh(clearing.imported_kwh)
    comes = sum(parse_kwh(link.flow_kwh) for link in links if link.to_zone == zone)
    goes = sum(parse_kwh(link.flow_kwh) for link in links if link.from_zone == zone)
    balance = format_kwh(exported + comes - imported - goes)
    yield comparison(zone, "coupling: in less out", balance, format_kwh(0))
    low, high = found if comes or goes else (None, None)
    fits = low is None or high is None or low <= high
    yield comparison(zone, "coupling: no better flow", yes(fits), "yes")
    published = price_of(clearing.coupling_low_grx_per_kwh)
    yield comparison(zone, "coupling: lowest price", spell(published), spell(low))
    published = price_of(clearing.coupling_high_grx_per_kwh)
    yield comparison(zone, "coupling: highest price", spell(published), spell(high))
    price = None
    if low is not None and high is not None:
        tick = parse_grx(clearing.tick_grx_per_kwh)
        price = (low + high) // 2 // tick * tick
    published = price_of(clearing.coupling_price_grx_per_kwh)
    yield comparison(zone, "coupling: price", spell(published), spell(price))
    expected = {**first_served(bids[zone], imported), **first_served(asks[zone], exported)}
    yield comparison(
        zone, "coupling: trades", spell_fills(crossed(clearing)), spell_fills(expected)
    )


def first_served(offers: Sequence[Offer], amount: int) -> dict[int, int]:
    found = {}
    for _, number, quantity in offers:
        part = min(amount, quantity)
        if part:
            found[number] = part
        amount -= part
    return found


def crossed(clearing: Clearing) -> dict[int, int]:
    """Return what the zone's orders traded with other zones."""
    found: dict[int, int] = {}
    for trade in clearing.trades:
        if trade.buyer_zone != trade.seller_zone:
            mine = trade.buyer_order if trade.buyer_zone == clearing.zone else trade.seller_order
            found[mine] = found.get(mine, 0) + parse_kwh(trade.quantity_kwh)
    return found
