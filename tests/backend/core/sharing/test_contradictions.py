"""Figures of the grid operator's that cannot be: what is counted of them, and what is told."""

from __future__ import annotations

import pytest
from tests.backend.core.sharing.test_grid_data_import import bring, series
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, got, only

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.sharing import contradictions
from gridtokenx_backend.core.sharing.contradictions import Contradiction, ContradictionKind

CONSUMPTION, GENERATION = ContradictionKind.CONSUMPTION, ContradictionKind.GENERATION


def found_in(village: SharingVillage, *numbers: int) -> list[Contradiction]:
    intervals_ms = [FIRST_MS + number * INTERVAL_MS for number in numbers or (0,)]
    return contradictions.known_now(village.community, intervals_ms)


def contradiction(
    kind: ContradictionKind, meter: str, said_wh: int, counted_wh: int
) -> Contradiction:
    return Contradiction(
        kind=kind,
        interval_ms=FIRST_MS,
        meter=meter,
        said_uwh=said_wh * WH,
        counted_uwh=counted_wh * WH,
    )


def test_received_above_the_files_own_consumption_is_told() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=900 * WH, flat_b=900 * WH)
    bring(village, series("flat-b", "received", 800), series("flat-b", "consumption", 500))
    assert found_in(village) == [contradiction(CONSUMPTION, "flat-b", 800, 500)]
    assert got(only(village.clear(0).allocations)) == {"plant": None, "flat-b": 500 * WH} | {
        "flat-c": None
    }


def test_received_above_what_the_gateway_measured_is_told() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=900 * WH, flat_b=500 * WH)
    bring(village, series("flat-b", "received", 800))
    assert found_in(village) == [contradiction(CONSUMPTION, "flat-b", 800, 500)]
    village.clear(0)
    assert found_in(village) == [contradiction(CONSUMPTION, "flat-b", 800, 500)]


def test_more_received_than_generated_is_told() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=500 * WH, flat_b=900 * WH, flat_c=900 * WH)
    bring(village, series("flat-b", "received", 800), series("flat-c", "received", 500))
    assert found_in(village) == [contradiction(GENERATION, "", 1300, 500)]
    assert only(village.clear(0).allocations).uncovered_uwh == 800 * WH


def test_figures_that_fit_are_no_contradiction() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=500 * WH, flat_b=200 * WH, flat_c=900 * WH)
    bring(
        village,
        series("plant", "generation", 500),
        series("flat-b", "received", 200),
        series("flat-c", "received", 300),
        series("flat-c", "consumption", 900),
    )
    assert found_in(village) == []


def test_what_was_said_earlier_counts_beside_a_new_file() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=900 * WH, flat_b=900 * WH)
    bring(village, series("flat-b", "received", 800), source="1" * 64)
    village.clear(0)
    assert found_in(village) == []
    bring(village, series("flat-b", "consumption", 500), source="2" * 64)
    assert found_in(village) == [contradiction(CONSUMPTION, "flat-b", 800, 500)]


def test_received_by_a_meter_that_takes_no_part_is_told() -> None:
    none = {"meter": "flat-b", "valid_from": "2026-01-01T00:00:00+00:00", "percent": "0"}
    village = SharingVillage("imported", participation=[none])
    village.quarter(0, plant=900 * WH, flat_b=900 * WH)
    bring(village, series("flat-b", "received", 100))
    assert found_in(village) == [contradiction(CONSUMPTION, "flat-b", 100, 0)]


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_in_other_modes_the_files_figures_are_not_allocated(mode: str) -> None:
    village = SharingVillage(mode)
    village.quarter(0, plant=900 * WH, flat_b=500 * WH)
    bring(village, series("flat-b", "received", 800))
    assert found_in(village) == []


def test_looking_for_contradictions_changes_nothing() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=900 * WH, flat_b=500 * WH)
    bring(village, series("flat-b", "received", 800))
    before = village.community.snapshot()
    assert found_in(village)
    assert village.community.snapshot() == before


def test_sums_are_by_kind_and_meter() -> None:
    village = SharingVillage("imported")
    for number in range(3):
        village.quarter(number, plant=900 * WH, flat_b=500 * WH)
    bring(village, series("flat-b", "received", 800, 400, 700))
    (total,) = contradictions.summed_up(found_in(village, 0, 1, 2))
    assert (total.meter, total.intervals, total.first_ms) == ("flat-b", 2, FIRST_MS)
    assert (total.said_uwh, total.counted_uwh) == (1500 * WH, 1000 * WH)
