"""The one writer: inputs in, one transaction a batch, results only after the commit.

    submit → (queue) → core.apply → journal.append → futures

While one batch is being stored the next is applied, so the core may be ahead of the journal. A
store that refuses (full, read-only) leaves the batch waiting and the writer retrying: nothing is
answered, nothing is lost, and what was applied is stored when space returns. If the process dies
first, nobody was told of it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import DUE, Input, TickInput
from gridtokenx_backend.core.messages.outcomes import NotJournaled, Result
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.entry import SALT_BYTES, Entry, make_entry
from gridtokenx_backend.journal.port import Journal, Snapshot, TradeRow, trade_rows
from gridtokenx_wire.clock import Clock

MAX_BATCH = 512
MAX_QUEUED = 20_000
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0
_READ_TIMEOUT_S = 2.0

log = structlog.get_logger()


class Overloaded(Exception):
    """The queue is full, or the journal is not writable: the caller should try again later."""


class Committed(NamedTuple):
    """What came of an input. `seq` is its journal entry's number, 0 if it changed nothing."""

    result: Result
    seq: int
    at_ms: int


class _Job:
    __slots__ = ("done", "given", "settled")

    def __init__(self, given: Sequence[Input], done: asyncio.Future[list[Committed]]) -> None:
        self.given = given
        self.done = done
        self.settled: list[Committed] = []


class Writer:
    """Owns the community while it runs.

    `degraded` says why nothing can be stored, or is empty. `durable_seq` is the number of the
    newest entry that is stored. `followers` are told of every result once it is durable; they must
    be quick and may not raise.
    """

    def __init__(
        self, community: Community, journal: Journal, clock: Clock, snapshot_every: int
    ) -> None:
        self.community = community
        self.degraded = ""
        self.durable_seq = community.entries
        self.followers: list[Callable[[Sequence[Committed]], None]] = []
        self._journal = journal
        self._clock = clock
        self._snapshot_every = snapshot_every
        self._snapshot_seq = community.entries
        self._jobs: deque[_Job] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._ahead = asyncio.Lock()  # held while the core is ahead of the journal
        self._readers = 0
        self._stopping = False

    def enqueue(self, given: Sequence[Input]) -> asyncio.Future[list[Committed]]:
        """The results of `given`, in order, once they are durable. Raises Overloaded at once."""
        if self._queued + len(given) > MAX_QUEUED:
            raise Overloaded("expected fewer inputs waiting")
        job = _Job(given, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._queued += len(given)
        self._wake.set()
        return job.done

    async def submit(self, given: Sequence[Input]) -> list[Committed]:
        """`enqueue`, and wait."""
        return await self.enqueue(given)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Community]:
        """The community as it is durable. Do not await inside. Raises Overloaded."""
        self._readers += 1
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                await self._ahead.acquire()
        except TimeoutError:
            raise Overloaded(self.degraded or "expected the journal to answer") from None
        finally:
            self._readers -= 1
        try:
            yield self.community
        finally:
            self._ahead.release()

    def stop(self) -> None:
        """Lets `run` end once what was submitted is durable, or cannot become so."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Works until it is stopped. A bug in the core ends the process, on purpose."""
        while not (self._stopping and not self._jobs):
            await self._wake.wait()
            async with self._ahead:
                if not await self._work():
                    return
                if self._snapshot_due:
                    await self.save_snapshot()
            await asyncio.sleep(0)  # lets the readers in

    @property
    def _snapshot_due(self) -> bool:
        return self.community.entries - self._snapshot_seq >= self._snapshot_every

    async def _work(self) -> bool:
        """Applies batch after batch, each while the one before it is being stored.

        Returns with everything durable, as soon as there is nothing to do, somebody wants to read
        or a snapshot is due; False if a stop came while the journal could not be written.
        """
        stored = True
        storing: asyncio.Task[bool] | None = None
        while self._jobs and stored and not (storing and (self._readers or self._snapshot_due)):
            jobs = self._take_jobs()
            entries, trades = self._apply(jobs)
            if storing:
                stored = await storing
            if stored:
                storing = asyncio.create_task(self._store(jobs, entries, trades))
                await asyncio.sleep(0)  # lets it start
        if storing:
            stored = await storing
        if not self._jobs and not self._stopping:
            self._wake.clear()
        return stored

    async def _store(self, jobs: list[_Job], entries: list[Entry], trades: list[TradeRow]) -> bool:
        if entries and not await self._commit(entries, trades):
            return False
        if entries:
            self.durable_seq = entries[-1].seq
        for job in jobs:
            for follower in self.followers:
                follower(job.settled)
            if not job.done.done():
                job.done.set_result(job.settled)
        return True

    def _take_jobs(self) -> list[_Job]:
        """Whole jobs from the queue, up to MAX_BATCH inputs, but at least one."""
        jobs: list[_Job] = []
        size = 0
        while self._jobs and (not jobs or size + len(self._jobs[0].given) <= MAX_BATCH):
            job = self._jobs.popleft()
            jobs.append(job)
            size += len(job.given)
        self._queued -= size
        return jobs

    def _apply(self, jobs: list[_Job]) -> tuple[list[Entry], list[TradeRow]]:
        community = self.community
        at_ms = max(self._clock.now_ms(), community.at_ms)
        salts = os.urandom(SALT_BYTES * (1 + sum(len(job.given) for job in jobs)))
        entries: list[Entry] = []
        trades: list[TradeRow] = []

        def apply(given: Input) -> Committed:
            result = machine.apply(community, given, at_ms)
            if isinstance(result, NotJournaled):
                return Committed(result, 0, at_ms)
            seq = community.entries
            offset = len(entries) * SALT_BYTES
            salt = salts[offset : offset + SALT_BYTES]
            entries.append(make_entry(seq, at_ms, given, result, salt))
            trades.extend(trade_rows(seq, at_ms, result))
            return Committed(result, seq, at_ms)

        if community.due_ms <= at_ms:  # before anything else, so that no order outlives its time
            apply(TickInput(DUE))
        for job in jobs:
            job.settled.extend(map(apply, job.given))
        return entries, trades

    async def _commit(self, entries: list[Entry], trades: list[TradeRow]) -> bool:
        """Stores the batch, however long it takes; False if it had to be given up for a stop."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                if self.degraded and await self._journal.entry(entries[-1].seq) == entries[-1]:
                    break  # the commit that seemed to fail had happened
                await self._journal.append(entries, trades)
                break
            except JournalUnavailable as error:
                if str(error) != self.degraded:
                    log.error("journal is not writable; nothing is acked", error=str(error))
                self.degraded = str(error)
                if self._stopping:
                    return False
                await asyncio.sleep(retry_s * random.uniform(0.8, 1.2))  # noqa: S311
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
        if self.degraded:
            log.info("journal is writable again")
            self.degraded = ""
        return True

    async def save_snapshot(self) -> None:
        """Stores the state, so that a start replays only what came after it."""
        state = self.community.snapshot()
        snapshot = Snapshot(self.community.entries, state, digest(state))
        self._snapshot_seq = snapshot.seq
        try:
            await self._journal.save_snapshot(snapshot)
        except JournalUnavailable as error:
            log.warning("no snapshot was stored; the next start replays more", error=str(error))
