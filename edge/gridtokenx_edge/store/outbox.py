"""The outbox: signed frames in a SQLite file, from their sealing until the backend's ack.

A frame is durable (WAL, synchronous=FULL) before anyone may send it. The newest frame is never
deleted: it is the chain's head, so sealing is one insert, and head and frame cannot disagree.

Where there is no room for all frames, `thin` replaces the oldest ones by a summary. A summary is
signed, stands at their place in the chain and says what is missing. Each replacement is one
transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.file_lock import FileLock, InUseError
from gridtokenx_edge.store import outbox_file
from gridtokenx_edge.store.clock_status import ClockMark
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.store.outbox_file import StoredChain
from gridtokenx_edge.store.outbox_schema import StoredFrame, read_frames, read_used_bytes
from gridtokenx_edge.store.outbox_thinner import Thinner, ThinningStep
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    ClockStatus,
    build_frame,
    frame_hash,
    seal_frame,
)
from gridtokenx_wire.hello import MAX_NEWEST_ACK, Hello, seal_hello
from gridtokenx_wire.keys import device_id
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.sqlite_thread import SqliteDamaged, SqliteFault, SqliteThread

T = TypeVar("T")

# Acked frames are deleted this many at a time, or when the outbox is closed: a deletion for each
# ack would double what is written. Until then they can be sent again, which does no harm.
_DISCARD_AT_LEAST = 32
# Thinning begins below the bound, so that a frame and a summary always have room.
_HEADROOM_BYTES = 1 << 18


class Outbox:
    """Frames `oldest_seq` to `next_seq` - 1 of one chain. Open it before use.

    `used_bytes` is how much the file held when it was last looked at, and `thinned` is how many
    readings were left out since the start. `clock_mark` is the clock as the newest reported step
    left it. `is_elsewhere` is true if another process had the file when it was to be opened.
    """

    def __init__(
        self, path: Path, key: Ed25519PrivateKey, bounds: OutboxConfig | None = None
    ) -> None:
        bounds = bounds or OutboxConfig()
        self._path = path
        self._key = key
        self._most_bytes = bounds.max_mb * 1_000_000 - _HEADROOM_BYTES
        self._thinner = Thinner(bounds, key)
        self.device = device_id(key.public_key())
        self.chain = b""
        self.oldest_seq = 0
        self.next_seq = 0
        self.used_bytes = 0
        self.thinned = 0
        self.clock_mark: ClockMark | None = None
        self._prev = GENESIS_PREV
        self._in_doubt = b""
        self._acked_seq = 0
        self.newest_ack = b""
        """The newest ack, as it was signed: it shows what the backend had once."""
        self._thread: SqliteThread | None = None
        self._lock = FileLock(path)
        self._busy = asyncio.Lock()
        self.is_elsewhere = False
        self.opened = asyncio.Event()

    async def open(self) -> None:
        """Make the chain, or continue the one that is stored.

        Raises OutboxRefusedError (another device's, damaged, in use), OutboxUnavailableError.
        """
        async with self._busy:
            await self._open()

    async def append(
        self, readings: Sequence[Reading], clock: ClockStatus, mark: ClockMark | None = None
    ) -> int:
        """Seal readings into the next frame, store it and return its seq.

        The clock's mark is stored with it if it moved. Raises OutboxUnavailableError. After that,
        or after a cancellation, the next call must have the same readings: the frame may be stored
        all the same, and this is looked up before anything else is stored.
        """
        async with self._busy:
            thread = await self._open()
            if self._in_doubt and await self._was_stored(thread):
                return self.next_seq - 1
            seq = self.next_seq
            frame = build_frame(self.device, self.chain, seq, self._prev, clock, readings)
            message = seal_frame(frame, self._key)
            moved = mark if mark != self.clock_mark else None
            self._in_doubt = message
            await self._call(thread, lambda db: outbox_file.insert_frame(db, seq, message, moved))
            self._in_doubt = b""
            self._prev = frame_hash(message)
            self.next_seq = seq + 1
            self.clock_mark = mark or self.clock_mark
            return seq

    async def frames(self, first_seq: int, count: int) -> list[StoredFrame]:
        """Return up to `count` stored frames, beginning with the one that stands for `first_seq`.

        Raises OutboxUnavailableError, OutboxRefusedError.
        """
        async with self._busy:
            thread = await self._open()
            try:
                return await self._call(thread, lambda db: read_frames(db, first_seq, count))
            except OutboxUnavailableError:
                await self._give_up()
                raise

    async def head_before(self, seq: int) -> bytes:
        """Return what the frame `seq` names, or has to name, as `prev`; empty if nobody knows.

        It is known of the frames that are stored, but not within a summary. Raises
        OutboxUnavailableError, OutboxRefusedError.
        """
        async with self._busy:
            if seq == self.next_seq:
                return self._prev
            thread = await self._open()
            return await self._call(thread, lambda db: outbox_file.read_head_before(db, seq))

    def hello(self) -> bytes:
        """Return what this gateway says when it has connected, signed."""
        hello = Hello(device=self.device, chain=self.chain, newest_ack=self.newest_ack)
        return seal_hello(hello, self._key)

    def note_ack(self, message: bytes) -> None:
        """Keep an ack as the newest one; on the disk with the next frames that are deleted.

        One with very many verdicts is too long for a hello, and is passed over.
        """
        if len(message) <= MAX_NEWEST_ACK:
            self.newest_ack = message

    async def discard_below(self, next_seq: int) -> None:
        """Let go of the frames that a verified ack covers: those below `next_seq`.

        Raises OutboxUnavailableError; nothing is lost then.
        """
        async with self._busy:
            self._acked_seq = max(self._acked_seq, min(next_seq, self.next_seq))
            if self._acked_seq - self.oldest_seq >= _DISCARD_AT_LEAST:
                await self._discard()

    async def thin(self, now_ms: int | None) -> ThinningStep | None:
        """Make room in one step: replace some of the oldest frames by a summary.

        Returns None, and does nothing, if there is room and no frame is older than the bound, or
        if no frame can be thinned further. `now_ms` is the time, or None while the clock is not
        known to be right: then no frame is too old. Raises OutboxUnavailableError.
        """
        async with self._busy:
            thread = await self._open()
            self.used_bytes = await self._call(thread, read_used_bytes)
            newest = self.next_seq - 1
            step = None
            if self.is_full:
                await self._discard()
                step = await self._call(thread, lambda db: self._thinner.to_size(db, newest))
            elif now_ms is not None and self._thinner.is_due(now_ms):
                step = await self._call(thread, lambda db: self._thinner.to_age(db, newest, now_ms))
            self.thinned += step.readings_left_out if step else 0
            return step

    @property
    def is_full(self) -> bool:
        """Whether the file held more than its bound when `thin` last looked."""
        return self.used_bytes > self._most_bytes

    async def close(self) -> None:
        """Delete the frames that were acked, and close the file."""
        async with self._busy:
            with suppress(OutboxUnavailableError):
                await self._discard()
            await self._give_up()
            self._lock.release()

    async def _open(self) -> SqliteThread:
        if self._thread:
            return self._thread
        try:
            self._lock.take()
        except InUseError as error:
            self.is_elsewhere = True
            raise OutboxRefusedError(str(error)) from None
        except OSError as error:
            raise OutboxUnavailableError(f"{self._path}: {error.strerror}") from None
        thread = SqliteThread(self._path)
        try:
            self._continue(*await thread.call(self._open_file))
        except BaseException as error:  # a cancellation too: the file was not looked at then
            await _close(thread)
            if isinstance(error, SqliteDamaged):
                raise OutboxRefusedError(f"{self._path}: expected an outbox: {error}") from None
            if isinstance(error, SqliteFault):
                raise OutboxUnavailableError(f"{self._path}: {error}") from None
            raise
        self._thread = thread
        self.opened.set()
        return thread

    def _open_file(self, database: sqlite3.Connection) -> tuple[bytes, StoredChain]:
        chain = outbox_file.prepare_file(database, self._path, self.device, self.chain)
        return chain, self._read_chain(database)

    def _read_chain(self, database: sqlite3.Connection) -> StoredChain:
        self._thinner.load(database)
        return outbox_file.read_chain(database, self._path)

    def _continue(self, chain: bytes, stored: StoredChain) -> None:
        """Go on behind what is stored. Raises OutboxRefusedError if frames have vanished."""
        if stored.next_seq < self.next_seq:
            raise OutboxRefusedError(f"{self._path}: expected frames up to seq {self.next_seq - 1}")
        self.chain = chain
        self.oldest_seq, self.next_seq = stored.oldest_seq, stored.next_seq
        self._prev = stored.head_hash
        self.clock_mark = stored.clock_mark
        self.newest_ack = self.newest_ack or stored.newest_ack

    async def _was_stored(self, thread: SqliteThread) -> bool:
        """Look up what became of the frame whose insertion failed or was left."""
        await self._call(thread, outbox_file.restart_log)
        try:
            self._continue(self.chain, await self._call(thread, self._read_chain))
        except OutboxUnavailableError:
            await self._give_up()
            raise
        message, self._in_doubt = self._in_doubt, b""
        return frame_hash(message) == self._prev

    async def _discard(self) -> None:
        thread = self._thread
        if self._acked_seq <= self.oldest_seq or not thread:
            return
        first_kept = min(self._acked_seq, self.next_seq - 1)
        self.oldest_seq = await self._call(
            thread, lambda db: outbox_file.delete_frames_below(db, first_kept, self.newest_ack)
        )

    async def _call(self, thread: SqliteThread, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` returns. Raises OutboxUnavailableError for a fault of the disk."""
        try:
            return await thread.call(work)
        except SqliteFault as fault:
            raise OutboxUnavailableError(f"{self._path}: {fault}") from None

    async def _give_up(self) -> None:
        """Close the file. The next use opens it again and looks at what is there."""
        thread, self._thread = self._thread, None
        if thread:
            await _close(thread)


async def _close(thread: SqliteThread) -> None:
    with suppress(SqliteFault):
        await thread.close()
