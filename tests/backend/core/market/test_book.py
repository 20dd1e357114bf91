"""The order book: price, then time; and what a cancelled order leaves behind."""

from __future__ import annotations

import pickle

import pytest

from gridtokenx_backend.core.market.book import BUY, SELL, Book, RestingOrder
from gridtokenx_backend.core.market.matching import Fill, Incoming, plan
from gridtokenx_backend.core.market.trading_state import Route


def resting(number: int, text: str) -> RestingOrder:
    """`"anna sells 10 at 5"` as the order of this number."""
    wallet, verb, quantity, _, price = text.split()
    side = {"sells": SELL, "buys": BUY}[verb]
    amount = int(quantity)
    return RestingOrder(
        number=number,
        key=f"{wallet}:{number}",
        wallet=wallet,
        side=side,
        price_ugrx=int(price),
        remaining_uwh=amount,
        quantity_uwh=amount,
        standing=False,
    )


def book_of(*orders: str) -> Book:
    """Orders that came to rest one after the other, numbered from 1."""
    book = Book()
    for number, text in enumerate(orders, start=1):
        book.rest(resting(number, text))
    return book


def planned(book: Book, text: str) -> list[tuple[int, int]]:
    """(resting order, quantity) of what an incoming order would trade."""
    incoming = resting(0, text)
    return [(fill.maker.number, fill.quantity_uwh) for fill in fills_of(book, incoming)]


def fills_of(book: Book, incoming: RestingOrder) -> list[Fill]:
    entering = Incoming(
        wallet=incoming.wallet,
        side=incoming.side,
        limit_ugrx=incoming.price_ugrx,
        quantity_uwh=incoming.remaining_uwh,
    )
    return plan(book, entering, [Route(zone="", charge_ugrx=0, link=None, room_uwh=1000)]).fills


ASKS = ("anna sells 10 at 5", "ben sells 10 at 4", "cleo sells 10 at 4", "anna sells 10 at 6")
BIDS = ("anna buys 10 at 5", "ben buys 10 at 6", "cleo buys 10 at 6", "anna buys 10 at 4")


@pytest.mark.parametrize(
    ("orders", "incoming", "fills"),
    [
        pytest.param((), "dora buys 1 at 9", [], id="nothing rests"),
        pytest.param(ASKS, "dora buys 1 at 3", [], id="below the best ask"),
        pytest.param(ASKS, "dora buys 1 at 4", [(2, 1)], id="at the best ask"),
        pytest.param(ASKS, "dora buys 10 at 9", [(2, 10)], id="the best price, the oldest"),
        pytest.param(ASKS, "dora buys 11 at 9", [(2, 10), (3, 1)], id="then the next oldest"),
        pytest.param(ASKS, "dora buys 25 at 9", [(2, 10), (3, 10), (1, 5)], id="then the price"),
        pytest.param(ASKS, "dora buys 25 at 4", [(2, 10), (3, 10)], id="up to the limit"),
        pytest.param(
            ASKS, "dora buys 99 at 9", [(2, 10), (3, 10), (1, 10), (4, 10)], id="all of it"
        ),
        pytest.param(ASKS, "dora sells 99 at 1", [], id="asks do not trade with asks"),
        pytest.param(BIDS, "dora sells 1 at 7", [], id="above the best bid"),
        pytest.param(BIDS, "dora sells 1 at 6", [(2, 1)], id="at the best bid"),
        pytest.param(BIDS, "dora sells 25 at 1", [(2, 10), (3, 10), (1, 5)], id="bids in order"),
        pytest.param(BIDS, "dora sells 25 at 6", [(2, 10), (3, 10)], id="down to the limit"),
        pytest.param(ASKS, "ben buys 15 at 9", [(3, 10), (1, 5)], id="past one's own"),
        pytest.param(
            ASKS, "anna buys 99 at 9", [(2, 10), (3, 10)], id="past one's own, wherever they are"
        ),
        pytest.param(
            ("anna sells 5 at 4", "anna sells 5 at 5"),
            "anna buys 5 at 9",
            [],
            id="with nobody but oneself",
        ),
    ],
)
def test_orders_trade_by_price_and_then_by_time(
    orders: tuple[str, ...], incoming: str, fills: list[tuple[int, int]]
) -> None:
    assert planned(book_of(*orders), incoming) == fills


def test_a_plan_changes_nothing() -> None:
    book = book_of(*ASKS)
    assert planned(book, "dora buys 25 at 9") == planned(book, "dora buys 25 at 9")
    assert book.depth("", SELL, 9) == [(4, 20), (5, 10), (6, 10)]


def test_what_is_taken_is_gone_and_the_rest_keeps_its_place() -> None:
    book = book_of(*ASKS)
    for fill in fills_of(book, resting(0, "dora buys 15 at 9")):
        book.take(fill.maker, fill.quantity_uwh)
    assert list(book.orders) == [1, 3, 4]
    book.rest(resting(5, "ben sells 10 at 4"))
    assert planned(book, "dora buys 9 at 4") == [(3, 5), (5, 4)]


@pytest.mark.parametrize("cancelled", [1, 2, 3])
def test_a_cancelled_order_is_passed_over_wherever_it_stood(cancelled: int) -> None:
    book = book_of("anna sells 1 at 5", "ben sells 1 at 5", "cleo sells 1 at 5")
    book.cancel(book.orders[cancelled])
    left = [number for number in (1, 2, 3) if number != cancelled]
    assert [number for number, _ in planned(book, "dora buys 9 at 5")] == left
    assert book.depth("", SELL, 9) == [(5, 2)]
    assert list(book.orders) == left


def test_a_price_without_orders_is_not_in_the_depth() -> None:
    book = book_of("anna buys 1 at 5", "ben buys 2 at 4", "cleo buys 3 at 4")
    book.cancel(book.orders[1])
    assert book.depth("", BUY, 9) == [(4, 5)]
    book.rest(resting(4, "dora buys 1 at 5"))
    assert book.depth("", BUY, 9) == [(5, 1), (4, 5)]


@pytest.mark.parametrize(
    ("side", "levels", "depth"),
    [
        (BUY, 1, [(6, 20)]),
        (BUY, 3, [(6, 20), (5, 10), (4, 10)]),
        (BUY, 9, [(6, 20), (5, 10), (4, 10)]),
        (SELL, 9, []),
    ],
)
def test_depth_is_the_best_prices_first(
    side: str, levels: int, depth: list[tuple[int, int]]
) -> None:
    assert book_of(*BIDS).depth("", side, levels) == depth


def test_an_order_is_found_by_its_owners_id_while_it_rests() -> None:
    book = book_of("anna sells 5 at 5")
    order = book.by_key["anna:1"]
    book.take(order, 2)
    assert book.by_key["anna:1"].remaining_uwh == 3
    book.cancel(order)
    assert "anna:1" not in book.by_key


def test_orders_that_come_and_go_behind_one_that_stays_leave_nothing() -> None:
    book = book_of("anna sells 1 at 5", "ben sells 1 at 5")
    before = len(pickle.dumps(book))
    for number in range(3, 10_000):
        book.rest(resting(number, "cleo sells 1 at 5"))
        book.cancel(book.orders[number])
    book.rest(resting(10_000, "cleo sells 1 at 5"))
    assert len(pickle.dumps(book)) < before + 2000
    assert planned(book, "dora buys 9 at 5") == [(1, 1), (2, 1), (10_000, 1)]
