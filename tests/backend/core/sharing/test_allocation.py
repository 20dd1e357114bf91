"""Allocation of one interval: published cases, made-up tables, and what holds for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.rounding import apportion
from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM
from gridtokenx_backend.core.sharing.allocation import (
    AllocatedEnergy,
    AllocationPair,
    MeteredFlow,
    as_imported,
    by_consumption,
    by_shares,
)

WH = 1_000_000
KWH = 1000 * WH
MISSING = Quality.MISSING


def producers(*energies_uwh: int | None) -> list[MeteredFlow]:
    return [_flow(f"p{index}", energy) for index, energy in enumerate(energies_uwh)]


def consumers(*energies_uwh: int | None) -> list[MeteredFlow]:
    return [_flow(f"c{index}", energy) for index, energy in enumerate(energies_uwh)]


def _flow(name: str, energy_uwh: int | None) -> MeteredFlow:
    return MeteredFlow(
        id=name, energy_uwh=energy_uwh, quality=MISSING if energy_uwh is None else Quality.MEASURED
    )


def shares(*percents: float) -> dict[str, int]:
    return {f"c{index}": round(percent * 10_000) for index, percent in enumerate(percents)}


def received(allocated: AllocatedEnergy) -> list[int | None]:
    return [line.received_uwh for line in allocated.consumers]


def surplus(allocated: AllocatedEnergy) -> int:
    return sum(line.surplus_uwh for line in allocated.producers)


def held(allocated: AllocatedEnergy) -> int:
    return sum(line.held_uwh for line in allocated.producers)


# Largest remainder ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [30, 70], [30, 70]),
        (10, [1, 1, 1], [4, 3, 3]),  # a tie goes to the smallest index
        (11, [1, 1, 1], [4, 4, 3]),
        # The method's textbook case (ten seats, six parties; Wikipedia, "Largest remainder
        # method", Hare quota).
        (10, [47_000, 16_000, 15_800, 12_000, 6_100, 3_100], [5, 2, 1, 1, 1, 0]),
        (0, [5, 5], [0, 0]),
        (7, [0, 0], [0, 0]),
        (3, [], []),
    ],
)
def test_parts_are_by_quota_and_then_by_largest_remainder(
    total: int, weights: list[int], parts: list[int]
) -> None:
    assert apportion(total, weights) == parts


@given(st.integers(0, 2**63), st.lists(st.integers(0, 2**63), min_size=1, max_size=20))
def test_parts_add_up_and_are_within_a_unit_of_their_quota(total: int, weights: list[int]) -> None:
    parts = apportion(total, weights)
    whole = sum(weights)
    assert sum(parts) == (total if whole else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) < max(whole, 1)


# Published cases --------------------------------------------------------------------------------


def test_spanish_constant_coefficients_leave_each_consumer_its_published_rest() -> None:
    # Real Decreto 244/2019, annex I. Worked example of ecodrivex.es ("Comunidad Bitácora"): from
    # 11 to 12 o'clock 100 Wh are generated; Juan has β = 0.3 and consumes 45 Wh, Amaya has 0.7 and
    # consumes 80 Wh; they pay for 15 Wh and 10 Wh.
    allocated = by_shares(producers(100 * WH), consumers(45 * WH, 80 * WH), shares(30, 70))
    assert received(allocated) == [30 * WH, 70 * WH]
    rests = [(line.consumed_uwh or 0) - (line.received_uwh or 0) for line in allocated.consumers]
    assert rests == [15 * WH, 10 * WH]
    assert surplus(allocated) == 0


def test_german_proportional_sharing_is_capped_by_what_all_consumed() -> None:
    # EnWG § 42b (5); the example in the documentation of the crate `metering` 0.25.0
    # (allocation::community): 10 kWh generated, 1 and 3 kWh consumed, 6 kWh fed in.
    allocated = by_consumption(producers(10 * KWH), consumers(1 * KWH, 3 * KWH))
    assert received(allocated) == [1 * KWH, 3 * KWH]
    assert surplus(allocated) == 6 * KWH


def test_luxembourg_surplus_reduces_what_the_others_took_from_the_grid() -> None:
    # ILR, FAQ on energy sharing: 500 Wh generated in a quarter of an hour, 200 Wh used on site;
    # the 300 Wh of surplus reduce the group's consumption from the grid by 300 Wh.
    allocated = by_consumption(producers(300 * WH), consumers(250 * WH, 250 * WH))
    assert received(allocated) == [150 * WH, 150 * WH]


@pytest.mark.parametrize(
    ("injected", "withdrawn", "shared"),
    [(4, 9, 4), (9, 4, 4), (5, 5, 5), (0, 5, 0), (5, 0, 0)],
)
def test_italian_shared_energy_is_the_smaller_of_injected_and_withdrawn(
    injected: int, withdrawn: int, shared: int
) -> None:
    # TIAD (ARERA 727/2022/R/eel), article 1: "energia elettrica condivisa".
    allocated = by_consumption(producers(injected * KWH), consumers(withdrawn * KWH, 0))
    assert sum(pair.energy_uwh for pair in allocated.pairs) == shared * KWH


# Tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "made", "used", "percents", "got", "over"),
    [
        ("an unused share is surplus", [10], [1, 9], [50, 50], [1, 5], 4),
        ("what the key leaves out is surplus", [10], [9, 9], [20, 30], [2, 3], 5),
        ("nobody outside the key gets any", [10], [9, 9], [40], [4, 0], 6),
        ("ties go to the smallest id", [3], [9, 9], [50, 50], [2, 1], 0),
        ("a consumer without consumption gets nothing", [10], [0, 9], [50, 50], [0, 5], 5),
        ("no production", [0], [9, 9], [50, 50], [0, 0], 0),
        ("no producers", [], [9], [100], [0], 0),
    ],
)
def test_static_sharing(
    case: str, made: list[int], used: list[int], percents: list[float], got: list[int], over: int
) -> None:
    allocated = by_shares(producers(*made), consumers(*used), shares(*percents))
    assert received(allocated) == got
    assert surplus(allocated) == over
    assert allocated.quality is Quality.MEASURED


@pytest.mark.parametrize(
    ("case", "made", "used", "got", "over"),
    [
        ("scarce energy is pro rata", [8], [3, 9], [2, 6], 0),
        ("of equal remainders the smallest id has the unit", [6], [3, 9], [2, 4], 0),
        ("plenty covers everybody", [20], [3, 9], [3, 9], 8),
        ("the last unit goes to the largest remainder", [5], [3, 3, 4], [2, 1, 2], 0),
        ("nothing consumed, all surplus", [5], [0, 0], [0, 0], 5),
    ],
)
def test_dynamic_sharing(
    case: str, made: list[int], used: list[int], got: list[int], over: int
) -> None:
    allocated = by_consumption(producers(*made), consumers(*used))
    assert received(allocated) == got
    assert surplus(allocated) == over


def test_every_producer_serves_every_consumer_in_the_same_proportion() -> None:
    allocated = by_consumption(producers(20, 40), consumers(10, 20))
    assert allocated.pairs == [
        AllocationPair(producer="p0", consumer="c0", energy_uwh=3),
        AllocationPair(producer="p0", consumer="c1", energy_uwh=7),
        AllocationPair(producer="p1", consumer="c0", energy_uwh=7),
        AllocationPair(producer="p1", consumer="c1", energy_uwh=13),
    ]
    assert [(line.given_uwh, line.surplus_uwh) for line in allocated.producers] == [
        (10, 10),
        (20, 20),
    ]


def test_a_meter_takes_part_with_its_factor_on_either_side() -> None:
    half = WHOLE_PPM // 2
    making = [MeteredFlow(id="p0", energy_uwh=101, quality=Quality.MEASURED, factor_ppm=half)]
    using = [
        MeteredFlow(id="c0", energy_uwh=80, quality=Quality.MEASURED, factor_ppm=half),
        MeteredFlow(id="c1", energy_uwh=80),
    ]
    allocated = by_consumption(making, using)
    assert allocated.producers[0].offered_uwh == 50  # the fraction stays outside
    assert [line.consumed_uwh for line in allocated.consumers] == [40, 80]
    assert received(allocated) == [17, 33]


# Missing is not zero ----------------------------------------------------------------------------


def test_a_missing_consumers_share_is_held_back_and_nobody_elses() -> None:
    allocated = by_shares(producers(100), consumers(None, 80), shares(40, 60))
    assert received(allocated) == [None, 60]
    assert (held(allocated), surplus(allocated)) == (40, 0)
    assert allocated.quality is Quality.PROVISIONAL


def test_others_get_only_what_a_missing_consumer_cannot_claim() -> None:
    absent = MeteredFlow(id="c0", energy_uwh=None, quality=MISSING, ceiling_uwh=300)
    allocated = by_consumption(producers(100), [absent, MeteredFlow(id="c1", energy_uwh=100)])
    assert received(allocated) == [None, 25]  # 100 of at most 400
    assert (held(allocated), surplus(allocated)) == (75, 0)
    assert allocated.quality is Quality.PROVISIONAL


def test_a_claim_without_bound_holds_everything_back() -> None:
    allocated = by_consumption(producers(100), consumers(None, 80))
    assert received(allocated) == [None, 0]
    assert (held(allocated), surplus(allocated), allocated.pairs) == (100, 0, [])
    assert allocated.quality is Quality.PROVISIONAL


def test_a_missing_producer_offers_nothing_known_and_makes_the_slot_provisional() -> None:
    allocated = by_consumption(producers(50, None), consumers(100))
    assert received(allocated) == [50]
    assert allocated.producers[1].offered_uwh is None
    assert allocated.quality is Quality.PROVISIONAL


@pytest.mark.parametrize(
    ("qualities", "expected"),
    [
        ([Quality.MEASURED, Quality.MEASURED], Quality.MEASURED),
        ([Quality.MEASURED, Quality.SUBSTITUTE], Quality.SUBSTITUTE),
        ([Quality.PROVISIONAL, Quality.SUBSTITUTE], Quality.PROVISIONAL),
    ],
)
def test_a_slot_is_as_good_as_its_worst_energy(qualities: list[Quality], expected: Quality) -> None:
    making, using = (
        MeteredFlow(id=name, energy_uwh=5, quality=quality)
        for name, quality in zip("pc", qualities, strict=True)
    )
    assert by_consumption([making], [using]).quality is expected


# The grid operator's allocation -----------------------------------------------------------------


def test_an_imported_allocation_is_taken_as_it_is() -> None:
    allocated = as_imported(producers(100), consumers(50, 50), {"c0": 7, "c1": 30})
    assert received(allocated) == [7, 30]
    assert surplus(allocated) == 63


def test_a_consumer_that_the_operator_left_out_is_missing_not_zero() -> None:
    allocated = as_imported(producers(100), consumers(50, 50), {"c1": 30})
    assert received(allocated) == [None, 30]
    assert allocated.quality is Quality.PROVISIONAL


def test_an_imported_allocation_is_capped_at_the_consumption() -> None:
    allocated = as_imported(producers(100), consumers(5), {"c0": 7})
    assert received(allocated) == [5]


def test_what_no_known_producer_offered_is_uncovered() -> None:
    allocated = as_imported(producers(20, None), consumers(50, 50), {"c0": 20, "c1": 20})
    assert received(allocated) == [20, 20]
    assert allocated.pairs == [
        AllocationPair(producer="p0", consumer="c0", energy_uwh=10),
        AllocationPair(producer="p0", consumer="c1", energy_uwh=10),
    ]
    assert allocated.uncovered_uwh == 20
