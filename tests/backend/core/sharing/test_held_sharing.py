"""Energy that is held is not shared until the operator has decided what it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.core.sharing.test_grid_data_import import bring, series
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, gave, got, only
from tests.backend.village import meter_terms, reading

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.messages.settlement_outcomes import SettlementRefused
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.core.model.settlement import Correct, DecideHeld

DOUBTED = {"starts_at_zero": False, "first_energy_kwh": "0"}
FLATS = {"flat_b": 300 * WH, "flat_c": 300 * WH}


def doubted(mode: str = "dynamic", **terms: Any) -> SharingVillage:
    """A village whose plant made 600 Wh, which is held, and 400 Wh in the next interval."""
    village = SharingVillage(mode, price_rule="balance", price_grx_per_kwh="0.12", **BAND)
    village.document["interval"] = terms
    plant = meter_terms("plant", village.north, village.anna)
    village.configure(meter=[plant | DOUBTED, *village.document["meter"][1:]])
    village.quarter(0, plant=600 * WH, **FLATS)
    village.quarter(1, plant=400 * WH, **FLATS)
    return village


BAND = {"floor_grx_per_kwh": "0.10", "ceiling_grx_per_kwh": "0.20"}


def decide(village: SharingVillage, decision: Any) -> HeldDecided:
    guard = village.community.meters["plant"].guard
    assert guard is not None
    assert guard.held is not None
    outcome = village.apply(
        settlement_input(
            DecideHeld(
                meter="plant",
                entry=guard.held.entry,
                steps=len(guard.held.steps),
                decision=decision,
                reason="seen on site",
            )
        )
    )
    assert isinstance(outcome, HeldDecided)
    return outcome


def test_held_energy_is_in_nobodys_receipt_and_in_no_price() -> None:
    village = doubted()
    for number in (0, 1):
        allocation = only(village.clear(number).allocations)
        assert got(allocation) == {"flat-b": 0, "flat-c": 0}
        (plant,) = allocation.producers
        assert plant.offered_uwh == 0 or plant.quality == Quality.MISSING
        assert (allocation.quality, allocation.waiting_uwh) == (Quality.PROVISIONAL, 0)
        assert allocation.price_ugrx == 200_000  # the ceiling: nothing is offered
    assert village.retired() == 0


@pytest.mark.parametrize(
    ("decision", "given_wh"), [("release", (600, 400)), ("void", (0, 400)), ("void_all", (0, 0))]
)
def test_what_was_decided_is_allocated_again_once(decision: str, given_wh: tuple[int, int]) -> None:
    village = doubted()
    first = [only(village.clear(number).allocations) for number in (0, 1)]
    decide(village, decision)
    village.quarter(2, plant=100 * WH, **FLATS)
    again = {each.interval_ms: each for each in village.clear(2).allocations}
    for number, before, energy_wh in zip((0, 1), first, given_wh, strict=True):
        if (after := again.pop(FIRST_MS + number * INTERVAL_MS, None)) is None:
            assert energy_wh == 0, "nothing of the interval has changed"
            continue
        assert got(after) == {"flat-b": energy_wh * WH // 2, "flat-c": energy_wh * WH // 2}
        assert (after.revision, after.corrects) == (1, village.cleared_by[number])
        assert after.price_ugrx == before.price_ugrx
    (newest,) = again.values()
    assert gave(newest) == {"plant": (100 * WH, 0, 0)}
    assert village.retired() == (sum(given_wh) + 100) * WH
    assert village.grid(village.anna) == (0, 0)
    assert village.clear(3).movements == []


def test_an_interval_that_is_final_stays_and_what_was_released_is_the_owners() -> None:
    village = doubted(finality_hours=1, correction_hours=1)
    for number in range(6):
        village.clear(number)
    village.at_ms = FIRST_MS + 6 * INTERVAL_MS
    village.community.cleared_ms = FIRST_MS + 6 * INTERVAL_MS
    rows = decide(village, "release").rows
    assert rows == [], "the step lies in an interval that is final"
    assert [each.interval_ms for each in village.clear(6).allocations] == [
        FIRST_MS + 6 * INTERVAL_MS
    ]
    assert village.retired() == 0
    assert village.grid(village.anna) == (1000 * WH, 0)


def test_a_part_of_an_interval_is_shared_where_holding_began_within_it() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, **FLATS)
    half_ms = INTERVAL_MS // 2
    village.read(FIRST_MS + INTERVAL_MS + half_ms // 2, plant=200 * WH)
    for ms in (half_ms, half_ms + INTERVAL_MS):  # it jumps, and goes on from there
        village.read(FIRST_MS + INTERVAL_MS + ms, plant=0 if ms > half_ms else 9_000_000 * WH)
    assert village.community.held_meters == {"plant"}
    village.quarter(2, plant=0)
    village.quarter(1, flat_b=500 * WH, flat_c=500 * WH)
    village.clear(0)
    allocation = only(village.clear(1).allocations)
    assert gave(allocation) == {"plant": (200 * WH, 0, 0)}
    assert allocation.producers[0].quality == Quality.PROVISIONAL


def test_the_grid_operators_own_figure_of_generation_counts_and_a_held_one_does_not() -> None:
    for said, allocated_wh in ((series("plant", "generation", 500, 500), 500), (None, 0)):
        village = doubted("imported")
        flats = [series(flat, "received", 250, 250) for flat in ("flat-b", "flat-c")]
        bring(village, *flats, *([said] if said else []))
        village.clear(0)
        allocation = only(village.clear(1).allocations)
        assert sum(line.given_uwh for line in allocation.producers) == allocated_wh * WH
        assert allocation.uncovered_uwh == (500 - allocated_wh) * WH
        # it is given as soon as it is minted
        assert allocation.waiting_uwh == allocated_wh * WH
        assert village.retired() == 0


def test_a_late_reading_changes_no_interval_of_a_decided_step() -> None:
    for decision, exported_wh in (("release", [400, 300, 300]), ("void_all", [0, 0, 0])):
        village = doubted()
        village.quarter(4, plant=900 * WH)  # of three intervals
        village.configure()
        decide(village, decision)
        known = village.community.sharing.readings_of("plant", FIRST_MS + INTERVAL_MS)
        assert [row.export_uwh // WH for row in known.values()][:3] == exported_wh
        late = reading("plant", FIRST_MS + 3 * INTERVAL_MS, 1700 * WH)
        village.send(village.north, late)
        sums = [
            sum(row.export_uwh for row in found.values())
            for found in (known, village.community.sharing.readings_of("plant", FIRST_MS + 900_000))
        ]
        assert sums[0] == sums[1]


def test_what_is_all_void_is_neither_corrected_nor_clawed_back() -> None:
    village = doubted()
    decide(village, "void_all")
    refused = village.apply(
        settlement_input(
            Correct(
                meter="plant",
                from_ms=FIRST_MS + INTERVAL_MS,
                to_ms=FIRST_MS + 2 * INTERVAL_MS,
                import_uwh=0,
                export_uwh=0,
                counted_import_uwh=0,
                counted_export_uwh=400 * WH,
                revision=1,
                reason="guess",
            )
        )
    )
    assert isinstance(refused, SettlementRefused)
    assert "void" in refused.detail
