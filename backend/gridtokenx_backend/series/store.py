"""The series of intervals in one SQLite file: a row for each meter and UTC day.

It is a read model: everything in it follows from the journal up to the entry `applied`, so it need
not be synchronised with every write. After a crash it may lack the newest entries, but it is never
wrong. If it is deleted, it is built again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.room import has_room
from gridtokenx_backend.journal.sqlite_journal import faults_as_unavailable
from gridtokenx_backend.series.day import DAY_MS, MeterDay, unpack
from gridtokenx_wire.sqlite_thread import SqliteThread, transaction

T = TypeVar("T")

_SCHEMA_VERSION = 1
# Days come first in the key, so that rows which are written on one day are stored together.
_SCHEMA = """
CREATE TABLE meter (
  number INTEGER PRIMARY KEY,
  id     TEXT    NOT NULL UNIQUE
) STRICT;
CREATE TABLE day (
  day   INTEGER NOT NULL,
  meter INTEGER NOT NULL,
  slots BLOB    NOT NULL,
  PRIMARY KEY (day, meter)
) STRICT, WITHOUT ROWID;
CREATE TABLE applied (seq INTEGER NOT NULL) STRICT;
INSERT INTO applied VALUES (0);
"""
_PAGE_BYTES = 8192
_CACHE_KIB = 16 * 1024

Days = Mapping[tuple[int, str], Sequence[IntervalEnergy]]
"""New rows by day and meter; a later revision of an interval comes behind an earlier one."""


class StoredDay(NamedTuple):
    """A meter's day. `key` is the day's number since 1970 and the meter's number in this file."""

    key: tuple[int, int]
    meter: str
    rows: list[IntervalEnergy]


class SeriesStore:
    """The open series, made by `open_series`. Every method may raise JournalUnavailable."""

    def __init__(self, thread: SqliteThread, *, is_prepared: bool = True) -> None:
        """Take the thread that has the file. What is not prepared is so before the first call."""
        self._thread = thread
        self._is_prepared = is_prepared

    async def applied(self) -> int:
        """Return the number of the newest journal entry whose intervals are stored."""
        return await self._call(_applied)

    async def put(self, days: Days, applied: int) -> None:
        """Store rows and the number of the newest entry that is stored with them, or nothing."""
        await self._call(lambda db: _put(db, days, applied))

    async def clear(self) -> None:
        """Delete everything."""
        await self._call(_clear)

    async def read(self, meter: str, from_ms: int, to_ms: int) -> list[IntervalEnergy]:
        """Return the intervals of a meter that start in a span, in order."""
        return await self._call(lambda db: _read(db, meter, from_ms, to_ms))

    async def days(self, after: tuple[int, int], limit: int) -> list[StoredDay]:
        """Return whole days in the order of their keys, beginning behind the key `after`."""
        return await self._call(lambda db: _days(db, after, limit))

    async def count_days(self) -> int:
        return await self._call(_count_days)

    async def hold(self) -> int:
        """Show the file as it is now until it is closed, and return `applied`."""
        return await self._call(_hold)

    async def close(self) -> None:
        with faults_as_unavailable():
            await self._thread.close()

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with faults_as_unavailable():
            if not self._is_prepared:
                await self._thread.call(_prepare)
                self._is_prepared = True
            return await self._thread.call(work)


async def open_series(path: Path | str) -> SeriesStore:
    """Open the series in `path`, made if it is new; "" is a file that is deleted at the end.

    A file on a full disk is prepared later, when there is room. Raises JournalUnavailable.
    """
    store = SeriesStore(SqliteThread(path), is_prepared=False)
    try:
        await store.applied()
    except JournalUnavailable as error:
        if isinstance(path, Path) and not await asyncio.to_thread(has_room, path.parent):
            return store
        await store.close()
        raise JournalUnavailable(
            f"{path}: {error} (deleted, it is built anew from the journal)"
        ) from None
    return store


async def open_series_readonly(path: Path) -> SeriesStore:
    """Open the series in `path` for reading beside a running backend. Raises JournalUnavailable."""
    store = SeriesStore(SqliteThread(path, is_readonly=True))
    try:
        await store._call(_check_version)
        await store.applied()
    except JournalUnavailable as error:
        await store.close()
        raise JournalUnavailable(
            f"{path}: expected a series: {error} (deleted, it is built anew from the journal)"
        ) from None
    return store


def _prepare(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}; COMMIT;")
    else:
        _check_version(db)


def _check_version(db: sqlite3.Connection) -> None:
    """Raise JournalUnavailable for a series that another version has written."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != _SCHEMA_VERSION:
        raise JournalUnavailable(f"expected schema version {_SCHEMA_VERSION}, got {version}")


def _applied(db: sqlite3.Connection) -> int:
    (seq,) = db.execute("SELECT seq FROM applied").fetchone()
    return int(seq)


def _hold(db: sqlite3.Connection) -> int:
    db.execute("BEGIN")
    return _applied(db)


def _clear(db: sqlite3.Connection) -> None:
    db.executescript(
        "BEGIN; DELETE FROM day; DELETE FROM meter; UPDATE applied SET seq = 0; COMMIT;"
    )


def _put(db: sqlite3.Connection, days: Days, applied: int) -> None:
    with transaction(db):
        for (number, meter), rows in sorted(days.items()):
            _put_day(db, _number_of(db, meter), number, rows)
        db.execute("UPDATE applied SET seq = ?", (applied,))


def _put_day(
    db: sqlite3.Connection, meter: int, number: int, rows: Sequence[IntervalEnergy]
) -> None:
    stored = db.execute("SELECT slots FROM day WHERE day = ? AND meter = ?", (number, meter))
    found = stored.fetchone()
    day = unpack(found[0]) if found else MeterDay()
    day.put(rows)
    db.execute("INSERT OR REPLACE INTO day VALUES (?,?,?)", (number, meter, day.pack()))


def _number_of(db: sqlite3.Connection, meter: str) -> int:
    found = db.execute("SELECT number FROM meter WHERE id = ?", (meter,)).fetchone()
    if found:
        return int(found[0])
    return int(db.execute("INSERT INTO meter (id) VALUES (?)", (meter,)).lastrowid or 0)


def _read(db: sqlite3.Connection, meter: str, from_ms: int, to_ms: int) -> list[IntervalEnergy]:
    found = db.execute("SELECT number FROM meter WHERE id = ?", (meter,)).fetchone()
    if found is None:
        return []
    rows: list[IntervalEnergy] = []
    for number in range(from_ms // DAY_MS, -(-to_ms // DAY_MS)):
        query = "SELECT slots FROM day WHERE day = ? AND meter = ?"
        stored = db.execute(query, (number, found[0])).fetchone()
        if stored:
            rows += unpack(stored[0]).rows(number)
    return [row for row in rows if from_ms <= row.interval_ms < to_ms]


def _days(db: sqlite3.Connection, after: tuple[int, int], limit: int) -> list[StoredDay]:
    query = (
        "SELECT day, number, id, slots FROM day JOIN meter ON number = meter "
        "WHERE (day, meter) > (?, ?) ORDER BY day, meter LIMIT ?"
    )
    return [
        StoredDay((day, number), meter, unpack(slots).rows(day))
        for day, number, meter, slots in db.execute(query, (*after, limit))
    ]


def _count_days(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT count(*) FROM day").fetchone()
    return int(count)
