"""What holds for every allocation of an interval, whoever takes part and whatever is missing."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.backend.core.sharing.test_allocation import (
    MISSING,
    consumers,
    producers,
    received,
    surplus,
)

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM
from gridtokenx_backend.core.sharing.allocation import (
    AllocatedEnergy,
    MeteredFlow,
    by_consumption,
    by_shares,
)

energies = st.integers(0, 10**13) | st.integers(0, 20)
flows = st.lists(st.tuples(energies, st.integers(0, WHOLE_PPM)), min_size=1, max_size=8)
maybe = st.none() | energies


def _drawn(prefix: str, drawn: Sequence[tuple[int, int]]) -> list[MeteredFlow]:
    return [
        MeteredFlow(
            id=f"{prefix}{index}", energy_uwh=energy, quality=Quality.MEASURED, factor_ppm=factor
        )
        for index, (energy, factor) in enumerate(drawn)
    ]


def _check(allocated: AllocatedEnergy, making: list[MeteredFlow], using: list[MeteredFlow]) -> None:
    """Exact sums on both sides, and no cap exceeded."""
    for given_line, flow in zip(allocated.producers, making, strict=True):
        paired = sum(pair.energy_uwh for pair in allocated.pairs if pair.producer == flow.id)
        assert paired == given_line.given_uwh >= 0
        assert given_line.held_uwh >= 0
        assert given_line.surplus_uwh >= 0
        parts = given_line.given_uwh + given_line.held_uwh + given_line.surplus_uwh
        assert parts == (given_line.offered_uwh or 0)
        assert (given_line.offered_uwh is None) == (flow.energy_uwh is None)
    for line, flow in zip(allocated.consumers, using, strict=True):
        paired = sum(pair.energy_uwh for pair in allocated.pairs if pair.consumer == flow.id)
        assert paired == (line.received_uwh or 0)
        assert (line.received_uwh is None) == (flow.energy_uwh is None)
        if flow.energy_uwh is not None:
            assert 0 <= paired <= flow.energy_uwh * flow.factor_ppm // WHOLE_PPM
    assert all(pair.energy_uwh > 0 for pair in allocated.pairs)


@given(flows, flows, st.lists(st.integers(0, 125_000), min_size=8, max_size=8))
def test_shares_add_up_exactly_and_respect_every_cap(
    made: list[tuple[int, int]], used: list[tuple[int, int]], ppm: list[int]
) -> None:
    making, using = _drawn("p", made), _drawn("c", used)
    key = {f"c{index}": share for index, share in enumerate(ppm)}
    _check(by_shares(making, using, key), making, using)


@given(flows, flows)
def test_proportional_sharing_gives_out_all_that_can_be_used(
    made: list[tuple[int, int]], used: list[tuple[int, int]]
) -> None:
    making, using = _drawn("p", made), _drawn("c", used)
    allocated = by_consumption(making, using)
    _check(allocated, making, using)
    offered = sum(line.offered_uwh or 0 for line in allocated.producers)
    consumed = sum(line.consumed_uwh or 0 for line in allocated.consumers)
    assert sum(pair.energy_uwh for pair in allocated.pairs) == min(offered, consumed)


@given(st.lists(maybe, min_size=1, max_size=5), st.lists(maybe, min_size=1, max_size=5), energies)
def test_sums_are_exact_whatever_is_missing(
    made: list[int | None], used: list[int | None], ceiling_uwh: int
) -> None:
    making = producers(*made)
    using = [msgspec.structs.replace(flow, ceiling_uwh=ceiling_uwh) for flow in consumers(*used)]
    key = {flow.id: WHOLE_PPM // len(using) for flow in using}
    for allocated in (by_consumption(making, using), by_shares(making, using, key)):
        _check(allocated, making, using)
        is_complete = None not in (*made, *used)
        assert (allocated.quality is Quality.MEASURED) == is_complete


@given(flows, flows, st.randoms(use_true_random=False))
def test_the_order_of_participants_does_not_matter(
    made: list[tuple[int, int]], used: list[tuple[int, int]], chance: random.Random
) -> None:
    making, using = _drawn("p", made), _drawn("c", used)
    key = {flow.id: WHOLE_PPM // len(using) for flow in using}
    ordered = by_consumption(making, using), by_shares(making, using, key)
    chance.shuffle(making)
    chance.shuffle(using)
    assert (by_consumption(making, using), by_shares(making, using, key)) == ordered


@given(
    st.lists(energies, min_size=1, max_size=6),
    st.lists(energies, min_size=1, max_size=6),
    st.integers(1, 10**12),
    st.integers(0, 5),
)
def test_who_consumes_more_never_gets_less(
    made: list[int], used: list[int], more_uwh: int, which: int
) -> None:
    which %= len(used)
    raised = [*used]
    raised[which] += more_uwh
    key = {f"c{index}": WHOLE_PPM // len(used) for index in range(len(used))}
    for less, more in (
        (by_consumption(producers(*made), consumers(*u)) for u in (used, raised)),
        (by_shares(producers(*made), consumers(*u), key) for u in (used, raised)),
    ):
        assert (more.consumers[which].received_uwh or 0) >= (
            less.consumers[which].received_uwh or 0
        )
        assert surplus(more) <= surplus(less)


@given(
    st.lists(energies, min_size=1, max_size=6),
    st.lists(energies, min_size=1, max_size=6),
    st.integers(1, 10**12),
)
def test_more_production_lowers_no_ones_part_by_more_than_the_rounding(
    made: list[int], used: list[int], more_uwh: int
) -> None:
    """Largest remainders may hand one µWh to another (the Alabama paradox), never more."""
    raised = [made[0] + more_uwh, *made[1:]]
    key = {f"c{index}": WHOLE_PPM // len(used) for index in range(len(used))}
    for less, more in (
        (by_consumption(producers(*m), consumers(*used)) for m in (made, raised)),
        (by_shares(producers(*m), consumers(*used), key) for m in (made, raised)),
    ):
        for before, after in zip(received(less), received(more), strict=True):
            assert (after or 0) >= (before or 0) - 1


@given(
    st.lists(energies, min_size=1, max_size=5),
    st.lists(energies, min_size=2, max_size=5),
    st.integers(0, 10**13),
)
def test_what_was_allocated_while_somebody_was_missing_is_never_taken_back(
    made: list[int], used: list[int], room_uwh: int
) -> None:
    """But for the one µWh of rounding: the missing energy can only raise what others have."""
    absent = MeteredFlow(id="c0", energy_uwh=None, quality=MISSING, ceiling_uwh=used[0] + room_uwh)
    key = {f"c{index}": WHOLE_PPM // len(used) for index in range(len(used))}
    present = consumers(*used)
    for early, late in (
        (by_consumption(producers(*made), [first, *present[1:]]) for first in (absent, present[0])),
        (by_shares(producers(*made), [first, *present[1:]], key) for first in (absent, present[0])),
    ):
        for before, after in zip(received(early)[1:], received(late)[1:], strict=True):
            assert (after or 0) >= (before or 0) - 1
