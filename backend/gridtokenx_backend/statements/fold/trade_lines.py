"""What a trade was for one of its two sides.

The energy's value is quantity × price, computed here again. What the buyer pays above it, and what
the seller gets below it, are the charges that each of them bore. A statement checks that value and
charges of all its trades come to what the core let them pay and get.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.messages.outcomes import Trade
from gridtokenx_backend.core.model.terms import CommunityTerms, MarketTerms
from gridtokenx_backend.statements.model.document import TradeLine
from gridtokenx_wire.units import UWH_PER_KWH, format_grx, format_kwh

Payer = Literal["buyer", "seller"]
TradeKind = Literal["bought", "sold"]


class TradeSide(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade as one side sees it. `amount_ugrx` came into the wallet: below zero for a buyer."""

    quantity_uwh: int
    value_ugrx: int
    fee_ugrx: int
    wheeling_ugrx: int
    loss_ugrx: int
    rent_ugrx: int
    amount_ugrx: int


class TradeSums(msgspec.Struct, kw_only=True, gc=False):
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
        """Add a trade that the journal's entry `entry` has."""
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


def payer_of(trade: Trade, payer: Payer) -> str:
    """Return the wallet of the side that pays a charge."""
    return trade.buyer if payer == "buyer" else trade.seller


def side_of(trade: Trade, terms: CommunityTerms | None, kind: TradeKind) -> TradeSide:
    """Return the buyer's or the seller's part of a trade.

    `terms` are those in force: they say who pays which charge. The rent of full links is the
    buyer's, beside the gross amount.
    """
    is_buyer = kind == "bought"
    payer: Payer = "buyer" if is_buyer else "seller"
    market = terms.market if terms is not None else MarketTerms()
    pays_network = market.network_payer == payer
    return TradeSide(
        quantity_uwh=trade.quantity_uwh,
        value_ugrx=trade.price_ugrx * trade.quantity_uwh // UWH_PER_KWH,
        fee_ugrx=trade.fee_ugrx if market.fee_payer == payer else 0,
        wheeling_ugrx=trade.wheeling_ugrx if pays_network else 0,
        loss_ugrx=trade.loss_ugrx if pays_network else 0,
        rent_ugrx=trade.rent_ugrx if is_buyer else 0,
        amount_ugrx=-trade.gross_ugrx - trade.rent_ugrx if is_buyer else trade.net_ugrx,
    )


def trade_line(
    trade: Trade, side: TradeSide, *, kind: TradeKind, entry: int, number: int, at_ms: int
) -> TradeLine:
    """Return the document's line of a trade, which is the `number`-th of its entry."""
    return TradeLine(
        entry=entry,
        n=number,
        time_ms=at_ms,
        side=kind,
        segment=trade.segment,
        quantity_kwh=format_kwh(side.quantity_uwh),
        price_grx_per_kwh=format_grx(trade.price_ugrx),
        value_grx=format_grx(side.value_ugrx),
        fee_grx=format_grx(side.fee_ugrx),
        wheeling_grx=format_grx(side.wheeling_ugrx),
        loss_grx=format_grx(side.loss_ugrx),
        rent_grx=format_grx(side.rent_ugrx),
        amount_grx=format_grx(side.amount_ugrx),
    )
