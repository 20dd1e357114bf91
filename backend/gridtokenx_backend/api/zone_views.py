"""What the API answers about zones and links: their state, prices and capacities."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.market.trading_state import OPEN, ZoneState
from gridtokenx_backend.core.messages.outcomes import ZoneStatus
from gridtokenx_backend.core.model.zones import LinkRules, ZoneRules
from gridtokenx_wire.units import format_grx, format_kwh


class ZoneView(msgspec.Struct, frozen=True, kw_only=True):
    """A zone. `status` is open, halted, cancel_only, or paused (by its circuit breaker, until
    `paused_until_ms`).

    A price is empty if there is none: no floor, no ceiling, or no trade yet.
    """

    zone: str
    status: ZoneStatus | Literal["paused"]
    reason: str
    paused_until_ms: int
    floor_grx_per_kwh: str
    ceiling_grx_per_kwh: str
    last_price_grx_per_kwh: str
    breaker_bps: int


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A link. `room_kwh` is what still fits through it in the current interval."""

    from_zone: str
    to_zone: str
    capacity_kwh: str
    room_kwh: str
    wheeling_grx_per_kwh: str
    loss_grx_per_kwh: str


class ZonesView(msgspec.Struct, frozen=True, kw_only=True):
    """The zones of the community and the links between them."""

    zones: list[ZoneView]
    links: list[LinkView]


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """The zones that were switched, and their new state."""

    zones: list[str]
    status: ZoneStatus
    journal_seq: int


def _price(price_ugrx: int) -> str:
    return format_grx(price_ugrx) if price_ugrx else ""


def zone_view(rules: ZoneRules, state: ZoneState, at_ms: int) -> ZoneView:
    is_paused = state.status == OPEN and at_ms < state.paused_until_ms
    return ZoneView(
        zone=rules.name,
        status="paused" if is_paused else state.status,
        reason=state.reason,
        paused_until_ms=state.paused_until_ms if is_paused else 0,
        floor_grx_per_kwh=_price(rules.floor_ugrx),
        ceiling_grx_per_kwh=_price(rules.ceiling_ugrx),
        last_price_grx_per_kwh=_price(state.last_ugrx),
        breaker_bps=rules.breaker_bps,
    )


def link_view(rules: LinkRules, room_uwh: int) -> LinkView:
    return LinkView(
        from_zone=rules.from_zone,
        to_zone=rules.to_zone,
        capacity_kwh=format_kwh(rules.capacity_uwh),
        room_kwh=format_kwh(room_uwh),
        wheeling_grx_per_kwh=format_grx(rules.wheeling_ugrx),
        loss_grx_per_kwh=format_grx(rules.loss_ugrx),
    )
