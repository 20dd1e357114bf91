"""Keeps the stored series behind the journal: a second or so, or as far as a crash left it.

What the writer has made durable is handed over in memory, gathered by meter and day, and written
together. Whoever asks has what was gathered written first, so an answer is never behind the
journal. If there is more than may be gathered, or after a start, the journal itself is read.
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
from gridtokenx_backend.series.series_buffer import Gathered
from gridtokenx_backend.series.store import SeriesStore

MAX_GATHERED = 50_000
"""Intervals; beyond, they are read from the journal again."""
_FLUSH_S = 1.0
_LONGEST_RETRY_S = 30.0
_READ_TIMEOUT_S = 2.0
_ENTRIES_READ = 500
_DAYS_WRITTEN = 500
"""In one transaction, so that a query never waits for more."""

log = structlog.get_logger()


class SeriesKeeper:
    """Follows one writer. `is_behind` while it reads the journal."""

    def __init__(self, store: SeriesStore, journal: Journal, writer: Writer) -> None:
        self.is_behind = True
        self._store = store
        self._journal = journal
        self._writer = writer
        self._gathered = Gathered(0)
        self._flushing = asyncio.Lock()
        self._caught_up = asyncio.Event()
        self._overflowed = asyncio.Event()
        writer.followers.append(self.follow)

    def follow(self, settled: Sequence[Committed]) -> None:
        """Takes note of what has become durable."""
        if self.is_behind:
            return
        gathered = self._gathered
        for result, seq, _ in settled:
            if isinstance(result, NotJournaled):
                continue
            gathered.seq = seq
            if closed := intervals_of(result):
                gathered.add(closed)
        if gathered.rows > MAX_GATHERED:
            self._fall_behind()

    async def run(self) -> None:
        """Works until it is cancelled. A store that refuses is tried again, with patience."""
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
        """The closed intervals of a meter that start in a span. Raises JournalUnavailable."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                await self._caught_up.wait()
                await self.flush()
        except TimeoutError:
            raise JournalUnavailable("the interval series is catching up") from None
        return await self._store.read(meter, from_ms, to_ms)

    async def flush(self) -> None:
        """Writes what was gathered. Raises JournalUnavailable, and then reads the journal next."""
        async with self._flushing:
            if self.is_behind or not self._gathered.seq:
                return
            gathered, self._gathered = self._gathered, Gathered(0)
            try:
                await self._write(gathered)
            except JournalUnavailable:
                self._fall_behind()
                raise

    def _fall_behind(self) -> None:
        """From here on the journal is read, until it has been caught up with."""
        self.is_behind = True
        self._caught_up.clear()
        self._overflowed.set()

    async def _catch_up(self) -> None:
        """Reads the journal from where the store is, up to what the writer has made durable."""
        async with self._flushing:
            after = await self._store.applied()
            if after > self._writer.durable_seq:  # of another journal, or of what a backup lacks
                await self._store.clear()
                after = 0
            while after < self._writer.durable_seq:
                gathered = Gathered(after)
                for seq, outcome in await self._journal.outcomes(after, _ENTRIES_READ):
                    gathered.seq = seq
                    gathered.add(intervals_of(decode_outcome(outcome)))
                await self._write(gathered)
                after = gathered.seq
            # Nothing awaits in between: what becomes durable from now on is handed over.
            self._gathered = Gathered(0)
            self.is_behind = False
            self._caught_up.set()

    async def _write(self, gathered: Gathered) -> None:
        """Some days at a time; only the last time says that the entries are in the store.

        A crash in between leaves rows that will be written again, as they are.
        """
        applied = await self._store.applied()
        days = list(gathered.days.items())
        for start in range(0, len(days), _DAYS_WRITTEN):
            await self._store.put(dict(days[start : start + _DAYS_WRITTEN]), applied)
        await self._store.put({}, gathered.seq)
