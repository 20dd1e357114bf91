"""Whether all loops of the agent still turn. The watchdog is told what this module says.

A loop marks each of its turns, and it turns while it waits, too. A dead meter or a broker that is
away is a fault to report, but no hang. A loop that has not turned within its own bound hangs,
whatever the others do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Beat = Callable[[], None]
"""It marks a turn of a loop."""


def no_beat() -> None:
    """Mark nothing, for a loop that nobody watches."""


class Progress:
    """The last turn of every loop. Times are monotonic seconds."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._loops: dict[str, tuple[float, float]] = {}

    def expect(self, loop: str, bound_s: float) -> Beat:
        """Expect a turn of `loop` every `bound_s` from now on. A call of the result is a turn."""

        def turned() -> None:
            if loop in self._loops:
                self._loops[loop] = (self._now_s(), bound_s)

        self._loops[loop] = (self._now_s(), bound_s)
        return turned

    def forget(self, loop: str) -> None:
        """Expect no more turns of a loop that has ended because it should."""
        self._loops.pop(loop, None)

    def hanging(self) -> dict[str, float]:
        """Return the loops that do not turn, each with the seconds since its last turn."""
        now_s = self._now_s()
        return {
            loop: now_s - last_s
            for loop, (last_s, bound_s) in self._loops.items()
            if now_s - last_s > bound_s
        }
