"""COSEM date, time and date-time (Blue Book 4.1.6.1): fields that may each be unspecified.

A date-time is never taken for a moment unless it says how far it is from UTC.
"""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from enum import IntFlag
from typing import Self

import msgspec

from gridtokenx_dlms.errors import MalformedError

DATE_BYTES = 5
TIME_BYTES = 4
DATE_TIME_BYTES = 12
UNSPECIFIED = 0xFF
UNSPECIFIED_YEAR = 0xFFFF
UNSPECIFIED_DEVIATION = -0x8000
_DATE_TIME = struct.Struct(">HBBBBBBBhB")
_DATE = struct.Struct(">HBBB")
_TIME = struct.Struct(">BBBB")
# Months 0xFD and 0xFE are the ends of daylight saving, days 0xFD and 0xFE the last of a month.
_SPECIAL = (0xFD, 0xFE, UNSPECIFIED)
_WIDEST_DEVIATION_MIN = 840


class ClockStatusFlag(IntFlag):
    """The last byte of a date-time; 0xFF says nothing."""

    INVALID = 0x01
    DOUBTFUL = 0x02
    DIFFERENT_BASE = 0x04
    INVALID_STATUS = 0x08
    DAYLIGHT_SAVING = 0x80


class CosemDate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A date; the weekday is 1 for Monday."""

    year: int = UNSPECIFIED_YEAR
    month: int = UNSPECIFIED
    day: int = UNSPECIFIED
    weekday: int = UNSPECIFIED

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the date in five bytes. Raises MalformedError."""
        _expect_length(data, DATE_BYTES, "date")
        year, month, day, weekday = _DATE.unpack(data)
        _check_date(year, month, day, weekday)
        return cls(year=year, month=month, day=day, weekday=weekday)

    def to_bytes(self) -> bytes:
        return _DATE.pack(self.year, self.month, self.day, self.weekday)


class CosemTime(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A time of day, to a hundredth of a second."""

    hour: int = UNSPECIFIED
    minute: int = UNSPECIFIED
    second: int = UNSPECIFIED
    hundredths: int = UNSPECIFIED

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the time in four bytes. Raises MalformedError."""
        _expect_length(data, TIME_BYTES, "time")
        hour, minute, second, hundredths = _TIME.unpack(data)
        _check_time(hour, minute, second, hundredths)
        return cls(hour=hour, minute=minute, second=second, hundredths=hundredths)

    def to_bytes(self) -> bytes:
        return _TIME.pack(self.hour, self.minute, self.second, self.hundredths)


class CosemDateTime(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A local date and time, and its distance from UTC.

    `deviation_min` is what is added to local time to get UTC, in minutes: -60 in Vienna's winter.
    """

    year: int = UNSPECIFIED_YEAR
    month: int = UNSPECIFIED
    day: int = UNSPECIFIED
    weekday: int = UNSPECIFIED
    hour: int = UNSPECIFIED
    minute: int = UNSPECIFIED
    second: int = UNSPECIFIED
    hundredths: int = UNSPECIFIED
    deviation_min: int = UNSPECIFIED_DEVIATION
    status: int = UNSPECIFIED

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the date-time in twelve bytes. Raises MalformedError."""
        _expect_length(data, DATE_TIME_BYTES, "date-time")
        year, month, day, weekday, hour, minute, second, hundredths, deviation, status = (
            _DATE_TIME.unpack(data)
        )
        _check_date(year, month, day, weekday)
        _check_time(hour, minute, second, hundredths)
        if deviation != UNSPECIFIED_DEVIATION and abs(deviation) > _WIDEST_DEVIATION_MIN:
            raise MalformedError(f"expected a deviation of -840 to 840 minutes, got {deviation}")
        return cls(
            year=year,
            month=month,
            day=day,
            weekday=weekday,
            hour=hour,
            minute=minute,
            second=second,
            hundredths=hundredths,
            deviation_min=deviation,
            status=status,
        )

    def to_bytes(self) -> bytes:
        return _DATE_TIME.pack(*msgspec.structs.astuple(self))  # the fields are in its order

    @classmethod
    def from_unix_ms(cls, time_ms: int, deviation_min: int = 0, status: int = 0) -> Self:
        """Return the moment `time_ms` (UTC), shown as local time at `deviation_min`."""
        local_ms = time_ms - deviation_min * 60_000
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=local_ms)
        return cls(
            year=moment.year,
            month=moment.month,
            day=moment.day,
            weekday=moment.isoweekday(),
            hour=moment.hour,
            minute=moment.minute,
            second=moment.second,
            hundredths=moment.microsecond // 10_000,
            deviation_min=deviation_min,
            status=status,
        )

    def unix_ms(self, deviation_min: int | None = None) -> int | None:
        """Return Unix milliseconds, UTC, or None where fields are missing that make it a moment.

        `deviation_min` is the site's, for meters that leave theirs unspecified: without either
        there is no moment. A second that is unspecified counts as 0, and so do hundredths.
        """
        if self.deviation_min != UNSPECIFIED_DEVIATION:
            deviation_min = self.deviation_min
        fields = (self.month, self.day, self.hour, self.minute)
        if deviation_min is None or self.year == UNSPECIFIED_YEAR or max(fields) >= 0xFD:
            return None
        second = 0 if self.second == UNSPECIFIED else self.second
        hundredths = 0 if self.hundredths == UNSPECIFIED else self.hundredths
        try:
            days = date(self.year, self.month, self.day).toordinal()
        except ValueError:  # the 31st of February
            return None
        minutes = (days - _EPOCH_DAY) * 1440 + self.hour * 60 + self.minute + deviation_min
        return (minutes * 60 + second) * 1000 + hundredths * 10


_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _expect_length(data: bytes, length: int, what: str) -> None:
    if len(data) != length:
        raise MalformedError(f"expected a {what} of {length} bytes, got {len(data)}")


def _check_date(year: int, month: int, day: int, weekday: int) -> None:
    if not (
        (1 <= year <= 9999 or year == UNSPECIFIED_YEAR)
        and (1 <= month <= 12 or month in _SPECIAL)
        and (1 <= day <= 31 or day in _SPECIAL)
        and (1 <= weekday <= 7 or weekday == UNSPECIFIED)
    ):
        raise MalformedError(f"expected a date, got {year}-{month}-{day} ({weekday})")


def _check_time(hour: int, minute: int, second: int, hundredths: int) -> None:
    if not (
        (hour <= 23 or hour == UNSPECIFIED)
        and (minute <= 59 or minute == UNSPECIFIED)
        and (second <= 59 or second == UNSPECIFIED)
        and (hundredths <= 99 or hundredths == UNSPECIFIED)
    ):
        raise MalformedError(f"expected a time, got {hour}:{minute}:{second}.{hundredths}")
