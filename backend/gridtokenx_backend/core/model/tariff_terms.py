"""The parts of `community.toml` that the core keeps for the statements: tariffs, carbon."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from gridtokenx_wire.config import Grx

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class WindowTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hours of some weekdays at a price of their own. `to_hour` at or before `from_hour` is the
    next day's, and the night belongs to the day on which it begins."""

    name: str
    energy_grx_per_kwh: Grx
    from_hour: int = 0
    to_hour: int = 24
    days: list[Weekday] = msgspec.field(default_factory=lambda: list(WEEKDAYS))


class TariffLineTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is charged beside energy, such as the network and levies."""

    name: str
    grx_per_kwh: Grx = Grx(0)
    grx_per_month: Grx = Grx(0)
    basis: Literal["residual", "import"] = "residual"
    """On the import that the community did not cover, or on all of it."""


class TariffTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A utility tariff from a month on, until another of the same name holds."""

    name: str
    valid_from: date
    energy_grx_per_kwh: Grx
    feed_in_grx_per_kwh: Grx = Grx(0)
    fixed_grx_per_month: Grx = Grx(0)
    window: list[WindowTerms] = []
    line: list[TariffLineTerms] = []


class CarbonTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kWh from the grid emits, and who says so."""

    g_per_kwh: int = 0
    source: str = ""


class SettlementTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    feed_in_unsold: bool = True
    """When a month becomes final, its unsold surplus goes to the utility and cannot be sold."""
    cover_hours: int = 72
    """For how long after an interval its import may be covered by bought GRID."""
