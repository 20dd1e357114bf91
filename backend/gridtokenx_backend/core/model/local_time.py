"""The community's local time: its hours, days and months.

The time zone files of a machine change with its updates, so the core never reads them. The changes
of the clock are looked up once, when the terms are read (`config.time_zones`), and journaled with
them.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta

import msgspec

HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class TimeZone(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A time zone. `changes` are [from_ms, offset_s], ascending: local time is UTC plus offset.

    Before the first of them its offset holds as well; without any, local time is UTC.
    """

    name: str = "UTC"
    changes: tuple[tuple[int, int], ...] = ()


_LAST_MS = 253_402_300_799_999
"""The end of the year 9999 in UTC."""


def offset_ms(zone: TimeZone, at_ms: int) -> int:
    """Return what is added to UTC to have the local time at `at_ms`."""
    changes = zone.changes
    if not changes:
        return 0
    index = bisect_right(changes, at_ms, key=_from_ms) - 1
    return changes[max(0, index)][1] * 1000


def hour_at(zone: TimeZone, at_ms: int) -> int:
    """Return the local hour of the day, 0 to 23."""
    return (at_ms + offset_ms(zone, at_ms)) // HOUR_MS % 24


def month_at(zone: TimeZone, at_ms: int) -> int:
    """Return the local calendar month as the number yyyymm."""
    local = _EPOCH + (at_ms + offset_ms(zone, at_ms)) * _MS
    return local.year * 100 + local.month


def month_start_ms(zone: TimeZone, month: int) -> int:
    """Return the first moment of the month yyyymm."""
    year, number = divmod(month, 100)
    local_ms = (datetime(year, number, 1, tzinfo=UTC) - _EPOCH) // _MS
    # Midnight is at most a day from the same figures in UTC; the offset there may be the former.
    start_ms = local_ms - offset_ms(zone, local_ms)
    return local_ms - offset_ms(zone, start_ms)


def next_month(month: int) -> int:
    """Return the month after the month yyyymm."""
    return month + 1 if month % 100 < 12 else month + 89


def month_text(month: int) -> str:
    """Return the month 202605 as 2026-05."""
    return f"{month // 100:04d}-{month % 100:02d}"


def local_text(zone: TimeZone, at_ms: int, form: str = "%Y-%m-%dT%H:%M") -> str:
    """Return a moment with its offset, such as 2026-06-30T22:00+02:00; its number if it is late."""
    if at_ms > _LAST_MS:
        return str(at_ms)
    ahead_ms = offset_ms(zone, at_ms)
    minutes = abs(ahead_ms) // 60_000
    sign = "-" if ahead_ms < 0 else "+"
    local = datetime.fromtimestamp((at_ms + ahead_ms) / 1000, UTC)
    return f"{local:{form}}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def parse_month(text: str) -> int:
    """Return the month 2026-05 as 202605. Raises ValueError if it is not one."""
    year, dash, number = text.partition("-")
    is_month = dash and len(year) == 4 and len(number) == 2 and (year + number).isdecimal()
    if not is_month or not text.isascii() or not 1 <= int(number) <= 12 or int(year) < 1970:
        raise ValueError(f"expected a month such as 2026-05, got {text[:40]!r}")
    return int(year + number)


def _from_ms(change: tuple[int, int]) -> int:
    return change[0]
