"""Files that are written, and the gateways' energy beside the grid operator's."""

from __future__ import annotations

import io
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from tests.backend.grid_data.test_files import unix_ms
from tests.backend.sharing_village import WH, SharingVillage

from gridtokenx_backend.core.messages.grid_data import GridSeries, Quantity
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.grid_data.file_reader import read_content
from gridtokenx_backend.grid_data.file_writer import allocation_lines, as_csv, as_xlsx, lines_of
from gridtokenx_backend.grid_data.reconciliation import Tolerance, cells, compare, write_csv

VIENNA = ZoneInfo("Europe/Vienna")
KWH = 10**9
LONG_DAY = unix_ms("2026-10-25T00:00:00+02:00")


def series(
    start_ms: int, *energies: int | None, quantity: Quantity = "consumption", meter: str = "m"
) -> GridSeries:
    qualities = "".join("0" if energy is None else "4" for energy in energies)
    return GridSeries(
        meter=meter,
        quantity=quantity,
        start_ms=start_ms,
        energies_uwh=list(energies),
        qualities=qualities,
    )


# Written files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [as_csv, as_xlsx])
def test_what_is_written_is_read_back_as_it_was(write: object) -> None:
    assert callable(write)
    made = [
        series(LONG_DAY, *range(1, 100), None),
        series(LONG_DAY, 7, None, quantity="received", meter="=1+1"),
    ]
    content = write(lines_of(made, VIENNA))
    read_back = read_content("f", "f", content).data.series
    assert read_back == sorted(made, key=lambda each: each.meter)


def test_a_workbooks_cells_are_never_formulas() -> None:
    content = as_xlsx(lines_of([series(0, 1, meter="=HYPERLINK(1)")], VIENNA))
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert (sheet["A2"].value, sheet["A2"].data_type) == ("=HYPERLINK(1)", "s")


def test_times_carry_their_offset_and_units_stand_in_the_heading() -> None:
    text = as_csv(lines_of([series(LONG_DAY + 8 * INTERVAL_MS, 1, 1, 1, 1, 1)], VIENNA)).decode()
    assert text.splitlines()[:2] == [
        "meter,quantity,start,energy_kwh,quality",
        "m,consumption,2026-10-25T02:00:00+02:00,0.000000001,measured",
    ]
    assert text.splitlines()[-1] == ("m,consumption,2026-10-25T02:00:00+01:00,0.000000001,measured")


def test_an_exported_allocation_says_the_newest_of_each_interval() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    first = village.clear(0).allocations
    lines = allocation_lines(first, VIENNA)
    assert {line[:2] + line[3:] for line in lines if line[0] in ("plant", "flat-c")} == {
        ("plant", "generation_part", "0.600000000", "measured"),
        ("plant", "surplus_part", "", "missing"),  # a part is held back for flat-c
        ("flat-c", "generation_part", "", "missing"),
        ("flat-c", "surplus_part", "", "missing"),
        ("flat-c", "consumption_part", "", "missing"),
        ("flat-c", "received", "", "missing"),
    }
    village.read(village.at_ms, flat_c=0)
    second = village.clear(1).allocations
    lines = allocation_lines([*second, *first], VIENNA)
    assert ("plant", "surplus_part", "0.300000000", "measured") in [
        line[:2] + line[3:] for line in lines
    ]


# Reconciliation ---------------------------------------------------------------------------------


def test_days_are_local_and_may_have_25_hours() -> None:
    theirs = [series(LONG_DAY - INTERVAL_MS, *[KWH] * 101)]
    ours = {("m", "consumption"): {LONG_DAY + n * INTERVAL_MS: KWH for n in range(-1, 100)}}
    lines = compare(theirs, ours, VIENNA, Tolerance())  # type: ignore[arg-type]
    assert [(line.day, line.intervals, line.verdict) for line in lines] == [
        ("2026-10-24", 1, "ok"),
        ("2026-10-25", 100, "ok"),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict", "difference"),
    [
        ([100, 100], [100, 100], "ok", 0),
        ([101, 100], [100, 100], "ok", 1),  # 5 per mille of 1 %
        ([103, 100], [100, 100], "differs", 3),
        ([97, 100], [100, 100], "differs", -3),
        ([100, None], [100, 100], "incomplete", 0),
        ([100, 100], [100, None], "incomplete", 0),
        ([None, None], [100, 100], "incomplete", 0),
        ([110, None], [100, 100], "differs", 10),
    ],
)
def test_a_day_is_judged_by_the_intervals_that_both_know(
    ours: list[int | None], theirs: list[int | None], verdict: str, difference: int
) -> None:
    mine = {
        LONG_DAY + n * INTERVAL_MS: energy * KWH
        for n, energy in enumerate(ours)
        if energy is not None
    }
    said = series(LONG_DAY, *(None if energy is None else energy * KWH for energy in theirs))
    (line,) = compare([said], {("m", "consumption"): mine}, VIENNA, Tolerance())
    assert (line.verdict, line.difference_uwh) == (verdict, difference * KWH)


def test_small_energies_have_a_tolerance_of_their_own() -> None:
    (line,) = compare(
        [series(LONG_DAY, 0)],
        {("m", "consumption"): {LONG_DAY: KWH // 10}},
        VIENNA,
        Tolerance(),
    )
    assert line.verdict == "ok"


def test_a_line_shows_both_and_counts_what_one_lacks() -> None:
    said = GridSeries(
        meter="m",
        quantity="generation",
        start_ms=LONG_DAY,
        energies_uwh=[KWH, None, KWH],
        qualities="301",
    )
    ours = {("m", "generation"): {LONG_DAY: 2 * KWH, LONG_DAY + INTERVAL_MS: KWH}}
    lines = compare([said], ours, VIENNA, Tolerance())  # type: ignore[arg-type]
    assert cells(lines[0]) == (
        "m",
        "generation",
        "2026-10-25",
        "1",
        "2.000000000",
        "1.000000000",
        "1.000000000",
        "1",
        "1",
        "1",
        "differs",
    )
    out = io.StringIO(newline="")
    write_csv(out, lines)
    assert out.getvalue().count("\r\n") == 2
    assert Quality.MISSING == 0
