"""The load of a household: base load, a morning and an evening peak, appliances, seasons.

The day's shape is in local time, taken as the nearest half-hour zone of the longitude, so no
table of time zones is needed.
"""

from __future__ import annotations

import math

from gridtokenx_sim.physics.noise import mix
from gridtokenx_sim.physics.site import MINUTES_PER_DAY

_SLOT_MINUTES = 30
_HOURS_PER_YEAR = 8766  # 365.25 days
_SEASON = 0.18
_APPLIANCES = 0.35  # the part of the energy that short, strong appliances use
_PULSE_MINUTES = 10
_PULSE_ODDS = 4  # one slot in four has an appliance running
_PULSE_HEIGHT = _APPLIANCES * _PULSE_ODDS * _SLOT_MINUTES / _PULSE_MINUTES


def _bell(minute: int, centre: int, width: int) -> float:
    return math.exp(-(((minute - centre) / width) ** 2) / 2)


def _raw_shape(*, weekend: bool) -> list[float]:
    morning, width, noon = (9 * 60 + 15, 80, 0.75) if weekend else (7 * 60, 50, 0.35)
    return [
        0.4
        + 0.9 * _bell(minute, morning, width)
        + noon * _bell(minute, 12 * 60 + 30, 75)
        + 1.6 * _bell(minute, 19 * 60 + 15, 100)
        for minute in range(MINUTES_PER_DAY)
    ]


def _weekly_shapes() -> tuple[list[float], list[float]]:
    """Return the shapes of a working day and of a weekend, scaled so that a week's mean is 1."""
    working, weekend = _raw_shape(weekend=False), _raw_shape(weekend=True)
    mean = (5 * sum(working) + 2 * sum(weekend)) / (7 * MINUTES_PER_DAY)
    return [value / mean for value in working], [value / mean for value in weekend]


_WORKING_DAY, _WEEKEND = _weekly_shapes()


class Household:
    """A load whose energy over a year is `annual_load_wh`, apart from its noise."""

    def __init__(self, annual_load_wh: int, latitude: float, longitude: float, seed: int) -> None:
        self._mean_mw = annual_load_wh * 1000 / _HOURS_PER_YEAR
        self._winter_day = 15 if latitude >= 0 else 15 + 182
        self._shift = round(longitude * 4 / _SLOT_MINUTES) * _SLOT_MINUTES
        self._seed = seed

    def day_mw(self, day: int) -> list[int]:
        """Return load in mW of each minute of the UTC day `day` since 1970."""
        if self._mean_mw == 0:
            return [0] * MINUTES_PER_DAY
        local_day, offset = divmod(day * MINUTES_PER_DAY + self._shift, MINUTES_PER_DAY)
        shape = self._shape(local_day)[offset:] + self._shape(local_day + 1)[:offset]
        activity = self._activity((day * MINUTES_PER_DAY + self._shift) // _SLOT_MINUTES)
        return [round(level * factor) for level, factor in zip(shape, activity, strict=True)]

    def _shape(self, local_day: int) -> list[float]:
        shape = _WEEKEND if (local_day + 3) % 7 >= 5 else _WORKING_DAY  # 1970-01-01: a Thursday
        angle = 2 * math.pi * (local_day % 365.25 - self._winter_day) / 365.25
        level = self._mean_mw * (1 + _SEASON * math.cos(angle))
        return [level * value for value in shape]

    def _activity(self, first_slot: int) -> list[float]:
        """Return a day's factors with mean 1: small noise for each quarter hour, and pulses of
        appliances.
        """
        factors: list[float] = []
        for slot in range(first_slot, first_slot + MINUTES_PER_DAY // _SLOT_MINUTES):
            bits = mix(self._seed, slot)
            minutes = [_murmur(bits & 0xFFFF)] * 15 + [_murmur(bits >> 16 & 0xFFFF)] * 15
            if (bits >> 32) % _PULSE_ODDS == 0:
                start = (bits >> 40) % (_SLOT_MINUTES - _PULSE_MINUTES + 1)
                for minute in range(start, start + _PULSE_MINUTES):
                    minutes[minute] += _PULSE_HEIGHT
            factors += minutes
        return factors


def _murmur(bits16: int) -> float:
    return (1 - _APPLIANCES) * (0.7 + 0.6 * bits16 / 65536)
