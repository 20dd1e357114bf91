"""SQLite on a thread: calls in order, faults of one type, all or nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from gridtokenx_wire.sqlite_thread import (
    SqliteDamaged,
    SqliteFault,
    SqliteThread,
    connect,
    transaction,
)


def create(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE number (n INTEGER PRIMARY KEY)")


def insert(database: sqlite3.Connection, *numbers: int) -> None:
    with transaction(database):
        database.executemany("INSERT INTO number VALUES (?)", [(n,) for n in numbers])


def read(database: sqlite3.Connection) -> list[int]:
    return [n for (n,) in database.execute("SELECT n FROM number ORDER BY n")]


def join_threads() -> None:
    """Wait until no thread of SQLite is left."""
    for thread in threading.enumerate():
        if thread.name == "sqlite":
            thread.join(timeout=10)


async def test_a_call_returns_what_its_work_returns_and_leaves_the_loop_alone(
    tmp_path: Path,
) -> None:
    thread = SqliteThread(tmp_path / "a.db")
    await thread.call(create)
    assert await thread.call(lambda _: threading.current_thread()) is not threading.main_thread()
    await asyncio.gather(*(thread.call(lambda db, n=n: insert(db, n)) for n in range(20)))
    assert await thread.call(read) == list(range(20))
    await thread.close()


async def test_what_sqlite_raises_is_one_error_and_what_we_raise_stays(tmp_path: Path) -> None:
    thread = SqliteThread(tmp_path / "a.db")
    with pytest.raises(SqliteFault, match="no such table: number"):
        await thread.call(read)
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda _: 1 // 0)
    await thread.close()


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"not a database, by no means at all" * 100)
    thread = SqliteThread(tmp_path / "a.db")
    with pytest.raises(SqliteDamaged, match="file is not a database"):
        await thread.call(read)
    await thread.close()


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    thread = SqliteThread(tmp_path / "a.db")
    await thread.call(create)
    await thread.call(lambda db: insert(db, 3))
    with pytest.raises(SqliteDamaged, match="UNIQUE"):
        await thread.call(lambda db: insert(db, 1, 2, 3))
    assert await thread.call(read) == [3]
    await thread.close()


async def test_a_read_only_thread_makes_no_file_and_sees_what_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "a #1?.db"
    reader = SqliteThread(path, is_readonly=True)
    with pytest.raises(SqliteFault, match="unable to open"):
        await reader.call(read)
    assert not path.exists()
    writer = SqliteThread(path)
    await writer.call(create)
    await writer.call(lambda db: insert(db, 1))
    assert await reader.call(read) == [1]
    with pytest.raises(SqliteFault, match="readonly"):
        await reader.call(lambda db: insert(db, 2))
    await reader.close()
    await writer.close()


async def test_a_lock_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    holder = connect(tmp_path / "a.db")
    create(holder)
    holder.execute("BEGIN IMMEDIATE")
    thread = SqliteThread(tmp_path / "a.db", busy_timeout_s=0)
    with pytest.raises(SqliteFault, match="locked"):
        await thread.call(lambda db: insert(db, 1))
    holder.execute("COMMIT")
    await thread.call(lambda db: insert(db, 1))
    holder.close()
    await thread.close()


async def test_a_commit_goes_on_where_its_caller_is_cancelled(tmp_path: Path) -> None:
    thread = SqliteThread(tmp_path / "a.db")
    await thread.call(create)
    begun, may_go_on = threading.Event(), threading.Event()

    def insert_slowly(database: sqlite3.Connection) -> None:
        begun.set()
        assert may_go_on.wait(timeout=10)
        insert(database, 1)

    inserting = asyncio.create_task(thread.call(insert_slowly))
    assert await asyncio.to_thread(begun.wait, 10)
    inserting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inserting
    may_go_on.set()
    assert await thread.call(read) == [1], "the next call comes after it"
    await thread.close()


async def test_work_that_has_not_begun_is_left_out_where_its_caller_is_cancelled(
    tmp_path: Path,
) -> None:
    thread = SqliteThread(tmp_path / "a.db")
    await thread.call(create)
    begun, may_go_on = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        begun.set()
        assert may_go_on.wait(timeout=10)

    waiting = asyncio.create_task(thread.call(wait))
    assert await asyncio.to_thread(begun.wait, 10)
    inserting = asyncio.create_task(thread.call(lambda db: insert(db, 1)))
    await asyncio.sleep(0)
    inserting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inserting
    may_go_on.set()
    await waiting
    assert await thread.call(read) == []
    await thread.close()


async def test_a_thread_that_was_never_used_can_be_closed(tmp_path: Path) -> None:
    await SqliteThread(tmp_path / "a.db").close()
    assert not (tmp_path / "a.db").exists()


async def test_a_close_that_is_cancelled_closes_all_the_same(tmp_path: Path) -> None:
    thread = SqliteThread(tmp_path / "a.db")
    await thread.call(create)
    assert (tmp_path / "a.db-wal").exists()
    closing = asyncio.create_task(thread.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await asyncio.to_thread(join_threads)
    assert not (tmp_path / "a.db-wal").exists()
    await thread.close()  # once more does no harm
