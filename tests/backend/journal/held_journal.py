"""A hand-written fake of the journal's port, on a real journal: it stores when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.entry import Entry
from gridtokenx_backend.journal.port import Snapshot, TradeRow
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal


class HeldJournal:
    """A journal that stores when it is told to, and fails as often as it is told to."""

    def __init__(self, kept: SqliteJournal) -> None:
        self._kept = kept
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()
        self.batches: list[list[int]] = []
        self.snapshots: list[int] = []
        self.refusals = 0
        self.doubts = 0
        self._appending = False

    @property
    def is_readonly(self) -> bool:
        return self._kept.is_readonly

    async def known(self) -> dict[str, str]:
        return await self._kept.known()

    async def note_known(self, known: Mapping[str, str]) -> None:
        await self._kept.note_known(known)

    async def append(self, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
        assert not self._appending, "two batches at once"
        self._appending = True
        self.waiting.set()
        try:
            await self.open.wait()
            await self._append(entries, trades)
        finally:
            self._appending = False
            self.waiting.clear()

    async def _append(self, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise JournalUnavailable("database or disk is full")
        await self._kept.append(entries, trades)
        self.batches.append([entry.seq for entry in entries])
        if self.doubts:
            self.doubts -= 1
            raise JournalUnavailable("disk I/O error")

    async def last_seq(self) -> int:
        return await self._kept.last_seq()

    def entries(self, after: int) -> AsyncIterator[Entry]:
        return self._kept.entries(after)

    async def entry(self, seq: int) -> Entry | None:
        return await self._kept.entry(seq)

    async def trades(self, limit: int) -> list[TradeRow]:
        return await self._kept.trades(limit)

    async def trades_of(self, seq: int) -> list[TradeRow]:
        return await self._kept.trades_of(seq)

    async def count_trades(self, up_to: int) -> int:
        return await self._kept.count_trades(up_to)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot.seq)
        await self._kept.save_snapshot(snapshot)

    async def newest_snapshot(self) -> Snapshot | None:
        return await self._kept.newest_snapshot()

    async def close(self) -> None:
        await self._kept.close()
