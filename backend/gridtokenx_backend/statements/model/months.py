"""A calendar month of a community: where it begins and ends, and its 15-minute intervals.

Months begin at local midnight, so one in which the clocks change is an hour shorter or longer:
March 2026 in Vienna has 2972 intervals, October 2980.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

INTERVAL_MS = 900_000
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month in a time zone, as [from_ms, to_ms) in Unix milliseconds UTC."""

    name: str
    zone: str
    from_ms: int
    to_ms: int

    @property
    def intervals(self) -> int:
        """How many intervals of 15 minutes the month has."""
        return (self.to_ms - self.from_ms) // INTERVAL_MS

    @property
    def days(self) -> int:
        first, end = (self.local(at_ms) for at_ms in (self.from_ms, self.to_ms))
        return (end.date() - first.date()).days

    def has(self, at_ms: int) -> bool:
        """Return whether a moment lies in the month."""
        return self.from_ms <= at_ms < self.to_ms

    def local(self, at_ms: int) -> datetime:
        """Return the local time of a moment."""
        return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(self.zone))


def parse_month(text: str, zone: str) -> Month:
    """Return the month that is written like 2026-06. Raises ValueError for any other text."""
    matched = _MONTH.fullmatch(text)
    if matched is None or not 1970 < int(matched[1]) < 9999:
        raise ValueError(f"expected a month such as 2026-06, got {text[:20]!r}")
    year, month = int(matched[1]), int(matched[2])
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return Month(
        name=text,
        zone=zone,
        from_ms=_midnight_ms(year, month, zone),
        to_ms=_midnight_ms(*following, zone),
    )


def month_of(at_ms: int, zone: str) -> Month:
    """Return the month in which a moment lies."""
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    return parse_month(f"{local.year:04}-{local.month:02}", zone)


def _midnight_ms(year: int, month: int, zone: str) -> int:
    local = datetime(year, month, 1, tzinfo=ZoneInfo(zone))
    return int(local.astimezone(UTC).timestamp()) * 1000
