"""Decides with whom an incoming order trades, before anything moves.

The best price comes first, and the oldest order of a price. A buyer sees the asks of other zones
at landed cost (ask + wheeling + loss), a seller sees their bids less the same. The price of the
resting order holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    """The part of a new order that decides with whom it trades.

    `stp` says what happens when it meets a resting order of its own wallet: `skip` passes that
    over, `cancel_resting` takes it out, and `cancel_incoming` ends the incoming order.
    """

    wallet: str
    side: Side
    limit_ugrx: int
    quantity_uwh: int
    stp: SelfTradePrevention = SKIP


class Fill(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A part of the resting order `maker` that trades; its seller gets `seller_ugrx` a kWh.

    `link` is the line that the energy passes, None within a zone.
    """

    maker: RestingOrder
    quantity_uwh: int
    seller_ugrx: int
    link: LinkRules | None = None


class MatchPlan(msgspec.Struct, kw_only=True, gc=False):
    """What an incoming order will trade.

    `cancelled` are the wallet's own orders that stood in its way. `tripped` are the zones whose
    breaker the next fill would have tripped. If matching `ended` early, the remainder may not rest.
    """

    fills: list[Fill]
    cancelled: list[RestingOrder]
    traded_uwh: int = 0
    ended: bool = False
    tripped: list[str] = []


def plan(
    book: Book, incoming: Incoming, routes: list[Route], bands: dict[str, PriceBand] | None = None
) -> MatchPlan:
    """Return what an incoming order will trade. Neither the book nor the ledger changes.

    `routes` begin with the order's own zone. Their room and the references of `bands` are made for
    this one order, and follow its fills.
    """
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
            prices = ((buyer_zone, paid_ugrx), (seller_zone, seller_ugrx))
            planned.tripped = _tripped(bands, prices)
            if planned.tripped:
                planned.ended = True
                break
            for priced_zone, price_ugrx in prices:
                if priced_zone in bands:
                    bands[priced_zone].note(price_ugrx)
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


def _tripped(bands: Mapping[str, PriceBand], prices: Iterable[tuple[str, int]]) -> list[str]:
    """Return the zones whose breaker does not let their price pass."""
    beyond = {zone for zone, price in prices if zone in bands and not bands[zone].admits(price)}
    return sorted(beyond)


def _best_first(
    book: Book, incoming: Incoming, routes: list[Route]
) -> Iterator[tuple[RestingOrder, Route]]:
    """Yield the resting orders that may trade, by their worth to the incoming one, then by age."""
    other: Side = SELL if incoming.side == BUY else BUY
    worst = -incoming.limit_ugrx if incoming.side == BUY else incoming.limit_ugrx
    if len(routes) > 1:
        return _merged(book, routes, other, worst)
    (route,) = routes
    return zip(book.candidates(route.zone, other, worst), repeat(route))


def _merged(
    book: Book, routes: list[Route], other: Side, worst: int
) -> Iterator[tuple[RestingOrder, Route]]:
    """Yield the orders of the side `other` in several zones, as `_best_first` does.

    A route is left out from the moment when nothing more fits through it.
    """
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
