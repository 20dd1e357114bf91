"""The auction of one zone: volume, equilibrium interval, price, fills, pairs and welfare."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.auction.equilibrium import Equilibrium, equilibrium
from gridtokenx_backend.core.auction.orders import (
    AuctionOrder,
    asks_first_served,
    bids_first_served,
    curve,
)
from gridtokenx_backend.core.auction.pairing import MatchedPair, pair
from gridtokenx_backend.core.auction.rationing import Fill, ration
from gridtokenx_backend.core.auction.volume import price_points
from gridtokenx_wire.units import UWH_PER_KWH


class Clearing(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The result of a zone's auction.

    `price_ugrx` is None where nothing trades. `bids` and `asks` are the fills in order of priority.
    `welfare_ugrx` is what the buyers were ready to pay above what the sellers asked. `demand` and
    `supply` are the curves, as (price, quantity).
    """

    equilibrium: Equilibrium
    price_ugrx: int | None
    welfare_ugrx: int
    bids: list[Fill]
    asks: list[Fill]
    pairs: list[MatchedPair]
    demand: list[tuple[int, int]]
    supply: list[tuple[int, int]]

    @property
    def volume_uwh(self) -> int:
        return self.equilibrium.volume_uwh


def clear(orders: Sequence[AuctionOrder], tick_ugrx: int) -> Clearing:
    """Clear a book. Prices are multiples of `tick_ugrx`, quantities above 0, numbers unique.

    The price is the middle of the equilibrium interval, floored to a tick. The ends of the interval
    are whole ticks, so the price stays inside.
    """
    bids, asks = bids_first_served(orders), asks_first_served(orders)
    found = equilibrium(price_points(bids, asks), bids, asks)
    demand, supply = curve(bids), curve(asks)
    if found.volume_uwh == 0:
        return Clearing(
            equilibrium=found,
            price_ugrx=None,
            welfare_ugrx=0,
            bids=[],
            asks=[],
            pairs=[],
            demand=demand,
            supply=supply,
        )
    price_ugrx = middle(found, tick_ugrx)
    bids = [bid for bid in bids if bid.price_ugrx >= price_ugrx]
    asks = [ask for ask in asks if ask.price_ugrx <= price_ugrx]
    bought, sold = ration(bids, asks), ration(asks, bids)
    return Clearing(
        equilibrium=found,
        price_ugrx=price_ugrx,
        welfare_ugrx=welfare_ugrx(bought, sold),
        bids=bought,
        asks=sold,
        pairs=pair(bought, sold),
        demand=demand,
        supply=supply,
    )


def middle(found: Equilibrium, tick_ugrx: int) -> int:
    """Return the middle of an interval with two ends, floored to a tick."""
    assert found.low_ugrx is not None
    assert found.high_ugrx is not None
    return (found.low_ugrx + found.high_ugrx) // 2 // tick_ugrx * tick_ugrx


def welfare_ugrx(bought: Sequence[Fill], sold: Sequence[Fill]) -> int:
    """Return the buyers' limits less the sellers' over what trades, in whole µGRX."""
    worth = sum(bid.price_ugrx * quantity_uwh for bid, quantity_uwh in bought)
    cost = sum(ask.price_ugrx * quantity_uwh for ask, quantity_uwh in sold)
    return (worth - cost) // UWH_PER_KWH
