"""Ticks at multiples of a period, and the writer, which is woken in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.backend.parts import StandingClock, until

from gridtokenx_backend.core.messages.inputs import Input, TickInput, clearing_input
from gridtokenx_backend.core.messages.outcomes import DevicesRetired, Result, Ticked
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_backend.engine import ticks
from gridtokenx_backend.engine.ticks import MOST_AT_ONCE, clear_when_due, overdue, tick_when_due
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
        self.is_clock_right = True
        self.submitted: list[tuple[int, list[Input]]] = []
        self._clock = clock
        self._results = list(results)

    def look_at_clock(self) -> bool:
        return self.is_clock_right

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


async def test_nothing_is_submitted_while_the_clock_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticks, "_LONGEST_SLEEP_S", 0.001)
    clock = PassingClock(0)
    noted = NotedWriter(clock, [])
    noted.is_clock_right = False
    async with ticking(noted, clock) as writer:
        await until(lambda: clock.at_ms >= 5 * PERIOD_MS)
        assert writer.submitted == []
        writer.is_clock_right = True
        await until(lambda: writer.submitted)


async def test_overdue_intervals_are_cleared_in_turns_with_everything_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    intervals = 3 * MOST_AT_ONCE + 5
    clock = StandingClock(intervals * INTERVAL_MS)
    noted = NotedWriter(clock, [])
    community = noted.community
    community.cleared_ms, community.clear_due_ms = 0, INTERVAL_MS

    async def submit(inputs: Sequence[Input]) -> list[Committed]:
        (clearing,) = inputs
        assert clearing == clearing_input(community.cleared_ms)
        community.cleared_ms += INTERVAL_MS
        community.clear_due_ms += INTERVAL_MS
        await asyncio.sleep(0)
        return []

    noted.submit = submit  # type: ignore[method-assign]
    assert overdue(community, clock.at_ms) == intervals
    task = asyncio.create_task(clear_when_due(cast(Writer, noted), clock))
    await until(lambda: overdue(community, clock.at_ms) == 0)
    await until(lambda: "all overdue intervals are cleared" in capfd.readouterr().out)
    task.cancel()
