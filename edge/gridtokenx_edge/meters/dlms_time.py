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

    def read(self, moment: CosemDateTime) -> ClockReading | None:
        """Return the moment; None where the clock was never set, or where nothing tells its
        zone.
        """
        deviation: int | None = moment.deviation_min
        if deviation == UNSPECIFIED_DEVIATION:
            deviation = None
        if deviation is not None:
            to_utc = -deviation if self.is_reversed else deviation
            plain = msgspec.structs.replace(moment, deviation_min=to_utc)
            time_ms = plain.unix_ms()
        else:
            time_ms = self._in_zone(moment)
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

    def _in_zone(self, moment: CosemDateTime) -> int | None:
        """Return the moment of a local time without deviation. Of an hour that comes twice, the
        status tells which one is meant.
        """
        naive_ms = moment.unix_ms(0)
        if naive_ms is None or not self.zone:
            return None
        is_winter = moment.status != UNSPECIFIED and not moment.status & _DAYLIGHT_SAVING
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=naive_ms)
        first = local.replace(tzinfo=ZoneInfo(self.zone))
        second = first.replace(fold=1)
        # Where fold changes nothing, both are the same moment.
        chosen = second if is_winter else first
        return round(chosen.timestamp() * 1000)
