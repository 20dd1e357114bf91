"""The sun's position, and how strongly it shines through a clear sky."""

from __future__ import annotations

import math
from calendar import isleap
from datetime import UTC, datetime
from functools import lru_cache

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000


def cos_zenith(time_ms: int, latitude: float, longitude: float) -> float:
    """Return the cosine of the sun's zenith angle. It is above 0 while the sun's centre is above
    the horizon.

    `latitude` is positive north and `longitude` positive east, both in degrees. The method is
    NOAA's "General Solar Position Calculations" (Global Monitoring Division), whose Fourier
    series are Spencer's (1971). Good to about half a degree (the series know no leap years),
    without refraction.
    """
    year_angle = _year_angle(time_ms)
    declination = _declination(year_angle)
    utc_minutes = time_ms % _DAY_MS / _MINUTE_MS
    true_solar_minutes = utc_minutes + _equation_of_time_minutes(year_angle) + 4 * longitude
    hour_angle = math.radians(true_solar_minutes / 4 - 180)
    north = math.radians(latitude)
    across = math.cos(north) * math.cos(declination) * math.cos(hour_angle)
    return math.sin(north) * math.sin(declination) + across


def elevation_degrees(time_ms: int, latitude: float, longitude: float) -> float:
    """Return height of the sun above the horizon, in degrees, without refraction."""
    return math.degrees(math.asin(max(-1.0, min(1.0, cos_zenith(time_ms, latitude, longitude)))))


def clear_sky_w_m2(cosine: float) -> float:
    """Return global horizontal irradiance under a clear sky, W/m², from the cosine of the zenith
    angle.

    Haurwitz (1945, 1946), in the form of Reno, Hansen and Stein, SAND2012-2389.
    """
    if cosine <= 0:
        return 0.0
    return 1098.0 * cosine * math.exp(-0.059 / cosine)


def _year_angle(time_ms: int) -> float:
    """Return NOAA's fractional year (gamma), in radians."""
    first_ms, days = _year(time_ms // _DAY_MS)
    return 2 * math.pi / days * ((time_ms - first_ms) / _DAY_MS - 0.5)


@lru_cache(maxsize=4)
def _year(day: int) -> tuple[int, int]:
    """Return when the year of the day `day` since 1970 begins (Unix ms), and its length in days."""
    year = datetime.fromtimestamp(day * _DAY_MS // 1000, UTC).year
    first_ms = round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)
    return first_ms, 366 if isleap(year) else 365


def _equation_of_time_minutes(gamma: float) -> float:
    return 229.18 * (
        0.000075
        + 0.001868 * math.cos(gamma)
        - 0.032077 * math.sin(gamma)
        - 0.014615 * math.cos(2 * gamma)
        - 0.040849 * math.sin(2 * gamma)
    )


def _declination(gamma: float) -> float:
    return (
        0.006918
        - 0.399912 * math.cos(gamma)
        + 0.070257 * math.sin(gamma)
        - 0.006758 * math.cos(2 * gamma)
        + 0.000907 * math.sin(2 * gamma)
        - 0.002697 * math.cos(3 * gamma)
        + 0.00148 * math.sin(3 * gamma)
    )
