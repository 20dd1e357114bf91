"""The price of a shared kWh, which is the same for the whole community in an interval.

Statements and payments use it. It is not a market price, and no allocation depends on it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_wire.units import UWH_PER_KWH


class CommunityPrice(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The community's price terms, in µGRX for each kWh.

    `rule` is fixed (always the reference) or balance (see `interval_price`).
    """

    rule: Literal["fixed", "balance"] = "fixed"
    reference_ugrx: int = 0
    floor_ugrx: int = 0
    ceiling_ugrx: int = 0
    tick_ugrx: int = 1


def interval_price(terms: CommunityPrice, offered_uwh: int, consumed_uwh: int) -> int:
    """Return the price in an interval in which this much energy was offered and consumed.

    By the rule `balance` it is the reference price when both are equal. When energy is lacking, it
    rises in proportion to the lack, up to the ceiling when nothing is offered. When there is too
    much, it falls in proportion to the excess, down to the floor when nothing is consumed. It is
    rounded down to the tick, but never below the floor.
    """
    reference_ugrx = terms.reference_ugrx
    if terms.rule == "fixed" or offered_uwh == consumed_uwh:
        return reference_ugrx
    if offered_uwh < consumed_uwh:
        room_ugrx = terms.ceiling_ugrx - reference_ugrx
        exact_ugrx = reference_ugrx + room_ugrx * (consumed_uwh - offered_uwh) // consumed_uwh
    else:
        room_ugrx = reference_ugrx - terms.floor_ugrx
        fallen_ugrx = -(-room_ugrx * (offered_uwh - consumed_uwh) // offered_uwh)
        exact_ugrx = reference_ugrx - fallen_ugrx
    return max(terms.floor_ugrx, exact_ugrx // terms.tick_ugrx * terms.tick_ugrx)


def value(energy_uwh: int, price_ugrx: int) -> int:
    """Return what an energy costs in µGRX, rounded down in favour of the consumers."""
    return energy_uwh * price_ugrx // UWH_PER_KWH
