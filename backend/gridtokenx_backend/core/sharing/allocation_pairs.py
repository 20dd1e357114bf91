"""Who received energy from whom, computed again from the lines of a journaled allocation.

The pairs follow from what each meter gave and received, and from nothing else.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.sharing.allocation import AllocationPair, pair_up


def pairs_of(allocation: Allocation) -> list[AllocationPair]:
    """Return the pairs of meters with energy, by producer and then by consumer."""
    return pair_up(
        [(line.meter, line.given_uwh) for line in allocation.producers],
        [(line.meter, line.received_uwh or 0) for line in allocation.consumers],
    )


def covered_of(allocation: Allocation) -> dict[str, int]:
    """Return, by consuming meter, how much of what it received known producers covered."""
    if not allocation.uncovered_uwh:
        return {line.meter: line.received_uwh or 0 for line in allocation.consumers}
    covered: dict[str, int] = {}
    for pair in pairs_of(allocation):
        covered[pair.consumer] = covered.get(pair.consumer, 0) + pair.energy_uwh
    return covered
