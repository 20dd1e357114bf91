"""The order book: resting limit orders in price-time priority.

A level is a queue of order numbers. A cancelled order leaves its number behind, to be skipped when
the queue gets there, or thrown out when they become many; a level without live orders is dropped.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

_SPARE = 64
BUY: Final = "buy"
SELL: Final = "sell"


class RestingOrder(msgspec.Struct, array_like=True, gc=False):
    """What is left of an order. `price_ugrx` is µGRX for each kWh. `key` is wallet:client-id."""

    number: int
    key: str
    wallet: str
    side: str
    price_ugrx: int
    remaining_uwh: int
    quantity_uwh: int
    standing: bool


class Fill(msgspec.Struct, frozen=True, gc=False):
    """`quantity_uwh` of the resting order `maker`, at its price."""

    maker: RestingOrder
    quantity_uwh: int


class _Level:
    __slots__ = ("live", "queue", "volume_uwh")

    def __init__(self) -> None:
        self.queue: deque[int] = deque()
        self.live = 0
        self.volume_uwh = 0


class _Side:
    """One side's levels. `ranks` is ascending and its last is the best price, times `sign`."""

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
    """Both sides. `orders` are the live ones by number, in the order they came to rest."""

    def __init__(self) -> None:
        self.orders: dict[int, RestingOrder] = {}
        self.by_key: dict[str, RestingOrder] = {}
        self._sides = {BUY: _Side(1), SELL: _Side(-1)}

    def rest(self, order: RestingOrder) -> None:
        """Adds an order behind all others at its price."""
        level = self._sides[order.side].level(order.price_ugrx)
        level.queue.append(order.number)
        level.live += 1
        level.volume_uwh += order.remaining_uwh
        self.orders[order.number] = self.by_key[order.key] = order

    def plan(self, wallet: str, side: str, price_ugrx: int, quantity_uwh: int) -> list[Fill]:
        """What an incoming order would trade, best price first, oldest first. Changes nothing.

        The wallet's own orders are passed over, and what stands behind them still trades.
        """
        fills: list[Fill] = []
        for maker in self._candidates(side, price_ugrx):
            if maker.wallet == wallet:
                continue
            traded = min(quantity_uwh, maker.remaining_uwh)
            fills.append(Fill(maker, traded))
            quantity_uwh -= traded
            if quantity_uwh == 0:
                break
        return fills

    def _candidates(self, side: str, price_ugrx: int) -> Iterator[RestingOrder]:
        """Resting orders that an incoming order on `side` may trade with, in priority order."""
        other = self._sides[SELL if side == BUY else BUY]
        worst = price_ugrx * other.sign
        orders = self.orders
        for rank in reversed(other.ranks):
            if rank < worst:
                return
            for number in other.levels[rank].queue:
                maker = orders.get(number)
                if maker is not None:
                    yield maker

    def take(self, fill: Fill) -> None:
        """Removes a traded quantity from its resting order."""
        maker = fill.maker
        level = self._sides[maker.side].level(maker.price_ugrx)
        level.volume_uwh -= fill.quantity_uwh
        maker.remaining_uwh -= fill.quantity_uwh
        if maker.remaining_uwh == 0:
            self._retire(maker, level)

    def cancel(self, order: RestingOrder) -> None:
        """Removes a resting order."""
        level = self._sides[order.side].level(order.price_ugrx)
        level.volume_uwh -= order.remaining_uwh
        self._retire(order, level)

    def _retire(self, order: RestingOrder, level: _Level) -> None:
        del self.orders[order.number], self.by_key[order.key]
        level.live -= 1
        queue = level.queue
        while queue and queue[0] not in self.orders:
            queue.popleft()
        if len(queue) > 2 * level.live + _SPARE:  # cancelled behind an order that stays
            level.queue = deque(number for number in queue if number in self.orders)
        self._sides[order.side].drop_if_empty(order.price_ugrx)

    def depth(self, side: str, levels: int) -> list[tuple[int, int]]:
        """(price_ugrx, volume_uwh) of the best `levels` prices."""
        book_side = self._sides[side]
        return [
            (rank * book_side.sign, book_side.levels[rank].volume_uwh)
            for rank in reversed(book_side.ranks[-levels:])
        ]
