"""What the clearing of an interval publishes: enough for anybody to compute it again."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.auction.orders import AuctionOrder


class ZoneClearing(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The auction of one zone and its part in the coupling. Prices are µGRX for each kWh.

    `book` is in the order of the numbers and `digest` its hash. A price is None where nothing
    trades, an end of an interval where there is none. `welfare_ugrx` is the auction's.
    """

    zone: str
    book: list[AuctionOrder]
    digest: str
    low_ugrx: int | None
    high_ugrx: int | None
    price_ugrx: int | None
    volume_uwh: int
    welfare_ugrx: int
    exported_uwh: int = 0
    imported_uwh: int = 0
    coupling_low_ugrx: int | None = None
    coupling_high_ugrx: int | None = None
    coupling_price_ugrx: int | None = None


class LinkClearing(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """One link in the coupling. `capacity_uwh` is what the realtime market had left of it.

    Wheeling, loss and `rent_ugrx_per_kwh` are µGRX for each kWh.
    """

    from_zone: str
    to_zone: str
    capacity_uwh: int
    wheeling_ugrx: int
    loss_ugrx: int
    flow_uwh: int
    rent_ugrx_per_kwh: int
    rent_ugrx: int
