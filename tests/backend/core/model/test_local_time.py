"""The community's hours and months, from a table that was journaled with the terms."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from tests.backend.village import Village, convert_terms

from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.model.local_time import (
    TimeZone,
    hour_at,
    month_at,
    month_start_ms,
    month_text,
    next_month,
    parse_month,
)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1000


@pytest.mark.parametrize(
    ("zone", "at", "hour", "month"),
    [
        ("UTC", "2026-06-30T23:59:59Z", 23, 202606),
        ("Europe/Vienna", "2026-06-30T21:59:59Z", 23, 202606),
        ("Europe/Vienna", "2026-06-30T22:00:00Z", 0, 202607),
        ("Europe/Vienna", "2026-12-31T22:59:59Z", 23, 202612),
        ("Europe/Vienna", "2026-12-31T23:00:00Z", 0, 202701),
        ("Europe/Vienna", "2026-03-29T00:59:59Z", 1, 202603),  # then 02:00 does not exist
        ("Europe/Vienna", "2026-03-29T01:00:00Z", 3, 202603),
        ("Europe/Vienna", "2026-10-25T00:30:00Z", 2, 202610),  # and here 02:30 comes twice
        ("Europe/Vienna", "2026-10-25T01:30:00Z", 2, 202610),
        ("Asia/Kolkata", "2026-06-01T18:30:00Z", 0, 202606),
        ("America/New_York", "2026-07-01T03:59:59Z", 23, 202606),
        ("Europe/Vienna", "2010-01-01T00:00:00Z", 1, 201001),  # before the table
        ("Europe/Vienna", "2150-07-01T00:00:00Z", 1, 215007),  # and after it: winter time
    ],
)
def test_hours_and_months_are_local(zone: str, at: str, hour: int, month: int) -> None:
    known = look_up(zone)
    assert (hour_at(known, ms(at)), month_at(known, ms(at))) == (hour, month)


@pytest.mark.parametrize(
    "zone",
    ["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"],
)
def test_the_table_agrees_with_the_tz_database_about_every_month(zone: str) -> None:
    known, there = look_up(zone), ZoneInfo(zone)
    for year in range(2021, 2100):
        for number in range(1, 13):
            month = year * 100 + number
            start_ms = month_start_ms(known, month)
            local = datetime(year, number, 1, tzinfo=there)
            assert start_ms == round(local.timestamp()) * 1000
            assert month_at(known, start_ms) == month == next_month(month_at(known, start_ms - 1))


@pytest.mark.parametrize("name", ["", "Vienna", "Europe/../Vienna", "/etc/passwd", "x\0", "é"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected an IANA time zone such as Europe/Vienna, got"):
        look_up(name)


def test_a_month_is_written_as_year_and_number() -> None:
    assert month_text(parse_month("2026-05")) == "2026-05"
    assert (next_month(202611), next_month(202612)) == (202612, 202701)


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "26-05", "2026-5", "1969-12"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a month such as 2026-05"):
        parse_month(text)


def test_the_core_uses_the_table_that_was_journaled_not_the_machines(village: Village) -> None:
    """A law that this machine does not know, as another one's update brought it."""
    changed = TimeZone("Europe/Vienna", ((0, 3600), (ms("2026-06-01T00:00:00Z"), 5400)))
    village.document["community"] = {"name": "lane", "time_zone": "Europe/Vienna"}
    input_ = inputs.configuration_input(convert_terms(village.document), b"", changed)
    assert inputs.parse("configure", input_.raw) == input_
    village.apply(input_)
    zone = village.community.active_terms.time_zone
    assert hour_at(zone, ms("2026-06-01T10:30:00Z")) == 12
    assert hour_at(zone, ms("2026-06-01T10:29:00Z")) == 11
