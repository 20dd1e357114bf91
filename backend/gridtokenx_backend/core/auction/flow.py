"""The flow between zones with the greatest welfare: successive shortest paths, in whole numbers.

Each step carries energy on the cheapest way from the zone with the cheapest next ask to the zone
whose next bid gains most, as much as this ask, this bid and the links allow. The steps end when
nothing gains any more. Of two flows with the same welfare the one that moves more energy is better,
and of those the one over fewer links. Costs are scaled up so that both preferences are worth less
than one µGRX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gridtokenx_backend.core.auction.offers import Offer, ZoneOffers

_NONE: Final = -1


class CouplingLink(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A one-way line. `cost_ugrx` for each kWh is wheeling and loss."""

    source: str
    target: str
    capacity_uwh: int
    cost_ugrx: int


class NetworkFlow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """µWh over each link, out of each zone's asks, and into each zone's bids."""

    over: list[int]
    exported: list[int]
    imported: list[int]


class _Ladder:
    """The offers of one side as price steps, used up from the first on."""

    __slots__ = ("left_uwh", "next", "steps", "used_uwh")

    def __init__(self, offers: Sequence[Offer]) -> None:
        self.steps: list[tuple[int, int]] = []
        for offer in offers:
            if self.steps and self.steps[-1][0] == offer.price_ugrx:
                total_uwh = self.steps[-1][1] + offer.quantity_uwh
                self.steps[-1] = offer.price_ugrx, total_uwh
            else:
                self.steps.append((offer.price_ugrx, offer.quantity_uwh))
        self.next = 0
        self.left_uwh = self.steps[0][1] if self.steps else 0
        self.used_uwh = 0

    def price(self) -> int | None:
        return self.steps[self.next][0] if self.next < len(self.steps) else None

    def use(self, quantity_uwh: int) -> None:
        self.used_uwh += quantity_uwh
        self.left_uwh -= quantity_uwh
        if self.left_uwh == 0:
            self.next += 1
            if self.next < len(self.steps):
                self.left_uwh = self.steps[self.next][1]


class _Hop(NamedTuple):
    """A link that is used forwards, or backwards to take back a part of what flows over it."""

    link: int
    forward: bool


class _Network:
    def __init__(self, zones: Sequence[ZoneOffers], links: Sequence[CouplingLink]) -> None:
        place = {zone.zone: number for number, zone in enumerate(zones)}
        self.asks = [_Ladder(zone.asks) for zone in zones]
        self.bids = [_Ladder(zone.bids) for zone in zones]
        self.ends = [(place[link.source], place[link.target]) for link in links]
        self.capacity = [link.capacity_uwh for link in links]
        self.over = [0] * len(links)
        self.bonus = 2 * len(links) + 2
        self.scale = 4 * self.bonus
        self.costs = [self.scale * link.cost_ugrx + 1 for link in links]

    def carry_best(self) -> bool:
        """Carry what gains most now. Return False if nothing gains."""
        costs, hops = self._cheapest_ways()
        best_gain, best = 0, _NONE
        for zone, cost in enumerate(costs):
            price_ugrx = self.bids[zone].price()
            if cost is None or price_ugrx is None:
                continue
            gain = self.scale * price_ugrx + self.bonus - cost
            if gain > best_gain:
                best_gain, best = gain, zone
        if best == _NONE:
            return False
        self._carry(best, hops)
        return True

    def _cheapest_ways(self) -> tuple[list[int | None], list[_Hop | None]]:
        """Return what a kWh costs in each zone, and the last hop to it (Bellman and Ford)."""
        costs: list[int | None] = []
        for ladder in self.asks:
            price_ugrx = ladder.price()
            costs.append(None if price_ugrx is None else self.scale * price_ugrx)
        hops: list[_Hop | None] = [None] * len(costs)
        changed = True
        while changed:
            changed = False
            for link, (source, target) in enumerate(self.ends):
                cost = self.costs[link]
                if self.over[link] and _improve(costs, target, source, -cost):
                    hops[source] = _Hop(link, forward=False)
                    changed = True
                if self.over[link] < self.capacity[link] and _improve(costs, source, target, cost):
                    hops[target] = _Hop(link, forward=True)
                    changed = True
        return costs, hops

    def _carry(self, target: int, hops: Sequence[_Hop | None]) -> None:
        way: list[_Hop] = []
        zone = target
        while (hop := hops[zone]) is not None:
            way.append(hop)
            zone = self.ends[hop.link][0 if hop.forward else 1]
        quantity_uwh = min(
            self.asks[zone].left_uwh,
            self.bids[target].left_uwh,
            *(
                self.capacity[hop.link] - self.over[hop.link]
                if hop.forward
                else self.over[hop.link]
                for hop in way
            ),
        )
        for hop in way:
            self.over[hop.link] += quantity_uwh if hop.forward else -quantity_uwh
        self.asks[zone].use(quantity_uwh)
        self.bids[target].use(quantity_uwh)


def _improve(costs: list[int | None], source: int, target: int, cost: int) -> bool:
    at_source, at_target = costs[source], costs[target]
    if at_source is None or (at_target is not None and at_target <= at_source + cost):
        return False
    costs[target] = at_source + cost
    return True


def best_flow(zones: Sequence[ZoneOffers], links: Sequence[CouplingLink]) -> NetworkFlow:
    """Return the flow with the greatest welfare. The links must name zones of `zones`."""
    network = _Network(zones, links)
    while network.carry_best():
        pass
    return NetworkFlow(
        over=network.over,
        exported=[ladder.used_uwh for ladder in network.asks],
        imported=[ladder.used_uwh for ladder in network.bids],
    )
