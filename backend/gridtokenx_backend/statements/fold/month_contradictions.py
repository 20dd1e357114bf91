"""Where the grid operator's files of a month contradict themselves or what the gateways measured.

Only in the mode `imported`, where these figures are allocated. What the newest allocation of an
interval made of them holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.sharing import contradictions
from gridtokenx_backend.core.sharing.contradictions import Contradiction, ContradictionSum


class MonthContradictions:
    """The contradictions so far, by the start of their interval."""

    def __init__(self) -> None:
        self._found: dict[int, list[Contradiction]] = {}

    def take(self, allocation: Allocation, said_uwh: Mapping[str, int]) -> None:
        """Compare an allocation with what the files so far say that each meter received."""
        self._found.pop(allocation.interval_ms, None)
        if allocation.mode != "imported":
            return
        found = contradictions.of_interval(
            allocation.interval_ms,
            said_uwh,
            {line.meter: line.received_uwh or 0 for line in allocation.consumers},
            allocation.uncovered_uwh,
        )
        if found:
            self._found[allocation.interval_ms] = found

    def sums(self) -> list[ContradictionSum]:
        """Return how many intervals have which contradictions, and the sums of them."""
        return contradictions.summed_up(
            each for interval_ms in sorted(self._found) for each in self._found[interval_ms]
        )
