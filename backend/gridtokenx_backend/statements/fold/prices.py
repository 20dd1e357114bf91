"""Volumes and prices of a month's trades, by zone and segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from gridtokenx_backend.core.messages.outcomes import Trade
from gridtokenx_backend.core.model.ledger import CONGESTION, FEES, GRX, LOSSES, WHEELING
from gridtokenx_wire.units import format_grx, format_kwh

if TYPE_CHECKING:
    from gridtokenx_backend.statements.fold.wallet import WalletMonth


class ZonePrices(msgspec.Struct, frozen=True):
    """Of the trades whose seller is in the zone. `mean` is weighted by volume."""

    zone: str
    segment: str
    trades: int
    quantity_kwh: str
    lowest_grx_per_kwh: str
    mean_grx_per_kwh: str
    highest_grx_per_kwh: str


class _Traded(msgspec.Struct, gc=False):
    trades: int = 0
    quantity_uwh: int = 0
    weighted: int = 0
    lowest_ugrx: int = 0
    highest_ugrx: int = 0

    def add(self, trade: Trade) -> None:
        price_ugrx = trade.price_ugrx
        self.lowest_ugrx = min(self.lowest_ugrx, price_ugrx) if self.trades else price_ugrx
        self.highest_ugrx = max(self.highest_ugrx, price_ugrx)
        self.trades += 1
        self.quantity_uwh += trade.quantity_uwh
        self.weighted += trade.quantity_uwh * price_ugrx


class TradedVolumes:
    """What was traded in the month."""

    def __init__(self) -> None:
        self.welfare_ugrx = 0
        """Of the auctions."""
        self._traded: dict[tuple[str, str], _Traded] = {}

    @property
    def quantity_uwh(self) -> int:
        return sum(each.quantity_uwh for each in self._traded.values())

    def add(self, trade: Trade) -> None:
        key = (trade.seller_zone, trade.segment)
        found = self._traded.get(key)
        if found is None:
            found = self._traded[key] = _Traded()
        found.add(trade)

    def prices(self) -> list[ZonePrices]:
        """By zone, then segment."""
        return [
            ZonePrices(
                zone,
                segment,
                each.trades,
                format_kwh(each.quantity_uwh),
                format_grx(each.lowest_ugrx),
                format_grx(each.weighted // each.quantity_uwh),
                format_grx(each.highest_ugrx),
            )
            for (zone, segment), each in sorted(self._traded.items())
        ]

    @staticmethod
    def charges(wallets: Mapping[str, WalletMonth]) -> list[int]:
        """What the month brought to fees, wheeling, losses and congestion, in µGRX."""
        accounts = (FEES, WHEELING, LOSSES, CONGESTION)
        return [wallets[each].within[GRX] if each in wallets else 0 for each in accounts]
