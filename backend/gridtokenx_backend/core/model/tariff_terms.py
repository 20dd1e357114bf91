"""The parts of `community.toml` for tariffs, carbon and settlement.

The core journals them with the other terms. Statements use the tariffs and the carbon figures.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from gridtokenx_wire.config import Grx

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class WindowTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hours of some weekdays that have a price of their own.

    If `to_hour` is not after `from_hour`, the window ends on the next day. Such a night belongs to
    the day on which it begins.
    """

    name: str
    energy_grx_per_kwh: Grx
    from_hour: int = 0
    to_hour: int = 24
    days: list[Weekday] = msgspec.field(default_factory=lambda: list(WEEKDAYS))


class TariffLineTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A charge beside the energy itself, such as one for the network or a levy."""

    name: str
    grx_per_kwh: Grx = Grx(0)
    grx_per_month: Grx = Grx(0)
    basis: Literal["residual", "import"] = "residual"
    """The import that is charged: what the community did not cover (residual), or all of it."""


class TariffTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A version of a utility tariff.

    It holds from a month on, until a later version of the same name does.
    """

    name: str
    valid_from: date
    energy_grx_per_kwh: Grx
    feed_in_grx_per_kwh: Grx = Grx(0)
    fixed_grx_per_month: Grx = Grx(0)
    window: list[WindowTerms] = []
    line: list[TariffLineTerms] = []


class CarbonTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grams of CO2 that a kWh from the grid causes, and the source of that figure."""

    g_per_kwh: int = 0
    source: str = ""


class SettlementTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of unsold surplus, and how long bought GRID may cover import."""

    feed_in_unsold: bool = True
    """Whether the unsold surplus of a month goes to the utility when the month becomes final.

    It can then no longer be sold.
    """
    cover_hours: int = 72
    """For this long after an interval, GRID that is bought may still cover its import."""
