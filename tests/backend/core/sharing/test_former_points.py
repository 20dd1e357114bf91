"""The grid operator's figures of a metering point count for its owner of that time."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.core.sharing.test_grid_data_import import bring, series
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, got
from tests.backend.village import meter_terms

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS

POINT = "AT0020000000000000000000020089835"


@pytest.fixture(name="village")
def _village() -> SharingVillage:
    """Cleo's flat is known by the operator's file alone: it received 200 Wh in the interval 0."""
    village = SharingVillage("imported")
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[2]["metering_point"] = POINT
    village.configure(meter=meters)
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    bring(village, series(POINT, "received", 200), series("flat-b", "received", 0), source="1" * 64)
    village.clear(0)
    assert village.retired() == 200 * WH
    return village


def let_go(village: SharingVillage, *new: dict[str, Any]) -> None:
    """Cleo leaves in the interval 1, and their metering point may be another meter's."""
    village.quarter(1, plant=0, flat_b=0)
    village.at_ms += 1
    village.configure(
        meter=[*village.document["meter"][:2], *new],
        member=[each for each in village.document["member"] if new or each["name"] != "cleo"],
    )


def test_a_file_for_a_day_of_a_member_that_left_counts(village: SharingVillage) -> None:
    let_go(village)
    bring(village, series(POINT, "received", 300), source="2" * 64)
    late, _ = village.clear(1).allocations
    assert got(late)["flat-c"] == 300 * WH
    assert [line.wallet for line in late.consumers if line.meter == "flat-c"] == [
        village.cleo.wallet
    ]
    assert village.retired() == 300 * WH


def test_what_was_allocated_to_a_member_that_left_stays(village: SharingVillage) -> None:
    """Whatever else changes of the interval."""
    let_go(village)
    bring(village, series("flat-b", "received", 100), source="2" * 64)
    late, _ = village.clear(1).allocations
    assert (got(late)["flat-b"], got(late)["flat-c"]) == (100 * WH, 200 * WH)


def test_a_meter_that_is_switched_off_in_the_terms_counts(village: SharingVillage) -> None:
    let_go(village, village.document["meter"][2] | {"active": False})
    bring(village, series(POINT, "received", 300), source="2" * 64)
    late, _ = village.clear(1).allocations
    assert got(late)["flat-c"] == 300 * WH


def test_a_new_meter_at_the_metering_point_gains_nothing_for_the_time_before_it(
    village: SharingVillage,
) -> None:
    new = meter_terms("flat-c2", village.south, village.ben, metering_point=POINT)
    let_go(village, new)
    village.at_ms = FIRST_MS + 3 * INTERVAL_MS
    bring(village, series(POINT, "received", 300, 0, 50), source="2" * 64)
    first, _, _ = village.clear(2).allocations
    assert got(first)["flat-c"] == 300 * WH
    assert "flat-c2" not in got(first)
    reports = village.community.sharing.known_of(FIRST_MS + 2 * INTERVAL_MS).operators
    assert list(reports) == ["flat-c2"]


def test_a_meter_that_comes_back_to_its_point_counts_again(village: SharingVillage) -> None:
    new = meter_terms("flat-c2", village.south, village.ben, metering_point=POINT)
    old = village.document["meter"][2]
    let_go(village, new)
    village.at_ms = FIRST_MS + 4 * INTERVAL_MS
    village.configure(meter=[*village.document["meter"][:2], old])
    village.at_ms = FIRST_MS + 6 * INTERVAL_MS
    bring(village, series(POINT, "received", 1, 2, 3, 4, 5, 6), source="2" * 64)
    reports = village.community.sharing.new_reports
    told = [list(reports[FIRST_MS + number * INTERVAL_MS]) for number in range(6)]
    assert told == [["flat-c"]] * 2 + [["flat-c2"]] * 2 + [["flat-c"]] * 2
