"""The section `[sharing]` of `community.toml`: keys, participation and price of a shared kWh."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_wire.config import Grx, Percent


class HourSharesTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The shares that hold on these days from a local hour on, until the next entry's hour."""

    hour: int
    shares_percent: dict[str, Percent]
    days: Literal["all", "workdays", "weekend"] = "all"


class ShareTable(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The shares for each interval, from a file. `source` is the file's SHA-256 in hex.

    Step n, of `step_ms`, begins at `start_ms + n * step_ms`; `shares` has the millionths of each
    of the `meters` for each step, one step after the other, as 32-bit little-endian numbers.
    """

    source: str
    start_ms: int
    step_ms: int
    meters: list[str]
    shares: bytes

    def at(self, interval_ms: int) -> dict[str, int] | None:
        """Return the shares of an interval in millionths; None before the table and after it."""
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
    """The kind of key. If it is empty, the community's mode holds."""
    shares_percent: dict[str, Percent] = {}
    """The share of each consuming meter."""
    hours: list[HourSharesTerms] = []
    table: str = ""
    """A file with the shares for each interval, in the folder of `community.toml`.

    For intervals that it does not have, `shares_percent` and `hours` hold.
    """
    of_table: ShareTable | None = None
    """The content of that file when the terms were read. It is journaled with them."""


class ParticipationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The part of a meter's energy that takes part in sharing, from a time on."""

    meter: str
    valid_from: str
    percent: Percent
    elsewhere_percent: Percent = Percent(0)
    """The part of its energy that takes part in other communities."""


class SharingTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sharing by a key, and the price of a shared kWh.

    The price is fixed, or it follows the balance of production and consumption in each interval.
    """

    price_rule: Literal["fixed", "balance"] = "fixed"
    price_grx_per_kwh: Grx = Grx(0)
    floor_grx_per_kwh: Grx = Grx(0)
    ceiling_grx_per_kwh: Grx = Grx(0)
    settle: Literal["statement", "grx"] = "statement"
    """Whether shared energy is only listed on the statement or also paid in GRX on the ledger.

    In GRX it is paid at once, as far as the consumer's balance allows.
    """
    key: list[KeyTerms] = []
    participation: list[ParticipationTerms] = []
