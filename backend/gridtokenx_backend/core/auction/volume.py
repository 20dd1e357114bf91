"""The volume that different members can trade at one price, for every price of a book.

At a price p let D be what is bid at p or above, S what is asked at p or below, and d, s one
member's parts of them. Buyers and sellers of different members may trade in any combination, so
the largest flow between them is the smallest cut (Ford and Fulkerson): all buyers, all sellers,
or everybody but one member, whose bids and asks then face each other only:

    V(p) = min(D, S, min over members of (D - d) + (S - s))
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace

import msgspec

from gridtokenx_backend.core.auction.orders import AuctionOrder, curve


class PricePoint(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What could trade at an order's price, and strictly between that and the next order's price.

    `demand_uwh` and `supply_uwh` hold at the price. `demand_above_uwh` leaves out the bids at the
    price itself, `supply_below_uwh` the asks.
    """

    price_ugrx: int
    demand_uwh: int
    demand_above_uwh: int
    supply_uwh: int
    supply_below_uwh: int
    volume_uwh: int
    volume_above_uwh: int


def price_points(bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder]) -> list[PricePoint]:
    """Return a point for every price of an order, ascending. V is constant between two of them.

    `bids` and `asks` are in order of priority. The time is n log n for n orders.
    """
    steps = _steps(curve(bids), curve(asks))
    large_bids, large_asks = _large(steps, bids, asks)
    if not large_bids:
        return [
            PricePoint(
                price_ugrx=price_ugrx,
                demand_uwh=demand_uwh,
                demand_above_uwh=above_uwh,
                supply_uwh=supply_uwh,
                supply_below_uwh=below_uwh,
                volume_uwh=demand_uwh if demand_uwh < supply_uwh else supply_uwh,
                volume_above_uwh=above_uwh if above_uwh < supply_uwh else supply_uwh,
            )
            for price_ugrx, demand_uwh, above_uwh, supply_uwh, below_uwh in steps
        ]
    largest = _Largest(large_bids, large_asks)
    points = []
    for price_ugrx, demand_uwh, demand_above_uwh, supply_uwh, supply_below_uwh in steps:
        largest.take_up(price_ugrx)
        volume_uwh = _cut(demand_uwh, supply_uwh, largest.amount())
        largest.leave(price_ugrx)
        volume_above_uwh = _cut(demand_above_uwh, supply_uwh, largest.amount())
        points.append(
            PricePoint(
                price_ugrx=price_ugrx,
                demand_uwh=demand_uwh,
                demand_above_uwh=demand_above_uwh,
                supply_uwh=supply_uwh,
                supply_below_uwh=supply_below_uwh,
                volume_uwh=volume_uwh,
                volume_above_uwh=volume_above_uwh,
            )
        )
    return points


_Step = tuple[int, int, int, int, int]
"""price, demand, demand above, supply, supply below."""


def _steps(demand: Sequence[tuple[int, int]], supply: Sequence[tuple[int, int]]) -> list[_Step]:
    """Return both curves at every price of either, ascending."""
    demand_at, supply_at = dict(demand), dict(supply)
    demand_uwh = demand[-1][1] if demand else 0
    supply_uwh = 0
    falls = iter([*(quantity_uwh for _, quantity_uwh in reversed(demand[:-1])), 0])
    steps = []
    for price_ugrx in sorted(demand_at.keys() | supply_at.keys()):
        demand_above_uwh = next(falls) if price_ugrx in demand_at else demand_uwh
        supply_below_uwh = supply_uwh
        supply_uwh = supply_at.get(price_ugrx, supply_uwh)
        steps.append((price_ugrx, demand_uwh, demand_above_uwh, supply_uwh, supply_below_uwh))
        demand_uwh = demand_above_uwh
    return steps


def _large(
    steps: Sequence[_Step], bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder]
) -> tuple[list[AuctionOrder], list[AuctionOrder]]:
    """Return the orders of the members that may be the smallest cut somewhere, mostly none.

    (D - d) + (S - s) is below D and S only where d + s is above both, so all that the member bids
    and asks must be above the least that the larger of D and S ever is.
    """
    least_uwh = min(
        [above if above > supply else supply for _, _, above, supply, _ in steps] or [0]
    )
    amounts: dict[str, int] = {}
    for orders in (bids, asks):
        for order in orders:
            amounts[order.wallet] = amounts.get(order.wallet, 0) + order.quantity_uwh
    large = {wallet for wallet, amount in amounts.items() if amount > least_uwh}
    if not large:
        return [], []
    large &= {bid.wallet for bid in bids} & {ask.wallet for ask in asks}
    return (
        [bid for bid in bids if bid.wallet in large],
        [ask for ask in asks if ask.wallet in large],
    )


class _Largest:
    """The largest d + s of some members, while prices rise.

    It is a heap with one valid entry for each member. An amount that became smaller is corrected
    when it comes to the top.
    """

    def __init__(self, bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder]) -> None:
        self._bids_at, self._asks_at = _by_price(bids), _by_price(asks)
        self._now: dict[str, int] = {}
        for bid in bids:
            self._now[bid.wallet] = self._now.get(bid.wallet, 0) + bid.quantity_uwh
        self._entered = dict(self._now)
        self._heap = [(-amount, wallet) for wallet, amount in self._now.items()]
        heapify(self._heap)

    def take_up(self, price_ugrx: int) -> None:
        """Count the asks of a price that is reached from below."""
        for ask in self._asks_at.get(price_ugrx, ()):
            amount = self._now[ask.wallet] = self._now[ask.wallet] + ask.quantity_uwh
            if amount > self._entered[ask.wallet]:
                self._entered[ask.wallet] = amount
                heappush(self._heap, (-amount, ask.wallet))

    def leave(self, price_ugrx: int) -> None:
        """Count the bids of a price that is passed no longer."""
        for bid in self._bids_at.get(price_ugrx, ()):
            self._now[bid.wallet] -= bid.quantity_uwh

    def amount(self) -> int:
        heap, now, entered = self._heap, self._now, self._entered
        while heap:
            largest, wallet = heap[0]
            if -largest != entered[wallet]:
                heappop(heap)  # a larger entry of this member was made after it
            elif -largest != now[wallet]:
                entered[wallet] = now[wallet]
                heapreplace(heap, (-now[wallet], wallet))
            else:
                return -largest
        return 0


def _cut(demand_uwh: int, supply_uwh: int, largest_uwh: int) -> int:
    return min(demand_uwh, supply_uwh, demand_uwh + supply_uwh - largest_uwh)


def _by_price(orders: Sequence[AuctionOrder]) -> dict[int, list[AuctionOrder]]:
    found: dict[int, list[AuctionOrder]] = {}
    for order in orders:
        found.setdefault(order.price_ugrx, []).append(order)
    return found
