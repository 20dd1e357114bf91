"""COSEM date-times as moments: never one without its distance from UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms.date_time import UNSPECIFIED_DEVIATION, CosemDateTime

NOON = CosemDateTime(
    year=2026,
    month=6,
    day=21,
    weekday=7,
    hour=12,
    minute=0,
    second=0,
    hundredths=0,
    deviation_min=-120,
    status=0x80,
)
NOON_MS = 1_782_036_000_000  # 2026-06-21T10:00:00Z


@pytest.mark.parametrize(
    ("change", "site_deviation_min", "expected"),
    [
        ({}, None, NOON_MS),
        ({}, 0, NOON_MS),  # what the meter says itself goes first
        ({"hundredths": 25}, None, NOON_MS + 250),
        ({"second": 0xFF, "hundredths": 0xFF}, None, NOON_MS),
        ({"deviation_min": UNSPECIFIED_DEVIATION}, -120, NOON_MS),
        ({"deviation_min": UNSPECIFIED_DEVIATION}, None, None),
        ({"deviation_min": 0}, None, NOON_MS + 2 * 3_600_000),
        ({"year": 0xFFFF}, None, None),
        ({"month": 0xFD}, None, None),
        ({"day": 0xFE}, None, None),
        ({"month": 2, "day": 31}, None, None),
        ({"hour": 0xFF}, None, None),
        ({"minute": 0xFF}, None, None),
    ],
)
def test_a_date_time_is_a_moment_only_if_it_says_enough(
    change: dict[str, int], site_deviation_min: int | None, expected: int | None
) -> None:
    assert msgspec.structs.replace(NOON, **change).unix_ms(site_deviation_min) == expected


def test_the_table_above_has_the_right_noon() -> None:
    assert datetime.fromtimestamp(NOON_MS / 1000, UTC) == datetime(2026, 6, 21, 10, tzinfo=UTC)


@given(st.integers(0, 4_000_000_000_000), st.integers(-840, 840))
def test_a_moment_is_shown_at_any_deviation_and_read_again(time_ms: int, deviation: int) -> None:
    time_ms -= time_ms % 10
    shown = CosemDateTime.from_unix_ms(time_ms, deviation)
    assert CosemDateTime.from_bytes(shown.to_bytes()) == shown
    assert shown.unix_ms() == time_ms
