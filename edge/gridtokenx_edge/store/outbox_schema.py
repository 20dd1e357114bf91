"""The outbox's file: its tables, and what older versions of it lack.

chain    whose it is                       thinned  how far frames were thinned to an interval
frame    signed frames by their seq        clock    the clock as the newest step left it
span     first_seq of a summary, by seq
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import aiosqlite

VERSION = 2
# Small pages: a frame of a site's readings is some hundred bytes, and every commit writes whole
# pages to a card that wears.
PRAGMAS = (
    "PRAGMA page_size = 512",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -256",
    "PRAGMA wal_autocheckpoint = 1000",
)
_VERSION_1 = (
    "CREATE TABLE chain (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,"
    " device BLOB NOT NULL, chain BLOB NOT NULL) STRICT",
    "CREATE TABLE frame (seq INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT",
)
# Tables of their own, so that an upgrade copies no frame and needs no room.
_SINCE_VERSION_2 = (
    "CREATE TABLE span (seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL) STRICT",
    "CREATE TABLE thinned (every_ms INTEGER PRIMARY KEY, next_seq INTEGER NOT NULL) STRICT",
    "CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), boot TEXT NOT NULL,"
    " offset_ms INTEGER NOT NULL) STRICT",
)
CREATE = (*_VERSION_1, *_SINCE_VERSION_2)
UPGRADES: dict[int, tuple[str, ...]] = {
    1: (*_SINCE_VERSION_2, "UPDATE chain SET version = 2"),
}
"""What turns a file of this version into one of the next."""

FRAMES = (
    "SELECT coalesce(span.first_seq, frame.seq), frame.seq, frame.message"
    " FROM frame LEFT JOIN span ON span.seq = frame.seq"
    " WHERE frame.seq >= ? ORDER BY frame.seq LIMIT ?"
)
"""(first seq, seq, message) of so many frames from a seq on; but for summaries, both are one."""
USED_BYTES = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
Statement = tuple[str, tuple[Any, ...]]


class StoredFrame(NamedTuple):
    """A signed frame. `first_seq` is below `seq` where it stands for several."""

    first_seq: int
    seq: int
    message: bytes


def newer(version: int) -> str:
    """Return what to say of an outbox that a later version of the agent has written."""
    return (
        f"expected an outbox of version {VERSION} at most, got {version}:"
        " install the version that wrote it, or a newer one"
    )


async def write(connection: aiosqlite.Connection, statements: Sequence[Statement]) -> None:
    """All of these or none. Raises sqlite3.Error."""
    if len(statements) == 1:
        await connection.execute(*statements[0])
        return
    await connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, values in statements:
            await connection.execute(statement, values)
        await connection.execute("COMMIT")
    except BaseException:  # also where the agent stops just now
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise


async def rows(connection: aiosqlite.Connection, query: str) -> list[Any]:
    """What a query without parameters finds. Raises sqlite3.Error."""
    return list(await connection.execute_fetchall(query))


async def read_frames(
    connection: aiosqlite.Connection, first_seq: int, count: int
) -> list[StoredFrame]:
    """Up to so many frames, beginning with the one that stands for `first_seq`. As `rows`."""
    found = await connection.execute_fetchall(FRAMES, (first_seq, count))
    return [StoredFrame(*row) for row in found]
