"""The outbox: signed frames in an SQLite file, from their sealing until the backend's ack.

A frame is durable (WAL, synchronous=FULL) before anyone may send it. The newest frame is never
deleted: it is the chain's head, so sealing is one insert, and head and frame cannot disagree.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiosqlite
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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

_VERSION = 1
# Small pages: a frame of a site's readings is some hundred bytes, and every commit writes whole
# pages to a card that wears.
_PRAGMAS = (
    "PRAGMA page_size = 512",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -256",
    "PRAGMA wal_autocheckpoint = 1000",
)
_SCHEMA = (
    "CREATE TABLE chain (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,"
    " device BLOB NOT NULL, chain BLOB NOT NULL) STRICT",
    "CREATE TABLE frame (seq INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT",
)
_HEAD = "SELECT message FROM frame ORDER BY seq DESC LIMIT 1"
# Acked frames are deleted this many at a time, or when the outbox is closed: a deletion for each
# ack would double what is written. Until then they can be sent again, which does no harm.
_DISCARD_AT_LEAST = 32


class OutboxRefusedError(Exception):
    """The file is no outbox of this device; its text is one line. Waiting does not help."""


class OutboxUnavailableError(Exception):
    """The disk does not take or give (full, read-only, gone); its text is one line."""


class Outbox:
    """Frames `oldest_seq` to `next_seq` - 1 of one chain. Open it before use."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._path = path
        self._key = key
        self.device = device_id(key.public_key())
        self.chain = b""
        self.oldest_seq = 0
        self.next_seq = 0
        self._prev = GENESIS_PREV
        self._in_doubt = b""
        self._acked_seq = 0
        self._connection: aiosqlite.Connection | None = None
        self._lock_file: int | None = None
        self._busy = asyncio.Lock()
        self.opened = asyncio.Event()

    async def open(self) -> None:
        """Makes or continues the chain.

        Raises OutboxRefusedError (another device's, damaged, in use), OutboxUnavailableError.
        """
        async with self._busy:
            await self._open()

    async def append(self, readings: Sequence[Reading], clock: ClockStatus) -> int:
        """Seals readings into the next frame and stores it. Returns its seq.

        Raises OutboxUnavailableError; the same readings must then be given again, as a commit
        whose outcome is unknown is looked up before anything else is stored.
        """
        async with self._busy:
            connection = await self._open()
            if self._in_doubt and await self._was_stored(connection):
                return self.next_seq - 1
            seq = self.next_seq
            frame = build_frame(self.device, self.chain, seq, self._prev, clock, readings)
            message = seal_frame(frame, self._key)
            try:
                await connection.execute("INSERT INTO frame VALUES (?, ?)", (seq, message))
            except sqlite3.Error as error:
                self._in_doubt = message
                raise OutboxUnavailableError(f"{self._path}: {error}") from None
            self._prev = frame_hash(message)
            self.next_seq = seq + 1
            return seq

    async def frames(self, first_seq: int, count: int) -> list[tuple[int, bytes]]:
        """Up to `count` stored frames from `first_seq` on. Raises OutboxUnavailableError."""
        async with self._busy:
            connection = await self._open()
            try:
                rows = await connection.execute_fetchall(
                    "SELECT seq, message FROM frame WHERE seq >= ? ORDER BY seq LIMIT ?",
                    (first_seq, count),
                )
            except sqlite3.Error as error:
                await self._give_up()
                raise OutboxUnavailableError(f"{self._path}: {error}") from None
            return [(seq, message) for seq, message in rows]

    async def discard_below(self, next_seq: int) -> None:
        """Lets go of the frames that a verified ack covers: those below `next_seq`.

        Raises OutboxUnavailableError; nothing is lost then.
        """
        async with self._busy:
            self._acked_seq = max(self._acked_seq, min(next_seq, self.next_seq))
            if self._acked_seq - self.oldest_seq >= _DISCARD_AT_LEAST:
                await self._discard()

    async def close(self) -> None:
        """Discards what was acked and closes the file."""
        async with self._busy:
            if self._connection:
                with suppress(OutboxUnavailableError):
                    await self._discard()
            await self._give_up()
            self._unlock()

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
            self._lock()
            connection = await aiosqlite.connect(self._path, isolation_level=None)
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
        for pragma in _PRAGMAS:
            await connection.execute(pragma)
        if not await _rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'chain'"):
            await self._create(connection)

    async def _load(self, connection: aiosqlite.Connection) -> None:
        ((version, device, chain),) = await _rows(
            connection, "SELECT version, device, chain FROM chain"
        )
        self._check_owner(version, device, chain)
        ((oldest, newest, count),) = await _rows(
            connection, "SELECT min(seq), max(seq), count(*) FROM frame"
        )
        next_seq = newest + 1 if count else 0
        if count and next_seq - oldest != count:
            raise OutboxRefusedError(f"{self._path}: expected frames without a gap")
        if next_seq < self.next_seq:
            raise OutboxRefusedError(f"{self._path}: expected frames up to seq {self.next_seq - 1}")
        self.chain = chain
        if count:
            ((head,),) = await _rows(connection, _HEAD)
            self.oldest_seq, self.next_seq, self._prev = oldest, next_seq, frame_hash(head)

    async def _create(self, connection: aiosqlite.Connection) -> None:
        await connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            await connection.execute(statement)
        await connection.execute(
            "INSERT INTO chain VALUES (1, ?, ?, ?)",
            (_VERSION, self.device, os.urandom(CHAIN_ID_BYTES)),
        )
        await connection.execute("COMMIT")
        _sync_folder(self._path.parent)

    def _check_owner(self, version: int, device: bytes, chain: bytes) -> None:
        if version != _VERSION:
            raise OutboxRefusedError(f"{self._path}: expected version {_VERSION}, got {version}")
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
        try:
            await self._connection.execute("DELETE FROM frame WHERE seq < ?", (first_kept,))
        except sqlite3.Error as error:
            raise OutboxUnavailableError(f"{self._path}: {error}") from None
        self.oldest_seq = max(self.oldest_seq, first_kept)

    async def _give_up(self) -> None:
        """Closes the connection; the next use opens it anew and looks at what is there."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                await connection.close()

    def _lock(self) -> None:
        """One process at a time: two would fork the chain."""
        if self._lock_file is not None:
            return
        # Also makes the file, readable by its owner only.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        lock_path = self._path.with_name(self._path.name + ".lock")
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OutboxRefusedError(f"{self._path}: another program uses it") from None
        self._lock_file = descriptor

    def _unlock(self) -> None:
        descriptor, self._lock_file = self._lock_file, None
        if descriptor is not None:
            os.close(descriptor)


async def _rows(connection: aiosqlite.Connection, query: str) -> list[sqlite3.Row]:
    return list(await connection.execute_fetchall(query))


def _sync_folder(folder: Path) -> None:
    """Makes the new file's name durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
