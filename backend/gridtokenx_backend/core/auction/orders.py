"""An auction's book: its orders, their hash, and the curves that they draw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from gridtokenx_wire.order import Side

RULES: Final = "gridtokenx-auction/1"
"""The name of the rules of this package. Rules that say something else get another name."""

BUY: Final = "buy"
SELL: Final = "sell"


class AuctionOrder(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """What an order still asks for. At the same price the lower number is older.

    `price_ugrx` is the limit, in µGRX for each kWh. `wallet` says whose order it is, because nobody
    trades with itself.
    """

    number: int
    wallet: str
    side: Side
    price_ugrx: int
    quantity_uwh: int


def bids_first_served(orders: Iterable[AuctionOrder]) -> list[AuctionOrder]:
    """Return the bids, the highest first, and at one price the oldest first."""
    bids = [order for order in orders if order.side == BUY]
    bids.sort(key=lambda order: (-order.price_ugrx, order.number))
    return bids


def asks_first_served(orders: Iterable[AuctionOrder]) -> list[AuctionOrder]:
    """Return the asks, the lowest first, and at one price the oldest first."""
    asks = [order for order in orders if order.side == SELL]
    asks.sort(key=lambda order: (order.price_ugrx, order.number))
    return asks


def book_hash(zone: str, interval_ms: int, orders: Iterable[AuctionOrder]) -> str:
    """Return the SHA-256, in hex, of the book's canonical text.

    UTF-8 lines that end in LF: the rules' name, `zone NAME`, `interval MS`, then each order in the
    order of the numbers as `number wallet side price quantity`, single spaces, µGRX, µWh.
    """
    lines = [RULES, f"zone {zone}", f"interval {interval_ms}"]
    lines += [
        f"{order.number} {order.wallet} {order.side} {order.price_ugrx} {order.quantity_uwh}"
        for order in sorted(orders, key=lambda order: order.number)
    ]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def curve(first_served: Sequence[AuctionOrder]) -> list[tuple[int, int]]:
    """Return one side's curve: (price_ugrx, quantity_uwh at that price or a better one)."""
    steps: list[tuple[int, int]] = []
    total_uwh = 0
    for order in first_served:
        total_uwh += order.quantity_uwh
        if steps and steps[-1][0] == order.price_ugrx:
            steps[-1] = order.price_ugrx, total_uwh
        else:
            steps.append((order.price_ugrx, total_uwh))
    return steps
