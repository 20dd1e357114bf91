"""`[sharing]` of `community.toml`: keys, who takes part, and what a shared kWh costs."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_wire.config import Grx, Percent


class HourSharesTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From `hour` on, local time, on these days; until the next entry's hour."""

    hour: int
    shares_percent: dict[str, Percent]
    days: Literal["all", "workdays", "weekend"] = "all"


class ShareTable(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """Shares by interval, from a file. `source` is its SHA-256 in hex.

    Step n, of `step_ms`, begins at `start_ms + n * step_ms`; `shares` has the millionths of each
    of the `meters` for each step, one step after the other, as 32-bit little-endian numbers.
    """

    source: str
    start_ms: int
    step_ms: int
    meters: list[str]
    shares: bytes

    def at(self, interval_ms: int) -> dict[str, int] | None:
        """The shares of an interval in millionths; None before the table and after it."""
        size = 4 * len(self.meters)
        first = (interval_ms - self.start_ms) // self.step_ms * size
        if not 0 <= first < len(self.shares):
            return None
        of_step = self.shares[first : first + size]
        return {
            meter: int.from_bytes(of_step[4 * index : 4 * index + 4], "little")
            for index, meter in enumerate(self.meters)
        }


class KeyTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A version of the community's key. It is never changed: a later version follows it."""

    version: int
    valid_from: str
    """The start of an interval, with its offset: 2026-01-01T00:00:00+01:00."""
    mode: Literal["", "static", "time_varying", "dynamic", "imported"] = ""
    """Empty: as the community's."""
    shares_percent: dict[str, Percent] = {}
    """By the consuming meter."""
    hours: list[HourSharesTerms] = []
    table: str = ""
    """A file with shares by interval, beside this one. Where it ends, the shares above hold."""
    of_table: ShareTable | None = None
    """What the file said when the terms were read; it is journaled with them."""


class ParticipationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """With which part of its energy a meter gives and takes, from a time on."""

    meter: str
    valid_from: str
    percent: Percent
    elsewhere_percent: Percent = Percent(0)
    """What it takes part with in other communities."""


class SharingTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sharing by a key. What a shared kWh costs is fixed, or follows the interval's balance."""

    price_rule: Literal["fixed", "balance"] = "fixed"
    price_grx_per_kwh: Grx = Grx(0)
    floor_grx_per_kwh: Grx = Grx(0)
    ceiling_grx_per_kwh: Grx = Grx(0)
    settle: Literal["statement", "grx"] = "statement"
    """grx: paid on the ledger at once, as far as the consumer has the cover."""
    key: list[KeyTerms] = []
    participation: list[ParticipationTerms] = []
