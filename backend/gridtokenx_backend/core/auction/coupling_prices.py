"""The prices that belong to a flow between zones: the duals of the linear program.

At these prices nobody regrets the result. A zone's price is at or above all asks that trade and all
bids that do not, and at or below all bids that trade and all asks that do not. Over a link that
carries energy the price rises by the link's cost at least; over a link that has room, by its cost
at most. All of these are bounds on one price or on the difference of two. So a lowest and a highest
solution exist, and their middle is a solution, too. Flooring it to whole ticks keeps all
differences that are whole ticks.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_backend.core.auction.flow import CouplingLink, NetworkFlow
from gridtokenx_backend.core.auction.offers import Offer, ZoneOffers

Ends = tuple[int | None, int | None]
_Bound = tuple[int, int, int]
"""(a, b, c): the price of zone b is at least that of zone a plus c."""


def price_ranges(
    zones: Sequence[ZoneOffers], links: Sequence[CouplingLink], flow: NetworkFlow
) -> list[Ends]:
    """Return each zone's lowest and highest price that fits the flow; None if it has no bound."""
    lows: list[int | None] = []
    highs: list[int | None] = []
    for zone, exported_uwh, imported_uwh in zip(zones, flow.exported, flow.imported, strict=True):
        last_ask, next_ask = _margin(zone.asks, exported_uwh)
        last_bid, next_bid = _margin(zone.bids, imported_uwh)
        lows.append(max((p for p in (last_ask, next_bid) if p is not None), default=None))
        highs.append(min((p for p in (last_bid, next_ask) if p is not None), default=None))
    bounds = _bounds(zones, links, flow)
    _raise(lows, bounds)
    _lower(highs, bounds)
    return list(zip(lows, highs, strict=True))


def _margin(offers: Sequence[Offer], used_uwh: int) -> tuple[int | None, int | None]:
    """Return the price of the last offer that was used, and of the first that is not used up."""
    last = None
    for offer in offers:
        if used_uwh:
            last = offer.price_ugrx
        if used_uwh < offer.quantity_uwh:
            return last, offer.price_ugrx
        used_uwh -= offer.quantity_uwh
    return last, None


def _bounds(
    zones: Sequence[ZoneOffers], links: Sequence[CouplingLink], flow: NetworkFlow
) -> list[_Bound]:
    place = {zone.zone: number for number, zone in enumerate(zones)}
    bounds = []
    for link, over_uwh in zip(links, flow.over, strict=True):
        source, target = place[link.source], place[link.target]
        if over_uwh:
            bounds.append((source, target, link.cost_ugrx))
        if over_uwh < link.capacity_uwh:
            bounds.append((target, source, -link.cost_ugrx))
    return bounds


def _raise(lows: list[int | None], bounds: Sequence[_Bound]) -> None:
    changed = True
    while changed:
        changed = False
        for lower, upper, difference in bounds:
            below, above = lows[lower], lows[upper]
            if below is not None and (above is None or above < below + difference):
                lows[upper] = below + difference
                changed = True


def _lower(highs: list[int | None], bounds: Sequence[_Bound]) -> None:
    changed = True
    while changed:
        changed = False
        for lower, upper, difference in bounds:
            below, above = highs[lower], highs[upper]
            if above is not None and (below is None or below > above - difference):
                highs[lower] = above - difference
                changed = True
