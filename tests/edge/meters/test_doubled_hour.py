"""Rows of a load profile in the hour that comes twice: at their right times, or left out."""

from __future__ import annotations

import msgspec
import pytest
from tests.edge.meters.test_dlms_meanings import COLUMNS, PROFILE, SCALES, VIENNA, at, row

from gridtokenx_dlms import data
from gridtokenx_dlms.date_time import UNSPECIFIED_DEVIATION, CosemDateTime
from gridtokenx_edge.meters.load_profile import RowReader, find_columns

QUARTER_MS = 900_000
SUMMER, WINTER = 2 * 3_600_000, 3_600_000
# Vienna, 2026-10-25: at 01:00 UTC the clocks go from 03:00 back to 02:00.
SWITCH_MS = at(2026, 10, 25, 1)


def local_row(time_ms: int, is_flagged: bool) -> data.Data:
    offset = SUMMER if time_ms < SWITCH_MS else WINTER
    moment = msgspec.structs.replace(
        CosemDateTime.from_unix_ms(time_ms + offset, 0),
        deviation_min=UNSPECIFIED_DEVIATION,
        status=0x80 if is_flagged else 0,
    )
    return row(data.octet_string(moment.to_bytes()), time_ms // QUARTER_MS % 100_000, 0)


def read(times: range, how: str, *, keeps_flag: bool | None = None) -> list[int]:
    columns = find_columns(PROFILE, COLUMNS, 900)
    assert columns
    flags = {"never": lambda _: False, "rightly": lambda time_ms: time_ms < SWITCH_MS}
    rows = data.array([local_row(time_ms, flags[how](time_ms)) for time_ms in times])
    reader = RowReader(PROFILE, columns, SCALES, VIENNA, keeps_flag=keeps_flag)
    captures = list(reader.read(rows))
    for each in captures:
        assert each.import_uwh == each.time_ms // QUARTER_MS % 100_000 * 10**6, "at its own time"
    return [each.time_ms for each in captures]


def hours(first: float, last: float) -> range:
    return range(
        SWITCH_MS + round(first * 3_600_000), SWITCH_MS + round(last * 3_600_000), QUARTER_MS
    )


@pytest.mark.parametrize("how", ["never", "rightly"])
def test_a_night_with_both_hours_is_read_whole_with_and_without_the_flag(how: str) -> None:
    night = hours(-4, 4)
    assert read(night, how) == list(night)


def test_half_a_night_is_read_whole_where_the_flag_is_kept() -> None:
    for part in (hours(-4, 0), hours(-4, -0.5)):
        assert read(part, "rightly") == list(part)
    for part in (hours(0, 4), hours(0.25, 1)):
        assert read(part, "rightly", keeps_flag=True) == list(part)
    assert read(hours(-1, 0), "rightly") == list(hours(-1, 0)), "who sets it means summer"


def test_a_row_that_could_be_of_either_hour_is_left_out() -> None:
    assert read(hours(-4, -0.5), "never") == list(hours(-4, -1))
    assert read(hours(0, 4), "rightly") == list(hours(1, 4)), "is the flag off, or never on?"
    assert read(hours(0.5, 4), "never", keeps_flag=False) == list(hours(1, 4))
    # The gateway missed half of the first pass: what is there twice is in order.
    assert read(hours(-0.5, 4), "never") == [*hours(-0.5, 0), *hours(0.5, 4)]
