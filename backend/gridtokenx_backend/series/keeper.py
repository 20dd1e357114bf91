"""Keeps the stored series of intervals up to date with the journal, about a second later.

What the writer has made durable is collected in memory by meter and day, and written together.
Before a query is answered the buffer is written, so an answer is never older than the journal.
After a start, or when the buffer is full, the journal itself is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from gridtokenx_backend.core.messages.outcomes import NotJournaled, intervals_of
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.engine.writer import Committed, Writer
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.memory import give_back
from gridtokenx_backend.series.series_buffer import SeriesBuffer
from gridtokenx_backend.series.store import SeriesStore

MAX_BUFFERED = 50_000
"""Intervals; if there are more, they are read from the journal again."""
_FLUSH_S = 1.0
_LONGEST_RETRY_S = 30.0
_READ_TIMEOUT_S = 2.0
_ENTRIES_READ = 500
_DAYS_WRITTEN = 500
"""Days in one transaction, so that a query never waits long."""

log = structlog.get_logger()


class SeriesKeeper:
    """Follows one writer. `is_behind` is true while it reads the journal."""

    def __init__(self, store: SeriesStore, journal: Journal, writer: Writer) -> None:
        self.is_behind = True
        self._store = store
        self._journal = journal
        self._writer = writer
        self._buffer = SeriesBuffer(0)
        self._flushing = asyncio.Lock()
        self._caught_up = asyncio.Event()
        self._overflowed = asyncio.Event()
        writer.followers.append(self.follow)

    def follow(self, committed: Sequence[Committed]) -> None:
        """Collect the intervals of results that have become durable."""
        if self.is_behind:
            return
        buffer = self._buffer
        for each in committed:
            if isinstance(each.result, NotJournaled):
                continue
            buffer.seq = each.seq
            if closed := intervals_of(each.result):
                buffer.add(closed)
        if buffer.rows > MAX_BUFFERED:
            self._fall_behind()

    async def run(self) -> None:
        """Work until cancelled. A store that refuses is tried again at growing intervals."""
        pause_s = _FLUSH_S
        while True:
            try:
                if self.is_behind:
                    await self._catch_up()
                    give_back()
                await self.flush()
                pause_s = _FLUSH_S
            except JournalUnavailable as error:
                log.warning("interval series is not writable", error=str(error))
                pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._overflowed.wait()
            self._overflowed.clear()

    async def read(self, meter: str, from_ms: int, to_ms: int) -> list[IntervalEnergy]:
        """Return a meter's closed intervals that start in a span. Raises JournalUnavailable."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                await self._caught_up.wait()
                await self.flush()
        except TimeoutError:
            raise JournalUnavailable("the interval series is catching up") from None
        return await self._store.read(meter, from_ms, to_ms)

    async def flush(self) -> None:
        """Write the buffer. If this raises JournalUnavailable, the journal is read next."""
        async with self._flushing:
            if self.is_behind or not self._buffer.seq:
                return
            buffer, self._buffer = self._buffer, SeriesBuffer(0)
            try:
                await self._write(buffer)
            except JournalUnavailable:
                self._fall_behind()
                raise

    def _fall_behind(self) -> None:
        """Make `run` read the journal until the series is up to date again."""
        self.is_behind = True
        self._caught_up.clear()
        self._overflowed.set()

    async def _catch_up(self) -> None:
        """Read the journal from where the store ends up to what the writer has made durable."""
        async with self._flushing:
            after = await self._store.applied()
            if (
                after > self._writer.durable_seq
            ):  # the store is another journal's, or the journal is an older backup
                await self._store.clear()
                after = 0
            while after < self._writer.durable_seq:
                buffer = SeriesBuffer(after)
                for seq, outcome in await self._journal.outcomes(after, _ENTRIES_READ):
                    buffer.seq = seq
                    buffer.add(intervals_of(decode_outcome(outcome)))
                await self._write(buffer)
                after = buffer.seq
            # There is no await in between, so `follow` gets all that becomes durable from now on.
            self._buffer = SeriesBuffer(0)
            self.is_behind = False
            self._caught_up.set()

    async def _write(self, buffer: SeriesBuffer) -> None:
        """Write some days at a time; the last write also says that the entries are in the store.

        So a few days, as between two flushes, are stored with it or not at all. A stop within many
        leaves rows that will be written again with the same values.
        """
        days = list(buffer.days.items())
        *earlier, last = (
            dict(days[start : start + _DAYS_WRITTEN])
            for start in range(0, max(1, len(days)), _DAYS_WRITTEN)
        )
        if earlier:
            applied = await self._store.applied()
            for some in earlier:
                await self._store.put(some, applied)
        await self._store.put(last, buffer.seq)
