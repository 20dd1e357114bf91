"""How much of a bus the meters that do not answer may take from those that do. Pure but `lock`."""

from __future__ import annotations

import asyncio


class SilentMeterBudget:
    """The budget of one bus.

    After a silence that held the line for `cost_s`, silent meters wait until that is no more than
    their share of the time since; all of them together, so that three dead meters cost no more
    than one. Where no meter answers, there is nobody to wait for. Meters are known by their
    addresses.
    """

    def __init__(self, percent: int) -> None:
        self._share = percent / 100
        self._alive: set[int] = set()
        self._free_at_s = float("-inf")
        self.lock = asyncio.Lock()
        """Held while a silent meter is asked: they are asked one after the other."""
        self.spent_s: dict[int, float] = {}
        """How long requests to each address have held the line, answered or not."""

    def held(self, address: int, spent_s: float) -> None:
        """A request to this address held the line for so long."""
        self.spent_s[address] = self.spent_s.get(address, 0.0) + spent_s

    def wait_s(self, now_s: float) -> float:
        """Return how long a silent meter has to wait before it is asked again, in seconds."""
        return max(0.0, self._free_at_s - now_s) if self._alive else 0.0

    def answered(self, address: int) -> None:
        """The meter at this address has answered."""
        self._alive.add(address)

    def silent(self, address: int) -> None:
        """The meter at this address counts as silent from now on."""
        self._alive.discard(address)

    def spend(self, address: int, cost_s: float, now_s: float) -> None:
        """A poll of the meter at this address held the line for `cost_s` and brought nothing."""
        if self._alive - {address}:
            self._free_at_s = max(self._free_at_s, now_s - cost_s) + cost_s / self._share
