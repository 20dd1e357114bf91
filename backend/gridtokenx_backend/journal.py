"""The journal: a port, and its SQLite form (WAL, synchronous=FULL, one file, no server).

An append is one transaction for the whole batch; when it returns, the entries survive a power cut.
The primary key lets no second writer in: an entry's number can be taken once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import aiosqlite
import msgspec

from gridtokenx_backend.evidence import Entry

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE journal (
  seq       INTEGER PRIMARY KEY,
  at_ms     INTEGER NOT NULL,
  kind      TEXT    NOT NULL,
  previous  INTEGER NOT NULL,
  leaf      BLOB    NOT NULL,
  leaf_hash BLOB    NOT NULL,
  salt      BLOB,
  input     BLOB,
  outcome   BLOB
) STRICT;
CREATE TABLE trade (
  seq          INTEGER NOT NULL,
  n            INTEGER NOT NULL,
  at_ms        INTEGER NOT NULL,
  price_ugrx   INTEGER NOT NULL,
  quantity_uwh INTEGER NOT NULL,
  gross_ugrx   INTEGER NOT NULL,
  fee_ugrx     INTEGER NOT NULL,
  buyer        TEXT    NOT NULL,
  seller       TEXT    NOT NULL,
  PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot (
  seq    INTEGER PRIMARY KEY,
  state  BLOB NOT NULL,
  digest TEXT NOT NULL
) STRICT;
"""
_INSERT = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)"
_INSERT_TRADE = "INSERT INTO trade VALUES (?,?,?,?,?,?,?,?,?)"
_KEPT_SNAPSHOTS = 2


class JournalUnavailable(Exception):
    """The store refuses now (full, read-only, I/O error): nothing was stored; try again."""


class Fenced(Exception):
    """Another writer has taken the entry's number: this process must stop."""


class TradeRow(msgspec.Struct, frozen=True, gc=False):
    """A trade as the market's history shows it; the journal's entry `seq` holds its evidence."""

    seq: int
    n: int
    at_ms: int
    price_ugrx: int
    quantity_uwh: int
    gross_ugrx: int
    fee_ugrx: int
    buyer: str
    seller: str


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    seq: int
    state: bytes
    digest: str


class Journal(Protocol):
    """Where entries are durable. Every method may raise JournalUnavailable."""

    async def append(self, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
        """Stores all of them or none. Raises Fenced if a number is taken by another writer."""
        ...

    async def last_seq(self) -> int:
        """The number of the newest stored entry, 0 if there is none."""
        ...

    def entries(self, after: int) -> AsyncIterator[Entry]:
        """The entries with a number above `after`, in order."""
        ...

    async def entry(self, seq: int) -> Entry | None: ...

    async def trades(self, limit: int) -> list[TradeRow]:
        """The newest trades, newest first."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None: ...

    async def newest_snapshot(self) -> Snapshot | None: ...

    async def close(self) -> None: ...


class SqliteJournal:
    """The journal in one SQLite file. Made by `open_journal`."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._db = writer
        self._reader = reader  # sees only what is committed, and never waits for the writer

    async def append(self, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
        try:
            await self._db.execute("BEGIN IMMEDIATE")
            await self._db.executemany(_INSERT, map(_row, entries))
            if trades:
                await self._db.executemany(_INSERT_TRADE, map(_trade_row, trades))
            await self._db.commit()
        except sqlite3.IntegrityError as error:
            await self._roll_back()
            raise Fenced(f"entry {entries[0].seq} or later is taken: {error}") from None
        except sqlite3.Error as error:
            await self._roll_back()
            raise JournalUnavailable(str(error)) from None

    async def _roll_back(self) -> None:
        """Ends a failed transaction; SQLite may have ended it already."""
        if self._db.in_transaction:
            try:
                await self._db.rollback()
            except sqlite3.Error as error:
                raise JournalUnavailable(str(error)) from None

    async def last_seq(self) -> int:
        row = await self._one("SELECT max(seq) FROM journal")
        return row[0] or 0 if row else 0

    async def entries(self, after: int) -> AsyncIterator[Entry]:
        query = "SELECT * FROM journal WHERE seq > ? ORDER BY seq"
        async with self._reader.execute(query, (after,)) as cursor:
            async for row in cursor:
                yield Entry(*row)

    async def entry(self, seq: int) -> Entry | None:
        row = await self._one("SELECT * FROM journal WHERE seq = ?", seq)
        return Entry(*row) if row else None

    async def trades(self, limit: int) -> list[TradeRow]:
        query = "SELECT * FROM trade ORDER BY seq DESC, n DESC LIMIT ?"
        async with self._reader.execute(query, (limit,)) as cursor:
            return [TradeRow(*row) for row in await cursor.fetchall()]

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        try:
            await self._db.execute("BEGIN IMMEDIATE")
            await self._db.execute(
                "INSERT OR REPLACE INTO snapshot VALUES (?,?,?)",
                (snapshot.seq, snapshot.state, snapshot.digest),
            )
            await self._db.execute(
                "DELETE FROM snapshot WHERE seq NOT IN "
                "(SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?)",
                (_KEPT_SNAPSHOTS,),
            )
            await self._db.commit()
        except sqlite3.Error as error:
            await self._roll_back()
            raise JournalUnavailable(str(error)) from None

    async def newest_snapshot(self) -> Snapshot | None:
        row = await self._one("SELECT seq, state, digest FROM snapshot ORDER BY seq DESC LIMIT 1")
        return Snapshot(*row) if row else None

    async def _one(self, query: str, *values: int) -> sqlite3.Row | None:
        try:
            async with self._reader.execute(query, values) as cursor:
                return await cursor.fetchone()
        except sqlite3.Error as error:
            raise JournalUnavailable(str(error)) from None

    async def close(self) -> None:
        await self._reader.close()
        await self._db.close()


def _row(entry: Entry) -> tuple[object, ...]:
    return msgspec.structs.astuple(entry)


def _trade_row(trade: TradeRow) -> tuple[object, ...]:
    return msgspec.structs.astuple(trade)


async def open_journal(path: Path) -> SqliteJournal:
    """The journal in `path`, made if it is new. Raises JournalUnavailable saying why not."""
    opened: list[aiosqlite.Connection] = []
    try:
        for _ in ("writer", "reader"):
            opened.append(await aiosqlite.connect(path, isolation_level=None, timeout=5))
            await _prepare(opened[-1])
    except (sqlite3.Error, JournalUnavailable) as error:
        for connection in opened:
            await connection.close()
        raise JournalUnavailable(f"{path}: {error}") from None
    return SqliteJournal(*opened)


async def _prepare(connection: aiosqlite.Connection) -> None:
    await connection.execute("PRAGMA journal_mode=WAL")
    await connection.execute("PRAGMA synchronous=FULL")
    await connection.execute("PRAGMA wal_autocheckpoint=4000")
    async with connection.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = row[0] if row else 0
    if version == 0:
        await connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
        )
    elif version != SCHEMA_VERSION:
        raise JournalUnavailable(f"expected schema version {SCHEMA_VERSION}, got {version}")
