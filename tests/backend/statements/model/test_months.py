"""Calendar months in a time zone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gridtokenx_backend.statements.model.months import INTERVAL_MS, month_of, parse_month

VIENNA = "Europe/Vienna"


@pytest.mark.parametrize(
    ("month", "zone", "days", "intervals"),
    [
        ("2026-02", VIENNA, 28, 28 * 96),
        ("2028-02", VIENNA, 29, 29 * 96),
        ("2026-06", VIENNA, 30, 30 * 96),
        ("2026-03", VIENNA, 31, 31 * 96 - 4),  # the clocks go forward
        ("2026-10", VIENNA, 31, 31 * 96 + 4),  # and back
        ("2026-04", "Australia/Lord_Howe", 30, 30 * 96 + 2),  # by half an hour
        ("2026-12", "Asia/Kathmandu", 31, 31 * 96),
        ("2026-07", "UTC", 31, 31 * 96),
    ],
)
def test_a_month_has_the_days_and_intervals_of_its_place(
    month: str, zone: str, days: int, intervals: int
) -> None:
    found = parse_month(month, zone)
    assert (found.days, found.intervals) == (days, intervals)
    assert found.from_ms % INTERVAL_MS == 0


def test_a_month_begins_where_the_one_before_it_ends() -> None:
    names = [f"{year}-{month:02}" for year in (2026, 2027) for month in range(1, 13)]
    months = [parse_month(name, VIENNA) for name in names]
    for former, latter in pairwise(months):
        assert former.to_ms == latter.from_ms
        assert month_of(former.to_ms - 1, VIENNA) == former
        assert month_of(former.to_ms, VIENNA) == latter


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-6", "june", "", "\uff12\uff10\uff12\uff16-06", "9999-12"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a month such as 2026-06"):
        parse_month(text, VIENNA)
