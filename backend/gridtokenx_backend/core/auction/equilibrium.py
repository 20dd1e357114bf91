"""The prices at which a market whose members do not trade with themselves is in equilibrium.

Such a price lets the largest volume trade, and it is neither too low nor too high. It is too low
if sellers cannot supply all who bid more than it: the claims of the members on the supply exceed
the supply. A member claims its bids above the price. A member that also asks at the price or below
cannot claim more than what the others ask, because only its own asks could fill the rest. Too high
is the same with the sides exchanged. Without orders on both sides of one member this is the
textbook's interval: demand strictly above the price fits into the supply, and supply strictly
below it into the demand.

Three facts make this cheap. Among the prices of the largest volume, one that is too low has only
too low ones below it, and one that is too high only too high ones above. From a price that is too
low a step up keeps the largest volume. And a price is never both. So the interval exists, and its
ends are found by bisection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise

import msgspec

from gridtokenx_backend.core.auction.orders import AuctionOrder
from gridtokenx_backend.core.auction.volume import PricePoint


class Equilibrium(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The largest volume and the equilibrium prices, ends included; None where there is no end."""

    volume_uwh: int
    low_ugrx: int | None
    high_ugrx: int | None


class _Steps:
    """The quantities of one member on one side, summed up from the lowest price."""

    __slots__ = ("prices", "sums")

    def __init__(self, orders: list[AuctionOrder]) -> None:
        orders.sort(key=lambda order: order.price_ugrx)
        self.prices = [order.price_ugrx for order in orders]
        self.sums = [0, *accumulate(order.quantity_uwh for order in orders)]

    def below(self, price_ugrx: int) -> int:
        return self.sums[bisect_left(self.prices, price_ugrx)]

    def up_to(self, price_ugrx: int) -> int:
        return self.sums[bisect_right(self.prices, price_ugrx)]

    def above(self, price_ugrx: int) -> int:
        return self.sums[-1] - self.up_to(price_ugrx)

    def from_on(self, price_ugrx: int) -> int:
        return self.sums[-1] - self.below(price_ugrx)


def equilibrium(
    points: Sequence[PricePoint], bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder]
) -> Equilibrium:
    """Return the equilibrium interval of a book, from its price points.

    One member with large orders on both sides can split the prices of the largest volume into
    several intervals. Then the widest is the result, and of equally wide ones the lowest.
    """
    if not bids or not asks:
        return Equilibrium(
            volume_uwh=0,
            low_ugrx=max((bid.price_ugrx for bid in bids), default=None),
            high_ugrx=min((ask.price_ugrx for ask in asks), default=None),
        )
    members = _Members(bids, asks)
    volume_uwh = max(point.volume_uwh for point in points)
    best = [number for number, point in enumerate(points) if point.volume_uwh == volume_uwh]
    first = bisect_left(best, True, key=lambda number: not _too_low(points[number], members))
    last = bisect_left(best, True, key=lambda number: _too_high(points[number], members))
    low, high = _widest(points, best[first:last], volume_uwh)
    return Equilibrium(volume_uwh=volume_uwh, low_ugrx=low, high_ugrx=high)


class _Members:
    """The members that have bids and asks. They are found when they are first needed."""

    def __init__(self, bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder]) -> None:
        self._bids, self._asks = bids, asks

    @cached_property
    def on_both_sides(self) -> list[tuple[_Steps, _Steps]]:
        bids_of, asks_of = _by_wallet(self._bids), _by_wallet(self._asks)
        return [
            (_Steps(mine), _Steps(asks_of[wallet]))
            for wallet, mine in bids_of.items()
            if wallet in asks_of
        ]


def _too_low(point: PricePoint, members: _Members) -> bool:
    excess_uwh = point.demand_above_uwh - point.supply_uwh
    if excess_uwh <= 0:
        return False
    price = point.price_ugrx
    for bids, asks in members.on_both_sides:
        own_uwh = asks.up_to(price)
        if own_uwh:
            excess_uwh -= max(0, bids.above(price) - (point.supply_uwh - own_uwh))
    return excess_uwh > 0


def _too_high(point: PricePoint, members: _Members) -> bool:
    excess_uwh = point.supply_below_uwh - point.demand_uwh
    if excess_uwh <= 0:
        return False
    price = point.price_ugrx
    for bids, asks in members.on_both_sides:
        own_uwh = bids.from_on(price)
        if own_uwh:
            excess_uwh -= max(0, asks.below(price) - (point.demand_uwh - own_uwh))
    return excess_uwh > 0


def _by_wallet(orders: Sequence[AuctionOrder]) -> dict[str, list[AuctionOrder]]:
    found: dict[str, list[AuctionOrder]] = {}
    for order in orders:
        found.setdefault(order.wallet, []).append(order)
    return found


def _widest(
    points: Sequence[PricePoint], chosen: Sequence[int], volume_uwh: int
) -> tuple[int, int]:
    """Return the widest unbroken range of prices among the points numbered in `chosen`."""
    assert chosen
    runs = [[chosen[0], chosen[0]]]
    for former, number in pairwise(chosen):
        if number == former + 1 and points[former].volume_above_uwh == volume_uwh:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    ranges = [(points[first].price_ugrx, points[last].price_ugrx) for first, last in runs]
    return max(ranges, key=lambda ends: (ends[1] - ends[0], -ends[0]))
