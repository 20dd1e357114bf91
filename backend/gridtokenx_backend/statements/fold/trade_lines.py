"""What a trade was for one of its two sides.

The energy's value is quantity × price. What the buyer pays above it, and what the seller gets
below it, are the charges that each of them bore.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from gridtokenx_backend.core.messages.outcomes import Trade
from gridtokenx_backend.core.model.terms import CommunityTerms, MarketTerms
from gridtokenx_backend.statements.model.document import TradeLine
from gridtokenx_wire.units import UWH_PER_KWH, format_grx, format_kwh


class TradeSide(NamedTuple):
    """`amount_ugrx` is what came into the wallet: below zero for a buyer."""

    quantity_uwh: int
    value_ugrx: int
    fee_ugrx: int
    wheeling_ugrx: int
    loss_ugrx: int
    rent_ugrx: int
    amount_ugrx: int


class TradeSums(msgspec.Struct, gc=False):
    """The sum of a wallet's purchases, or of its sales."""

    quantity_uwh: int = 0
    value_ugrx: int = 0
    fee_ugrx: int = 0
    wheeling_ugrx: int = 0
    loss_ugrx: int = 0
    rent_ugrx: int = 0
    amount_ugrx: int = 0
    trades: int = 0
    first_entry: int = 0
    last_entry: int = 0

    def add(self, side: TradeSide, entry: int) -> None:
        self.quantity_uwh += side.quantity_uwh
        self.value_ugrx += side.value_ugrx
        self.fee_ugrx += side.fee_ugrx
        self.wheeling_ugrx += side.wheeling_ugrx
        self.loss_ugrx += side.loss_ugrx
        self.rent_ugrx += side.rent_ugrx
        self.amount_ugrx += side.amount_ugrx
        self.trades += 1
        self.first_entry = self.first_entry or entry
        self.last_entry = entry


def side_of(trade: Trade, terms: CommunityTerms | None, *, bought: bool) -> TradeSide:
    """One side's part. `terms` are those in force: they say who pays which charge.

    The rent of full links is the buyer's, beside the gross amount.
    """
    value_ugrx = trade.price_ugrx * trade.quantity_uwh // UWH_PER_KWH
    payer = "buyer" if bought else "seller"
    market = terms.market if terms is not None else MarketTerms()
    fee_ugrx = trade.fee_ugrx if market.fee_payer == payer else 0
    wheeling_ugrx = trade.wheeling_ugrx if market.network_payer == payer else 0
    loss_ugrx = trade.loss_ugrx if market.network_payer == payer else 0
    rent_ugrx = trade.rent_ugrx if bought else 0
    amount_ugrx = -trade.gross_ugrx - rent_ugrx if bought else trade.net_ugrx
    return TradeSide(
        trade.quantity_uwh, value_ugrx, fee_ugrx, wheeling_ugrx, loss_ugrx, rent_ugrx, amount_ugrx
    )


def trade_line(
    trade: Trade,
    side: TradeSide,
    kind: Literal["bought", "sold"],
    entry: int,
    n: int,
    at_ms: int,
) -> TradeLine:
    """The trade as a line of the document."""
    return TradeLine(
        entry,
        n,
        at_ms,
        kind,
        trade.segment,
        format_kwh(side.quantity_uwh),
        format_grx(trade.price_ugrx),
        format_grx(side.value_ugrx),
        format_grx(side.fee_ugrx),
        format_grx(side.wheeling_ugrx),
        format_grx(side.loss_ugrx),
        format_grx(side.rent_ugrx),
        format_grx(side.amount_ugrx),
    )
