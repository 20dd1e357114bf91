"""A meter's clock in both directions, with the quirks of its maker. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gridtokenx_dlms.date_time import UNSPECIFIED, UNSPECIFIED_DEVIATION, CosemDateTime

_DAYLIGHT_SAVING = 0x80
# A clock that shows an earlier time was never set, or has lost it (2024-01-01).
_OLDEST_MS = 1_704_067_200_000


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """A moment (Unix milliseconds, UTC) and the deviation that it was written with, if any."""

    time_ms: int
    deviation_min: int | None


class MeterZone(msgspec.Struct, frozen=True):
    """How a meter writes times: with a deviation of either sign, or as local time in `zone`."""

    is_reversed: bool = False
    zone: str = ""

    def read(self, moment: CosemDateTime, near_ms: int | None = None) -> ClockReading | None:
        """Return the moment; None where the clock was never set, or where nothing tells its
        zone.

        A local time without deviation may stand for two moments. The one nearer to `near_ms` is
        meant, where that is known; otherwise the status tells.
        """
        deviation: int | None = moment.deviation_min
        if deviation == UNSPECIFIED_DEVIATION:
            deviation = None
        if deviation is not None:
            to_utc = -deviation if self.is_reversed else deviation
            plain = msgspec.structs.replace(moment, deviation_min=to_utc)
            time_ms = plain.unix_ms()
        else:
            time_ms = self._in_zone(moment, near_ms)
        if time_ms is None or time_ms < _OLDEST_MS:
            return None
        return ClockReading(time_ms=time_ms, deviation_min=deviation)

    def write(self, time_ms: int, deviation_min: int | None) -> CosemDateTime:
        """Return the moment as the meter would write it, with `deviation_min` as its clock
        had it.
        """
        if deviation_min is not None:
            to_utc = -deviation_min if self.is_reversed else deviation_min
            written = CosemDateTime.from_unix_ms(time_ms, to_utc)
            return msgspec.structs.replace(written, deviation_min=deviation_min)
        moment = datetime.fromtimestamp(time_ms // 1000, ZoneInfo(self.zone or "UTC"))
        offset = moment.utcoffset()
        assert offset is not None
        written = CosemDateTime.from_unix_ms(time_ms, -round(offset.total_seconds() / 60))
        is_summer = bool(moment.dst())
        return msgspec.structs.replace(
            written,
            deviation_min=UNSPECIFIED_DEVIATION,
            status=_DAYLIGHT_SAVING if is_summer else 0,
        )

    def both(self, moment: CosemDateTime) -> tuple[int, int] | None:
        """Return the two moments (Unix milliseconds) that a local time without deviation may stand
        for: the same twice but in the hour that comes twice. None where the time is no such one.
        """
        naive_ms = moment.unix_ms(0)
        if naive_ms is None or not self.zone or moment.deviation_min != UNSPECIFIED_DEVIATION:
            return None
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=naive_ms)
        first = local.replace(tzinfo=ZoneInfo(self.zone))
        moments = (first.timestamp(), first.replace(fold=1).timestamp())
        # In the hour that is left out, the two are a clock before and one after it was set forward.
        return round(moments[0] * 1000), round(moments[1] * 1000)

    def is_flagged(self, moment: CosemDateTime) -> bool | None:
        """Return whether the clock says that it shows summer time; None where it does not tell."""
        return None if moment.status == UNSPECIFIED else bool(moment.status & _DAYLIGHT_SAVING)

    def keeps_flag(self, moment: CosemDateTime) -> bool | None:
        """Return whether the meter sets the flag as its zone's summer time wants; None where this
        time does not show it: in winter, or where the meter writes a deviation.
        """
        moments = self.both(moment)
        if moments is None or moments[0] != moments[1]:
            return None
        local = datetime.fromtimestamp(moments[0] / 1000, ZoneInfo(self.zone))
        return bool(self.is_flagged(moment)) if local.dst() else None

    def _in_zone(self, moment: CosemDateTime, near_ms: int | None) -> int | None:
        moments = self.both(moment)
        if moments is None:
            return None
        if near_ms is not None:
            return min(moments, key=lambda each: abs(each - near_ms))
        return moments[self.is_flagged(moment) is False]
