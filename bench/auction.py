"""orders --via auction: how long one zone's call auction takes, and how that grows."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable

from gridtokenx_backend.core.auction.clearing import clear
from gridtokenx_backend.core.auction.orders import BUY, SELL, AuctionOrder, book_hash
from gridtokenx_backend.memory import collect_rarely

TICK_UGRX = 1_000
_REPEATS = 5
Book = list[AuctionOrder]


def run(orders: int) -> dict[str, object]:
    """Clear books of `orders` orders, and of a tenth and three tenths of them, and return medians
    of five.
    """
    collect_rarely()
    sizes = [orders // 10, 3 * orders // 10, orders]
    times_s = [measured_s(market_book(size)) for size in sizes]
    expected = sizes[2] * math.log(sizes[2]) / (sizes[0] * math.log(sizes[0]))
    cleared = clear(market_book(orders), TICK_UGRX)
    return {
        "via": "auction",
        "orders": orders,
        "clear_s": round(times_s[2], 3),
        "clear_s_of_a_tenth": round(times_s[0], 4),
        "clear_s_of_three_tenths": round(times_s[1], 3),
        "growth_over_n_log_n": round(times_s[2] / times_s[0] / expected, 2),
        "clear_s_own_prices": round(measured_s(own_prices(orders)), 3),
        "clear_s_one_giant": round(measured_s(one_giant(orders)), 3),
        "trades": len(cleared.pairs),
    }


def measured_s(book: Book) -> float:
    """Return the time for hash, volume, interval, price, fills, pairs, welfare and curves of a
    book.
    """
    times_s = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        book_hash("main", 0, book)
        clear(book, TICK_UGRX)
        times_s.append(time.perf_counter() - started)
    return statistics.median(times_s)


def market_book(orders: int) -> Book:
    """Return a thousand members, each on both sides, around one price."""
    chance = random.Random(7)
    return _book(
        orders,
        chance,
        wallet=lambda: f"member-{chance.randrange(1000)}",
        price=lambda: chance.randint(150, 250) * TICK_UGRX,
    )


def own_prices(orders: int) -> Book:
    """Return a book with hardly any two orders at one price, and a member for every two orders."""
    chance = random.Random(8)
    return _book(
        orders,
        chance,
        wallet=lambda: f"member-{chance.randrange(orders // 2)}",
        price=lambda: chance.randint(1, 1_000_000) * TICK_UGRX,
    )


def one_giant(orders: int) -> Book:
    """Return a book of which most of both sides is one member's, which may not trade
    with itself.
    """
    chance = random.Random(9)
    return _book(
        orders,
        chance,
        wallet=lambda: "giant" if chance.random() < 0.7 else f"member-{chance.randrange(1000)}",
        price=lambda: chance.randint(1, 1_000_000) * TICK_UGRX,
    )


def _book(
    orders: int, chance: random.Random, wallet: Callable[[], str], price: Callable[[], int]
) -> Book:
    return [
        AuctionOrder(
            number=number,
            wallet=wallet(),
            side=chance.choice((BUY, SELL)),
            price_ugrx=price(),
            quantity_uwh=chance.randint(1, 5000) * 1_000_000,
        )
        for number in range(orders)
    ]
