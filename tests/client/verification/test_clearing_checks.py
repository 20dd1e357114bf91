"""Clearings computed again by the client, which shares no code with the backend that made them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.core.auction.books import KWH, book, books

from gridtokenx_backend.api.clearing_views import clearing_view
from gridtokenx_backend.core.auction.flow import CouplingLink
from gridtokenx_backend.core.auction.orders import AuctionOrder
from gridtokenx_backend.core.clearing.zone_clearing import (
    clear_zones,
    link_clearings,
    zone_clearings,
)
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, Trade
from gridtokenx_backend.core.model.zones import LinkRules
from gridtokenx_client.verification.auction_check import check_auction
from gridtokenx_client.verification.clearing_document import Clearing
from gridtokenx_client.verification.coupling_check import check_coupling

INTERVAL_MS = 1_790_000_100_000
Books = dict[str, list[AuctionOrder]]


def published(books: Books, *links: LinkRules) -> list[Clearing]:
    """Return what the API would say of these books, as the client reads it."""
    coupling_links = [
        CouplingLink(
            source=link.from_zone,
            target=link.to_zone,
            capacity_uwh=link.capacity_uwh,
            cost_ugrx=link.charge_ugrx,
        )
        for link in links
    ]
    auctions, coupling = clear_zones(books, coupling_links, 1)
    at = {order.number: (order, zone) for zone, book in books.items() for order in book}
    pairs = [pair for auction in auctions.values() for pair in auction.pairs]
    trades = [
        trade(*at[pair.buyer], *at[pair.seller], pair.quantity_uwh)
        for pair in (*pairs, *coupling.pairs)
    ]
    cleared = IntervalCleared(
        interval_ms=INTERVAL_MS,
        tick_ugrx=1,
        zones=zone_clearings(INTERVAL_MS, books, auctions, coupling),
        links=link_clearings(links, coupling_links, coupling),
        orders=[],
        trades=trades,
        movements=[],
        cancelled=[],
    )
    views = [clearing_view("village", 7, cleared, zone) for zone in cleared.zones]
    return [msgspec.json.decode(msgspec.json.encode(view), type=Clearing) for view in views]


def trade(
    bid: AuctionOrder, buyer_zone: str, ask: AuctionOrder, seller_zone: str, quantity_uwh: int
) -> Trade:
    """Return a trade. Its charges are not what is looked at here."""
    return Trade(
        maker=bid.number,
        taker=ask.number,
        buyer=bid.wallet,
        seller=ask.wallet,
        price_ugrx=1,
        quantity_uwh=quantity_uwh,
        gross_ugrx=0,
        fee_ugrx=0,
        net_ugrx=0,
        wheeling_ugrx=0,
        loss_ugrx=0,
        buyer_zone=buyer_zone,
        seller_zone=seller_zone,
        segment="interval",
    )


def differing(clearings: list[Clearing]) -> list[str]:
    verdicts = [each for clearing in clearings for each in check_auction(clearing)]
    verdicts += check_coupling(clearings)
    return [each.check for each in verdicts if not each.holds]


@settings(max_examples=200)
@given(books())
def test_what_the_backend_clears_the_client_computes_too(orders: list[AuctionOrder]) -> None:
    assert differing(published({"main": orders})) == []


def apart(zone: str, orders: list[AuctionOrder], first: int) -> list[AuctionOrder]:
    """Return a book of a zone's own members and numbers."""
    return [
        msgspec.structs.replace(each, number=each.number + first, wallet=f"{zone}-{each.wallet}")
        for each in orders
    ]


@settings(max_examples=200)
@given(
    st.tuples(books(members=3), books(members=3), books(members=3)),
    st.lists(
        st.tuples(
            st.permutations(("north", "south", "west")), st.integers(1, 9), st.integers(0, 3)
        ),
        max_size=4,
    ),
)
def test_and_so_it_does_with_coupled_zones(
    drawn: tuple[list[AuctionOrder], ...], ways: list[tuple[list[str], int, int]]
) -> None:
    zones = ("north", "south", "west")
    given_books = {
        zone: apart(zone, orders, 100 * place)
        for place, (zone, orders) in enumerate(zip(zones, drawn, strict=True))
    }
    links = {
        (a, b): LinkRules(
            from_zone=a, to_zone=b, capacity_uwh=most * KWH, wheeling_ugrx=cost, loss_ugrx=1
        )
        for (a, b, _), most, cost in ways
    }
    assert differing(published(given_books, *links.values())) == []


TWO_ZONES = {
    "north": book("anna sells 9 at 2", "ben buys 3 at 5"),
    "south": apart("south", book("cleo buys 9 at 10", "dan sells 2 at 4"), 10),
}
LINK = LinkRules(
    from_zone="north", to_zone="south", capacity_uwh=4 * KWH, wheeling_ugrx=2, loss_ugrx=1
)


def changed(**values: object) -> Callable[[Clearing], Clearing]:
    return lambda clearing: msgspec.structs.replace(clearing, **values)


def bought_less(clearing: Clearing) -> Clearing:
    first = msgspec.structs.replace(clearing.trades[0], quantity_kwh="1.000000000")
    return msgspec.structs.replace(clearing, trades=[first, *clearing.trades[1:]])


def other_charge(clearing: Clearing) -> Clearing:
    first = msgspec.structs.replace(clearing.trades[0], fee_grx="0.000001")
    return msgspec.structs.replace(clearing, trades=[first, *clearing.trades[1:]])


def other_limit(clearing: Clearing) -> Clearing:
    first = msgspec.structs.replace(clearing.book[0], price_grx_per_kwh="0.000003")
    return msgspec.structs.replace(clearing, book=[first, *clearing.book[1:]])


def other_link(**values: object) -> Callable[[Clearing], Clearing]:
    def change(clearing: Clearing) -> Clearing:
        link = msgspec.structs.replace(clearing.links[0], **values)
        return msgspec.structs.replace(clearing, links=[link])

    return change


CHANGES: list[tuple[Callable[[Clearing], Clearing], set[str]]] = [
    (changed(rules="another/1"), {"rules"}),
    (changed(book_hash="0" * 64), {"book hash"}),
    (changed(demand=[]), {"demand curve"}),
    (changed(supply=[]), {"supply curve"}),
    (changed(volume_kwh="2.000000000"), {"volume"}),
    (changed(low_grx_per_kwh="0.000001"), {"lowest price"}),
    (changed(high_grx_per_kwh=None), {"highest price"}),
    (changed(price_grx_per_kwh="0.000003"), {"price"}),
    (changed(welfare_grx="1.000000"), {"welfare"}),
    (bought_less, {"trades"}),
    (other_charge, {"charges that do not add up"}),
    (other_limit, {"book hash", "supply curve"}),
    (changed(exported_kwh="3.000000000"), {"coupling: in less out"}),
    (changed(coupling_low_grx_per_kwh="0.000001"), {"coupling: lowest price"}),
    (changed(coupling_high_grx_per_kwh="0.000009"), {"coupling: highest price"}),
    (changed(coupling_price_grx_per_kwh="0.000003"), {"coupling: price", "rent for each kWh"}),
    (other_link(rent_grx="0.000000"), {"links", "rent"}),
    (other_link(capacity_kwh="9.000000000"), {"links", "coupling: no better flow"}),
]


@pytest.mark.parametrize(("change", "named"), CHANGES)
def test_whatever_is_changed_is_named(
    change: Callable[[Clearing], Clearing], named: set[str]
) -> None:
    north, south = published(TWO_ZONES, LINK)
    assert differing([north, south]) == []
    assert named <= set(differing([change(north), south]))


def test_a_member_paired_with_itself_is_named() -> None:
    (only,) = published({"main": book("anna sells 5 at 2", "ben buys 5 at 9")})
    orders = [msgspec.structs.replace(each, wallet="anna") for each in only.book]
    forged = msgspec.structs.replace(only, book=orders)
    assert "members paired with themselves" in differing([forged])


def test_a_zone_without_its_document_is_named() -> None:
    north, _ = published(TWO_ZONES, LINK)
    assert "documents of all zones" in differing([north])
