"""Irradiance over a site, minute by minute, for all meters that share its sky."""

from __future__ import annotations

from gridtokenx_sim.physics.sun import clear_sky_w_m2, cos_zenith
from gridtokenx_sim.physics.weather import Weather

MINUTE_MS = 60_000
DAY_MS = 86_400_000
MINUTES_PER_DAY = 1440

_KEPT_DAYS = 4


class Sky:
    """The irradiance of a place. Days are computed once and a few of them are kept."""

    def __init__(self, latitude: float, longitude: float, seed: int) -> None:
        self._latitude = latitude
        self._longitude = longitude
        self._weather = Weather(seed)
        self._days: dict[int, list[int]] = {}

    def day_mw_m2(self, day: int) -> list[int]:
        """Return horizontal irradiance in mW/m² of each minute of the UTC day `day` since 1970."""
        irradiance = self._days.get(day)
        if irradiance is None:
            while len(self._days) >= _KEPT_DAYS:
                del self._days[next(iter(self._days))]
            start_ms = day * DAY_MS
            moments = range(start_ms, start_ms + DAY_MS, MINUTE_MS)
            irradiance = self._days[day] = [self._irradiance_mw_m2(moment) for moment in moments]
        return irradiance

    def _irradiance_mw_m2(self, time_ms: int) -> int:
        middle_ms = time_ms + MINUTE_MS // 2
        cosine = cos_zenith(middle_ms, self._latitude, self._longitude)
        if cosine <= 0:
            return 0
        return round(1000 * clear_sky_w_m2(cosine) * self._weather.transmission(middle_ms))
