"""The outbox: signed frames in an SQLite file, from their sealing until the backend's ack.

A frame is durable (WAL, synchronous=FULL) before anyone may send it. The newest frame is never
deleted: it is the chain's head, so sealing is one insert, and head and frame cannot disagree.

Where there is no room for all, `thin` replaces the oldest frames by a summary, which is signed,
stands at their place in the chain and says what is missing. Each replacement is one transaction.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiosqlite
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store import outbox_schema as schema
from gridtokenx_edge.store.clock_status import ClockMark
from gridtokenx_edge.store.file_lock import FileLock, InUseError
from gridtokenx_edge.store.outbox_schema import Statement, StoredFrame, read_frames, rows, write
from gridtokenx_edge.store.outbox_thinner import Thinned, Thinner
from gridtokenx_wire.frame import (
    CHAIN_ID_BYTES,
    GENESIS_PREV,
    ClockStatus,
    build_frame,
    frame_hash,
    seal_frame,
)
from gridtokenx_wire.keys import device_id, device_text
from gridtokenx_wire.reading import Reading

# Acked frames are deleted this many at a time, or when the outbox is closed: a deletion for each
# ack would double what is written. Until then they can be sent again, which does no harm.
_DISCARD_AT_LEAST = 32
# Thinning begins before the bound: a frame and a summary always have room.
_HEADROOM_BYTES = 1 << 18


class OutboxRefusedError(Exception):
    """The file is no outbox of this device; its text is one line. Waiting does not help."""


class OutboxUnavailableError(Exception):
    """The disk does not take or give (full, read-only, gone); its text is one line."""


class Outbox:
    """Frames `oldest_seq` to `next_seq` - 1 of one chain. Open it before use.

    `used_bytes` is what the file held when it was last looked at, `thinned` how many readings
    were left out since the start. `clock_mark` is the clock as the newest reported step left it.
    `is_elsewhere` tells that another process had it when it was to be opened.
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
        self._connection: aiosqlite.Connection | None = None
        self._lock = FileLock(path)
        self._busy = asyncio.Lock()
        self.is_elsewhere = False
        self.opened = asyncio.Event()

    async def open(self) -> None:
        """Makes or continues the chain.

        Raises OutboxRefusedError (another device's, damaged, in use), OutboxUnavailableError.
        """
        async with self._busy:
            await self._open()

    async def append(
        self, readings: Sequence[Reading], clock: ClockStatus, mark: ClockMark | None = None
    ) -> int:
        """Seals readings into the next frame and stores it, with the clock's mark if it moved.

        Returns its seq. Raises OutboxUnavailableError; the same readings must then be given
        again, as a commit whose outcome is unknown is looked up before anything else is stored.
        """
        async with self._busy:
            connection = await self._open()
            if self._in_doubt and await self._was_stored(connection):
                return self.next_seq - 1
            seq = self.next_seq
            frame = build_frame(self.device, self.chain, seq, self._prev, clock, readings)
            message = seal_frame(frame, self._key)
            statements: list[Statement] = [("INSERT INTO frame VALUES (?, ?)", (seq, message))]
            if mark and mark != self.clock_mark:
                values = (mark.boot, mark.offset_ms)
                statements.append(("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", values))
            try:
                await write(connection, statements)
            except sqlite3.Error as error:
                self._in_doubt = message
                raise OutboxUnavailableError(f"{self._path}: {error}") from None
            self._prev = frame_hash(message)
            self.next_seq = seq + 1
            self.clock_mark = mark or self.clock_mark
            return seq

    async def frames(self, first_seq: int, count: int) -> list[StoredFrame]:
        """Up to `count` stored frames, beginning with the one that stands for `first_seq`.

        Raises OutboxUnavailableError.
        """
        async with self._busy:
            return await self._frames(await self._open(), first_seq, count)

    async def discard_below(self, next_seq: int) -> None:
        """Lets go of the frames that a verified ack covers: those below `next_seq`.

        Raises OutboxUnavailableError; nothing is lost then.
        """
        async with self._busy:
            self._acked_seq = max(self._acked_seq, min(next_seq, self.next_seq))
            if self._acked_seq - self.oldest_seq >= _DISCARD_AT_LEAST:
                await self._discard()

    async def thin(self, now_ms: int | None) -> Thinned | None:
        """Makes room, one step: replaces some of the oldest frames by a summary.

        Does nothing and returns None while there is room and nothing is older than the bound, or
        where nothing is left to be thinned. `now_ms` is the time, None while the clock is not
        known to be right: then nothing is too old. Raises OutboxUnavailableError.
        """
        async with self._busy:
            connection = await self._open()
            try:
                ((self.used_bytes,),) = await rows(connection, schema.USED_BYTES)
                done = None
                if self.is_full:
                    await self._discard()
                    done = await self._thinner.to_size(connection, self.next_seq - 1)
                elif now_ms is not None:
                    done = await self._thinner.to_age(connection, self.next_seq - 1, now_ms)
            except sqlite3.Error as error:
                raise OutboxUnavailableError(f"{self._path}: {error}") from None
            self.thinned += done.readings_left_out if done else 0
            return done

    @property
    def is_full(self) -> bool:
        """Whether it held more than its bound when `thin` last looked."""
        return self.used_bytes > self._most_bytes

    async def close(self) -> None:
        """Discards what was acked and closes the file."""
        async with self._busy:
            if self._connection:
                with suppress(OutboxUnavailableError):
                    await self._discard()
            await self._give_up()
            self._lock.release()

    async def _frames(
        self, connection: aiosqlite.Connection, first_seq: int, count: int
    ) -> list[StoredFrame]:
        try:
            return await read_frames(connection, first_seq, count)
        except sqlite3.Error as error:
            await self._give_up()
            raise OutboxUnavailableError(f"{self._path}: {error}") from None

    async def _was_stored(self, connection: aiosqlite.Connection) -> bool:
        """Looks up what became of the frame whose insertion failed."""
        with suppress(sqlite3.Error):
            # What waits in the log may fit into free pages; then the log starts anew, and a disk
            # that is full has room for us again.
            await connection.execute("PRAGMA wal_checkpoint(RESTART)")
        try:
            await self._load(connection)
        except sqlite3.Error as error:
            await self._give_up()
            raise OutboxUnavailableError(f"{self._path}: {error}") from None
        message, self._in_doubt = self._in_doubt, b""
        return frame_hash(message) == self._prev

    async def _open(self) -> aiosqlite.Connection:
        if self._connection:
            return self._connection
        try:
            self._lock.take()
            connection = await aiosqlite.connect(self._path, isolation_level=None)
        except InUseError as error:
            self.is_elsewhere = True
            raise OutboxRefusedError(str(error)) from None
        except OSError as error:
            raise OutboxUnavailableError(f"{self._path}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise OutboxUnavailableError(f"{self._path}: {error}") from None
        self._connection = connection
        try:
            await self._prepare(connection)
            await self._load(connection)
        except OutboxRefusedError:
            await self._give_up()
            raise
        except sqlite3.OperationalError as error:
            await self._give_up()
            raise OutboxUnavailableError(f"{self._path}: {error}") from None
        except sqlite3.DatabaseError as error:
            await self._give_up()
            raise OutboxRefusedError(f"{self._path}: expected an outbox: {error}") from None
        self.opened.set()
        return connection

    async def _prepare(self, connection: aiosqlite.Connection) -> None:
        for pragma in schema.PRAGMAS:
            await connection.execute(pragma)
        if not await rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'chain'"):
            await self._create(connection)
        ((version, device, chain),) = await rows(
            connection, "SELECT version, device, chain FROM chain"
        )
        self._check_owner(version, device, chain)
        for former in range(version, schema.VERSION):
            await write(connection, [(upgrade, ()) for upgrade in schema.UPGRADES[former]])
        self.chain = chain

    async def _load(self, connection: aiosqlite.Connection) -> None:
        ((oldest, newest, count),) = await rows(
            connection, "SELECT min(seq), max(seq), count(*) FROM frame"
        )
        ((spanned,),) = await rows(connection, "SELECT coalesce(sum(seq - first_seq), 0) FROM span")
        next_seq = newest + 1 if count else 0
        if count:
            oldest = await self._first_seq(connection)
            if next_seq - oldest != count + spanned:
                raise OutboxRefusedError(f"{self._path}: expected frames without a gap")
        if next_seq < self.next_seq:
            raise OutboxRefusedError(f"{self._path}: expected frames up to seq {self.next_seq - 1}")
        marks = await rows(connection, "SELECT boot, offset_ms FROM clock")
        self.clock_mark = ClockMark(*marks[0]) if marks else None
        await self._thinner.load(connection)
        if count:
            ((_, _, head),) = await self._frames(connection, newest, 1)
            self.oldest_seq, self.next_seq, self._prev = oldest, next_seq, frame_hash(head)

    async def _first_seq(self, connection: aiosqlite.Connection) -> int:
        """The first seq that the oldest stored frame stands for."""
        ((first_seq, _, _),) = await self._frames(connection, 0, 1)
        return first_seq

    async def _create(self, connection: aiosqlite.Connection) -> None:
        owner = (schema.VERSION, self.device, os.urandom(CHAIN_ID_BYTES))
        statements: list[Statement] = [(statement, ()) for statement in schema.CREATE]
        await write(connection, [*statements, ("INSERT INTO chain VALUES (1, ?, ?, ?)", owner)])
        _sync_folder(self._path.parent)

    def _check_owner(self, version: int, device: bytes, chain: bytes) -> None:
        if not 1 <= version <= schema.VERSION:
            raise OutboxRefusedError(f"{self._path}: {schema.newer(version)}")
        if device != self.device:
            raise OutboxRefusedError(
                f"{self._path}: expected an outbox of device {device_text(self.device)},"
                f" got one of {device_text(device)}"
            )
        if self.chain not in (b"", chain):
            raise OutboxRefusedError(f"{self._path}: expected the chain that was open before")

    async def _discard(self) -> None:
        if self._acked_seq <= self.oldest_seq or not self._connection:
            return
        first_kept = min(self._acked_seq, self.next_seq - 1)
        connection = self._connection
        try:
            await write(
                connection,
                [
                    ("DELETE FROM frame WHERE seq < ?", (first_kept,)),
                    ("DELETE FROM span WHERE seq < ?", (first_kept,)),
                ],
            )
        except sqlite3.Error as error:
            raise OutboxUnavailableError(f"{self._path}: {error}") from None
        self.oldest_seq = max(self.oldest_seq, await self._first_seq(connection))

    async def _give_up(self) -> None:
        """Closes the connection; the next use opens it anew and looks at what is there."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                await connection.close()


def _sync_folder(folder: Path) -> None:
    """Makes the new file's name durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
