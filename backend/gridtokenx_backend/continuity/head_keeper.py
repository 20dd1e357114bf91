"""Keeps the head of the journal in a file: at most once a second, and at a stop.

The head is never ahead of the journal, because it is made of an entry that is stored. The writer
waits for nothing: the entry is read like any other, and the file is written on another thread.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_backend.continuity.journal_head import JournalHead, seal_head
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.port import Journal
from gridtokenx_wire.atomic_file import PRIVATE, replace_file

EVERY_S = 1.0
log = structlog.get_logger()


class HeadKeeper:
    """Writes the head of a writer's journal to a file, and notes in the journal that it does.

    `known` is what else the journal is to know of things outside it, by name.
    """

    def __init__(
        self,
        writer: Writer,
        journal: Journal,
        path: Path,
        key: Ed25519PrivateKey,
        known: dict[str, str],
    ) -> None:
        self.written_seq = 0
        self._writer = writer
        self._journal = journal
        self._path = path
        self._key = key
        self._known = known
        self._fault = ""

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.write()
            await asyncio.sleep(EVERY_S)

    async def write(self) -> None:
        """Write the head if the journal has grown since. What fails is logged and tried again."""
        if self._writer.durable_seq == self.written_seq:
            return
        try:
            await self._write()
        except Overloaded:
            return  # the journal is not writable: the head that is there stays right
        except (OSError, JournalUnavailable) as error:
            if str(error) != self._fault:
                log.error("the journal's head cannot be written", error=str(error))
            self._fault = str(error)
            return
        self._fault = ""

    async def _write(self) -> None:
        async with self._writer.durable_state() as community:
            seq, at_ms = community.entries, community.at_ms
            frames, trades = community.counters.frames, community.counters.trades
        entry = await self._journal.entry(seq) if seq else None
        if entry is None:
            return
        head = JournalHead(
            seq=seq, leaf_hash=entry.leaf_hash, at_ms=at_ms, frames=frames, trades=trades
        )
        sealed = seal_head(head, self._key)
        await asyncio.to_thread(replace_file, self._path, sealed, PRIVATE)
        if not self.written_seq and not self._journal.is_readonly:
            await self._journal.note_known({**self._known, "head": "kept"})
        self.written_seq = seq
