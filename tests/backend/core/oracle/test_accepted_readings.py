"""The accepted readings of a frame: what is taken into the meters, and what comes back."""

from __future__ import annotations

import pytest

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.oracle.accepted_readings import AcceptedReadings

T0 = 1_780_000_200_000 // INTERVAL_MS * INTERVAL_MS
AT_MS = T0 + 24 * 3_600_000
DAY_MS = 86_400_000
LIMITS = OracleLimits(
    future_tolerance_ms=60_000,
    oldest_reading_ms=7 * DAY_MS,
    ratio_window_ms=DAY_MS,
    late_reading_ms=3 * DAY_MS,
    finality_ms=7 * DAY_MS,
    boundary_tolerance_ms=60_000,
)
Reading = tuple[int, int, int]
"""The minute after T0, the import and the export register."""
Row = tuple[int, int, int, Quality, int]
"""The interval's number, import, export, quality and revision."""


def meter(name: str = "ABB-1") -> Meter:
    rules = MeterRules(
        policy="export",
        active=True,
        max_power_w=10_000,
        min_interval_ms=0,
        resolution_uwh=1,
        max_production_ratio=0,
        rollover_uwh=1_000_000,
        first_energy_uwh=1_000_000,
        starts_at_zero=True,
    )
    return Meter(id=name, device=bytes(16), owner="owner", rules=rules, epoch=0)


def frame() -> AcceptedReadings:
    return AcceptedReadings(limits=LIMITS, at_ms=AT_MS, rules=2)


def take(readings: AcceptedReadings, of: Meter, *rows: Reading) -> list[int]:
    """Return the imported energy of each reading."""
    return [
        readings.take(of, T0 + minute * 60_000, import_uwh, export_uwh)
        for minute, import_uwh, export_uwh in rows
    ]


def rows_of(readings: AcceptedReadings, name: str = "ABB-1") -> list[Row]:
    return [_row(energy) for energy in readings.intervals.get(name, [])]


def _row(energy: IntervalEnergy) -> Row:
    number = (energy.interval_ms - T0) // INTERVAL_MS
    quality = Quality(energy.quality)
    return number, energy.import_uwh, energy.export_uwh, quality, energy.revision


@pytest.mark.parametrize(
    ("readings", "imported", "rows"),
    [
        pytest.param([(0, 100, 10)], [0], [], id="first reading is a baseline"),
        pytest.param([(0, 100, 10), (5, 103, 10)], [0, 3], [], id="no interval ended"),
        pytest.param(
            [(0, 100, 10), (15, 108, 14)],
            [0, 8],
            [(0, 8, 4, Quality.MEASURED, 0)],
            id="an interval ended",
        ),
        pytest.param(
            [(0, 100, 10), (45, 190, 40)],
            [0, 90],
            [
                (0, 30, 10, Quality.INTERPOLATED, 0),
                (1, 30, 10, Quality.INTERPOLATED, 0),
                (2, 30, 10, Quality.INTERPOLATED, 0),
            ],
            id="three intervals were estimated",
        ),
        pytest.param(
            [(0, 999_990, 10), (15, 5, 14)],
            [0, 15],
            [(0, 15, 4, Quality.MEASURED, 0)],
            id="a register rolled over",
        ),
    ],
)
def test_readings_in_order_return_their_import_and_close_the_intervals_that_ended(
    readings: list[Reading], imported: list[int], rows: list[Row]
) -> None:
    taken, of = frame(), meter()
    assert take(taken, of, *readings) == imported
    taken.revise_reopened()
    assert rows_of(taken) == rows
    assert taken.advanced == {of.id: of}


def test_a_first_reading_mints_nothing() -> None:
    of = meter()
    take(frame(), of, (0, 100, 4711))
    assert of.settled_uwh == 4711


def test_each_meter_of_a_frame_has_intervals_of_its_own() -> None:
    taken, one, two = frame(), meter("ABB-1"), meter("ABB-2")
    take(taken, one, (0, 0, 0))
    take(taken, two, (0, 0, 0))
    take(taken, two, (15, 7, 0))
    assert set(taken.advanced) == {"ABB-1", "ABB-2"}
    assert rows_of(taken, "ABB-1") == []
    assert rows_of(taken, "ABB-2") == [(0, 7, 0, Quality.MEASURED, 0)]


def test_late_readings_reopen_estimated_intervals_until_they_are_revised() -> None:
    of = meter()
    take(frame(), of, (0, 0, 0), (45, 90, 30))
    late = frame()
    assert take(late, of, (15, 50, 0)) == [0]
    assert set(late.reopened) == {of.id}
    assert rows_of(late) == [], "nothing is revised before the frame has ended"
    late.revise_reopened()
    assert late.reopened == {}
    assert late.advanced == {}, "a late reading moves no register on"
    assert rows_of(late) == [
        (0, 50, 0, Quality.MEASURED, 1),
        (1, 20, 15, Quality.INTERPOLATED, 1),
        (2, 20, 15, Quality.INTERPOLATED, 1),
    ]


def test_late_readings_of_one_frame_make_one_revision() -> None:
    of = meter()
    take(frame(), of, (0, 0, 0), (45, 90, 30))
    late = frame()
    take(late, of, (15, 50, 0), (30, 60, 5))
    late.revise_reopened()
    assert rows_of(late) == [
        (0, 50, 0, Quality.MEASURED, 1),
        (1, 10, 5, Quality.MEASURED, 1),
        (2, 30, 25, Quality.MEASURED, 1),
    ]


def test_what_late_readings_reopened_is_revised_before_the_next_interval_closes() -> None:
    of = meter()
    take(frame(), of, (0, 0, 0), (45, 90, 30))
    mixed = frame()
    assert take(mixed, of, (15, 50, 0), (60, 95, 31)) == [0, 5]
    assert mixed.reopened == {}
    assert [row[0] for row in rows_of(mixed)] == [0, 1, 2, 3]
    assert [row[4] for row in rows_of(mixed)] == [1, 1, 1, 0]


def test_intervals_that_no_clearing_has_taken_are_replaced_by_their_revisions() -> None:
    of = meter()
    take(frame(), of, (0, 0, 0), (45, 90, 30))
    late = frame()
    take(late, of, (15, 50, 0))
    late.revise_reopened()
    assert of.closed_intervals == late.intervals[of.id]
