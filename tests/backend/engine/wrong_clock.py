"""A machine whose clock a test sets wrong, and a writer that is guarded against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.backend.village import START_MS

from gridtokenx_backend.core.messages.clock_records import ClockCommand
from gridtokenx_backend.core.messages.inputs import ClockInput, clock_input
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine.clock_guard import ClockGuard, TimeSources
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.journal.port import Journal


class Machine:
    """Elapsed time that only goes forward, a clock that may be set, and a kernel that judges it."""

    def __init__(self, at_ms: int = START_MS, *, is_synchronised: bool = False) -> None:
        self.ahead_ms = 0
        self.is_synchronised: bool | None = is_synchronised
        self._elapsed_ms = 0
        self._boot_ms = at_ms

    def now_ms(self) -> int:
        return self._boot_ms + self._elapsed_ms + self.ahead_ms

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000

    def wait(self, duration_ms: int) -> None:
        """Let time pass."""
        self._elapsed_ms += duration_ms

    def sources(self) -> TimeSources:
        return TimeSources(
            wall_ms=self.now_ms,
            elapsed_ms=lambda: self._elapsed_ms,
            is_synchronised=lambda: self.is_synchronised,
        )


def word_of(machine: Machine) -> ClockInput:
    """The operator says that the clock is right now."""
    return clock_input(ClockCommand(time_ms=machine.now_ms(), reason="compared with the radio"))


@asynccontextmanager
async def guarded_writer(
    journal: Journal, machine: Machine, community: Community
) -> AsyncIterator[Writer]:
    guard = ClockGuard(machine.sources())
    writer = Writer(community, journal, machine, 10**9, guard)
    running = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        writer.stop()
        await running
