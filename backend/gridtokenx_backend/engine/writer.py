"""The one writer: it applies inputs in batches and gives results only after the commit.

    submit → (queue) → core.apply → journal.append → futures

A batch is one transaction. While one batch is being stored the next is applied, so the core may be
ahead of the journal. If the store refuses (full, read-only), the batch waits and the writer tries
again: nothing is answered, nothing is lost, and what was applied is stored when there is space
again. If the process dies before, nobody has had an answer.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import DUE, ClockInput, Input, TickInput
from gridtokenx_backend.core.messages.outcomes import NotJournaled, Result
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.engine.clock_guard import ClockGuard
from gridtokenx_backend.engine.degradation import Degradation, DegradedPart
from gridtokenx_backend.engine.waiting_inputs import WaitingInputs, sets_clock
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.entry import SALT_BYTES, Entry, make_entry
from gridtokenx_backend.journal.port import Journal, Snapshot, TradeRow, trade_rows
from gridtokenx_wire.clock import Clock

MAX_QUEUED = 20_000
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0
_READ_TIMEOUT_S = 2.0

log = structlog.get_logger()


class Overloaded(Exception):
    """The queue is full, or the journal is not writable: the caller should try again later."""


class ClockInDoubt(Overloaded):
    """Nobody knows what time it is, so nothing is taken: the caller should try again later."""


class HistoryLost(Overloaded):
    """The journal lacks what was acked once, so nothing is taken before the operator decides."""


class Committed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The durable result of an input.

    `seq` is the number of its journal entry, 0 if the input changed nothing. `at_ms` is the time
    at which the input was applied. The entry may have a shorter form of both, see `kept_form`.
    """

    result: Result
    seq: int
    at_ms: int


class _Submission:
    """Inputs that were submitted together, and the future that gets their results."""

    __slots__ = ("done", "inputs", "results", "size")

    def __init__(self, inputs: Sequence[Input], done: asyncio.Future[list[Committed]]) -> None:
        self.inputs = inputs
        self.done = done
        self.results: list[Committed] = []
        self.size = sum(len(each.raw) for each in inputs)


class Writer:
    """Owns the community while it runs.

    `degradation` has what is out of order, and why; `degraded` is its text, or empty.
    `durable_seq` is the number of the newest entry that is stored. `followers` are called with all
    results once they are durable; they must be quick and may not raise.
    """

    def __init__(
        self,
        community: Community,
        journal: Journal,
        clock: Clock,
        snapshot_every: int,
        guard: ClockGuard | None = None,
    ) -> None:
        """Begin with a community as the journal has it. `guard` watches the system's clock."""
        self.community = community
        self.degradation = Degradation()
        self.durable_seq = community.entries
        self.followers: list[Callable[[Sequence[Committed]], None]] = []
        self._journal = journal
        self._clock = clock
        self.guard = guard
        self._snapshot_every = snapshot_every
        self._snapshot_seq = community.entries
        self._queue: WaitingInputs[_Submission] = WaitingInputs()
        self._wake = asyncio.Event()
        self._ahead = asyncio.Lock()  # held while the core is ahead of the journal
        self._readers = 0
        self._stopping = False

    @property
    def degraded(self) -> str:
        """Why the backend does not work as it should; empty if it does."""
        return str(self.degradation)

    def enqueue(self, inputs: Sequence[Input]) -> asyncio.Future[list[Committed]]:
        """Return a future with the results, in order, once they are durable.

        Raises Overloaded if too many inputs are waiting already, ClockInDoubt and HistoryLost.
        """
        if self.degradation.stops(DegradedPart.HISTORY):
            raise HistoryLost(self.degradation[DegradedPart.HISTORY])
        if self.degradation[DegradedPart.CLOCK] and not sets_clock(inputs):
            raise ClockInDoubt(self.degradation[DegradedPart.CLOCK])
        if self._queue.count + len(inputs) > MAX_QUEUED:
            raise Overloaded("expected fewer inputs waiting")
        submission = _Submission(inputs, asyncio.get_running_loop().create_future())
        self._queue.add(submission)
        self._wake.set()
        return submission.done

    async def submit(self, inputs: Sequence[Input]) -> list[Committed]:
        """Return the results, in order, once they are durable. Raises Overloaded."""
        return await self.enqueue(inputs)

    @asynccontextmanager
    async def durable_state(self) -> AsyncIterator[Community]:
        """Yield the community as it is in the journal. Do not await inside. Raises Overloaded."""
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
        """Let `run` end once all that was submitted is durable, or cannot become durable."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped. A bug in the core ends the process, on purpose."""
        while not (self._stopping and not self._queue):
            await self._wake.wait()
            async with self._ahead:
                if not await self._work():
                    return
                if self._snapshot_due:
                    await self.save_snapshot()
            await asyncio.sleep(0)  # lets readers have the community

    @property
    def _snapshot_due(self) -> bool:
        return self.community.entries - self._snapshot_seq >= self._snapshot_every

    async def _work(self) -> bool:
        """Apply batch after batch, each while the one before it is being stored.

        Return with everything durable as soon as there is nothing to do, somebody wants to read or
        a snapshot is due. Return False if a stop came while the journal could not be written.
        """
        stored = True
        storing: asyncio.Task[bool] | None = None
        while self._queue and stored and not (storing and (self._readers or self._snapshot_due)):
            at_ms = self._time_of(self._queue.first.inputs)
            if at_ms is None:
                self._refuse_queued()
                continue
            batch = self._queue.next_batch()
            entries, trades = self._apply(batch, at_ms)
            if storing:
                stored = await storing
            if stored:
                storing = asyncio.create_task(self._store(batch, entries, trades))
                await asyncio.sleep(0)  # lets the task start
        if storing:
            stored = await storing
        if not self._queue and not self._stopping:
            self._wake.clear()
        return stored

    async def _store(
        self, batch: list[_Submission], entries: list[Entry], trades: list[TradeRow]
    ) -> bool:
        """Store a batch and hand out its results; return False if it could not be stored."""
        if entries and not await self._commit(entries, trades):
            return False
        if entries:
            self.durable_seq = entries[-1].seq
        for submission in batch:
            for follower in self.followers:
                follower(submission.results)
            if not submission.done.done():
                submission.done.set_result(submission.results)
        return True

    def look_at_clock(self) -> bool:
        """Return whether the clock can be believed; note it where that has changed."""
        return self._now_ms() is not None

    def _time_of(self, inputs: Sequence[Input]) -> int | None:
        """Return the time at which to apply inputs; None if nobody knows it.

        It never runs backwards, unless the operator sets it back.
        """
        if sets_clock(inputs):
            (input_,) = inputs
            assert isinstance(input_, ClockInput)
            return input_.command.time_ms
        now_ms = self._now_ms()
        return None if now_ms is None else max(now_ms, self.community.at_ms)

    def _now_ms(self) -> int | None:
        """Return the clock's time; None if it cannot be believed, which health says then."""
        if self.guard is None:
            return self._clock.now_ms()
        self.guard.time_zone = self.community.active_terms.time_zone
        now_ms = self.guard.read_ms(self.community.at_ms)
        if self.guard.doubt is not None:
            if self.degradation.enter(DegradedPart.CLOCK, self.guard.doubt.detail):
                log.error(
                    "clock in doubt; nothing is taken, cleared or acked",
                    fault=self.guard.doubt.fault.value,
                    error=self.guard.doubt.detail,
                )
        elif self.degradation.end(DegradedPart.CLOCK):
            log.info("the clock is believed again")
        return now_ms

    def _refuse_queued(self) -> None:
        """Refuse what has not been applied: nobody knows at what time to apply it."""
        for submission in self._queue.remove_all():
            if not submission.done.done():
                submission.done.set_exception(ClockInDoubt(self.degradation[DegradedPart.CLOCK]))

    def _apply(self, batch: list[_Submission], at_ms: int) -> tuple[list[Entry], list[TradeRow]]:
        """Apply a batch to the core and note its results; return what is to be stored."""
        community = self.community
        salts = os.urandom(SALT_BYTES * (1 + sum(len(submission.inputs) for submission in batch)))
        entries: list[Entry] = []
        trades: list[TradeRow] = []

        def apply(input_: Input) -> Committed:
            result = machine.apply(community, input_, at_ms)
            if isinstance(result, NotJournaled):
                return Committed(result=result, seq=0, at_ms=at_ms)
            seq = community.entries
            offset = len(entries) * SALT_BYTES
            salt = salts[offset : offset + SALT_BYTES]
            kept, outcome = machine.kept_form(community, input_, result)
            entries.append(make_entry(seq, at_ms, kept, outcome, salt))
            trades.extend(trade_rows(seq, at_ms, result))
            return Committed(result=result, seq=seq, at_ms=at_ms)

        if community.due_ms <= at_ms and not sets_clock(
            batch[0].inputs
        ):  # first of all, so that no order outlives its time
            apply(TickInput(DUE))
        for submission in batch:
            submission.results.extend(map(apply, submission.inputs))
        if sets_clock(batch[0].inputs) and self.guard is not None:
            self.guard.confirm()
            self.look_at_clock()
        return entries, trades

    async def _commit(self, entries: list[Entry], trades: list[TradeRow]) -> bool:
        """Store the batch, however long it takes; return False if a stop came before."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                failed = self.degradation[DegradedPart.JOURNAL]
                if failed and await self._journal.entry(entries[-1].seq) == entries[-1]:
                    break  # the commit seemed to fail, but had happened
                await self._journal.append(entries, trades)
                break
            except JournalUnavailable as error:
                if self.degradation.enter(DegradedPart.JOURNAL, str(error)):
                    log.error("journal is not writable; nothing is acked", error=str(error))
                if self._stopping:
                    return False
                await asyncio.sleep(retry_s * random.uniform(0.8, 1.2))  # noqa: S311
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
        if self.degradation.end(DegradedPart.JOURNAL):
            log.info("journal is writable again")
        return True

    async def save_snapshot(self) -> None:
        """Store the state, so that the next start replays only what came after it."""
        state = self.community.snapshot()
        snapshot = Snapshot(self.community.entries, state, digest(state))
        self._snapshot_seq = snapshot.seq
        try:
            await self._journal.save_snapshot(snapshot)
        except JournalUnavailable as error:
            log.warning("no snapshot was stored; the next start replays more", error=str(error))
