"""From readings to frames: what is grouped, and what happens while the disk takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gridtokenx_edge.config.edge_config import UplinkConfig
from gridtokenx_edge.store.clock_status import ClockMark, ClockWatch
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxUnavailableError
from gridtokenx_edge.store.sealer import Sealer
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading


class FakeOutbox:
    """Keeps batches in memory; `fails` times it does not."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.clocks: list[ClockStatus] = []
        self.refused: list[list[str]] = []
        self.sealed: list[list[Reading]] = []
        self.marks: list[ClockMark | None] = []
        self.fails = 0
        self.thin_at: list[int | None] = []
        self.thinned = 0
        self.is_full = False
        self.clock_mark: ClockMark | None = None

    @property
    def next_seq(self) -> int:
        return len(self.batches)

    async def thin(self, now_ms: int | None) -> None:
        self.thin_at.append(now_ms)

    async def append(
        self, readings: Sequence[Reading], clock: ClockStatus, mark: ClockMark | None = None
    ) -> int:
        await asyncio.sleep(0)
        meters = [reading.meter for reading in readings]
        if self.fails:
            self.fails -= 1
            self.refused.append(meters)
            raise OutboxUnavailableError("the disk is full")
        self.batches.append(meters)
        self.clocks.append(clock)
        self.sealed.append(list(readings))
        self.marks.append(mark)
        return len(self.batches) - 1


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Bench:
    def __init__(self, sealer: Sealer, outbox: FakeOutbox, log: Log) -> None:
        self.sealer = sealer
        self.outbox = outbox
        self.log = log

    def add(self, *meters: str) -> None:
        for meter in meters:
            self.sealer.add(Reading(meter=meter, time_ms=0, import_uwh=0, export_uwh=0))


@asynccontextmanager
async def running(**config: Any) -> AsyncIterator[Bench]:
    outbox, log = FakeOutbox(), Log()
    clock_config = ClockConfig(source="scaled", speed=60.0)
    sealer = Sealer(
        cast(Outbox, outbox),
        UplinkConfig(**({"seal_after_s": 0} | config)),
        make_clock(clock_config),
        ClockWatch(clock_config),
        cast(Any, log),
        lambda _: None,
    )
    task = asyncio.create_task(sealer.run())
    yield Bench(sealer, outbox, log)
    sealer.stop()
    await asyncio.wait_for(task, 5)


async def test_what_one_round_of_polls_brings_is_one_frame(wait_until: Any) -> None:
    async with running() as bench:
        for _ in range(3):
            bench.sealer.begin()
        bench.add("a")
        bench.sealer.end()
        bench.add("b")
        bench.sealer.end()
        await asyncio.sleep(0.02)
        assert bench.outbox.batches == [], "the third is still on its way"
        bench.sealer.end()  # without a reading
        await wait_until(lambda: bench.outbox.batches)
    assert bench.outbox.batches == [["a", "b"]]


async def test_a_full_frame_does_not_wait(wait_until: Any) -> None:
    async with running(max_readings_per_frame=2) as bench:
        bench.sealer.begin()
        bench.add("a", "b", "c")
        await wait_until(lambda: bench.outbox.batches)
        assert bench.outbox.batches[0] == ["a", "b"]
        bench.sealer.end()
        await wait_until(lambda: len(bench.outbox.batches) == 2)


async def test_a_round_that_never_ends_does_not_hold_readings_back(wait_until: Any) -> None:
    async with running() as bench:
        bench.sealer.begin()
        bench.add("a")
        await wait_until(lambda: bench.outbox.batches, 5)


async def test_grouping_waits_in_community_time(wait_until: Any) -> None:
    async with running(seal_after_s=30) as bench:  # half a second at 60 times the speed
        bench.add("first")
        await wait_until(lambda: bench.outbox.batches)  # a start is seen at once
        bench.add("a")
        await asyncio.sleep(0.2)
        bench.add("b")
        assert len(bench.outbox.batches) == 1
        await wait_until(lambda: len(bench.outbox.batches) == 2, 1)
    assert bench.outbox.batches == [["first"], ["a", "b"]]


async def test_what_is_held_is_sealed_at_the_end() -> None:
    async with running(seal_after_s=3600) as bench:
        bench.add("a", "b")
    assert bench.outbox.batches == [["a", "b"]]


async def test_readings_wait_in_memory_while_the_disk_is_full(wait_until: Any) -> None:
    async with running() as bench:
        bench.outbox.fails = 2
        bench.add("a", "b")
        await wait_until(lambda: bench.outbox.fails < 2)
        assert bench.sealer.held == 2
        bench.add("c")
        await wait_until(lambda: len(bench.outbox.batches) == 2)
        assert bench.outbox.refused == [["a", "b"], ["a", "b"]], "a batch in doubt stays as it is"
        assert bench.outbox.batches == [["a", "b"], ["c"]]
        (fault,) = bench.log.named("outbox_unavailable")
        assert fault == {"reason": "the disk is full", "held": 2}
        await wait_until(lambda: bench.log.named("outbox_available"))


async def test_beyond_the_bound_the_oldest_readings_go_and_are_counted(wait_until: Any) -> None:
    async with running(max_readings_per_frame=2, max_held_readings=3) as bench:
        bench.outbox.fails = 1
        bench.add("a", "b")
        await wait_until(lambda: not bench.outbox.fails)
        bench.add("c", "d", "e", "f", "g")
        assert bench.sealer.dropped == 2
        assert bench.sealer.held == 5
        await wait_until(lambda: not bench.sealer.held)
    assert bench.outbox.batches == [["a", "b"], ["e", "f"], ["g"]]
    assert bench.log.named("readings_dropped") == [{"dropped": 1}]


@pytest.mark.parametrize("config", [{}, {"seal_after_s": 60}])
async def test_an_agent_that_stops_during_a_full_disk_stops(config: dict[str, Any]) -> None:
    async with running(**config) as bench:
        bench.outbox.fails = 1_000_000
        bench.add("a")
        await asyncio.sleep(0.05)
    assert bench.sealer.held == 1
