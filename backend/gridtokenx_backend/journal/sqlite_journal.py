"""The journal: a port, and its SQLite form (WAL, synchronous=FULL, one file, no server).

An append is one transaction for the whole batch; when it returns, the entries survive a power cut.
The primary key lets no second writer in: an entry's number can be taken once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from gridtokenx_backend.core.messages.inputs import clear_interval
from gridtokenx_backend.core.messages.outcomes import Outcome, trades_of
from gridtokenx_backend.errors import Fenced, JournalUnavailable
from gridtokenx_backend.journal.entry import Entry
from gridtokenx_backend.sqlite_thread import Connection

SCHEMA_VERSION = 2
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
  seq           INTEGER NOT NULL,
  n             INTEGER NOT NULL,
  at_ms         INTEGER NOT NULL,
  price_ugrx    INTEGER NOT NULL,
  quantity_uwh  INTEGER NOT NULL,
  gross_ugrx    INTEGER NOT NULL,
  fee_ugrx      INTEGER NOT NULL,
  buyer         TEXT    NOT NULL,
  seller        TEXT    NOT NULL,
  net_ugrx      INTEGER NOT NULL,
  wheeling_ugrx INTEGER NOT NULL,
  loss_ugrx     INTEGER NOT NULL,
  buyer_zone    TEXT    NOT NULL,
  seller_zone   TEXT    NOT NULL,
  segment       TEXT    NOT NULL,
  rent_ugrx     INTEGER NOT NULL,
  PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX clearing ON journal (input) WHERE kind = 'clear';
CREATE TABLE snapshot (
  seq    INTEGER PRIMARY KEY,
  state  BLOB NOT NULL,
  digest TEXT NOT NULL
) STRICT;
"""
_INSERT = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)"
_INSERT_TRADE = "INSERT INTO trade VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_KEPT_SNAPSHOTS = 2
_READER_CACHE_KIB = 512  # what is read is new, or read once
_FIRST_MS = 10**12
"""From 2001 to 2286 intervals have thirteen digits, so that their texts sort as they do."""
_ENTRIES_READ = 1000


class TradeRow(NamedTuple):
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
    net_ugrx: int
    wheeling_ugrx: int
    loss_ugrx: int
    buyer_zone: str
    seller_zone: str
    segment: str
    rent_ugrx: int


def trade_rows(seq: int, at_ms: int, outcome: Outcome) -> list[TradeRow]:
    """The trades of entry `seq`, as its rows of the history."""
    return [
        TradeRow(
            seq,
            n,
            at_ms,
            trade.price_ugrx,
            trade.quantity_uwh,
            trade.gross_ugrx,
            trade.fee_ugrx,
            trade.buyer,
            trade.seller,
            trade.net_ugrx,
            trade.wheeling_ugrx,
            trade.loss_ugrx,
            trade.buyer_zone,
            trade.seller_zone,
            trade.segment,
            trade.rent_ugrx,
        )
        for n, trade in enumerate(trades_of(outcome))
    ]


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

    async def outcomes(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """(number, outcome) of the entries with a number above `after`, in order."""
        ...

    async def entry(self, seq: int) -> Entry | None: ...

    async def trades(self, limit: int) -> list[TradeRow]:
        """The newest trades, newest first."""
        ...

    async def trades_of(self, seq: int) -> list[TradeRow]:
        """The trades of one entry, in order."""
        ...

    async def clearings(self, limit: int, before_ms: int) -> list[Entry]:
        """The entries that cleared the newest intervals before `before_ms`, newest first."""
        ...

    async def count_trades(self, up_to: int) -> int:
        """The trades of the entries up to that number, and any that no entry has."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None: ...

    async def newest_snapshot(self) -> Snapshot | None: ...

    async def close(self) -> None: ...


class SqliteJournal:
    """The journal in one SQLite file. Made by `open_journal` or `open_journal_readonly`.

    `reader` sees only what is committed, and never waits for the writer.
    """

    def __init__(self, writer: Connection, reader: Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def append(self, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
        await self._writer.call(lambda db: _append(db, entries, trades))

    async def last_seq(self) -> int:
        row = await self._one("SELECT max(seq) FROM journal")
        return (row[0] or 0) if row else 0

    async def entries(self, after: int) -> AsyncIterator[Entry]:
        query = "SELECT * FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
        while rows := await self._all(query, after, _ENTRIES_READ):
            for row in rows:
                yield Entry(*row)
            after = rows[-1][0]

    async def outcomes(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        query = "SELECT seq, outcome FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
        return [(seq, outcome) for seq, outcome in await self._all(query, after, limit)]

    async def entry(self, seq: int) -> Entry | None:
        row = await self._one("SELECT * FROM journal WHERE seq = ?", seq)
        return Entry(*row) if row else None

    async def trades(self, limit: int) -> list[TradeRow]:
        query = "SELECT * FROM trade ORDER BY seq DESC, n DESC LIMIT ?"
        return [TradeRow(*row) for row in await self._all(query, limit)]

    async def trades_of(self, seq: int) -> list[TradeRow]:
        query = "SELECT * FROM trade WHERE seq = ? ORDER BY n"
        return [TradeRow(*row) for row in await self._all(query, seq)]

    async def clearings(self, limit: int, before_ms: int) -> list[Entry]:
        if before_ms < _FIRST_MS:
            return []
        before = clear_interval(min(before_ms, 10 * _FIRST_MS - 1)).raw
        query = (
            "SELECT * FROM journal WHERE kind = 'clear' AND input < ? ORDER BY input DESC LIMIT ?"
        )
        return [Entry(*row) for row in await self._all(query, before, limit)]

    async def count_trades(self, up_to: int) -> int:
        query = (
            "SELECT count(*) FROM trade WHERE seq <= ? "
            "OR seq > (SELECT coalesce(max(seq), 0) FROM journal)"
        )
        row = await self._one(query, up_to)
        return row[0] if row else 0

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self._writer.call(lambda db: _save_snapshot(db, snapshot))

    async def newest_snapshot(self) -> Snapshot | None:
        row = await self._one("SELECT seq, state, digest FROM snapshot ORDER BY seq DESC LIMIT 1")
        return Snapshot(*row) if row else None

    async def _one(self, query: str, *values: int | bytes) -> tuple[Any, ...] | None:
        rows = await self._all(query, *values)
        return rows[0] if rows else None

    async def _all(self, query: str, *values: int | bytes) -> list[tuple[Any, ...]]:
        return await self._reader.call(lambda db: db.execute(query, values).fetchall())

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()


def _append(db: sqlite3.Connection, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        db.executemany(_INSERT, entries)
        db.executemany(_INSERT_TRADE, trades)
        db.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        _roll_back(db)
        raise Fenced(f"entry {entries[0].seq} or later is taken: {error}") from None
    except sqlite3.Error:
        _roll_back(db)
        raise


def _save_snapshot(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        values = (snapshot.seq, snapshot.state, snapshot.digest)
        db.execute("INSERT OR REPLACE INTO snapshot VALUES (?,?,?)", values)
        db.execute(
            "DELETE FROM snapshot WHERE seq NOT IN "
            "(SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?)",
            (_KEPT_SNAPSHOTS,),
        )
        db.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(db)
        raise


def _roll_back(db: sqlite3.Connection) -> None:
    """Ends a failed transaction, unless SQLite has ended it already."""
    if db.in_transaction:
        db.execute("ROLLBACK")


async def open_journal(path: Path) -> SqliteJournal:
    """The journal in `path`, made if it is new. Raises JournalUnavailable saying why not."""
    journal = SqliteJournal(Connection(path), Connection(path))
    try:
        await journal._writer.call(_prepare)
        await journal._all(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
        await journal.last_seq()
    except JournalUnavailable as error:
        await journal.close()
        raise JournalUnavailable(f"{path}: {error}") from None
    return journal


async def open_journal_readonly(path: Path) -> SqliteJournal:
    """The journal in `path`, for reading beside a running backend. Raises JournalUnavailable."""
    connection = Connection(f"file:{quote(str(path))}?mode=ro", uri=True)
    journal = SqliteJournal(connection, connection)
    try:
        await journal.last_seq()
    except JournalUnavailable as error:
        await journal.close()
        raise JournalUnavailable(f"{path}: expected a journal: {error}") from None
    return journal


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_autocheckpoint=4000")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
        )
    elif version != SCHEMA_VERSION:
        raise JournalUnavailable(f"expected schema version {SCHEMA_VERSION}, got {version}")
