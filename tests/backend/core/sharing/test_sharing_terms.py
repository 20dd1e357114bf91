"""`[sharing]` in community.toml: what is refused, and that nothing agreed is ever overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.backend.commands import Command
from tests.backend.config.test_check_config import COMMUNITY, write
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, key
from tests.backend.village import KWH, convert_terms

from gridtokenx_backend.core.model.local_time import TimeZone
from gridtokenx_backend.core.model.sharing_keys import HourShares, Participation, SharingKey
from gridtokenx_backend.core.model.sharing_price import CommunityPrice
from gridtokenx_backend.core.sharing.key_versions import conflicts

SHARING = """
[sharing]
price_rule = "balance"
price_grx_per_kwh = "0.12"
floor_grx_per_kwh = "0.1"
ceiling_grx_per_kwh = "0.2"
settle = "grx"
[[sharing.key]]
version = 1
valid_from = "2026-01-01T00:00:00+01:00"
mode = "static"
shares_percent = { "ABB-1" = "30", "ABB-2" = "70" }
[[sharing.key]]
version = 2
valid_from = "2026-06-01T00:00:00+02:00"
shares_percent = { "ABB-1" = "33.3333" }
[[sharing.key.hours]]
hour = 18
days = "workdays"
shares_percent = { "ABB-2" = "100" }
[[sharing.key.hours]]
hour = 6
shares_percent = { "ABB-1" = "50", "ABB-2" = "50" }
[[sharing.participation]]
meter = "ABB-2"
valid_from = "2026-01-01T00:00:00Z"
percent = "50"
elsewhere_percent = "50"
"""
GOOD = COMMUNITY.replace('name = "lane"\n', 'name = "lane"\nmode = "time_varying"\n', 1) + SHARING


def test_terms_of_every_kind_are_accepted(tmp_path: Path, command: Command) -> None:
    ran = command("check-config", "-c", write(tmp_path, GOOD))
    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        (SHARING, "", 'sharing.key: expected a key, [[sharing.key]], for the mode "time_varying"'),
        ('"0.12"', '"0.3"', "sharing.price_grx_per_kwh: expected it between floor and ceiling"),
        (
            '"0.12"',
            '"0.1205"',
            "sharing.price_grx_per_kwh: expected 0 or a multiple of the tick, 0.001000 GRX",
        ),
        ("version = 2", "version = 1", "sharing.key[1].version: expected more than 1, got 1"),
        (
            "2026-06-01T00:00:00+02:00",
            "2025-06-01T00:00:00+02:00",
            "sharing.key[1].valid_from: expected a later time than of the version before",
        ),
        (
            "2026-06-01T00:00:00+02:00",
            "2026-06-01T00:00:00",
            "sharing.key[1].valid_from: expected a time such as 2026-01-01T00:00:00+01:00, "
            "got '2026-06-01T00:00:00'",
        ),
        (
            "2026-06-01T00:00:00+02:00",
            "2026-06-01T00:07:00+02:00",
            "sharing.key[1].valid_from: expected the start of a quarter of an hour, "
            "got 2026-06-01T00:07:00+02:00",
        ),
        (
            '"ABB-2" = "70"',
            '"ABB-2" = "70.0001"',
            "sharing.key[0].shares_percent: expected at most 100 percent together, got 100.0001",
        ),
        (
            '"ABB-2" = "70"',
            '"ABB-9" = "70"',
            "sharing.key[0].shares_percent: expected the ids of meters of this file, got 'ABB-9'",
        ),
        (
            '"ABB-1" = "30"',
            '"ABB-1" = "-30"',
            "sharing.key[0].shares_percent: expected 0 to 100 percent for 'ABB-1'",
        ),
        (
            'mode = "static"',
            'mode = "dynamic"',
            "sharing.key[0].shares_percent: expected none in the mode dynamic",
        ),
        (
            '2026-06-01T00:00:00+02:00"',
            '2026-06-01T00:00:00+02:00"\nmode = "static"',
            "sharing.key[1].hours: expected none but in the mode time_varying",
        ),
        ("hour = 18", "hour = 24", "sharing.key[1].hours[0].hour: expected 0 to 23, got 24"),
        (
            'hour = 18\ndays = "workdays"',
            "hour = 6",
            "sharing.key[1].hours[1].hour: expected one entry for an hour and its days",
        ),
        (
            '\npercent = "50"',
            '\npercent = "51"',
            "sharing.participation[0].percent: expected at most 100 percent in all communities "
            "together",
        ),
        (
            'meter = "ABB-2"',
            'meter = "ABB-9"',
            "sharing.participation[0].meter: expected the id of a meter of this file",
        ),
        (
            "epoch = 0",
            'epoch = 0\nmetering_point = "ABB-2"',
            "meter[0].metering_point: expected a printable ASCII name that no other meter has",
        ),
    ],
)
def test_each_mistake_is_one_line(
    tmp_path: Path, command: Command, there: str, instead: str, said: str
) -> None:
    assert there in GOOD
    ran = command("check-config", "-c", write(tmp_path, GOOD.replace(there, instead, 1)))
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
    assert ran.err.rstrip().split(": ", 1)[1] == said


def test_the_core_keeps_terms_as_integers() -> None:
    keys = [
        key("static", shares_percent={"flat-b": "12.5"}),
        {
            "version": 2,
            "valid_from": "2026-06-01T00:00:00+02:00",
            "hours": [
                {"hour": 18, "shares_percent": {"flat-c": "100"}, "days": "weekend"},
                {"hour": 6, "shares_percent": {"flat-b": "100"}},
            ],
        },
    ]
    half = [{"meter": "plant", "valid_from": "2026-01-01T00:00:00Z", "percent": "50"}]
    village = SharingVillage(
        "time_varying", *keys, participation=half, price_grx_per_kwh="0.12", settle="grx"
    )
    state, rules = village.community.sharing, village.community.active_terms.sharing
    assert state.keys == [
        SharingKey(
            version=1,
            valid_from_ms=1_767_225_600_000,
            mode="static",
            shares_ppm={"flat-b": 125_000},
        ),
        SharingKey(
            version=2,
            valid_from_ms=1_780_264_800_000,
            mode="time_varying",
            shares_ppm={},
            hours=[
                HourShares(hour=6, days="all", shares_ppm={"flat-b": 1_000_000}),
                HourShares(hour=18, days="weekend", shares_ppm={"flat-c": 1_000_000}),
            ],
        ),
    ]
    assert state.participation == [
        Participation(meter="plant", valid_from_ms=1_767_225_600_000, factor_ppm=500_000)
    ]
    assert rules.price == CommunityPrice(
        rule="fixed", reference_ugrx=120_000, floor_ugrx=0, ceiling_ugrx=0, tick_ugrx=1_000
    )
    assert (rules.mode, rules.settle) == ("time_varying", "grx")


def conflicting(village: SharingVillage, **sharing: Any) -> list[tuple[str, str]]:
    document = village.document | {"sharing": village.document["sharing"] | sharing}
    return list(conflicts(village.community.sharing, convert_terms(document), TimeZone()))


FIRST = key("static", shares_percent={"flat-b": "50"})


def test_a_key_is_never_overwritten() -> None:
    village = SharingVillage("static", FIRST)
    assert conflicting(village) == []
    changed = key("static", shares_percent={"flat-b": "51"})
    said = "expected version 1 as it was: add a new version instead"
    assert conflicting(village, key=[changed]) == [("sharing.key[0]", said)]
    village.configure(sharing={"key": [changed]})  # as if nobody had asked
    assert village.community.sharing.keys[0].shares_ppm == {"flat-b": 500_000}
    village.configure(sharing={"key": [key("dynamic", 2, valid_from="2027-01-01T00:00:00Z")]})
    assert [each.version for each in village.community.sharing.keys] == [1, 2]


def test_nothing_new_holds_for_what_was_allocated() -> None:
    village = SharingVillage("static", FIRST)
    village.quarter(0, plant=1 * WH, flat_b=1 * KWH // 10, flat_c=0)
    village.clear(0)
    late = key("static", 2, valid_from="2026-02-01T00:00:00Z", shares_percent={"flat-c": "9"})
    said = "expected 2026-05-28T20:30+00:00 or later: intervals before it are cleared"
    assert conflicting(village, key=[FIRST, late]) == [("sharing.key[1].valid_from", said)]
    half = {"meter": "plant", "valid_from": "2026-02-01T00:00:00Z", "percent": "50"}
    assert conflicting(village, participation=[half]) == [
        ("sharing.participation[0].valid_from", said)
    ]
    on_time = half | {"valid_from": "2026-05-28T20:30:00Z"}
    assert conflicting(village, participation=[on_time]) == []
    village.configure(sharing={"key": [FIRST], "participation": [on_time]})
    assert conflicting(village, participation=[on_time | {"percent": "40"}]) == [
        (
            "sharing.participation[0]",
            "expected it as it was: add one with a later valid_from instead",
        )
    ]
    assert FIRST_MS in village.community.sharing.stored_intervals
