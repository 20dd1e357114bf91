"""Who trades with an incoming order: decided before anything moves.

Best price first, then the oldest order. A buyer sees asks of other zones at landed cost (ask +
wheeling + loss), a seller sees bids less the same; the resting order's price holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Final

import msgspec

from gridtokenx_backend.core.market.book import BUY, SELL, Book, RestingOrder
from gridtokenx_backend.core.market.trading_state import PriceBand, Route
from gridtokenx_backend.core.model.zones import LinkRules
from gridtokenx_wire.order import SelfTradePrevention, Side

SKIP: Final = "skip"
CANCEL_RESTING: Final = "cancel_resting"
CANCEL_INCOMING: Final = "cancel_incoming"


class Incoming(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What of an order decides with whom it trades. `stp` says what its own resting orders do:

    skip passes them over, cancel_resting takes them out, cancel_incoming ends the incoming order.
    """

    wallet: str
    side: Side
    limit_ugrx: int
    quantity_uwh: int
    stp: SelfTradePrevention = SKIP


class Fill(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """`quantity_uwh` of the resting order `maker`, for whose seller it is worth `seller_ugrx`.

    `link` is the way between two zones.
    """

    maker: RestingOrder
    quantity_uwh: int
    seller_ugrx: int
    link: LinkRules | None = None


class MatchPlan(msgspec.Struct, kw_only=True, gc=False):
    """`cancelled` are the wallet's own orders that stood in the way, `tripped` zones whose breaker
    a further fill would have tripped. If it `ended` early, what is left may not rest.
    """

    fills: list[Fill]
    cancelled: list[RestingOrder]
    traded_uwh: int = 0
    ended: bool = False
    tripped: list[str] = []


def plan(
    book: Book, incoming: Incoming, routes: list[Route], bands: dict[str, PriceBand] | None = None
) -> MatchPlan:
    """What an incoming order trades. `routes` begin with its own zone. Changes nothing."""
    planned = MatchPlan(fills=[], cancelled=[])
    is_buyer = incoming.side == BUY
    other: Side = SELL if is_buyer else BUY
    sign = -1 if is_buyer else 1
    zone = routes[0].zone
    if len(routes) == 1 and not book.reaches(zone, other, incoming.limit_ugrx * sign):
        return planned  # as most orders do
    wallet, left_uwh = incoming.wallet, incoming.quantity_uwh
    for maker, route in _best_first(book, incoming, routes):
        if maker.wallet == wallet:
            if incoming.stp == SKIP:
                continue
            if incoming.stp == CANCEL_INCOMING:
                planned.ended = True
                break
            planned.cancelled.append(maker)
            continue
        seller_ugrx = maker.price_ugrx if is_buyer else maker.price_ugrx - route.charge_ugrx
        if bands:
            buyer_zone, seller_zone = (zone, route.zone) if is_buyer else (route.zone, zone)
            paid_ugrx = seller_ugrx + route.charge_ugrx
            planned.tripped = _tripped(bands, (buyer_zone, paid_ugrx), (seller_zone, seller_ugrx))
            if planned.tripped:
                planned.ended = True
                break
        traded_uwh = min(maker.remaining_uwh, left_uwh)
        if route.link is not None:
            traded_uwh = min(traded_uwh, route.room_uwh)
            route.room_uwh -= traded_uwh
        planned.fills.append(
            Fill(maker=maker, quantity_uwh=traded_uwh, seller_ugrx=seller_ugrx, link=route.link)
        )
        left_uwh -= traded_uwh
        if left_uwh == 0:
            break
    planned.traded_uwh = incoming.quantity_uwh - left_uwh
    return planned


def _tripped(bands: dict[str, PriceBand], *prices: tuple[str, int]) -> list[str]:
    """The zones whose breaker does not let their price pass."""
    beyond = {zone for zone, price in prices if zone in bands and not bands[zone].admits(price)}
    return sorted(beyond)


def _best_first(
    book: Book, incoming: Incoming, routes: list[Route]
) -> Iterator[tuple[RestingOrder, Route]]:
    """Resting orders that may trade, by their worth to the incoming order, then by age."""
    other: Side = SELL if incoming.side == BUY else BUY
    worst = -incoming.limit_ugrx if incoming.side == BUY else incoming.limit_ugrx
    if len(routes) > 1:
        return _merged(book, routes, other, worst)
    (route,) = routes
    return zip(book.candidates(route.zone, other, worst), repeat(route))


def _merged(
    book: Book, routes: list[Route], other: Side, worst: int
) -> Iterator[tuple[RestingOrder, Route]]:
    """What `other` has in several zones. A route is left when nothing more fits through it."""
    sign = -1 if other == SELL else 1
    heads: list[tuple[int, int, RestingOrder, Route, Iterator[RestingOrder]]] = []
    for route in routes:
        waiting = book.candidates(route.zone, other, worst + route.charge_ugrx)
        _push(heads, route, waiting, sign)
    while heads:
        best = min(heads, key=_priority)
        heads.remove(best)
        _, _, maker, route, waiting = best
        yield maker, route
        if route.room_uwh:
            _push(heads, route, waiting, sign)


def _push(
    heads: list[tuple[int, int, RestingOrder, Route, Iterator[RestingOrder]]],
    route: Route,
    waiting: Iterator[RestingOrder],
    sign: int,
) -> None:
    maker = next(waiting, None)
    if maker is not None:
        worth = maker.price_ugrx * sign - route.charge_ugrx
        heads.append((-worth, maker.number, maker, route, waiting))


def _priority(
    head: tuple[int, int, RestingOrder, Route, Iterator[RestingOrder]],
) -> tuple[int, int]:
    return head[:2]
