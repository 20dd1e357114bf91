"""The market's terms, as integers."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.zones import ONLY_ZONE, LinkRules, ZoneRules

Payer = Literal["buyer", "seller"]


class MarketRules(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The rules of the market that hold now. The network charges are wheeling and loss."""

    lot_uwh: int
    tick_ugrx: int
    highest_price_ugrx: int
    largest_order_uwh: int
    fee_bps: int
    fee_payer: Payer = "seller"
    network_payer: Payer = "buyer"
    min_fee_ugrx: int = 0
    zones: tuple[ZoneRules, ...] = (ZoneRules(name=ONLY_ZONE),)
    links: tuple[LinkRules, ...] = ()
    most_open_orders: int = 1000
    """How many orders of one wallet may be open in each segment."""
