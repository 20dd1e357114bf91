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
    """A link: sellers in `from_zone` may deliver to buyers in `to_zone`, up to its capacity.

    The capacity is for each interval. The loss on the way is paid as `loss_ugrx` for each kWh; the
    buyer receives all that was sold.
    """

    from_zone: str
    to_zone: str
    capacity_uwh: int
    wheeling_ugrx: int = 0
    loss_ugrx: int = 0

    @property
    def charge_ugrx(self) -> int:
        """What the link costs for each kWh: the buyer's price less the seller's."""
        return self.wheeling_ugrx + self.loss_ugrx


def interval_of(at_ms: int) -> int:
    """Return the start of the 15-minute interval that `at_ms` lies in."""
    return at_ms - at_ms % INTERVAL_MS


def loss_per_kwh_ugrx(loss_bps: int, loss_price_ugrx: int, tick_ugrx: int) -> int:
    """Return the price of what is lost of a kWh, rounded up to the next tick."""
    return -(-loss_bps * loss_price_ugrx // (10_000 * tick_ugrx)) * tick_ugrx
