"""The coupling of zones: what their auctions left over is traded over links that have room.

The flow is the one with the greatest welfare. A buyer pays the coupling price of its own zone, and
a seller gets that of its own zone. The difference is wheeling, loss, and the rent of full links.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.auction.coupling_prices import price_ranges
from gridtokenx_backend.core.auction.flow import CouplingLink, NetworkFlow, best_flow
from gridtokenx_backend.core.auction.offers import Offer, ZoneOffers
from gridtokenx_wire.units import UWH_PER_KWH


class ZoneCoupling(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The part of a zone in the coupling. The prices are None where no energy passes."""

    zone: str
    exported_uwh: int
    imported_uwh: int
    low_ugrx: int | None
    high_ugrx: int | None
    price_ugrx: int | None


class LinkFlow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What passes a link. The price rises over it by its cost and, if it is full, by the rent."""

    flow_uwh: int
    rent_ugrx_per_kwh: int
    rent_ugrx: int


class CoupledPair(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The order `buyer` buys from the order `seller` over the links numbered in `way`."""

    buyer: int
    seller: int
    quantity_uwh: int
    way: list[int]


class Coupling(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The result of a coupling. Zones and links have the order of `couple`'s arguments."""

    zones: list[ZoneCoupling]
    links: list[LinkFlow]
    pairs: list[CoupledPair]
    welfare_ugrx: int


def couple(zones: Sequence[ZoneOffers], links: Sequence[CouplingLink], tick_ugrx: int) -> Coupling:
    """Trade the zones' offers. Prices and the costs of links are multiples of `tick_ugrx`.

    Among equal ways and sellers the order of `zones` and `links` decides.
    """
    flow = best_flow(zones, links)
    found = _zones(zones, links, flow, tick_ugrx)
    pairs = _pairs(zones, links, flow)
    prices = {zone.zone: zone.price_ugrx for zone in found}
    uses = [_use(link, over_uwh, prices) for link, over_uwh in zip(links, flow.over, strict=True)]
    return Coupling(
        zones=found, links=uses, pairs=pairs, welfare_ugrx=_welfare_ugrx(zones, links, flow)
    )


def _zones(
    zones: Sequence[ZoneOffers], links: Sequence[CouplingLink], flow: NetworkFlow, tick_ugrx: int
) -> list[ZoneCoupling]:
    passed = {
        zone
        for link, over_uwh in zip(links, flow.over, strict=True)
        if over_uwh
        for zone in (link.source, link.target)
    }
    found = []
    ranges = price_ranges(zones, links, flow)
    for zone, exported_uwh, imported_uwh, (low_ugrx, high_ugrx) in zip(
        zones, flow.exported, flow.imported, ranges, strict=True
    ):
        if zone.zone not in passed:
            found.append(
                ZoneCoupling(
                    zone=zone.zone,
                    exported_uwh=0,
                    imported_uwh=0,
                    low_ugrx=None,
                    high_ugrx=None,
                    price_ugrx=None,
                )
            )
            continue
        assert low_ugrx is not None
        assert high_ugrx is not None
        assert low_ugrx <= high_ugrx
        price_ugrx = (low_ugrx + high_ugrx) // 2 // tick_ugrx * tick_ugrx
        found.append(
            ZoneCoupling(
                zone=zone.zone,
                exported_uwh=exported_uwh,
                imported_uwh=imported_uwh,
                low_ugrx=low_ugrx,
                high_ugrx=high_ugrx,
                price_ugrx=price_ugrx,
            )
        )
    return found


def _use(link: CouplingLink, over_uwh: int, prices: dict[str, int | None]) -> LinkFlow:
    source_ugrx, target_ugrx = prices[link.source], prices[link.target]
    if over_uwh == 0 or source_ugrx is None or target_ugrx is None:
        return LinkFlow(flow_uwh=0, rent_ugrx_per_kwh=0, rent_ugrx=0)
    rent_ugrx = target_ugrx - source_ugrx - link.cost_ugrx
    assert rent_ugrx == 0 or (rent_ugrx > 0 and over_uwh == link.capacity_uwh)
    return LinkFlow(
        flow_uwh=over_uwh,
        rent_ugrx_per_kwh=rent_ugrx,
        rent_ugrx=rent_ugrx * over_uwh // UWH_PER_KWH,
    )


def _pairs(
    zones: Sequence[ZoneOffers], links: Sequence[CouplingLink], flow: NetworkFlow
) -> list[CoupledPair]:
    """Split the flow into ways from zone to zone, and each way into pairs of orders."""
    place = {zone.zone: number for number, zone in enumerate(zones)}
    ends = [(place[link.source], place[link.target]) for link in links]
    over, imported = list(flow.over), list(flow.imported)
    sellers = [_Served(zone.asks) for zone in zones]
    buyers = [_Served(zone.bids) for zone in zones]
    pairs = []
    for zone, exported_uwh in enumerate(flow.exported):
        left_uwh = exported_uwh
        while left_uwh:
            target, way = _way(zone, ends, over, imported)
            quantity_uwh = min(left_uwh, imported[target], *(over[link] for link in way))
            for link in way:
                over[link] -= quantity_uwh
            imported[target] -= quantity_uwh
            left_uwh -= quantity_uwh
            pairs += _join(buyers[target], sellers[zone], quantity_uwh, way)
    assert not any(over)
    assert not any(imported)
    return pairs


def _way(
    zone: int, ends: Sequence[tuple[int, int]], over: Sequence[int], imported: Sequence[int]
) -> tuple[int, list[int]]:
    """Return the next zone along the flow that still imports, and the links to it.

    A best flow has no circles, because each would cost something.
    """
    way: list[int] = []
    while not imported[zone]:
        link = next(
            number for number, (source, _) in enumerate(ends) if source == zone and over[number]
        )
        way.append(link)
        zone = ends[link][1]
    return zone, way


class _Served:
    """Offers that are used up from the first on."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._offers = iter(offers)
        self._offer: Offer | None = None
        self._left_uwh = 0

    def take(self, most_uwh: int) -> tuple[int, int]:
        """Return (order's number, quantity) of the next offer, at most `most_uwh` of it."""
        if self._left_uwh == 0:
            self._offer = next(self._offers)
            self._left_uwh = self._offer.quantity_uwh
        assert self._offer is not None
        quantity_uwh = min(most_uwh, self._left_uwh)
        self._left_uwh -= quantity_uwh
        return self._offer.order.number, quantity_uwh


def _join(
    buyers: _Served, sellers: _Served, quantity_uwh: int, way: list[int]
) -> list[CoupledPair]:
    pairs = []
    bought_uwh = sold_uwh = 0
    buyer = seller = 0
    while quantity_uwh:
        if bought_uwh == 0:
            buyer, bought_uwh = buyers.take(quantity_uwh)
        if sold_uwh == 0:
            seller, sold_uwh = sellers.take(quantity_uwh)
        paired_uwh = min(bought_uwh, sold_uwh)
        pairs.append(CoupledPair(buyer=buyer, seller=seller, quantity_uwh=paired_uwh, way=way))
        bought_uwh -= paired_uwh
        sold_uwh -= paired_uwh
        quantity_uwh -= paired_uwh
    return pairs


def _welfare_ugrx(
    zones: Sequence[ZoneOffers], links: Sequence[CouplingLink], flow: NetworkFlow
) -> int:
    """Return the buyers' limits less the sellers' and the links' costs, over all that passes."""
    total = 0
    for zone, exported_uwh, imported_uwh in zip(zones, flow.exported, flow.imported, strict=True):
        total += _worth(zone.bids, imported_uwh) - _worth(zone.asks, exported_uwh)
    for link, over_uwh in zip(links, flow.over, strict=True):
        total -= link.cost_ugrx * over_uwh
    return total // UWH_PER_KWH


def _worth(offers: Sequence[Offer], used_uwh: int) -> int:
    worth = 0
    for offer in offers:
        quantity_uwh = min(used_uwh, offer.quantity_uwh)
        worth += offer.order.price_ugrx * quantity_uwh
        used_uwh -= quantity_uwh
    return worth
