"""One zone's auction against its definition, tried price by price with an ordinary flow."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.core.auction.books import KWH, book, books, tradable, wants

from gridtokenx_backend.core.auction.clearing import Clearing, clear
from gridtokenx_backend.core.auction.orders import BUY, SELL, AuctionOrder, book_hash

Ends = tuple[int | None, int | None]


@pytest.mark.parametrize(
    ("orders", "volume", "ends", "price"),
    [
        (["anna sells 5 at 2", "ben buys 5 at 9"], 5, (2, 9), 5),
        (["anna sells 3 at 2", "ben buys 5 at 9"], 3, (9, 9), 9),
        (["anna sells 5 at 2", "ben buys 3 at 9"], 3, (2, 2), 2),
        (["anna sells 3 at 2", "ben buys 3 at 9", "cleo buys 1 at 6"], 3, (6, 9), 7),
        (["anna sells 3 at 2", "ben buys 3 at 9", "dan sells 1 at 4"], 3, (2, 4), 3),
        (["anna sells 3 at 4", "ben buys 3 at 4"], 3, (4, 4), 4),
        (["anna sells 3 at 4", "ben sells 4 at 4", "cleo buys 5 at 4"], 5, (4, 4), 4),
        (["anna sells 3 at 7", "ben buys 3 at 4"], 0, (4, 7), None),
        (["anna sells 3 at 7"], 0, (None, 7), None),
        (["ben buys 3 at 4"], 0, (4, None), None),
        ([], 0, (None, None), None),
        # One member on both sides: what only its own orders could fill is nobody's shortage.
        (["anna sells 3 at 1", "anna buys 5 at 10"], 0, (1, 10), None),
        (["anna buys 5 at 10", "anna sells 3 at 1", "cleo sells 3 at 2"], 3, (2, 10), 6),
        (["anna buys 5 at 10", "anna sells 1 at 1", "ben buys 1 at 4"], 1, (1, 4), 2),
        # Two prices allow one kWh, those between them none: the wider range is taken.
        (
            ["anna buys 9 at 10", "anna sells 9 at 1", "ben buys 1 at 3", "cleo sells 1 at 7"],
            1,
            (7, 10),
            8,
        ),
    ],
)
def test_volume_interval_and_price_of_small_books(
    orders: list[str], volume: int, ends: Ends, price: int | None
) -> None:
    cleared = clear(book(*orders), 1)
    found = cleared.equilibrium
    assert (found.volume_uwh, (found.low_ugrx, found.high_ugrx)) == (volume * KWH, ends)
    assert cleared.price_ugrx == price


def test_the_price_is_floored_to_a_tick_and_stays_inside() -> None:
    orders = [
        AuctionOrder(number=1, wallet="anna", side=SELL, price_ugrx=20, quantity_uwh=KWH),
        AuctionOrder(number=2, wallet="ben", side=BUY, price_ugrx=50, quantity_uwh=KWH),
    ]
    assert clear(orders, 10).price_ugrx == 30


def test_the_margin_is_rationed_by_price_then_time() -> None:
    orders = [
        AuctionOrder(number=4, wallet="dan", side=SELL, price_ugrx=5, quantity_uwh=2 * KWH),
        AuctionOrder(number=3, wallet="cleo", side=SELL, price_ugrx=5, quantity_uwh=2 * KWH),
        AuctionOrder(number=2, wallet="ben", side=SELL, price_ugrx=5, quantity_uwh=2 * KWH),
        AuctionOrder(number=5, wallet="emil", side=SELL, price_ugrx=4, quantity_uwh=2 * KWH),
        AuctionOrder(number=1, wallet="anna", side=BUY, price_ugrx=5, quantity_uwh=5 * KWH),
    ]
    assert sold(clear(orders, 1)) == {5: 2 * KWH, 2: 2 * KWH, 3: KWH}


def test_what_a_member_cannot_sell_to_itself_is_sold_by_the_next() -> None:
    cleared = clear(book("anna sells 4 at 1", "ben sells 4 at 2", "anna buys 4 at 5"), 1)
    assert sold(cleared) == {2: 4 * KWH}


def sold(cleared: Clearing) -> dict[int, int]:
    return {order.number: quantity for order, quantity in cleared.asks}


def volume_at(orders: list[AuctionOrder], price: float) -> int:
    return tradable(wants(orders, BUY, price), wants(orders, SELL, price))


def places(orders: list[AuctionOrder]) -> list[float]:
    """Every price of an order, and one price between each two, ascending."""
    prices: list[float] = sorted({order.price_ugrx for order in orders})
    between = [(low + high) / 2 for low, high in pairwise(prices)]
    return sorted(prices + between)


def claims(strict: dict[str, int], others: dict[str, int]) -> int:
    """What members want from the other side, each no more than the others could give it.

    That bound only counts for a member that is on the other side itself.
    """
    total = sum(others.values())
    return sum(
        min(amount, total - others[wallet]) if wallet in others else amount
        for wallet, amount in strict.items()
    )


def is_equilibrium(orders: list[AuctionOrder], price: float) -> bool:
    a_little = 0.125
    bids, asks = wants(orders, BUY, price), wants(orders, SELL, price)
    above, below = wants(orders, BUY, price + a_little), wants(orders, SELL, price - a_little)
    too_low = claims(above, asks) > sum(asks.values())
    too_high = claims(below, bids) > sum(bids.values())
    return not too_low and not too_high


def intervals(orders: list[AuctionOrder]) -> tuple[int, list[tuple[float, float]]]:
    """The largest volume at one price, and the unbroken ranges of equilibrium prices with it."""
    tried = places(orders)
    volumes = {price: volume_at(orders, price) for price in tried}
    volume = max(volumes.values(), default=0)
    ranges: list[tuple[float, float]] = []
    former = None
    for price in tried:
        if volumes[price] == volume and is_equilibrium(orders, price):
            if former is not None and ranges and ranges[-1][1] == former:
                ranges[-1] = ranges[-1][0], price
            else:
                ranges.append((price, price))
        former = price
    return volume, ranges


@settings(max_examples=400)
@given(books())
def test_volume_and_interval_are_those_of_the_definition(orders: list[AuctionOrder]) -> None:
    volume, ranges = intervals(orders)
    found = clear(orders, 1).equilibrium
    assert found.volume_uwh == volume
    if found.low_ugrx is not None and found.high_ugrx is not None:
        widest = max(high - low for low, high in ranges)
        expected = min(ends for ends in ranges if ends[1] - ends[0] == widest)
        assert (found.low_ugrx, found.high_ugrx) == expected


@settings(max_examples=400)
@given(books())
def test_all_is_paired_nobody_with_itself_and_everybody_is_content(
    orders: list[AuctionOrder],
) -> None:
    cleared = clear(orders, 1)
    of = {order.number: order for order in orders}
    traded: dict[int, int] = {}
    for each in cleared.pairs:
        buyer, seller = of[each.buyer], of[each.seller]
        assert each.quantity_uwh > 0
        assert buyer.side == BUY
        assert seller.side == SELL
        assert buyer.wallet != seller.wallet
        assert cleared.price_ugrx is not None
        assert seller.price_ugrx <= cleared.price_ugrx <= buyer.price_ugrx
        traded[buyer.number] = traded.get(buyer.number, 0) + each.quantity_uwh
        traded[seller.number] = traded.get(seller.number, 0) + each.quantity_uwh
    assert traded == {o.number: q for o, q in (*cleared.bids, *cleared.asks)}
    assert all(traded[number] <= of[number].quantity_uwh for number in traded)
    assert sum(each.quantity_uwh for each in cleared.pairs) == cleared.volume_uwh
    assert len(cleared.pairs) <= len(cleared.bids) + len(cleared.asks) + 1


@settings(max_examples=300)
@given(books(members=3))
def test_no_order_gets_less_than_the_rules_let_it_have(orders: list[AuctionOrder]) -> None:
    """Each order in turn gets the most that is possible beside those served before it."""
    cleared = clear(orders, 1)
    if cleared.price_ugrx is None:
        return
    price = cleared.price_ugrx
    for side, fills in ((BUY, cleared.bids), (SELL, cleared.asks)):
        other = SELL if side == BUY else BUY
        others = wants(orders, other, price)
        given_to = {order.number: quantity for order, quantity in fills}
        sign = -1 if side == BUY else 1
        queue = sorted(
            (order for order in orders if order.side == side),
            key=lambda order: (sign * order.price_ugrx, order.number),
        )
        served: dict[str, int] = {}
        before = 0
        for order in queue:
            if (order.price_ugrx - price) * sign > 0:
                assert order.number not in given_to
                continue
            served[order.wallet] = served.get(order.wallet, 0) + order.quantity_uwh
            most = tradable(served, others)
            assert given_to.get(order.number, 0) == most - before
            served[order.wallet] -= order.quantity_uwh - (most - before)
            before = most


@settings(max_examples=100)
@given(books(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_book_is_listed_changes_nothing(
    orders: list[AuctionOrder], chance: object
) -> None:
    listed = list(orders)
    chance.shuffle(listed)  # type: ignore[attr-defined]
    assert clear(listed, 1) == clear(orders, 1)
    assert book_hash("main", 0, listed) == book_hash("main", 0, orders)


@settings(max_examples=100)
@given(books(members=8))
def test_with_one_side_for_each_member_the_interval_is_the_textbooks(
    orders: list[AuctionOrder],
) -> None:
    orders = [
        order for order in orders if (order.side == BUY) == (order.wallet in ("m0", "m1", "m2"))
    ]
    found = clear(orders, 1).equilibrium
    if found.low_ugrx is None or found.high_ugrx is None:
        return
    fair = [
        price
        for price in places(orders)
        if total(orders, BUY, price + 0.125) <= total(orders, SELL, price)
        and total(orders, SELL, price - 0.125) <= total(orders, BUY, price)
    ]
    assert (found.low_ugrx, found.high_ugrx) == (fair[0], fair[-1])
    assert found.volume_uwh == max(
        min(total(orders, BUY, price), total(orders, SELL, price)) for price in fair
    )


def total(orders: list[AuctionOrder], side: str, price: float) -> int:
    return sum(wants(orders, side, price).values())


def test_the_hash_is_that_of_the_documented_text() -> None:
    orders = book("anna sells 5 at 2", "ben buys 5 at 9")
    import hashlib

    text = (
        "gridtokenx-auction/1\nzone main\ninterval 900000\n"
        "1 anna sell 2 5000000000\n2 ben buy 9 5000000000\n"
    )
    assert book_hash("main", 900_000, orders) == hashlib.sha256(text.encode()).hexdigest()


def test_amounts_at_the_edge_of_64_bits_are_exact() -> None:
    most = 2**63 - 1
    orders = [
        AuctionOrder(number=1, wallet="anna", side=SELL, price_ugrx=1, quantity_uwh=most),
        AuctionOrder(number=2, wallet="ben", side=BUY, price_ugrx=most, quantity_uwh=most),
        AuctionOrder(number=3, wallet="cleo", side=BUY, price_ugrx=most, quantity_uwh=most),
    ]
    cleared = clear(orders, 1)
    assert (cleared.volume_uwh, cleared.price_ugrx) == (most, most)
    assert [(each.buyer, each.quantity_uwh) for each in cleared.pairs] == [(2, most)]
    assert cleared.welfare_ugrx == (most * most - most) // KWH
