"""Where the grid operator's figures of an interval do not fit each other, or the gateways' energy.

What the operator says is not taken beyond what can be: nobody is given more than they consumed, and
what exceeds the known generation is no producer's. Each of these limits is told, so that somebody
can ask the operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec

from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.model.sharing_keys import active_key
from gridtokenx_backend.core.sharing import interval_allocation
from gridtokenx_backend.core.state.community import Community


class ContradictionKind(Enum):
    """What does not fit."""

    CONSUMPTION = "received_above_consumption"
    """A meter received more than it consumed, or took part without having a part."""
    GENERATION = "received_above_generation"
    """All meters together received more than known producers generated."""


class Contradiction(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One interval's contradiction: the operator says `said_uwh`, and `counted_uwh` is counted.

    `meter` is empty where it concerns all of them.
    """

    kind: ContradictionKind
    interval_ms: int
    meter: str
    said_uwh: int
    counted_uwh: int


class ContradictionSum(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A meter's contradictions of one kind: how many intervals have one, and the sums of them."""

    kind: ContradictionKind
    meter: str
    intervals: int
    first_ms: int
    said_uwh: int
    counted_uwh: int


def summed_up(contradictions: Iterable[Contradiction]) -> list[ContradictionSum]:
    """Return one sum for each kind and meter, in this order."""
    groups: dict[tuple[str, str], list[Contradiction]] = {}
    for each in contradictions:
        groups.setdefault((each.kind.value, each.meter), []).append(each)
    return [
        ContradictionSum(
            kind=group[0].kind,
            meter=meter,
            intervals=len(group),
            first_ms=min(each.interval_ms for each in group),
            said_uwh=sum(each.said_uwh for each in group),
            counted_uwh=sum(each.counted_uwh for each in group),
        )
        for (_, meter), group in sorted(groups.items())
    ]


def of_interval(
    interval_ms: int,
    said_uwh: Mapping[str, int],
    received_uwh: Mapping[str, int],
    uncovered_uwh: int,
) -> list[Contradiction]:
    """Return the contradictions of an interval that was allocated in the mode `imported`.

    `said_uwh` is what each meter received by the operator's figures, and `received_uwh` what it was
    given. `uncovered_uwh` of that is no known producer's.
    """
    found = [
        Contradiction(
            kind=ContradictionKind.CONSUMPTION,
            interval_ms=interval_ms,
            meter=meter,
            said_uwh=energy_uwh,
            counted_uwh=received_uwh.get(meter, 0),
        )
        for meter, energy_uwh in sorted(said_uwh.items())
        if energy_uwh > received_uwh.get(meter, 0)
    ]
    if uncovered_uwh:
        total_uwh = sum(received_uwh.values())
        found.append(
            Contradiction(
                kind=ContradictionKind.GENERATION,
                interval_ms=interval_ms,
                meter="",
                said_uwh=total_uwh,
                counted_uwh=total_uwh - uncovered_uwh,
            )
        )
    return found


def intervals_of(data: GridData) -> list[int]:
    """Return the intervals of which a file has a figure, in order."""
    return sorted(
        {
            interval_ms
            for series in data.series
            for interval_ms, energy_uwh, _ in series.rows()
            if energy_uwh is not None
        }
    )


def known_now(community: Community, intervals_ms: Iterable[int]) -> list[Contradiction]:
    """Return the contradictions of intervals by all that was imported so far.

    There are none in an interval that another mode than `imported` allocates.
    """
    state = community.sharing
    found: list[Contradiction] = []
    for interval_ms in intervals_ms:
        key = active_key(state.keys, interval_ms)
        if key is None or key.mode != "imported":
            continue
        interval = state.known_of(interval_ms)
        allocated = interval_allocation.allocated_now(community, interval_ms, key, interval)
        said = {
            meter: operators.received_uwh
            for meter, operators in interval.operators.items()
            if operators.received_uwh is not None
        }
        received = {line.id: line.received_uwh or 0 for line in allocated.consumers}
        found += of_interval(interval_ms, said, received, allocated.uncovered_uwh)
    return found
