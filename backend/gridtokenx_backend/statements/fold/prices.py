"""Volumes and prices of a month's trades, by zone and segment. They only add up the journal."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.messages.outcomes import Trade
from gridtokenx_wire.units import format_grx, format_kwh


class ZonePrices(msgspec.Struct, frozen=True, kw_only=True):
    """The trades whose seller is in the zone. The mean price is weighted by volume."""

    zone: str
    segment: str
    trades: int
    quantity_kwh: str
    lowest_grx_per_kwh: str
    mean_grx_per_kwh: str
    highest_grx_per_kwh: str


class TradedVolume(msgspec.Struct, kw_only=True, gc=False):
    """The trades of one zone and segment. `weighted` is the sum of quantity × price."""

    trades: int = 0
    quantity_uwh: int = 0
    weighted: int = 0
    lowest_ugrx: int = 0
    highest_ugrx: int = 0

    def add(self, trade: Trade) -> None:
        """Count a trade."""
        price_ugrx = trade.price_ugrx
        self.lowest_ugrx = min(self.lowest_ugrx, price_ugrx) if self.trades else price_ugrx
        self.highest_ugrx = max(self.highest_ugrx, price_ugrx)
        self.trades += 1
        self.quantity_uwh += trade.quantity_uwh
        self.weighted += trade.quantity_uwh * price_ugrx


class TradedVolumes:
    """All trades of the month. `charges_ugrx` are fees, wheeling, losses and congestion rent."""

    def __init__(self) -> None:
        self.welfare_ugrx = 0
        """What bids exceeded asks by, of all that the auctions traded."""
        self.charges_ugrx = [0, 0, 0, 0]
        self._volumes: dict[tuple[str, str], TradedVolume] = {}

    @property
    def quantity_uwh(self) -> int:
        return sum(each.quantity_uwh for each in self._volumes.values())

    def add(self, trade: Trade) -> None:
        """Count a trade in the zone of its seller."""
        key = (trade.seller_zone, trade.segment)
        volume = self._volumes.get(key)
        if volume is None:
            volume = self._volumes[key] = TradedVolume()
        volume.add(trade)
        charges = trade.fee_ugrx, trade.wheeling_ugrx, trade.loss_ugrx, trade.rent_ugrx
        for index, amount_ugrx in enumerate(charges):
            self.charges_ugrx[index] += amount_ugrx

    def prices(self) -> list[ZonePrices]:
        """Return the prices by zone, then by segment."""
        return [
            ZonePrices(
                zone=zone,
                segment=segment,
                trades=each.trades,
                quantity_kwh=format_kwh(each.quantity_uwh),
                lowest_grx_per_kwh=format_grx(each.lowest_ugrx),
                mean_grx_per_kwh=format_grx(each.weighted // each.quantity_uwh),
                highest_grx_per_kwh=format_grx(each.highest_ugrx),
            )
            for (zone, segment), each in sorted(self._volumes.items())
        ]
