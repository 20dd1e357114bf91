"""The hours of a utility tariff in a month, and how a line is rounded."""

from __future__ import annotations

from datetime import date

import pytest

from gridtokenx_backend.core.model.tariff_terms import TariffTerms, WindowTerms
from gridtokenx_backend.statements.fold.tariffs import plan_of, worth_ugrx
from gridtokenx_backend.statements.model.months import Month, parse_month
from gridtokenx_wire.config import Grx

VIENNA = "Europe/Vienna"


def tariff(*windows: WindowTerms) -> TariffTerms:
    return TariffTerms(
        name="t", valid_from=date(2026, 1, 1), energy_grx_per_kwh=Grx(300_000), window=list(windows)
    )


def hours_of(month: Month, *windows: WindowTerms) -> dict[str, float]:
    """Hours of the month by window."""
    laid = plan_of(tariff(*windows), month)
    assert len(laid.band_of) == month.intervals
    return {band.window: laid.band_of.count(index) / 4 for index, band in enumerate(laid.bands)}


NIGHT = WindowTerms(name="night", energy_grx_per_kwh=Grx(1), from_hour=22, to_hour=6)
FRIDAY_NIGHT = WindowTerms(
    name="friday", energy_grx_per_kwh=Grx(1), from_hour=22, to_hour=6, days=["fri"]
)
WEEKEND = WindowTerms(name="weekend", energy_grx_per_kwh=Grx(1), days=["sat", "sun"])


@pytest.mark.parametrize(
    ("month", "windows", "expected"),
    [
        ("2026-06", (NIGHT,), {"other times": 30 * 16, "night": 30 * 8}),
        # The hour that is skipped, and the one that comes twice, are night hours.
        ("2026-03", (NIGHT,), {"other times": 31 * 16, "night": 31 * 8 - 1}),
        ("2026-10", (NIGHT,), {"other times": 31 * 16, "night": 31 * 8 + 1}),
        # June 2026 begins on a Monday: four Fridays, four whole weekends.
        ("2026-06", (FRIDAY_NIGHT,), {"other times": 720 - 32, "friday": 32}),
        # Of windows that overlap the first holds: Friday night reaches into Saturday.
        (
            "2026-06",
            (FRIDAY_NIGHT, WEEKEND),
            {"other times": 720 - 32 - 168, "friday": 32, "weekend": 4 * 48 - 4 * 6},
        ),
        ("2026-06", (), {"any time": 720}),
    ],
)
def test_windows_cover_the_hours_that_they_say(
    month: str, windows: tuple[WindowTerms, ...], expected: dict[str, float]
) -> None:
    assert hours_of(parse_month(month, VIENNA), *windows) == expected


@pytest.mark.parametrize(
    ("quantity_uwh", "price_ugrx", "expected"),
    [
        (10**9, 300_000, 300_000),
        (1, 500_000_000, 1),  # exactly a half: away from zero
        (-1, 500_000_000, -1),
        (1, 499_999_999, 0),
        (-1, 499_999_999, 0),
        (3, 500_000_000, 2),
        (0, 300_000, 0),
        (10**18, 10**9, 10**18),
    ],
)
def test_a_line_is_rounded_half_away_from_zero(
    quantity_uwh: int, price_ugrx: int, expected: int
) -> None:
    assert worth_ugrx(quantity_uwh, price_ugrx) == expected
