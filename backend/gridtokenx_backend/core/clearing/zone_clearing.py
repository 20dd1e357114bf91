"""The auctions of one interval, zone by zone, their coupling, and what is published of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridtokenx_backend.core.auction.clearing import Clearing, clear
from gridtokenx_backend.core.auction.coupling import Coupling, couple
from gridtokenx_backend.core.auction.flow import CouplingLink
from gridtokenx_backend.core.auction.offers import offers
from gridtokenx_backend.core.auction.orders import AuctionOrder, book_hash
from gridtokenx_backend.core.messages.clearing_records import LinkClearing, ZoneClearing
from gridtokenx_backend.core.model.zones import LinkRules


def clear_zones(
    books: Mapping[str, Sequence[AuctionOrder]], links: Sequence[CouplingLink], tick_ugrx: int
) -> tuple[dict[str, Clearing], Coupling]:
    """Return the auction of each zone, and the coupling of what the auctions left over."""
    auctions = {zone: clear(book, tick_ugrx) for zone, book in books.items()}
    left = [offers(zone, book, auctions[zone], tick_ugrx) for zone, book in books.items()]
    return auctions, couple(left, links, tick_ugrx)


def zone_clearings(
    interval_ms: int,
    books: Mapping[str, list[AuctionOrder]],
    auctions: Mapping[str, Clearing],
    coupling: Coupling,
) -> list[ZoneClearing]:
    """Return what is published of each zone."""
    found = []
    for part in coupling.zones:
        book, auction = books[part.zone], auctions[part.zone]
        found.append(
            ZoneClearing(
                zone=part.zone,
                book=book,
                digest=book_hash(part.zone, interval_ms, book),
                low_ugrx=auction.equilibrium.low_ugrx,
                high_ugrx=auction.equilibrium.high_ugrx,
                price_ugrx=auction.price_ugrx,
                volume_uwh=auction.volume_uwh,
                welfare_ugrx=auction.welfare_ugrx,
                exported_uwh=part.exported_uwh,
                imported_uwh=part.imported_uwh,
                coupling_low_ugrx=part.low_ugrx,
                coupling_high_ugrx=part.high_ugrx,
                coupling_price_ugrx=part.price_ugrx,
            )
        )
    return found


def link_clearings(
    rules: Sequence[LinkRules], links: Sequence[CouplingLink], coupling: Coupling
) -> list[LinkClearing]:
    """Return what is published of each link."""
    return [
        LinkClearing(
            from_zone=rule.from_zone,
            to_zone=rule.to_zone,
            capacity_uwh=link.capacity_uwh,
            wheeling_ugrx=rule.wheeling_ugrx,
            loss_ugrx=rule.loss_ugrx,
            flow_uwh=use.flow_uwh,
            rent_ugrx_per_kwh=use.rent_ugrx_per_kwh,
            rent_ugrx=use.rent_ugrx,
        )
        for rule, link, use in zip(rules, links, coupling.links, strict=True)
    ]
