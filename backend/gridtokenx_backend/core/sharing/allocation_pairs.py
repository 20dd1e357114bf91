"""Who served whom, computed again from the lines of a journaled allocation.

An allocation's lines name what each meter gave and received; the pairs follow from them alone, for
they are made of nothing else.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.sharing.allocation import AllocationPair, pair_up


def pairs_of(allocation: Allocation) -> list[AllocationPair]:
    """The pairs of meters with energy, by producer and then by consumer; exact to the µWh."""
    return pair_up(
        [(line.meter, line.given_uwh) for line in allocation.producers],
        [(line.meter, line.received_uwh or 0) for line in allocation.consumers],
    )


def covered_of(allocation: Allocation) -> dict[str, int]:
    """By consuming meter, what known producers covered of what it received."""
    if not allocation.uncovered_uwh:
        return {line.meter: line.received_uwh or 0 for line in allocation.consumers}
    covered: dict[str, int] = {}
    for pair in pairs_of(allocation):
        covered[pair.consumer] = covered.get(pair.consumer, 0) + pair.energy_uwh
    return covered
