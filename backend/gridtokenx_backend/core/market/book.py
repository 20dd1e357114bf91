"""The order book: resting limit orders in price-time priority, zone by zone.

A level is a queue of order numbers. A cancelled order leaves its number in the queue: it is skipped
when its turn comes, or removed when such numbers become many. A level without orders is dropped.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from gridtokenx_wire.order import Side

_SPARE = 64
BUY: Final = "buy"
SELL: Final = "sell"
NEVER_MS: Final = 2**63


class RestingOrder(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """What is left of an order. `price_ugrx` is µGRX for each kWh. `key` is wallet:client-id.

    The order expires at `expires_ms`; 0 means never. At one price the lower number is older.
    """

    number: int
    key: str
    wallet: str
    side: Side
    price_ugrx: int
    remaining_uwh: int
    quantity_uwh: int
    standing: bool
    zone: str = ""
    expires_ms: int = 0
    post_only: bool = False


class _Level:
    __slots__ = ("live", "queue", "volume_uwh")

    def __init__(self) -> None:
        self.queue: deque[int] = deque()
        self.live = 0
        self.volume_uwh = 0


class _Side:
    """One side of a zone. `ranks` are its prices times `sign`, ascending: the last is the best."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.ranks: list[int] = []
        self.levels: dict[int, _Level] = {}

    def level(self, price: int) -> _Level:
        rank = price * self.sign
        found = self.levels.get(rank)
        if found is None:
            found = self.levels[rank] = _Level()
            insort(self.ranks, rank)
        return found

    def drop_if_empty(self, price: int) -> None:
        rank = price * self.sign
        if self.levels[rank].live == 0:
            del self.levels[rank]
            del self.ranks[bisect_left(self.ranks, rank)]


class Book:
    """Both sides of every zone. `orders` has the open orders by number, in the order they came."""

    def __init__(self) -> None:
        self.orders: dict[int, RestingOrder] = {}
        self.by_key: dict[str, RestingOrder] = {}
        self._by_wallet: dict[str, dict[int, RestingOrder]] = {}
        self._expiries: list[tuple[int, int]] = []
        self._sides: dict[tuple[str, str], _Side] = {}

    def rest(self, order: RestingOrder) -> None:
        """Add an order behind all others at its price."""
        number, wallet = order.number, order.wallet
        level = self._side(order.zone, order.side).level(order.price_ugrx)
        level.queue.append(number)
        level.live += 1
        level.volume_uwh += order.remaining_uwh
        self.orders[number] = self.by_key[order.key] = order
        mine = self._by_wallet.get(wallet)
        if mine is None:
            mine = self._by_wallet[wallet] = {}
        mine[number] = order
        if order.expires_ms:
            self._expect(order)

    def _side(self, zone: str, side: Side) -> _Side:
        found = self._sides.get((zone, side))
        if found is None:
            found = self._sides[zone, side] = _Side(1 if side == BUY else -1)
        return found

    def _expect(self, order: RestingOrder) -> None:
        if len(self._expiries) > 2 * len(self.orders) + _SPARE:  # cancelled before their time
            self._expiries = [each for each in self._expiries if each[1] in self.orders]
            heapify(self._expiries)
        heappush(self._expiries, (order.expires_ms, order.number))

    @property
    def next_expiry_ms(self) -> int:
        """The time at which the next order expires, or NEVER_MS."""
        expiries = self._expiries
        while expiries and expiries[0][1] not in self.orders:
            heappop(expiries)
        return expiries[0][0] if expiries else NEVER_MS

    def expired(self, at_ms: int) -> list[RestingOrder]:
        """Return the orders that expire by `at_ms`, the earliest first and then the oldest.

        Each is returned once, and the caller must cancel it.
        """
        found = []
        while self.next_expiry_ms <= at_ms:
            _, number = heappop(self._expiries)
            found.append(self.orders[number])
        return found

    def of_wallet(self, wallet: str) -> Iterable[RestingOrder]:
        """Return a wallet's open orders, oldest first."""
        return self._by_wallet.get(wallet, {}).values()

    def count_of(self, wallet: str) -> int:
        """Return how many open orders a wallet has."""
        mine = self._by_wallet.get(wallet)
        return len(mine) if mine else 0

    def candidates(self, zone: str, side: Side, worst_rank: int) -> Iterator[RestingOrder]:
        """Yield the orders on a side of a zone at `worst_rank` or better, by price and then time.

        A rank is what a price is worth to the other side: a bid's price, an ask's price times -1.
        """
        book_side = self._sides.get((zone, side))
        if book_side is None:
            return
        orders = self.orders
        for rank in reversed(book_side.ranks):
            if rank < worst_rank:
                return
            for number in book_side.levels[rank].queue:
                maker = orders.get(number)
                if maker is not None:
                    yield maker

    def reaches(self, zone: str, side: Side, worst_rank: int) -> bool:
        """Return whether an order rests on a side of a zone at `worst_rank` or better."""
        book_side = self._sides.get((zone, side))
        return book_side is not None and bool(book_side.ranks) and book_side.ranks[-1] >= worst_rank

    def take(self, maker: RestingOrder, quantity_uwh: int) -> None:
        """Take a part of a resting order out. What is left keeps its place."""
        level = self._sides[maker.zone, maker.side].level(maker.price_ugrx)
        level.volume_uwh -= quantity_uwh
        maker.remaining_uwh -= quantity_uwh
        if maker.remaining_uwh == 0:
            self._retire(maker, level)

    def cancel(self, order: RestingOrder) -> None:
        """Take a resting order out."""
        level = self._sides[order.zone, order.side].level(order.price_ugrx)
        level.volume_uwh -= order.remaining_uwh
        self._retire(order, level)

    def _retire(self, order: RestingOrder, level: _Level) -> None:
        del self.orders[order.number], self.by_key[order.key]
        mine = self._by_wallet[order.wallet]
        del mine[order.number]
        if not mine:
            del self._by_wallet[order.wallet]
        level.live -= 1
        queue = level.queue
        while queue and queue[0] not in self.orders:
            queue.popleft()
        if len(queue) > 2 * level.live + _SPARE:  # cancelled behind an order that stays
            level.queue = deque(number for number in queue if number in self.orders)
        if level.live == 0:
            self._sides[order.zone, order.side].drop_if_empty(order.price_ugrx)

    def depth(self, zone: str, side: Side, levels: int) -> list[tuple[int, int]]:
        """Return (price_ugrx, volume_uwh) of the best `levels` prices on a side of a zone."""
        book_side = self._side(zone, side)
        return [
            (rank * book_side.sign, book_side.levels[rank].volume_uwh)
            for rank in reversed(book_side.ranks[-levels:])
        ]
