"""What the API says of zones and links: who may trade there, at what price, and what fits."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market.trading_state import OPEN, ZoneState
from gridtokenx_backend.core.model.zones import LinkRules, ZoneRules
from gridtokenx_wire.units import format_grx, format_kwh


class ZoneView(msgspec.Struct, frozen=True):
    """`status` is open, halted, cancel_only, or paused (by its breaker, until `paused_until_ms`).

    Prices are empty where there is none: no floor or ceiling, no trade yet.
    """

    zone: str
    status: str
    reason: str
    paused_until_ms: int
    floor_grx_per_kwh: str
    ceiling_grx_per_kwh: str
    last_price_grx_per_kwh: str
    breaker_bps: int


class LinkView(msgspec.Struct, frozen=True):
    """`room_kwh` is what still fits in the interval that is running."""

    from_zone: str
    to_zone: str
    capacity_kwh: str
    room_kwh: str
    wheeling_grx_per_kwh: str
    loss_grx_per_kwh: str


class ZonesView(msgspec.Struct, frozen=True):
    zones: list[ZoneView]
    links: list[LinkView]


class MarketView(msgspec.Struct, frozen=True):
    zones: list[str]
    status: str
    journal_seq: int


def _price(price_ugrx: int) -> str:
    return format_grx(price_ugrx) if price_ugrx else ""


def zone_view(rules: ZoneRules, state: ZoneState, at_ms: int) -> ZoneView:
    is_paused = state.status == OPEN and at_ms < state.paused_until_ms
    return ZoneView(
        rules.name,
        "paused" if is_paused else state.status,
        state.reason,
        state.paused_until_ms if is_paused else 0,
        _price(rules.floor_ugrx),
        _price(rules.ceiling_ugrx),
        _price(state.last_ugrx),
        rules.breaker_bps,
    )


def link_view(rules: LinkRules, room_uwh: int) -> LinkView:
    return LinkView(
        rules.from_zone,
        rules.to_zone,
        format_kwh(rules.capacity_uwh),
        format_kwh(room_uwh),
        format_grx(rules.wheeling_ugrx),
        format_grx(rules.loss_ugrx),
    )
