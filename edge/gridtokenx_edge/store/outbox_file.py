"""What is done with an outbox's file, on the thread that has it open.

Every function may raise sqlite3.Error, and those that find a file which is not the expected one
raise OutboxRefusedError.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import msgspec

from gridtokenx_edge.store import outbox_schema as schema
from gridtokenx_edge.store.clock_status import ClockMark
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError
from gridtokenx_edge.store.outbox_schema import read_frames
from gridtokenx_wire import cose
from gridtokenx_wire.frame import (
    CHAIN_ID_BYTES,
    GENESIS_PREV,
    decode_frame,
    frame_hash,
    head_after,
)
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.sqlite_thread import transaction


class StoredChain(msgspec.Struct, frozen=True, kw_only=True):
    """The frames `oldest_seq` to `next_seq` - 1 that a file holds, and the newest one's hash.

    `clock_mark` is the clock as the newest reported step left it, `newest_ack` the signed ack by
    which frames were deleted last.
    """

    oldest_seq: int
    next_seq: int
    head_hash: bytes
    clock_mark: ClockMark | None
    newest_ack: bytes = b""


def prepare_file(database: sqlite3.Connection, path: Path, device: bytes, chain: bytes) -> bytes:
    """Make the tables, or bring them to this version, and return the chain's id.

    `chain` is the id that the file had when it was open before, or empty.
    """
    for pragma in schema.PRAGMAS:
        database.execute(pragma)
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'chain'").fetchall():
        _create_tables(database, device)
        _sync_folder(path.parent)
    ((version, owner, stored_chain),) = database.execute("SELECT version, device, chain FROM chain")
    if not 1 <= version <= schema.VERSION:
        raise OutboxRefusedError(f"{path}: {schema.newer(version)}")
    if owner != device:
        raise OutboxRefusedError(
            f"{path}: expected an outbox of device {device_text(device)},"
            f" got one of {device_text(owner)}"
        )
    if chain not in (b"", stored_chain):
        raise OutboxRefusedError(f"{path}: expected the chain that was open before")
    for older in range(version, schema.VERSION):
        with transaction(database):
            for statement in schema.UPGRADES[older]:
                database.execute(statement)
    return bytes(stored_chain)


def read_chain(database: sqlite3.Connection, path: Path) -> StoredChain:
    """Return what the file holds, after a look at whether a frame is missing."""
    marks = database.execute("SELECT boot, offset_ms FROM clock").fetchall()
    mark = ClockMark(*marks[0]) if marks else None
    query = "SELECT max(seq), count(*), (SELECT coalesce(sum(seq - first_seq), 0) FROM span)"
    newest, count, spanned = database.execute(f"{query} FROM frame").fetchone()
    if not count:
        return StoredChain(oldest_seq=0, next_seq=0, head_hash=GENESIS_PREV, clock_mark=mark)
    oldest = _read_oldest_seq(database)
    if newest + 1 - oldest != count + spanned:
        raise OutboxRefusedError(f"{path}: expected frames without a gap")
    (head,) = read_frames(database, newest, 1)
    return StoredChain(
        oldest_seq=oldest,
        next_seq=newest + 1,
        head_hash=frame_hash(head.message),
        clock_mark=mark,
        newest_ack=read_newest_ack(database),
    )


def read_head_before(database: sqlite3.Connection, seq: int) -> bytes:
    """Return what the frame `seq` names, or has to name, as `prev`; empty if no frame tells."""
    for frame in read_frames(database, seq - 1, 1):
        if frame.seq == seq - 1 and frame.first_seq == frame.seq:
            return frame_hash(frame.message)
        opened = decode_frame(cose.split(frame.message)[2])
        if frame.seq == seq - 1:
            return head_after(opened, frame.message)
        if frame.first_seq == seq:
            return opened.prev
    return b""


def insert_frame(
    database: sqlite3.Connection, seq: int, message: bytes, moved: ClockMark | None
) -> None:
    """Store a frame, and with it the clock's mark if that has moved."""
    if moved is None:
        database.execute("INSERT INTO frame VALUES (?, ?)", (seq, message))
        return
    with transaction(database):
        database.execute("INSERT INTO frame VALUES (?, ?)", (seq, message))
        values = (moved.boot, moved.offset_ms)
        database.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", values)


def read_newest_ack(database: sqlite3.Connection) -> bytes:
    """Return the ack by which frames were deleted last; empty if none is kept."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'newest_ack'").fetchall():
        return b""
    rows = database.execute("SELECT message FROM newest_ack").fetchall()
    return bytes(rows[0][0]) if rows else b""


def delete_frames_below(database: sqlite3.Connection, seq: int, ack: bytes) -> int:
    """Delete the frames below `seq`, keep the ack that allows it if there is one, and return the
    first seq that is stored then.
    """
    with transaction(database):
        if ack:
            database.execute(schema.NEWEST_ACK)
            database.execute("INSERT OR REPLACE INTO newest_ack VALUES (1, ?)", (ack,))
        database.execute("DELETE FROM frame WHERE seq < ?", (seq,))
        database.execute("DELETE FROM span WHERE seq < ?", (seq,))
    return _read_oldest_seq(database)


def restart_log(database: sqlite3.Connection) -> None:
    """Let the write-ahead log start anew, if SQLite can.

    What waits in the log may fit into free pages of the database. Then the log needs no new space,
    and a disk that is full takes frames again.
    """
    with suppress(sqlite3.Error):
        database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def _create_tables(database: sqlite3.Connection, device: bytes) -> None:
    with transaction(database):
        for statement in schema.CREATE:
            database.execute(statement)
        owner = (schema.VERSION, device, os.urandom(CHAIN_ID_BYTES))
        database.execute("INSERT INTO chain VALUES (1, ?, ?, ?)", owner)


def _read_oldest_seq(database: sqlite3.Connection) -> int:
    """Return the first seq that the oldest stored frame stands for."""
    (oldest,) = read_frames(database, 0, 1)
    return oldest.first_seq


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
