"""The meter's measuring element: cumulative registers as the exact integral of power.

Power is constant within each minute of community time, so the integral is a sum of integers
(mW·ms); registers are its quotient and the remainder is never dropped.
"""

from __future__ import annotations

from itertools import accumulate

import msgspec

from gridtokenx_sim.physics.household import Household
from gridtokenx_sim.physics.site import DAY_MS, MINUTE_MS, Sky

MW_MS_PER_UWH = 3600
_PERFORMANCE_PERCENT = 80  # of a photovoltaic system between its panels' rating and the grid
_KEPT_DAYS = 3


class Registers(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter has counted at a time. Power is positive from the grid, negative into it."""

    time_ms: int
    import_uwh: int
    export_uwh: int
    power_mw: int


class _Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day's power by minute, and the energy counted before each minute, in mW·ms."""

    power_mw: list[int]
    imported: list[int]
    exported: list[int]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The energy that a meter has counted in both directions, in mW·ms."""

    imported_mw_ms: int
    exported_mw_ms: int


class MeterElement:
    """Net power (load - photovoltaics) at the grid connection, and its two counters.

    The counters stand at `opening` when the community time is `start_ms`. Any time may be asked
    for in any order; days on the way are integrated once and only their totals are kept.
    """

    def __init__(
        self, sky: Sky, household: Household, solar_w: int, start_ms: int, opening: Counted
    ) -> None:
        self._sky = sky
        self._household = household
        self._solar_w = solar_w
        self._start_ms = start_ms
        self._days: dict[int, _Day] = {}
        within = self._within(start_ms)
        self._openings = [
            Counted(
                imported_mw_ms=opening.imported_mw_ms - within.imported_mw_ms,
                exported_mw_ms=opening.exported_mw_ms - within.exported_mw_ms,
            )
        ]

    def at(self, time_ms: int) -> Registers:
        """Return the registers at `time_ms`.

        Before the start they stand at their opening values.
        """
        time_ms = max(time_ms, self._start_ms)
        opening = self._opening(time_ms // DAY_MS)
        within = self._within(time_ms)
        return Registers(
            time_ms=time_ms,
            import_uwh=(opening.imported_mw_ms + within.imported_mw_ms) // MW_MS_PER_UWH,
            export_uwh=(opening.exported_mw_ms + within.exported_mw_ms) // MW_MS_PER_UWH,
            power_mw=self.power_mw(time_ms),
        )

    def power_mw(self, time_ms: int) -> int:
        """Return net power at `time_ms`, constant within each minute."""
        return self._day(time_ms // DAY_MS).power_mw[time_ms % DAY_MS // MINUTE_MS]

    def _within(self, time_ms: int) -> Counted:
        """Return the energy from the day's midnight (UTC) to `time_ms`."""
        day = self._day(time_ms // DAY_MS)
        minute, rest_ms = divmod(time_ms % DAY_MS, MINUTE_MS)
        power_mw = day.power_mw[minute]
        return Counted(
            imported_mw_ms=day.imported[minute] + max(power_mw, 0) * rest_ms,
            exported_mw_ms=day.exported[minute] + max(-power_mw, 0) * rest_ms,
        )

    def _opening(self, day: int) -> Counted:
        """Return the counters at the midnight before `day`, integrating the days up to it."""
        first = self._start_ms // DAY_MS
        while len(self._openings) <= day - first:
            before = self._openings[-1]
            passed = self._day(first + len(self._openings) - 1)
            self._openings.append(
                Counted(
                    imported_mw_ms=before.imported_mw_ms + passed.imported[-1],
                    exported_mw_ms=before.exported_mw_ms + passed.exported[-1],
                )
            )
        return self._openings[day - first]

    def _day(self, day: int) -> _Day:
        found = self._days.get(day)
        if found is None:
            while len(self._days) >= _KEPT_DAYS:
                del self._days[next(iter(self._days))]
            found = self._days[day] = self._integrate(day)
        return found

    def _integrate(self, day: int) -> _Day:
        power_mw = self._household.day_mw(day)
        if self._solar_w:
            sunlight = self._sky.day_mw_m2(day)
            power_mw = [
                load - solar_mw(self._solar_w, irradiance)
                for load, irradiance in zip(power_mw, sunlight, strict=True)
            ]
        steps = [power * MINUTE_MS for power in power_mw]
        return _Day(
            power_mw=power_mw,
            imported=list(accumulate((max(step, 0) for step in steps), initial=0)),
            exported=list(accumulate((max(-step, 0) for step in steps), initial=0)),
        )


def solar_mw(solar_w: int, irradiance_mw_m2: int) -> int:
    """Return output of panels rated `solar_w` (at 1000 W/m²), in mW, never above their rating."""
    rated = solar_w * irradiance_mw_m2 // 1000
    return min(rated * _PERFORMANCE_PERCENT // 100, solar_w * 1000)
