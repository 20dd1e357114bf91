"""The outbox's file: its tables, the upgrade of older versions, and the query for frames.

chain    whose outbox it is                thinned  how far frames were thinned to an interval
frame    signed frames by their seq        clock    the clock as the newest step left it
span     first_seq of a summary, by seq    newest_ack  the ack by which frames were deleted last
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

VERSION = 2
# The pages are small: a frame of a site's readings is some hundred bytes, and every commit writes
# whole pages to a memory card, which wears out.
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
# These are tables of their own, so that an upgrade copies no frame and needs no free space.
_SINCE_VERSION_2 = (
    "CREATE TABLE span (seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL) STRICT",
    "CREATE TABLE thinned (every_ms INTEGER PRIMARY KEY, next_seq INTEGER NOT NULL) STRICT",
    "CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), boot TEXT NOT NULL,"
    " offset_ms INTEGER NOT NULL) STRICT",
)
# A later table of the same version: an older agent passes it over, and may be installed again.
NEWEST_ACK = (
    "CREATE TABLE IF NOT EXISTS newest_ack (id INTEGER PRIMARY KEY CHECK (id = 1),"
    " message BLOB NOT NULL) STRICT"
)
CREATE = (*_VERSION_1, *_SINCE_VERSION_2)
UPGRADES: dict[int, tuple[str, ...]] = {
    1: (*_SINCE_VERSION_2, "UPDATE chain SET version = 2"),
}
"""The statements that turn a file of this version into one of the next version."""

FRAMES = (
    "SELECT coalesce(span.first_seq, frame.seq), frame.seq, frame.message"
    " FROM frame LEFT JOIN span ON span.seq = frame.seq"
    " WHERE frame.seq >= ? ORDER BY frame.seq LIMIT ?"
)
"""(first seq, seq, message) of frames from a seq on. The two numbers differ for a summary only."""
USED_BYTES = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)


class StoredFrame(NamedTuple):
    """A signed frame. `first_seq` is below `seq` where the frame is a summary of several."""

    first_seq: int
    seq: int
    message: bytes


def newer(version: int) -> str:
    """Return what to say of an outbox that a later version of the agent has written."""
    return (
        f"expected an outbox of version {VERSION} at most, got {version}:"
        " install the version that wrote it, or a newer one"
    )


def read_frames(database: sqlite3.Connection, first_seq: int, count: int) -> list[StoredFrame]:
    """Return up to `count` frames, beginning with the one that stands for `first_seq`.

    Raises sqlite3.Error.
    """
    return [StoredFrame(*row) for row in database.execute(FRAMES, (first_seq, count))]


def read_used_bytes(database: sqlite3.Connection) -> int:
    """Return how many bytes of the file hold something. Raises sqlite3.Error."""
    (used_bytes,) = database.execute(USED_BYTES).fetchone()
    return int(used_bytes)
