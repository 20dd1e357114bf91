"""What a trade costs each side: `gross == net + fee + wheeling + loss`, to the µGRX.

Lots and ticks make price × quantity a whole number of µGRX, so values, wheeling and loss are exact.
Only the fee is a fraction: it is a part of the energy's value at the seller's price, rounded up to
the next µGRX in favour of the community.

Who pays for the network decides which price a trade shows. If the buyer pays, it is the seller's
price, and wheeling and loss come on top. If the seller pays, it is the landed price, and they come
out of the proceeds. Both ways the same µGRX reach the same accounts, and the same orders trade.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_wire.units import UWH_PER_KWH


class TradeCharges(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The charges of one trade.

    `gross_ugrx` is all that the buyer pays, `net_ugrx` all that the seller gets.
    """

    price_ugrx: int
    gross_ugrx: int
    net_ugrx: int
    fee_ugrx: int
    wheeling_ugrx: int
    loss_ugrx: int


def value_ugrx(price_ugrx: int, quantity_uwh: int) -> int:
    """Return what a quantity is worth at a price for each kWh; exact for whole lots and ticks."""
    return price_ugrx * quantity_uwh // UWH_PER_KWH


def fee_ugrx(value_ugrx: int, fee_bps: int, min_fee_ugrx: int = 0) -> int:
    """Return the fee on a value, rounded up to the next µGRX, and at least `min_fee_ugrx`."""
    return max(-(-value_ugrx * fee_bps // 10_000), min_fee_ugrx)


def charge(
    rules: MarketRules,
    seller_price_ugrx: int,
    quantity_uwh: int,
    *,
    wheeling_per_kwh_ugrx: int = 0,
    loss_per_kwh_ugrx: int = 0,
) -> TradeCharges:
    """Return the charges on energy that is sold at `seller_price_ugrx` for each kWh."""
    value = seller_price_ugrx * quantity_uwh // UWH_PER_KWH
    fee = max(-(-value * rules.fee_bps // 10_000), rules.min_fee_ugrx)
    wheeling = loss = 0
    price = seller_price_ugrx
    if wheeling_per_kwh_ugrx or loss_per_kwh_ugrx:
        wheeling = wheeling_per_kwh_ugrx * quantity_uwh // UWH_PER_KWH
        loss = loss_per_kwh_ugrx * quantity_uwh // UWH_PER_KWH
        if rules.network_payer == "seller":
            price += wheeling_per_kwh_ugrx + loss_per_kwh_ugrx
    if rules.fee_payer == "seller":
        return TradeCharges(
            price_ugrx=price,
            gross_ugrx=value + wheeling + loss,
            net_ugrx=value - fee,
            fee_ugrx=fee,
            wheeling_ugrx=wheeling,
            loss_ugrx=loss,
        )
    return TradeCharges(
        price_ugrx=price,
        gross_ugrx=value + wheeling + loss + fee,
        net_ugrx=value,
        fee_ugrx=fee,
        wheeling_ugrx=wheeling,
        loss_ugrx=loss,
    )
