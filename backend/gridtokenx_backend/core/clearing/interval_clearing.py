"""One interval's clearing: standing orders, each zone's auction, the coupling, and settlement.

All of it is one journal entry. Whoever pays which charge changes no price: the auction's price is
what sellers get, and between zones the buyer's zone's price is that, wheeling, loss and rent.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from gridtokenx_backend.core.market.continuous_market import NewOrder
from gridtokenx_backend.core.market.trading_state import OPEN
from gridtokenx_backend.core.messages.inputs import ClearInput
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, NotDue, OrderAccepted, Trade
from gridtokenx_backend.core.model.ledger import GRID, Movement
from gridtokenx_backend.core.model.zones import INTERVAL_MS, LinkRules
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.orders import standing_orders
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_backend.core.sharing import interval_allocation
from gridtokenx_backend.core.state.community import Community


def clear(community: Community, given: ClearInput, at_ms: int) -> IntervalCleared | NotDue:
    """Clears the next interval, if that is `given` and its time has come."""
    interval_ms = given.interval_ms
    if interval_ms != community.cleared_ms or community.clear_due_ms > at_ms:
        return NotDue(interval_ms=community.cleared_ms, due_ms=community.clear_due_ms)
    community.cleared_ms = interval_ms + INTERVAL_MS
    retirement.book_energy(
        community, intervals.take(community.meters.values(), community.cleared_ms)
    )
    if community.active_terms.sharing.is_sharing:
        return _share(community, interval_ms, at_ms)
    cleared = _trade(community, interval_ms, _place_standing(community, interval_ms, at_ms))
    retirement.note_trades(community, cleared.trades)
    retirements, movements = retirement.retire(community, at_ms)
    cleared.retirements.extend(retirements)
    cleared.movements.extend(movements)
    community.counters.orders += len(cleared.orders)
    community.counters.trades += len(cleared.trades)
    return cleared


def _share(community: Community, interval_ms: int, at_ms: int) -> IntervalCleared:
    """The interval by the community's key instead of by price."""
    shared = interval_allocation.clear(community, interval_ms)
    for movement in shared.movements:
        if movement.asset == GRID and movement.debit in community.members:
            retirement.note_spent(community, community.members[movement.debit])
    retirements, retired = retirement.retire(community, at_ms)
    movements = shared.movements + retired
    tick_ugrx = community.market.rules.tick_ugrx
    return IntervalCleared(
        interval_ms=interval_ms,
        tick_ugrx=tick_ugrx,
        zones=[],
        links=[],
        orders=[],
        trades=[],
        movements=movements,
        cancelled=[],
        retirements=retirements,
        shared=shared.allocations,
    )


def _place_standing(community: Community, interval_ms: int, at_ms: int) -> list[OrderAccepted]:
    """Puts what the standing orders ask of this interval into the book, for its clearing only."""
    placed = []
    for wish in standing_orders.orders_for_interval(community, interval_ms):
        number = community.next_order
        order = NewOrder(
            number=number,
            key=f"{wish.wallet}:standing-{number}",
            wallet=wish.wallet,
            side=wish.side,
            price_ugrx=wish.price_ugrx,
            quantity_uwh=wish.quantity_uwh,
            rests=True,
            standing=True,
            zone=community.members[wish.wallet].zone,
        )
        outcome = community.interval.place(order, at_ms)
        if isinstance(outcome, OrderAccepted):
            community.next_order += 1
            placed.append(outcome)
    return placed


def _trade(community: Community, interval_ms: int, orders: list[OrderAccepted]) -> IntervalCleared:
    """Runs the auctions and the coupling over the book, and settles what they found."""
    rules, active_terms = community.market.rules, community.active_terms.interval
    books = _books(community)
    ways = _links(community, books) if active_terms.coupling else ()
    links = [
        CouplingLink(
            source=link.from_zone,
            target=link.to_zone,
            capacity_uwh=community.market.trading.room_uwh(link, interval_ms),
            cost_ugrx=link.charge_ugrx,
        )
        for link in ways
    ]
    auctions, coupling = clear_zones(books, links, rules.tick_ugrx)
    movements: list[Movement] = []
    trades = _settle(community, auctions, coupling, ways, movements)
    for link, use in zip(ways, coupling.links, strict=True):
        if use.flow_uwh:
            community.market.trading.pass_through(link, use.flow_uwh, interval_ms)
    return IntervalCleared(
        interval_ms=interval_ms,
        tick_ugrx=rules.tick_ugrx,
        zones=zone_clearings(interval_ms, books, auctions, coupling),
        links=link_clearings(ways, links, coupling),
        orders=orders,
        trades=trades,
        movements=movements,
        cancelled=_withdraw(community, orders),
        retirements=[],
    )


def _books(community: Community) -> dict[str, list[AuctionOrder]]:
    """The orders of each zone that is open, in the order of their numbers."""
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


def _links(community: Community, books: dict[str, list[AuctionOrder]]) -> tuple[LinkRules, ...]:
    """The links between zones that are open."""
    return tuple(
        link
        for link in community.market.rules.links
        if link.from_zone in books and link.to_zone in books
    )


def _settle(
    community: Community,
    auctions: dict[str, Clearing],
    coupling: Coupling,
    ways: tuple[LinkRules, ...],
    movements: list[Movement],
) -> list[Trade]:
    """Delivery versus payment for every pair: zone by zone, then what crosses links."""
    market, orders = community.interval, dict(community.interval.book.orders)
    trades = []
    for auction in auctions.values():
        for pair in auction.pairs:
            assert auction.price_ugrx is not None
            bid, ask = orders[pair.buyer], orders[pair.seller]
            trades.append(market.settle(bid, ask, pair.quantity_uwh, auction.price_ugrx, movements))
    prices = {zone.zone: zone.price_ugrx for zone in coupling.zones}
    for crossing in coupling.pairs:
        bid, ask = orders[crossing.buyer], orders[crossing.seller]
        seller_ugrx = prices[ask.zone]
        assert seller_ugrx is not None
        way = tuple(ways[number] for number in crossing.way)
        rent_ugrx = sum(coupling.links[number].rent_ugrx_per_kwh for number in crossing.way)
        trades.append(
            market.settle(bid, ask, crossing.quantity_uwh, seller_ugrx, movements, way, rent_ugrx)
        )
    return trades


def _withdraw(community: Community, placed: Sequence[OrderAccepted]) -> list[int]:
    """Cancels what is left of the standing orders' orders; their numbers."""
    left: list[RestingOrder] = [
        order
        for each in placed
        if (order := community.interval.book.orders.get(each.number)) is not None
    ]
    for order in left:
        community.interval.cancel(order)
    return [order.number for order in left]
