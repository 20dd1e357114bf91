"""A meter's own clock: what its registers say, and the meter's time at a later moment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

# A clock that shows an earlier time was never set, or has lost it.
_OLDEST = datetime(2024, 1, 1, tzinfo=UTC)
_MS_A_MINUTE = 60_000


def decode_time(words: Sequence[int]) -> int | None:
    """Return milliseconds since 1970 as the meter counts them, in whatever zone it is; None: not
    set.

    The registers are four, as in Schneider Electric's DATETIME (manual DOCA0005EN; after IEC
    870-5-4): years from 2000 in bits 0-6; month in bits 8-11 and day in 0-4; hour in bits 8-12 and
    minute in 0-5; milliseconds of the minute.
    """
    years, date, time, ms = words
    try:
        minute = datetime(
            2000 + (years & 0x7F),
            date >> 8 & 0x0F,
            date & 0x1F,
            time >> 8 & 0x1F,
            time & 0x3F,
            tzinfo=UTC,
        )
    except ValueError:
        return None
    if minute < _OLDEST or ms >= _MS_A_MINUTE:
        return None
    return round(minute.timestamp()) * 1000 + ms


class MeterClock(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter's clock showed: `meter_ms` (UTC), at `at_s` of the monotonic clock, when the
    gateway's own clock showed `gateway_ms`.
    """

    meter_ms: int
    at_s: float
    gateway_ms: int

    @property
    def drift_ms(self) -> int:
        """How far the meter's clock was ahead of the gateway's."""
        return self.meter_ms - self.gateway_ms

    def time_ms(self, now_s: float) -> int:
        """Return the meter's time at another moment of the monotonic clock."""
        return self.meter_ms + round((now_s - self.at_s) * 1000)
