"""The offers of a zone to other zones: what its own auction left over.

After the auction no bid is left above the clearing price and no ask below it, except those of a
member that could only have traded with itself. These are offered at the clearing price, or asks a
tick above it if bids are left at it. So nothing is left to trade inside the zone, and nobody can
trade with itself by a way through another zone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.auction.clearing import Clearing, middle
from gridtokenx_backend.core.auction.orders import (
    AuctionOrder,
    asks_first_served,
    bids_first_served,
)
from gridtokenx_backend.core.auction.rationing import Fill


class Offer(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """`quantity_uwh` of an order, offered at a price that may be worse than its limit."""

    order: AuctionOrder
    quantity_uwh: int
    price_ugrx: int


class ZoneOffers(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The offers of one zone, in order of priority."""

    zone: str
    bids: list[Offer]
    asks: list[Offer]


def offers(
    zone: str, orders: Sequence[AuctionOrder], cleared: Clearing, tick_ugrx: int
) -> ZoneOffers:
    """Return what of `orders` did not trade in the auction `cleared`."""
    bids = _left(bids_first_served(orders), cleared.bids)
    asks = _left(asks_first_served(orders), cleared.asks)
    if not bids or not asks or bids[0][0].price_ugrx < asks[0][0].price_ugrx:
        ceiling_ugrx = floor_ugrx = None
    else:
        ceiling_ugrx = cleared.price_ugrx or middle(cleared.equilibrium, tick_ugrx)
        floor_ugrx = ceiling_ugrx
        if bids[0][0].price_ugrx >= ceiling_ugrx:
            floor_ugrx += tick_ugrx
    return ZoneOffers(
        zone=zone,
        bids=[
            _offer(order, quantity_uwh, min(order.price_ugrx, ceiling_ugrx or order.price_ugrx))
            for order, quantity_uwh in bids
        ],
        asks=[
            _offer(order, quantity_uwh, max(order.price_ugrx, floor_ugrx or 0))
            for order, quantity_uwh in asks
        ],
    )


def _left(first_served: Sequence[AuctionOrder], fills: Sequence[Fill]) -> list[Fill]:
    traded = {order.number: quantity_uwh for order, quantity_uwh in fills}
    left = []
    for order in first_served:
        quantity_uwh = order.quantity_uwh - traded.get(order.number, 0)
        if quantity_uwh:
            left.append((order, quantity_uwh))
    return left


def _offer(order: AuctionOrder, quantity_uwh: int, price_ugrx: int) -> Offer:
    return Offer(order=order, quantity_uwh=quantity_uwh, price_ugrx=price_ugrx)
