"""How much of a bus the meters that do not answer may take from those that do. Pure."""

from __future__ import annotations


class SilentMeterBudget:
    """One bus's. After a silence that held the line for `cost_s`, silent meters wait until that
    is no more than their share of the time since; all of them together, so that three dead
    meters cost no more than one. Where no meter answers, there is nobody to wait for.
    """

    def __init__(self, percent: int) -> None:
        self._share = percent / 100
        self._alive: set[int] = set()
        self._free_at_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """How long a silent meter has to wait before it is asked again."""
        return max(0.0, self._free_at_s - now_s) if self._alive else 0.0

    def answered(self, address: int) -> None:
        """This meter is well."""
        self._alive.add(address)

    def silent(self, address: int) -> None:
        """This meter is silent from now on."""
        self._alive.discard(address)

    def spend(self, address: int, cost_s: float, now_s: float) -> None:
        """A request to this meter held the line for nothing."""
        if self._alive - {address}:
            self._free_at_s = max(self._free_at_s, now_s - cost_s) + cost_s / self._share
