"""Weather, household and the integral: seeded, plausible, exact."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_sim.physics.energy import Counted, MeterElement, solar_mw
from gridtokenx_sim.physics.household import Household
from gridtokenx_sim.physics.site import DAY_MS, MINUTE_MS, Sky
from gridtokenx_sim.physics.weather import Weather

START_MS = 1_782_000_000_000  # 2026-06-21 00:00 UTC, a Sunday
SUNDAY = START_MS // DAY_MS
SKY = Sky(48.2, 16.37, seed=7)


def element(seed: int = 1, solar_w: int = 6500, start_ms: int = START_MS) -> MeterElement:
    household = Household(3_800_000, 48.2, 16.37, seed)
    return MeterElement(
        SKY, household, solar_w, start_ms, Counted(imported_mw_ms=0, exported_mw_ms=0)
    )


def test_clouds_never_jump_between_neighbouring_minutes() -> None:
    weather = Weather(3)
    day = [weather.transmission(START_MS + i * MINUTE_MS) for i in range(1440)]
    assert max(abs(a - b) for a, b in pairwise(day)) < 0.06


def test_clouds_leave_between_a_quarter_and_all_of_the_sun() -> None:
    weather = Weather(3)
    month = [weather.transmission(START_MS + i * 600_000) for i in range(30 * 144)]
    assert min(month) >= 0.25
    assert max(month) <= 1.0
    assert 0.5 < sum(month) / len(month) < 0.85


def test_neighbours_share_the_sky_and_other_seeds_have_another() -> None:
    assert Sky(48.2, 16.37, 7).day_mw_m2(SUNDAY) == SKY.day_mw_m2(SUNDAY)
    assert Sky(48.2, 16.37, 8).day_mw_m2(SUNDAY) != SKY.day_mw_m2(SUNDAY)


def test_a_day_starts_and_ends_dark_and_is_bright_at_noon() -> None:
    sunlight = SKY.day_mw_m2(SUNDAY)
    assert sunlight[0] == sunlight[1439] == 0
    assert max(sunlight[9 * 60 : 14 * 60]) > 200_000


def test_a_year_of_load_adds_up_to_what_the_household_is_said_to_use() -> None:
    household = Household(3_800_000, 48.2, 16.37, seed=5)
    used_wh = sum(sum(household.day_mw(day)) for day in range(SUNDAY, SUNDAY + 365)) / 60_000
    assert used_wh == pytest.approx(3_800_000, rel=0.03)


def test_evenings_draw_more_than_nights_and_winters_more_than_summers() -> None:
    household = Household(3_800_000, 48.2, 0.0, seed=5)
    days = [household.day_mw(day) for day in range(SUNDAY, SUNDAY + 28)]
    nights = sum(sum(day[2 * 60 : 4 * 60]) for day in days)
    evenings = sum(sum(day[18 * 60 : 20 * 60]) for day in days)
    assert evenings > 2 * nights
    winter = sum(sum(household.day_mw(SUNDAY + 182 + day)) for day in range(28))
    assert winter > 1.15 * sum(sum(day) for day in days)


def test_weekend_mornings_begin_later() -> None:
    household = Household(3_800_000, 48.2, 0.0, seed=5)
    weeks = range(0, 70, 7)
    sundays = [household.day_mw(SUNDAY + day) for day in weeks]
    mondays = [household.day_mw(SUNDAY + 1 + day) for day in weeks]
    early = slice(6 * 60, 8 * 60)
    assert sum(sum(day[early]) for day in mondays) > 1.3 * sum(sum(day[early]) for day in sundays)


def test_a_household_without_load_draws_nothing() -> None:
    assert set(Household(0, 48.2, 16.37, 1).day_mw(SUNDAY)) == {0}


@pytest.mark.parametrize(
    ("solar_w", "irradiance_mw_m2", "power_mw"),
    [
        (6500, 0, 0),
        (6500, 1_000_000, 5_200_000),
        (0, 1_000_000, 0),
        (1000, 500_000, 400_000),
        (1000, 2_000_000, 1_000_000),
    ],
)
def test_panels_give_their_rating_less_the_losses(
    solar_w: int, irradiance_mw_m2: int, power_mw: int
) -> None:
    assert solar_mw(solar_w, irradiance_mw_m2) == power_mw


def test_a_year_of_sun_yields_what_roofs_yield_in_vienna() -> None:
    every_week = [SKY.day_mw_m2(day) for day in range(SUNDAY, SUNDAY + 364, 7)]
    kwh = 7 * sum(solar_mw(1000, minute) for day in every_week for minute in day) / 60 / 10**6
    assert 850 < kwh < 1250


def test_before_the_start_the_counters_stand_at_their_opening() -> None:
    meter = MeterElement(
        SKY,
        Household(3_800_000, 48.2, 16.37, 1),
        0,
        START_MS,
        Counted(imported_mw_ms=7 * 3600, exported_mw_ms=9 * 3600),
    )
    for time_ms in (START_MS - DAY_MS, START_MS):
        registers = meter.at(time_ms)
        assert (registers.import_uwh, registers.export_uwh) == (7, 9)
        assert registers.time_ms == START_MS


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3 * DAY_MS), st.integers(0, DAY_MS), st.integers(0, 2 * DAY_MS))
def test_registers_are_the_exact_integral_of_power(seed: int, offset: int, span: int) -> None:
    """Summed here piece by piece over minutes, by another route than the prefix sums."""
    start = START_MS + offset
    meter = element(seed % 5, start_ms=start)
    now, imported, exported = start, 0, 0
    while now < start + span:
        step_end = min(start + span, (now // MINUTE_MS + 1) * MINUTE_MS)
        power = meter.power_mw(now)
        imported += max(power, 0) * (step_end - now)
        exported += max(-power, 0) * (step_end - now)
        now = step_end
    registers = meter.at(start + span)
    assert registers.import_uwh == imported // 3600
    assert registers.export_uwh == exported // 3600


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3 * DAY_MS), min_size=1, max_size=8))
def test_when_a_meter_is_read_changes_nothing(moments: list[int]) -> None:
    often = element()
    for moment in moments:
        once = element()
        assert often.at(START_MS + moment) == once.at(START_MS + moment)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10 * DAY_MS), min_size=2, max_size=30).map(sorted))
def test_counters_never_run_backwards(moments: list[int]) -> None:
    meter = element()
    readings = [meter.at(START_MS + moment) for moment in moments]
    for before, after in pairwise(readings):
        assert after.import_uwh >= before.import_uwh
        assert after.export_uwh >= before.export_uwh


def test_the_same_seed_gives_the_same_meter_and_another_seed_another() -> None:
    later = START_MS + 2 * DAY_MS
    assert element(1).at(later) == element(1).at(later)
    assert element(1).at(later) != element(2).at(later)


def test_a_roof_exports_at_noon_and_imports_at_night() -> None:
    meter = element(solar_w=20_000)
    assert meter.at(START_MS + 11 * 3_600_000).power_mw < 0
    assert meter.at(START_MS + 23 * 3_600_000).power_mw > 0
