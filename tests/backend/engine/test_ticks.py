"""Ticks at multiples of a period, and the writer, which is woken in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from tests.backend.parts import StandingClock, until

from gridtokenx_backend.core.messages.inputs import Input, TickInput
from gridtokenx_backend.core.messages.outcomes import DevicesRetired, Result, Ticked
from gridtokenx_backend.engine.ticks import tick_when_due
from gridtokenx_backend.engine.writer import Committed, Overloaded, Writer

PERIOD_MS = 60_000
NEVER_MS = 2**62


class PassingClock(StandingClock):
    """A clock on which every wait passes at once."""

    def real_seconds(self, duration_ms: int) -> float:
        self.at_ms += duration_ms
        return 0


class NotedWriter:
    """Notes what is submitted to it, and when; `results` are its answers, in order."""

    def __init__(self, clock: StandingClock, results: Sequence[Result | Overloaded]) -> None:
        self.community = SimpleNamespace(due_ms=NEVER_MS)
        self.submitted: list[tuple[int, list[Input]]] = []
        self._clock = clock
        self._results = list(results)

    async def submit(self, inputs: Sequence[Input]) -> list[Committed]:
        self.submitted.append((self._clock.now_ms(), list(inputs)))
        result = self._results.pop(0) if self._results else Ticked(orders=[])
        if isinstance(result, Overloaded):
            raise result
        self.community.due_ms = NEVER_MS
        return [Committed(result=result, seq=1, at_ms=self._clock.now_ms())]


@asynccontextmanager
async def ticking(
    writer: NotedWriter, clock: StandingClock, **options: Any
) -> AsyncIterator[NotedWriter]:
    task = asyncio.create_task(tick_when_due(cast(Writer, writer), clock, PERIOD_MS, **options))
    try:
        yield writer
    finally:
        task.cancel()


async def test_a_tick_is_submitted_at_every_multiple_of_the_period() -> None:
    clock = PassingClock(5 * PERIOD_MS + 1)
    async with ticking(NotedWriter(clock, []), clock) as writer:
        await until(lambda: len(writer.submitted) >= 3)
    assert writer.submitted[:3] == [(number * PERIOD_MS, [TickInput()]) for number in (6, 7, 8)]


async def test_the_writer_is_woken_when_something_is_due_before_the_next_tick() -> None:
    clock = PassingClock(5 * PERIOD_MS)
    noted = NotedWriter(clock, [])
    noted.community.due_ms = 5 * PERIOD_MS + 250
    async with ticking(noted, clock) as writer:
        await until(lambda: len(writer.submitted) >= 2)
    assert writer.submitted[:2] == [
        (5 * PERIOD_MS + 250, []),
        (6 * PERIOD_MS, [TickInput()]),
    ]


async def test_a_retired_device_is_reported_after_the_tick_that_retired_it() -> None:
    clock = PassingClock(0)
    noted = NotedWriter(
        clock, [Ticked(orders=[]), DevicesRetired(devices=[b"a device"], orders=[])]
    )
    reported: list[int] = []
    options = {"on_retired": lambda: reported.append(len(noted.submitted))}
    async with ticking(noted, clock, **options) as writer:
        await until(lambda: len(writer.submitted) >= 4)
    assert reported == [2]


async def test_a_writer_that_is_overloaded_gets_the_next_tick() -> None:
    clock = PassingClock(0)
    async with ticking(NotedWriter(clock, [Overloaded("full")]), clock) as writer:
        await until(lambda: len(writer.submitted) >= 2)
    assert [at_ms for at_ms, _ in writer.submitted[:2]] == [PERIOD_MS, 2 * PERIOD_MS]
