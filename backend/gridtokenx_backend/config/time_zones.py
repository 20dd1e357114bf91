"""The changes of a time zone's clock, looked up for the core, which keeps them.

They come from the system's tz database, or else from the package tzdata. What was journaled stays
as it was, whatever the database of another machine says.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gridtokenx_backend.core.model.local_time import TimeZone

FIRST_YEAR = 2020
LAST_YEAR = 2100
"""After this year the last offset is used."""
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=8)
def look_up(name: str) -> TimeZone:
    """Return the zone of an IANA name with its changes of the clock. Raises ValueError."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"expected an IANA time zone such as Europe/Vienna, got {name!r}"
        ) from None
    at = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    end = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
    offset = _offset_s(zone, at)
    changes = [(_ms(at), offset)]
    while at < end:
        after = at + _DAY
        if _offset_s(zone, after) != offset:
            change = _change_between(zone, at, after)
            offset = _offset_s(zone, change)
            changes.append((_ms(change), offset))
        at = after
    return TimeZone(name) if changes == [(changes[0][0], 0)] else TimeZone(name, tuple(changes))


def _change_between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first minute in which the offset is no longer what it was at `before`."""
    former = _offset_s(zone, before)
    while after - before > _MINUTE:
        middle = before + (after - before) // _MINUTE // 2 * _MINUTE
        if _offset_s(zone, middle) == former:
            before = middle
        else:
            after = middle
    return after


def _offset_s(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)


def _ms(at: datetime) -> int:
    return round(at.timestamp()) * 1000
