"""Sharing keys and participation factors, each valid from a time on, and never overwritten.

A change is a new version with a later `valid_from_ms`, never before an interval that was cleared
(the Austrian market rules know no retroactive change of a key either): an old interval is always
allocated again by the key that held for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gridtokenx_backend.core.model.sharing_terms import ShareTable

Mode = Literal["static", "time_varying", "dynamic", "imported"]

WHOLE_PPM = 1_000_000
"""A share or a participation factor of 100 %."""
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_FIRST_WEEKDAY = 3  # 1 January 1970 was a Thursday
_SATURDAY = 5


class HourShares(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The shares that hold on some days from a local hour on, until the next entry's hour."""

    hour: int
    days: Literal["all", "workdays", "weekend"]
    shares_ppm: dict[str, int]


class SharingKey(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The key by which the community shares energy from `valid_from_ms` on.

    `shares_ppm` has the share of each consuming meter. `hours` and `table` are used only in the
    mode `time_varying`. The entries of `hours` are in ascending order, and `shares_ppm` holds
    before the first of them. In the intervals that `table` has, its shares hold instead.
    """

    version: int
    valid_from_ms: int
    mode: Mode
    shares_ppm: dict[str, int] = {}
    hours: list[HourShares] = []
    table: ShareTable | None = None


class Participation(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The part of a meter's energy that takes part in sharing from `valid_from_ms` on."""

    meter: str
    valid_from_ms: int
    factor_ppm: int


def active_key(keys: Iterable[SharingKey], interval_ms: int) -> SharingKey | None:
    """Return the key of an interval: the highest version that is valid at its start."""
    valid = [key for key in keys if key.valid_from_ms <= interval_ms]
    return max(valid, key=lambda key: key.version, default=None)


def interval_shares(key: SharingKey, interval_ms: int, local_ms: int) -> Mapping[str, int]:
    """Return the shares of an interval; `local_ms` is its start in local time."""
    by_interval = key.table.at(interval_ms) if key.table else None
    return hourly_shares(key, local_ms) if by_interval is None else by_interval


def hourly_shares(key: SharingKey, local_ms: int) -> Mapping[str, int]:
    """Return the shares of an interval by a static or time-varying key without a table.

    `local_ms` is its start in local time: Unix time plus the time zone's offset. So the hour that
    comes twice in autumn has its shares twice, and the one left out in spring never.
    """
    hour = local_ms // _HOUR_MS % 24
    weekday = (local_ms // _DAY_MS + _FIRST_WEEKDAY) % 7
    days = "weekend" if weekday >= _SATURDAY else "workdays"
    chosen = key.shares_ppm
    for entry in key.hours:
        if entry.hour <= hour and entry.days in ("all", days):
            chosen = entry.shares_ppm
    return chosen


def factor_at(versions: Sequence[Participation], interval_ms: int) -> int:
    """Return a meter's participation factor in an interval, in millionths.

    `versions` are in order of time. A meter without any takes part with all its energy.
    """
    factor_ppm = WHOLE_PPM
    for version in versions:
        if version.valid_from_ms <= interval_ms:
            factor_ppm = version.factor_ppm
    return factor_ppm
