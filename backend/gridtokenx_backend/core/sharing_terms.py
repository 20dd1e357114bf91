"""`[sharing]` of `community.toml`: keys, who takes part, and what a shared kWh costs."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_wire.config import Grx, Percent


class HourSharesTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `hour` on, local time, on these days; until the next entry's hour."""

    hour: int
    shares_percent: dict[str, Percent]
    days: Literal["all", "workdays", "weekend"] = "all"


class KeyTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version of the community's key. It is never changed: a later version follows it."""

    version: int
    valid_from: str
    """The start of an interval, with its offset: 2026-01-01T00:00:00+01:00."""
    mode: Literal["", "static", "time_varying", "dynamic", "imported"] = ""
    """Empty: as the community's."""
    shares_percent: dict[str, Percent] = {}
    """By the consuming meter."""
    hours: list[HourSharesTerms] = []


class ParticipationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With which part of its energy a meter gives and takes, from a time on."""

    meter: str
    valid_from: str
    percent: Percent
    elsewhere_percent: Percent = Percent(0)
    """What it takes part with in other communities."""


class SharingTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sharing by a key. What a shared kWh costs is fixed, or follows the interval's balance."""

    price_rule: Literal["fixed", "balance"] = "fixed"
    price_grx_per_kwh: Grx = Grx(0)
    floor_grx_per_kwh: Grx = Grx(0)
    ceiling_grx_per_kwh: Grx = Grx(0)
    settle: Literal["statement", "grx"] = "statement"
    """grx: paid on the ledger at once, as far as the consumer has the cover."""
    key: list[KeyTerms] = []
    participation: list[ParticipationTerms] = []
