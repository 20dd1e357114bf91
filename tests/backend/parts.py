"""The backend's parts in one process: a clock that a test moves, a journal, a running writer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.backend.village import START_MS

from gridtokenx_backend.core.messages.inputs import Input
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine.writer import Committed, Writer
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal, open_journal
from gridtokenx_backend.replay.replay import rebuild


class StandingClock:
    """The community's time; it moves only when a test moves it."""

    def __init__(self, at_ms: int = START_MS) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000


@asynccontextmanager
async def journal_at(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await open_journal(path)
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def writer_on(
    journal: Journal, community: Community | None = None, snapshot_every: int = 10**9
) -> AsyncIterator[Writer]:
    """Run a writer on a community, by default the one in the journal; drain it at the end."""
    if community is None:
        community = await rebuild(journal)
    writer = Writer(community, journal, StandingClock(), snapshot_every)
    running = asyncio.create_task(writer.run())
    try:
        yield writer
    except BaseException:  # a failed test does not wait for what may never be stored
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise
    writer.stop()
    await running


async def turns(count: int = 20) -> None:
    """Let all tasks that are ready run, for some turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Wait until `condition` holds; fail the test if that takes too long."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (another process cannot set an event)
            await asyncio.sleep(0.002)


async def submit_each(writer: Writer, inputs: Sequence[Input]) -> list[Committed]:
    """Submit each input as a batch of its own, and return the results."""
    return [committed for each in inputs for committed in await writer.submit([each])]
