"""Zones of the grid and the links between them, as the market uses them.

A zone has its own prices. Energy passes from one to another over a link, which has a capacity for
each interval and costs wheeling and loss. Prices are µGRX for each kWh.
"""

from __future__ import annotations

from typing import Final

import msgspec

INTERVAL_MS: Final = 900_000
ONLY_ZONE: Final = "main"
"""The zone of a community that names none."""


class ZoneRules(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A zone's price band and circuit breaker. 0 switches off a ceiling or a breaker."""

    name: str
    floor_ugrx: int = 0
    ceiling_ugrx: int = 0
    breaker_bps: int = 0
    breaker_pause_ms: int = 0


class LinkRules(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """Energy of sellers in `from_zone` for buyers in `to_zone`, so much in each interval.

    What is lost on the way costs the constant `loss_ugrx`; the buyer receives what was sold.
    """

    from_zone: str
    to_zone: str
    capacity_uwh: int
    wheeling_ugrx: int = 0
    loss_ugrx: int = 0

    @property
    def charge_ugrx(self) -> int:
        """What the way costs: the buyer's landed price less the seller's."""
        return self.wheeling_ugrx + self.loss_ugrx


def interval_of(at_ms: int) -> int:
    """The start of the 15-minute interval that `at_ms` is in."""
    return at_ms - at_ms % INTERVAL_MS


def loss_per_kwh_ugrx(loss_bps: int, loss_price_ugrx: int, tick_ugrx: int) -> int:
    """The price of what is lost of a kWh, rounded up to the next tick."""
    return -(-loss_bps * loss_price_ugrx // (10_000 * tick_ugrx)) * tick_ugrx
