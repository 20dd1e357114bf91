"""The clearing of one interval: standing orders, each zone's auction, the coupling, and settlement.

All of it is one journal entry. The price of an auction is what sellers get. Between zones the price
of the buyer's zone is the price of the seller's zone with wheeling, loss and rent. Who pays which
charge changes none of these prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridtokenx_backend.core.auction.clearing import Clearing
from gridtokenx_backend.core.auction.coupling import Coupling
from gridtokenx_backend.core.auction.flow import CouplingLink
from gridtokenx_backend.core.auction.orders import AuctionOrder
from gridtokenx_backend.core.clearing.zone_clearing import (
    clear_zones,
    link_clearings,
    zone_clearings,
)
from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.market.trading_state import OPEN
from gridtokenx_backend.core.messages.inputs import ClearingInput
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, NotDue, OrderAccepted, Trade
from gridtokenx_backend.core.model.ledger import GRID, Movement
from gridtokenx_backend.core.model.zones import INTERVAL_MS, LinkRules
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.orders import standing_orders
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_backend.core.sharing import interval_allocation
from gridtokenx_backend.core.state.community import Community


def clear(community: Community, command: ClearingInput, at_ms: int) -> IntervalCleared | NotDue:
    """Clear the interval that the command names, if it is the next one and its time has come."""
    interval_ms = command.interval_ms
    if interval_ms != community.cleared_ms or community.clear_due_ms > at_ms:
        return NotDue(interval_ms=community.cleared_ms, due_ms=community.clear_due_ms)
    community.cleared_ms = interval_ms + INTERVAL_MS
    retirement.book_energy(
        community, intervals.take(community.meters.values(), community.cleared_ms)
    )
    if community.active_terms.sharing.is_sharing:
        return _share(community, interval_ms, at_ms)
    return _trade(community, interval_ms, at_ms)


def _share(community: Community, interval_ms: int, at_ms: int) -> IntervalCleared:
    """Clear the interval by the community's key instead of by price."""
    allocated = interval_allocation.allocate(community, interval_ms)
    for movement in allocated.movements:
        if movement.asset == GRID and movement.debit in community.members:
            retirement.note_spent(community, community.members[movement.debit])
    retirements, retired = retirement.retire(community, at_ms)
    return IntervalCleared(
        interval_ms=interval_ms,
        tick_ugrx=community.market.rules.tick_ugrx,
        zones=[],
        links=[],
        orders=[],
        trades=[],
        movements=allocated.movements + retired,
        cancelled=[],
        retirements=retirements,
        shared=allocated.allocations,
    )


def _trade(community: Community, interval_ms: int, at_ms: int) -> IntervalCleared:
    """Clear the interval by price: auctions, coupling, and the settlement of both."""
    orders = _place_standing(community, interval_ms, at_ms)
    tick_ugrx = community.market.rules.tick_ugrx
    books = _books(community)
    rules = _open_links(community, books)
    links = _coupling_links(community, rules, interval_ms)
    auctions, coupling = clear_zones(books, links, tick_ugrx)
    trades, movements = _settle(community, auctions, coupling, rules)
    for link, use in zip(rules, coupling.links, strict=True):
        if use.flow_uwh:
            community.market.trading.pass_through(link, use.flow_uwh, interval_ms)
    cancelled = _withdraw(community, orders)
    retirement.note_trades(community, trades)
    retirements, retired = retirement.retire(community, at_ms)
    community.counters.orders += len(orders)
    community.counters.trades += len(trades)
    return IntervalCleared(
        interval_ms=interval_ms,
        tick_ugrx=tick_ugrx,
        zones=zone_clearings(interval_ms, books, auctions, coupling),
        links=link_clearings(rules, links, coupling),
        orders=orders,
        trades=trades,
        movements=movements + retired,
        cancelled=cancelled,
        retirements=retirements,
    )


def _place_standing(community: Community, interval_ms: int, at_ms: int) -> list[OrderAccepted]:
    """Put what the standing orders ask of this interval into the book, for this clearing only."""
    placed = []
    for request in standing_orders.orders_for_interval(community, interval_ms):
        order = standing_orders.new_order_of(community, request)
        outcome = community.interval.place(order, at_ms)
        if isinstance(outcome, OrderAccepted):
            community.next_order += 1
            placed.append(outcome)
    return placed


def _books(community: Community) -> dict[str, list[AuctionOrder]]:
    """Return the orders of each zone that is open, in the order of their numbers."""
    states = community.market.trading.zones
    books: dict[str, list[AuctionOrder]] = {
        name: [] for name, state in states.items() if state.status == OPEN
    }
    for order in community.interval.book.orders.values():
        if order.zone in books:
            books[order.zone].append(
                AuctionOrder(
                    number=order.number,
                    wallet=order.wallet,
                    side=order.side,
                    price_ugrx=order.price_ugrx,
                    quantity_uwh=order.remaining_uwh,
                )
            )
    for book in books.values():
        book.sort(key=lambda order: order.number)
    return books


def _open_links(
    community: Community, books: Mapping[str, list[AuctionOrder]]
) -> tuple[LinkRules, ...]:
    """Return the links between zones that are open; none if the terms want no coupling."""
    if not community.active_terms.interval.coupling:
        return ()
    return tuple(
        link
        for link in community.market.rules.links
        if link.from_zone in books and link.to_zone in books
    )


def _coupling_links(
    community: Community, rules: Sequence[LinkRules], interval_ms: int
) -> list[CouplingLink]:
    """Return the links with the capacity that the realtime market has left of this interval."""
    return [
        CouplingLink(
            source=link.from_zone,
            target=link.to_zone,
            capacity_uwh=community.market.trading.room_uwh(link, interval_ms),
            cost_ugrx=link.charge_ugrx,
        )
        for link in rules
    ]


def _settle(
    community: Community,
    auctions: Mapping[str, Clearing],
    coupling: Coupling,
    rules: Sequence[LinkRules],
) -> tuple[list[Trade], list[Movement]]:
    """Deliver every pair's energy against payment: zone by zone, then what crosses links."""
    market, orders = community.interval, dict(community.interval.book.orders)
    trades: list[Trade] = []
    movements: list[Movement] = []
    for auction in auctions.values():
        for pair in auction.pairs:
            assert auction.price_ugrx is not None
            trade, moved = market.settle(
                orders[pair.buyer],
                orders[pair.seller],
                quantity_uwh=pair.quantity_uwh,
                seller_ugrx=auction.price_ugrx,
            )
            trades.append(trade)
            movements += moved
    prices = {zone.zone: zone.price_ugrx for zone in coupling.zones}
    for crossing in coupling.pairs:
        bid, ask = orders[crossing.buyer], orders[crossing.seller]
        seller_ugrx = prices[ask.zone]
        assert seller_ugrx is not None
        trade, moved = market.settle(
            bid,
            ask,
            quantity_uwh=crossing.quantity_uwh,
            seller_ugrx=seller_ugrx,
            way=tuple(rules[number] for number in crossing.way),
            rent_ugrx_per_kwh=sum(
                coupling.links[number].rent_ugrx_per_kwh for number in crossing.way
            ),
        )
        trades.append(trade)
        movements += moved
    return trades, movements


def _withdraw(community: Community, placed: Sequence[OrderAccepted]) -> list[int]:
    """Cancel what is left of the orders that standing orders placed. Return their numbers."""
    left: list[RestingOrder] = [
        order
        for each in placed
        if (order := community.interval.book.orders.get(each.number)) is not None
    ]
    for order in left:
        community.interval.cancel(order)
    return [order.number for order in left]
