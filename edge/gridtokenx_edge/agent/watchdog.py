"""Tells systemd that the agent works, for as long as all of its loops come round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gridtokenx_edge.agent.sd_notify import Notifier
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.progress import Progress

# How often hangs are looked for and the status line is renewed if there is no watchdog.
_LOOK_EVERY_S = 15.0


class Watchdog:
    """Looks at the loops' progress twice in the watchdog's time, as sd_watchdog_enabled(3)
    advises.
    """

    def __init__(
        self, notifier: Notifier, progress: Progress, status: Callable[[], str], log: Logger
    ) -> None:
        self._notifier = notifier
        self._progress = progress
        self._status = status
        self._log = log
        self._faults = FaultLog(log)
        self._hanging: set[str] = set()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        every_s = _LOOK_EVERY_S
        if self._notifier.watchdog_s:
            every_s = min(every_s, self._notifier.watchdog_s / 2)
        while True:
            self.look()
            await asyncio.sleep(every_s)

    def look(self) -> None:
        """Look once: tell systemd that the agent is alive if every loop comes round, or else log
        each loop that does not.
        """
        hanging = self._progress.hanging()
        for loop in self._hanging - hanging.keys():
            self._faults.over("loop_hangs", loop)
            self._log.info("loop_turns", loop=loop)
        for loop, silent_s in hanging.items():
            self._faults.error("loop_hangs", loop, loop=loop, silent_s=round(silent_s))
        self._hanging = set(hanging)
        if hanging:
            self._notifier.status(f"hangs: {', '.join(sorted(hanging))}")
            return
        self._notifier.alive()
        self._notifier.status(self._status())
