"""Versions of keys and participation, shares by the hour, and the community's price."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_backend.core.model.sharing_keys import (
    HourShares,
    Participation,
    SharingKey,
    active_key,
    factor_at,
    hourly_shares,
)
from gridtokenx_backend.core.model.sharing_price import CommunityPrice, interval_price, value


def local(text: str) -> int:
    """What the wall clock shows, as if it were Unix time."""
    moment = datetime.fromisoformat(text)
    shown = moment.astimezone(ZoneInfo("Europe/Vienna")).replace(tzinfo=UTC)
    return round(shown.timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval_ms", "version"), [(99, None), (100, 1), (199, 1), (200, 2), (900, 2)]
)
def test_an_interval_is_shared_by_the_newest_key_that_is_valid_by_its_start(
    interval_ms: int, version: int | None
) -> None:
    keys = [
        SharingKey(version=2, valid_from_ms=200, mode="static"),
        SharingKey(version=1, valid_from_ms=100, mode="dynamic"),
    ]
    key = active_key(keys, interval_ms)
    assert (key and key.version) == version


@pytest.mark.parametrize(
    ("time", "shares"),
    [
        ("2026-07-06T05:45:00+02:00", {"a": 1}),  # a Monday, before the first entry
        ("2026-07-06T06:00:00+02:00", {"a": 2}),
        ("2026-07-06T21:45:00+02:00", {"a": 3}),
        ("2026-07-11T06:00:00+02:00", {"a": 1}),  # a Saturday
        ("2026-07-11T21:45:00+02:00", {"a": 3}),
        # The hour from 2 to 3 comes twice on the day of 25 hours.
        ("2026-10-25T02:30:00+02:00", {"a": 4}),
        ("2026-10-25T02:30:00+01:00", {"a": 4}),
        ("2026-10-25T03:00:00+01:00", {"a": 5}),
        # And never on the day of 23: at 02:00 it is 03:00.
        ("2026-03-29T01:45:00+01:00", {"a": 1}),
        ("2026-03-29T03:00:00+02:00", {"a": 5}),
    ],
)
def test_time_varying_shares_follow_the_wall_clock(time: str, shares: dict[str, int]) -> None:
    hours = [
        HourShares(hour=2, days="weekend", shares_ppm={"a": 4}),
        HourShares(hour=3, days="weekend", shares_ppm={"a": 5}),
        HourShares(hour=6, days="workdays", shares_ppm={"a": 2}),
        HourShares(hour=18, days="all", shares_ppm={"a": 3}),
    ]
    if time.startswith("2026-07-11"):
        hours = hours[2:]
    key = SharingKey(
        version=1, valid_from_ms=0, mode="time_varying", shares_ppm={"a": 1}, hours=hours
    )
    assert hourly_shares(key, local(time)) == shares


def test_a_meter_takes_part_whole_until_a_factor_holds() -> None:
    versions = [
        Participation(meter="m", valid_from_ms=100, factor_ppm=500_000),
        Participation(meter="m", valid_from_ms=200, factor_ppm=250_000),
    ]
    assert [factor_at(versions, moment) for moment in (99, 100, 200)] == [
        1_000_000,
        500_000,
        250_000,
    ]


BAND = CommunityPrice(
    rule="balance",
    reference_ugrx=150_000,
    floor_ugrx=100_000,
    ceiling_ugrx=250_000,
    tick_ugrx=1_000,
)


@pytest.mark.parametrize(
    ("offered", "consumed", "price"),
    [
        (10, 10, 150_000),
        (0, 10, 250_000),  # nothing offered: the ceiling
        (10, 0, 100_000),  # nothing consumed: the floor
        (5, 10, 200_000),  # half is lacking: half of the way up
        (10, 5, 125_000),
        (2, 3, 183_000),  # 183,333 rounded down to the tick
        (3, 2, 133_000),  # 133,333
        (0, 0, 150_000),
    ],
)
def test_a_banded_price_follows_the_balance_of_the_interval(
    offered: int, consumed: int, price: int
) -> None:
    assert interval_price(BAND, offered, consumed) == price


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_banded_price_stays_in_its_band(offered: int, consumed: int) -> None:
    price = interval_price(BAND, offered, consumed)
    assert BAND.floor_ugrx <= price <= BAND.ceiling_ugrx
    assert price % BAND.tick_ugrx == 0


def test_a_fixed_price_is_always_the_same() -> None:
    assert interval_price(CommunityPrice(rule="fixed", reference_ugrx=120_000), 1, 99) == 120_000


def test_a_fraction_of_the_smallest_coin_is_dropped() -> None:
    assert value(1_500_000_000, 120_001) == 180_001  # 180,001.5 µGRX
