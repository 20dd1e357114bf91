"""Solar position and clear sky against published values."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from gridtokenx_sim.physics.sun import clear_sky_w_m2, cos_zenith, elevation_degrees

MINUTE_MS = 60_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def day_elevations(date: str, latitude: float, longitude: float) -> list[float]:
    start = ms(date)
    return [elevation_degrees(start + i * MINUTE_MS, latitude, longitude) for i in range(1440)]


@pytest.mark.parametrize(
    ("date", "latitude", "highest"),
    [
        ("2026-06-21", 48.2, 90 - 48.2 + 23.44),
        ("2026-12-21", 48.2, 90 - 48.2 - 23.44),
        ("2026-03-20", 0.0, 90.0),
        ("2026-12-21", -33.9, 90 - 33.9 + 23.44),
    ],
)
def test_the_sun_culminates_where_the_declination_says(
    date: str, latitude: float, highest: float
) -> None:
    assert max(day_elevations(date, latitude, 0.0)) == pytest.approx(highest, abs=0.6)


@pytest.mark.parametrize(
    ("date", "noon_minute"),
    [
        ("2026-02-11", 12 * 60 + 14.2),  # the equation of time's extremes and a zero
        ("2026-11-03", 11 * 60 + 43.6),
        ("2026-04-15", 12 * 60 + 0.2),
    ],
)
def test_solar_noon_at_greenwich_follows_the_equation_of_time(
    date: str, noon_minute: float
) -> None:
    heights = day_elevations(date, 51.5, 0.0)
    assert heights.index(max(heights)) == pytest.approx(noon_minute, abs=1.5)


def test_solar_noon_moves_four_minutes_for_each_degree_of_longitude() -> None:
    west, east = day_elevations("2026-05-01", 48.0, 10.0), day_elevations("2026-05-01", 48.0, 20.0)
    assert west.index(max(west)) - east.index(max(east)) == 40


@pytest.mark.parametrize("latitude", [-60.0, -33.9, 0.0, 13.7, 48.2, 60.0])
def test_day_and_night_are_equal_at_the_equinox(latitude: float) -> None:
    lit = sum(height > 0 for height in day_elevations("2026-03-20", latitude, 0.0))
    assert lit == pytest.approx(720, abs=8)


@pytest.mark.parametrize(
    ("date", "hours"), [("2026-06-21", 15.95), ("2026-12-21", 8.25), ("2026-03-20", 12.0)]
)
def test_vienna_has_its_known_day_lengths(date: str, hours: float) -> None:
    """Almanac values with refraction: the upper limb is visible from -0.833 degrees."""
    lit = sum(height > -0.833 for height in day_elevations(date, 48.2, 16.37)) / 60
    assert lit == pytest.approx(hours, abs=0.2)


def test_the_midnight_sun_does_not_set_beyond_the_polar_circle() -> None:
    assert min(day_elevations("2026-06-21", 70.0, 25.0)) > 0
    assert max(day_elevations("2026-12-21", 70.0, 25.0)) < 0


@pytest.mark.parametrize(
    ("zenith", "w_m2"), [(0, 1035.1), (30, 888.3), (60, 487.9), (80, 135.7), (90, 0), (120, 0)]
)
def test_the_clear_sky_follows_haurwitz(zenith: float, w_m2: float) -> None:
    assert clear_sky_w_m2(math.cos(math.radians(zenith))) == pytest.approx(w_m2, abs=0.2)


def test_there_is_sun_at_noon_and_none_at_midnight() -> None:
    assert clear_sky_w_m2(cos_zenith(ms("2026-06-21T11:00"), 48.2, 16.37)) > 850
    assert clear_sky_w_m2(cos_zenith(ms("2026-12-21T11:00"), 48.2, 16.37)) > 200
    assert clear_sky_w_m2(cos_zenith(ms("2026-06-21T23:00"), 48.2, 16.37)) == 0
