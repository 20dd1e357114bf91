"""The journal: a port, and its SQLite form (WAL, synchronous=FULL, one file, no server).

An append is one transaction for the whole batch; when it returns, the entries survive a power cut.
The primary key lets no second writer in: an entry's number can be taken once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from gridtokenx_backend.core.messages.inputs import clearing_input
from gridtokenx_backend.errors import Fenced, JournalUnavailable
from gridtokenx_backend.journal.entry import Entry
from gridtokenx_backend.journal.port import Snapshot, TradeRow
from gridtokenx_backend.journal.room import has_room
from gridtokenx_wire.sqlite_thread import SqliteFault, SqliteThread, transaction

T = TypeVar("T")

SCHEMA_VERSION = 3
"""Version 3 has the tables of version 2; its leaves name the rules, which older programs refuse."""
_OLDEST_VERSION = 2
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
_KNOWN = "CREATE TABLE IF NOT EXISTS known (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"
"""What the journal knows of things outside it; older programs pass the table over."""
_INSERT = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)"
_INSERT_TRADE = "INSERT INTO trade VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_KEPT_SNAPSHOTS = 2
_READER_CACHE_KIB = 512  # what is read is new, or read once
_FIRST_MS = 10**12
"""From 2001 to 2286 intervals have thirteen digits, so that their texts sort as they do."""
_ENTRIES_READ = 1000


@contextmanager
def faults_as_unavailable() -> Iterator[None]:
    """Raise JournalUnavailable for what SQLite does not do within."""
    try:
        yield
    except SqliteFault as fault:
        raise JournalUnavailable(str(fault)) from None


class SqliteJournal:
    """The journal in one SQLite file. Made by `open_journal` or `open_journal_readonly`.

    `reader` sees only what is committed, and never waits for the writer. `unprepared` is the file
    that the writer has yet to prepare, because there was no room for it: until then only what was
    stored before can be read.
    """

    def __init__(
        self, writer: SqliteThread, reader: SqliteThread, unprepared: Path | None = None
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._unprepared = unprepared

    @property
    def is_readonly(self) -> bool:
        """Whether nothing can be stored yet: the disk was full at the start."""
        return self._unprepared is not None

    async def prepare(self) -> None:
        """Make a journal that was opened on a full disk writable. Raises JournalUnavailable."""
        path = self._unprepared
        if path is None:
            return
        with faults_as_unavailable():
            await self._writer.call(_prepare)
        fixed, self._reader = self._reader, SqliteThread(path)
        self._unprepared = None
        await self._all(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
        with faults_as_unavailable():
            await fixed.close()

    async def append(self, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
        await self._write(lambda db: _append(db, entries, trades))

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

    async def frames_before(self, seq: int, limit: int) -> list[Entry]:
        query = (
            "WITH RECURSIVE chain(seq, n) AS (SELECT ?, 1 UNION ALL "
            "SELECT journal.previous, n + 1 FROM chain JOIN journal USING (seq) "
            "WHERE journal.previous > 0 AND n < ?) "
            "SELECT journal.* FROM chain JOIN journal USING (seq) ORDER BY n"
        )
        return [Entry(*row) for row in await self._all(query, seq, limit)]

    async def trades(self, limit: int) -> list[TradeRow]:
        query = "SELECT * FROM trade ORDER BY seq DESC, n DESC LIMIT ?"
        return [TradeRow(*row) for row in await self._all(query, limit)]

    async def trades_of(self, seq: int) -> list[TradeRow]:
        query = "SELECT * FROM trade WHERE seq = ? ORDER BY n"
        return [TradeRow(*row) for row in await self._all(query, seq)]

    async def clearings(self, limit: int, before_ms: int) -> list[Entry]:
        if before_ms < _FIRST_MS:
            return []
        before = clearing_input(min(before_ms, 10 * _FIRST_MS - 1)).raw
        query = (
            "SELECT * FROM journal WHERE kind = 'clear' AND input < ? "
            "ORDER BY input DESC, seq DESC LIMIT ?"
        )
        return [Entry(*row) for row in await self._all(query, before, limit)]

    async def configurations(self) -> list[tuple[int, bytes | None]]:
        query = "SELECT at_ms, input FROM journal WHERE kind = 'configure' ORDER BY seq"
        return [(at_ms, terms) for at_ms, terms in await self._all(query)]

    async def count_trades(self, up_to: int) -> int:
        query = (
            "SELECT count(*) FROM trade WHERE seq <= ? "
            "OR seq > (SELECT coalesce(max(seq), 0) FROM journal)"
        )
        row = await self._one(query, up_to)
        return row[0] if row else 0

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self._write(lambda db: _save_snapshot(db, snapshot))

    async def newest_snapshot(self) -> Snapshot | None:
        row = await self._one("SELECT seq, state, digest FROM snapshot ORDER BY seq DESC LIMIT 1")
        return Snapshot(*row) if row else None

    async def known(self) -> dict[str, str]:
        query = "SELECT count(*) FROM sqlite_schema WHERE name = 'known'"
        is_there = await self._one(query)
        if is_there is None or not is_there[0]:
            return {}
        return dict(await self._all("SELECT name, value FROM known"))

    async def note_known(self, known: Mapping[str, str]) -> None:
        if await self.known() != known:
            await self._write(lambda db: _note_known(db, known))

    async def _one(self, query: str, *values: int | bytes) -> tuple[Any, ...] | None:
        rows = await self._all(query, *values)
        return rows[0] if rows else None

    async def _all(self, query: str, *values: int | bytes) -> list[tuple[Any, ...]]:
        with faults_as_unavailable():
            return await self._reader.call(lambda db: db.execute(query, values).fetchall())

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await self.prepare()
        with faults_as_unavailable():
            return await self._writer.call(work)

    async def close(self) -> None:
        with faults_as_unavailable():
            await self._reader.close()
            await self._writer.close()


def _append(db: sqlite3.Connection, entries: Sequence[Entry], trades: Sequence[TradeRow]) -> None:
    try:
        with transaction(db):
            db.executemany(_INSERT, entries)
            db.executemany(_INSERT_TRADE, trades)
    except sqlite3.IntegrityError as error:
        raise Fenced(f"entry {entries[0].seq} or later is taken: {error}") from None


def _save_snapshot(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    with transaction(db):
        values = (snapshot.seq, snapshot.state, snapshot.digest)
        db.execute("INSERT OR REPLACE INTO snapshot VALUES (?,?,?)", values)
        db.execute(
            "DELETE FROM snapshot WHERE seq NOT IN "
            "(SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?)",
            (_KEPT_SNAPSHOTS,),
        )


def _note_known(db: sqlite3.Connection, known: Mapping[str, str]) -> None:
    with transaction(db):
        db.execute(_KNOWN)
        db.execute("DELETE FROM known")
        db.executemany("INSERT INTO known VALUES (?,?)", known.items())


async def open_journal(path: Path) -> SqliteJournal:
    """The journal in `path`, made if it is new. Raises JournalUnavailable saying why not.

    On a full disk there is no room for the files that SQLite needs beside it. Then a journal that
    was closed well is opened as it is, and can be read; it is prepared when there is room.
    """
    journal = SqliteJournal(SqliteThread(path), SqliteThread(path))
    try:
        await journal._write(_prepare)
        await journal._all(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
        await journal.last_seq()
    except JournalUnavailable as error:
        await journal.close()
        if _is_closed_well(path) and not await asyncio.to_thread(has_room, path.parent):
            return await _open_without_room(path)
        raise JournalUnavailable(f"{path}: {error}") from None
    return journal


def _is_closed_well(path: Path) -> bool:
    """Whether all of a journal is in its one file."""
    log = path.with_name(f"{path.name}-wal")
    return _size(path) > 0 and _size(log) == 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def _open_without_room(path: Path) -> SqliteJournal:
    fixed = SqliteThread(path, is_fixed=True)
    journal = SqliteJournal(SqliteThread(path), fixed, unprepared=path)
    try:
        with faults_as_unavailable():
            await fixed.call(check_schema)
        await journal.last_seq()
    except JournalUnavailable as error:
        await journal.close()
        raise JournalUnavailable(f"{path}: {error}") from None
    return journal


async def open_journal_readonly(path: Path) -> SqliteJournal:
    """The journal in `path`, for reading beside a running backend. Raises JournalUnavailable."""
    connection = SqliteThread(path, is_readonly=True)
    journal = SqliteJournal(connection, connection)
    try:
        await journal._write(check_schema)
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
        return
    if check_schema(db) < SCHEMA_VERSION:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def check_schema(db: sqlite3.Connection) -> int:
    """Return the schema's version. Raises JournalUnavailable if this program does not read it."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise JournalUnavailable(
            f"expected a journal of schema {SCHEMA_VERSION} at most, got schema {version}: install "
            "the version that wrote it, or a newer one"
        )
    if version < _OLDEST_VERSION:
        raise JournalUnavailable(
            f"expected a journal of schema {_OLDEST_VERSION} or later, got schema {version}, which "
            "no release has written"
        )
    return int(version)
