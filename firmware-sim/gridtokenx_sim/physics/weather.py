"""Clouds over a site: seeded, smooth in time, shared by all of its meters."""

from __future__ import annotations

from gridtokenx_sim.physics.noise import seed_for, smooth

_FRONT_MS = 9 * 3_600_000  # weather fronts pass in hours
_CLOUD_MS = 24 * 60_000  # single clouds in minutes


class Weather:
    """The clouds over a site at any time, from a seed."""

    def __init__(self, seed: int) -> None:
        self._front = seed_for(seed, "front")
        self._cloud = seed_for(seed, "cloud")

    def cloud_cover(self, time_ms: int) -> float:
        """Return the clouded part of the sky, from 0 (clear) to 1 (overcast)."""
        front = smooth(self._front, time_ms / _FRONT_MS)
        cloud = smooth(self._cloud, time_ms / _CLOUD_MS)
        return max(0.0, min(1.0, 1.05 * front + 0.45 * cloud - 0.1))

    def transmission(self, time_ms: int) -> float:
        """Return what the clouds leave of the clear sky's irradiance, from 0.25 to 1.

        Kasten and Czeplak (1980): 1 - 0.75 (N/8)^3.4 for a cover of N eighths.
        """
        return 1.0 - 0.75 * float(self.cloud_cover(time_ms) ** 3.4)
