"""SIGTERM and SIGINT: they end a running backend, and a start that waits for something."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StopSignal:
    """Heard from the moment it is made. `received` is set once a signal came.

    A start may wait long: for room on a disk, or for the replay of a long journal. Until
    `is_started` is set, a signal cancels it.
    """

    def __init__(self) -> None:
        """Listen on the running loop, for the task that calls this."""
        self.received = asyncio.Event()
        self.is_started = False
        self._main = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._receive)

    @contextmanager
    def ends_a_start(self) -> Iterator[None]:
        """Go on behind the block if a signal ended it before the backend had started."""
        try:
            yield
        except asyncio.CancelledError:
            if self._main is None or self.is_started or not self.received.is_set():
                raise
            self._main.uncancel()

    def _receive(self) -> None:
        is_first = not self.received.is_set()
        self.received.set()
        if is_first and not self.is_started and self._main is not None:
            self._main.cancel()
