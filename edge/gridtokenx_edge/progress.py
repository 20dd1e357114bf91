"""Do all loops of the agent still turn? What the watchdog is told rests on this.

A loop marks each of its turns. It turns while it waits, too: a meter that is dead or a broker
that is away is a fault to report, but no hang. A loop that has not turned within its own bound
hangs, whatever the others do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Beat = Callable[[], None]
"""LastReadings a turn of a loop."""


def no_beat() -> None:
    """For a loop that nobody watches."""


class Progress:
    """The last turn of every loop. Times are monotonic seconds."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._loops: dict[str, tuple[float, float]] = {}

    def expect(self, loop: str, bound_s: float) -> Beat:
        """From now on `loop` must turn every `bound_s`; a call of the result is one."""

        def turned() -> None:
            if loop in self._loops:
                self._loops[loop] = (self._now_s(), bound_s)

        self._loops[loop] = (self._now_s(), bound_s)
        return turned

    def forget(self, loop: str) -> None:
        """The loop ended because it should."""
        self._loops.pop(loop, None)

    def hanging(self) -> dict[str, float]:
        """The loops that do not turn, each with the seconds since it last did."""
        now_s = self._now_s()
        return {
            loop: now_s - last_s
            for loop, (last_s, bound_s) in self._loops.items()
            if now_s - last_s > bound_s
        }
