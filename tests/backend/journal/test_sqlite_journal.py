"""The journal on disk: all or nothing, one writer, and what it says when it cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.backend.parts import journal_at

from gridtokenx_backend.errors import Fenced, JournalUnavailable
from gridtokenx_backend.journal.entry import Entry
from gridtokenx_backend.journal.port import Snapshot, TradeRow
from gridtokenx_backend.journal.sqlite_journal import (
    SCHEMA_VERSION,
    open_journal,
    open_journal_readonly,
)


def entry(seq: int, content: bytes = b"content") -> Entry:
    return Entry(seq, 1000 + seq, "tick", 0, b"leaf", b"h" * 32, b"s" * 16, content, b"outcome")


def trade(seq: int, n: int) -> TradeRow:
    return TradeRow(
        seq,
        n,
        1000,
        200_000,
        10**9,
        200_000,
        1000,
        "buyer",
        "seller",
        199_000,
        0,
        0,
        "main",
        "main",
        "realtime",
        0,
    )


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def stored(path: Path) -> list[int]:
    async with journal_at(path) as journal:
        return [each.seq async for each in journal.entries(0)]


async def test_a_new_journal_is_empty(path: Path) -> None:
    async with journal_at(path) as journal:
        assert await journal.last_seq() == 0
        assert await journal.entry(1) is None
        assert await journal.trades(10) == []
        assert await journal.newest_snapshot() is None
        assert [each async for each in journal.entries(0)] == []


async def test_what_was_appended_is_there_after_opening_again(path: Path) -> None:
    entries = [entry(seq) for seq in (1, 2, 3)]
    async with journal_at(path) as journal:
        await journal.append(entries[:1], [])
        await journal.append(entries[1:], [trade(2, 0), trade(2, 1), trade(3, 0)])
    async with journal_at(path) as journal:
        assert [each async for each in journal.entries(0)] == entries
        assert [each async for each in journal.entries(2)] == entries[2:]
        assert await journal.entry(2) == entries[1]
        assert await journal.last_seq() == 3
        newest = [(row.seq, row.n) for row in await journal.trades(2)]
        assert newest == [(3, 0), (2, 1)]


async def test_entries_are_read_in_order_however_many_there_are(path: Path) -> None:
    async with journal_at(path) as journal:
        await journal.append([entry(seq) for seq in range(1, 2502)], [])
        assert [each.seq async for each in journal.entries(1)] == list(range(2, 2502))


@pytest.mark.parametrize("taken", [[3], [2, 3], [3, 4], [4, 3]])
async def test_a_taken_number_fences_the_writer_and_stores_nothing(
    path: Path, taken: list[int]
) -> None:
    async with journal_at(path) as journal:
        await journal.append([entry(seq) for seq in (1, 2, 3)], [])
        with pytest.raises(Fenced, match="entry"):
            await journal.append([entry(seq, b"other") for seq in taken], [])
    async with journal_at(path) as journal:
        assert [(each.seq, each.input) async for each in journal.entries(0)] == [
            (seq, b"content") for seq in (1, 2, 3)
        ]


async def test_a_second_writer_is_fenced_by_the_first(path: Path) -> None:
    async with journal_at(path) as first, journal_at(path) as second:
        await first.append([entry(1)], [])
        assert await second.last_seq() == 1
        await second.append([entry(2)], [])
        with pytest.raises(Fenced):
            await first.append([entry(2, b"other")], [])
        await second.append([entry(3)], [])
    assert await stored(path) == [1, 2, 3]


async def test_a_batch_whose_trades_do_not_fit_is_not_stored(path: Path) -> None:
    async with journal_at(path) as journal:
        with pytest.raises(Fenced):
            await journal.append([entry(1)], [trade(1, 0), trade(1, 0)])
        assert await journal.last_seq() == 0
        await journal.append([entry(1)], [trade(1, 0)])


async def test_the_two_newest_snapshots_are_kept(path: Path) -> None:
    async with journal_at(path) as journal:
        for seq in (1, 5, 9, 9):
            await journal.save_snapshot(Snapshot(seq, b"state", f"digest {seq}"))
        newest = await journal.newest_snapshot()
    assert newest == Snapshot(9, b"state", "digest 9")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT seq FROM snapshot").fetchall() == [(5,), (9,)]


# --- when it cannot -----------------------------------------------------------------------------


async def test_a_locked_journal_says_so_and_takes_the_batch_later(path: Path) -> None:
    async with journal_at(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            # The timeout for another's lock is the store's; a test does not wait for it.
            await journal._writer.call(lambda db: db.execute("PRAGMA busy_timeout=0"))
            with pytest.raises(JournalUnavailable, match="locked"):
                await journal.append([entry(1)], [])
            assert await journal.last_seq() == 0
        await journal.append([entry(1)], [])
    assert await stored(path) == [1]


async def test_a_full_journal_says_so_and_goes_on_when_there_is_space(path: Path) -> None:
    async with journal_at(path) as journal:
        await journal.append([entry(1)], [])
        pages = await journal._writer.call(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await journal._writer.call(lambda db: db.execute(f"PRAGMA max_page_count={pages}"))
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="full"):
                await journal.append([entry(2, bytes(100_000)), entry(3)], [trade(2, 0)])
        with pytest.raises(JournalUnavailable, match="full"):
            await journal.save_snapshot(Snapshot(1, bytes(100_000), "digest"))
        assert await journal.last_seq() == 1
        await journal._writer.call(lambda db: db.execute("PRAGMA max_page_count=1000000"))
        await journal.append([entry(2, bytes(100_000)), entry(3)], [trade(2, 0)])
    assert await stored(path) == [1, 2, 3]


async def test_a_read_only_journal_says_so_and_goes_on_when_it_is_not(path: Path) -> None:
    async with journal_at(path) as journal:
        await journal.append([entry(1)], [])
        await journal._writer.call(lambda db: db.execute("PRAGMA query_only=1"))
        with pytest.raises(JournalUnavailable, match="readonly"):
            await journal.append([entry(2)], [])
        with pytest.raises(JournalUnavailable, match="readonly"):
            await journal.save_snapshot(Snapshot(1, b"state", "digest"))
        await journal._writer.call(lambda db: db.execute("PRAGMA query_only=0"))
        await journal.append([entry(2)], [])
    assert await stored(path) == [1, 2]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_bytes(b"no database, surely" * 100), id="garbage"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.parent.rmdir(), id="no folder"),
        pytest.param(lambda path: _set_version(path, SCHEMA_VERSION + 1), id="a newer schema"),
    ],
)
@pytest.mark.parametrize("opened", [open_journal, open_journal_readonly])
async def test_what_is_no_journal_is_refused_in_one_line(
    tmp_path: Path, make: object, opened: object
) -> None:
    path = tmp_path / "data" / "journal.db"
    path.parent.mkdir()
    make(path)  # type: ignore[operator]
    with pytest.raises(JournalUnavailable) as error:
        await opened(path)  # type: ignore[operator]
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def _set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version={version}")


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 65_536] = b"\xff" * 65_536
    path.write_bytes(content)


async def test_a_journal_of_the_schema_before_is_read_and_becomes_one_of_todays(
    path: Path,
) -> None:
    async with journal_at(path) as journal:
        await journal.append([entry(1)], [])
    _set_version(path, SCHEMA_VERSION - 1)
    reader = await open_journal_readonly(path)
    assert await reader.last_seq() == 1
    await reader.close()
    async with journal_at(path) as journal:
        await journal.append([entry(2)], [])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert await stored(path) == [1, 2]


@pytest.mark.parametrize("opened", [open_journal, open_journal_readonly])
@pytest.mark.parametrize(
    ("version", "told"),
    [
        (SCHEMA_VERSION + 1, f"expected a journal of schema {SCHEMA_VERSION} at most, got schema"),
        (1, "expected a journal of schema 2 or later, got schema 1"),
    ],
)
async def test_a_journal_of_another_schema_is_refused_in_one_line(
    path: Path, opened: Callable[[Path], Any], version: int, told: str
) -> None:
    async with journal_at(path):
        pass
    _set_version(path, version)
    with pytest.raises(JournalUnavailable, match=told):
        await opened(path)


async def test_damage_in_the_middle_is_unavailable_and_no_crash(path: Path) -> None:
    async with journal_at(path) as journal:
        await journal.append([entry(seq, bytes(3000)) for seq in range(1, 200)], [])
    _damage(path)
    async with journal_at(path) as journal:
        with pytest.raises(JournalUnavailable):
            [each async for each in journal.entries(0)]


@pytest.mark.parametrize(
    "folder", ["plain", "with space", "a#b", "100%", "what?", "ünïcode", "%41"]
)
async def test_a_journal_is_read_wherever_it_lies(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "journal.db"
    path.parent.mkdir()
    async with journal_at(path) as journal:
        await journal.append([entry(1)], [])
        reader = await open_journal_readonly(path)  # beside a running backend
        try:
            assert await reader.last_seq() == 1
            with pytest.raises(JournalUnavailable, match="readonly"):
                await reader.append([entry(2)], [])
        finally:
            await reader.close()


async def test_closing_twice_is_nothing(path: Path) -> None:
    journal = await open_journal(path)
    await journal.close()
    await journal.close()
