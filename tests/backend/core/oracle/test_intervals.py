"""The energy of every interval: how it is counted, and what late readings change."""

from __future__ import annotations

import pytest
from tests.backend.metered import Metered, at
from tests.backend.village import KWH

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.core.oracle import intervals


def test_a_reading_at_each_bound_measures_the_interval() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(15), 5, 7), (at(30), 5, 8))
    assert metered.energy() == [(0, 5, 7, "measured"), (1, 0, 1, "measured")]


@pytest.mark.parametrize(
    ("before_s", "after_s", "quality"),
    [
        pytest.param(60, 840, "measured", id="60 s before"),
        pytest.param(61, 839, "interpolated", id="61 s before"),
        pytest.param(840, 60, "measured", id="60 s after"),
        pytest.param(839, 61, "interpolated", id="61 s after"),
        pytest.param(30, 30, "measured", id="around it"),
    ],
)
def test_a_bound_is_measured_by_a_reading_within_a_minute(
    before_s: int, after_s: int, quality: str
) -> None:
    metered = Metered()
    bound = at(15)
    metered.read((at(0), 0, 0), (bound - before_s * 1000, 0, 0), (bound + after_s * 1000, 900, 90))
    whole_s = before_s + after_s
    expected = (0, 900 * before_s // whole_s, 90 * before_s // whole_s, quality)
    assert metered.energy()[0] == expected


def test_the_interval_of_the_first_reading_counts_from_it_and_says_so() -> None:
    metered = Metered()
    metered.read((at(5), 1000, 0), (at(15), 1010, 0))
    assert metered.energy() == [(0, 10, 0, "interpolated")]


def test_a_day_adds_up_to_its_register_difference_whatever_is_rounded() -> None:
    metered = Metered(at_ms=at(26 * 60))
    metered.read((at(0), 7, 3))
    metered.read((at(24 * 60), 7 + 1_000_000_007, 3 + 96 * 13 + 1))
    rows = metered.energy()
    assert len(rows) == 96
    assert sum(row[1] for row in rows) == 1_000_000_007
    assert sum(row[2] for row in rows) == 96 * 13 + 1
    assert {row[1] for row in rows} == {1_000_000_007 // 96, 1_000_000_007 // 96 + 1}


def test_registers_that_roll_over_count_on() -> None:
    metered = Metered()
    metered.meter(rollover_kwh="1000", max_power_kw="1000", min_interval_s=0)
    end = 1000 * KWH
    metered.read((at(0), end - 2, end - 1), (at(15), 3, end - 1), (at(30), 4, 8))
    assert metered.energy() == [(0, 5, 0, "measured"), (1, 1, 9, "measured")]


def test_between_two_meters_nothing_is_known_and_nothing_is_shown() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(20), 500, 50))
    metered.meter(epoch=1, max_power_kw="1000", min_interval_s=0)
    metered.read((at(65), 7, 7), (at(80), 1007, 107))
    assert metered.energy() == [
        (0, 375, 37, "interpolated"),
        (1, 125, 13, "interpolated"),
        (4, 666, 66, "interpolated"),
    ]
    # What both meters counted together, and the rest is in the open interval.
    opened = intervals.still_open(metered.state)
    assert opened is not None
    assert opened == IntervalEnergy(
        interval_ms=at(75), import_uwh=334, export_uwh=34, quality=Quality.PROVISIONAL
    )


def test_the_open_interval_is_provisional() -> None:
    metered = Metered()
    assert intervals.still_open(metered.state) is None
    metered.read((at(0), 0, 0), (at(16), 160, 0), (at(20), 200, 9))
    opened = intervals.still_open(metered.state)
    assert opened == IntervalEnergy(
        interval_ms=at(15), import_uwh=50, export_uwh=9, quality=Quality.PROVISIONAL
    )


def test_late_readings_complete_what_had_to_be_interpolated() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(60), 1200, 0))
    assert metered.energy() == [(n, 300, 0, "interpolated") for n in range(4)]
    assert metered.read((at(15), 100, 0), (at(30), 200, 0), (at(45), 600, 0)) == ["accepted"] * 3
    assert metered.energy() == [
        (0, 100, 0, "measured"),
        (1, 100, 0, "measured"),
        (2, 400, 0, "measured"),
        (3, 600, 0, "measured"),
    ]
    assert {row.revision for row in metered.rows.values()} == {1}  # one frame, one revision
    assert metered.state.past.estimated_spans == []


def test_a_late_reading_mints_nothing_and_counts_no_import() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(60), 1200, 800))
    village = metered.village
    before = village.grid(village.anna), village.community.members[village.anna.wallet].imported_uwh
    metered.read((at(15), 100, 799))
    after = village.grid(village.anna), village.community.members[village.anna.wallet].imported_uwh
    assert before == after == ((800, 0), 1200)
    assert village.community.counters.accepted == 3


LATE_KW = 10
LATE = KWH * LATE_KW // 4
"""What 10 kW are in a quarter of an hour."""


@pytest.mark.parametrize(
    ("late", "verdict"),
    [
        pytest.param((at(30), LATE, 0), "accepted", id="it fits"),
        pytest.param((at(0), 0, 0), "not_after_last", id="at the reading before"),
        pytest.param((at(60), 2 * LATE, 0), "not_after_last", id="at the reading after"),
        pytest.param((at(-15), 0, 0), "not_after_last", id="before all"),
        pytest.param((at(0) + 9_999, 0, 0), "too_frequent", id="soon after the one before"),
        pytest.param((at(60) - 9_999, 2 * LATE, 0), "too_frequent", id="shortly before the next"),
        pytest.param((at(30), -1, 0), "register_rollback", id="below the one before"),
        pytest.param((at(30), 2 * LATE + 1, 0), "register_rollback", id="above the one after"),
        pytest.param((at(30), LATE, 1), "register_rollback", id="export above the one after"),
        pytest.param((at(10), 2 * LATE, 0), "implausible_jump", id="too much before it"),
        pytest.param((at(50), 0, 0), "implausible_jump", id="too much after it"),
    ],
)
def test_a_late_reading_must_fit_between_its_neighbours(
    late: tuple[int, int, int], verdict: str
) -> None:
    metered = Metered()
    metered.meter(max_power_kw=str(LATE_KW), resolution_kwh="0", min_interval_s=10)
    metered.read((at(0), 5, 5), (at(60), 5 + 2 * LATE, 5))
    time_ms, imported, exported = late
    assert metered.read((time_ms, 5 + imported, 5 + exported)) == [verdict]


def test_late_readings_before_and_after_a_rollover_find_their_place() -> None:
    metered = Metered()
    metered.meter(rollover_kwh="1000", max_power_kw="10", min_interval_s=0)
    end = 1000 * KWH
    metered.read((at(0), end - 30, end - 5), (at(75), 70, end - 1))
    assert [row[1:3] for row in metered.energy()] == [(20, 0), (20, 1), (20, 1), (20, 1), (20, 1)]
    late = [(at(30), end - 10, end - 4), (at(15), end - 20, end - 5), (at(60), 60, end - 2)]
    assert metered.read(*late) == ["accepted"] * 3
    assert metered.read((at(45), 0, end - 3)) == ["accepted"]
    assert [row[1:3] for row in metered.energy()] == [(10, 0), (10, 1), (10, 1), (60, 1), (10, 1)]


def test_a_short_pause_is_no_estimated_span() -> None:
    metered = Metered()
    metered.read((at(7), 0, 0), (at(23), 16, 0))
    assert metered.read((at(15), 9, 0)) == ["not_after_last"]
    assert metered.state.past is None
    metered.read((at(39) + 1, 32, 0))
    assert metered.read((at(30), 23, 0)) == ["accepted"]
    assert metered.read((at(29), 22, 0)) == ["not_after_last"]  # the bound has its reading


def test_a_late_reading_that_comes_after_the_correction_window_is_refused() -> None:
    metered = Metered(at_ms=at(60), correction_hours=2)
    metered.read((at(0), 0, 0), (at(60), 1200, 0))
    metered.village.at_ms = at(180)
    assert metered.read((at(15), 100, 0)) == ["accepted"]
    metered.village.at_ms = at(180) + 1
    assert metered.read((at(30), 200, 0)) == ["not_after_last"]


def test_a_final_interval_keeps_its_energy_and_the_others_take_what_is_left() -> None:
    metered = Metered(at_ms=at(180), correction_hours=2, finality_hours=2)
    metered.read((at(0), 0, 0), (at(120), 8000, 0))
    assert metered.read((at(45), 2800, 0)) == ["not_after_last"]  # in an interval that is final
    assert metered.read((at(75), 3999, 0)) == ["register_rollback"]  # they have 4000 of it
    assert metered.read((at(75), 4010, 0)) == ["accepted"]
    assert [row[1] for row in metered.energy()] == [1000] * 4 + [10] + [1330] * 3
    assert sum(row[1] for row in metered.energy()) == 8000


def test_the_open_interval_takes_part_in_what_a_late_reading_changes() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(50), 5000, 0))
    metered.read((at(15), 100, 0), (at(45), 300, 0))
    assert [row[1] for row in metered.energy()] == [100, 100, 100]
    opened = intervals.still_open(metered.state)
    assert opened is not None
    assert opened.import_uwh == 4700
    metered.read((at(60), 5000, 0))
    assert metered.energy()[-1] == (3, 4700, 0, "measured")


def test_only_what_changed_is_revised() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(60), 1200, 0))
    metered.read((at(30), 600, 0))
    # The energy is as it was, but the bound in the middle is measured now; no interval is.
    assert metered.said == []


def test_closed_intervals_are_handed_out_once_with_their_revisions() -> None:
    metered = Metered()
    community = metered.village.community
    metered.read((at(0), 0, 0), (at(60), 1200, 0))
    assert list(intervals.take(community.meters.values(), at(15))["ABB-1"]) == [
        IntervalEnergy(
            interval_ms=at(0), import_uwh=300, export_uwh=0, quality=Quality.INTERPOLATED
        )
    ]
    metered.read((at(45), 600, 0))
    assert intervals.take(community.meters.values(), at(60)) == {
        "ABB-1": [
            IntervalEnergy(
                interval_ms=at(15),
                import_uwh=200,
                export_uwh=0,
                quality=Quality.INTERPOLATED,
                revision=1,
            ),
            IntervalEnergy(
                interval_ms=at(30),
                import_uwh=200,
                export_uwh=0,
                quality=Quality.INTERPOLATED,
                revision=1,
            ),
            IntervalEnergy(
                interval_ms=at(45),
                import_uwh=600,
                export_uwh=0,
                quality=Quality.MEASURED,
                revision=1,
            ),
        ]
    }
    assert intervals.take(community.meters.values(), at(60)) == {}


def test_what_nobody_takes_is_summed_up_after_a_month() -> None:
    metered = Metered(at_ms=at(15 * 4000))
    metered.read((at(0), 0, 0), (at(15 * 3500), 3500, 7000))
    closed = metered.state.closed_intervals
    assert len(closed) == intervals.CLOSED_KEPT
    assert sum(row.import_uwh for row in closed) == 3500
    assert sum(row.export_uwh for row in closed) == 7000
    assert closed[0].interval_ms == at(15 * (3500 - intervals.CLOSED_KEPT))


def test_an_operators_values_stand_against_late_readings() -> None:
    metered = Metered()
    metered.read((at(0), 0, 0), (at(90), 9000, 0))
    limits = metered.village.community.limits
    span = (at(15), at(45))
    rows = intervals.substitute(metered.state, limits, span, 31, 0)
    assert [(row.import_uwh, row.revision) for row in rows] == [(15, 1), (16, 1)]
    assert {row.quality for row in rows} == {Quality.SUBSTITUTE}
    assert metered.read((at(60), 100, 0)) == ["not_after_last"]
