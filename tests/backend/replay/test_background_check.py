"""The journal is verified while the backend works; what was changed in it makes it degraded."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.backend.parts import journal_at, until, writer_on
from tests.backend.replay.test_replay import life, write

from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.replay.background_check import BackgroundCheck, CheckStatus

ENTRIES = 8


@pytest.fixture(name="path")
async def _path(tmp_path: Path) -> Path:
    """A journal with a snapshot after its last entry, which a start relies on."""
    path = tmp_path / "journal.db"
    await write(path, life(), snapshot_every=ENTRIES)
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


async def test_a_whole_journal_is_verified_to_its_end_beside_a_writer(path: Path) -> None:
    async with journal_at(path) as journal, writer_on(journal) as writer:
        check = BackgroundCheck(path, writer)
        assert (check.status, check.checked, check.entries) == (CheckStatus.WAITING, 0, ENTRIES)
        running = asyncio.create_task(check.run(0))
        while not running.done():
            await writer.submit([TickInput()])
            await asyncio.sleep(0.01)
        await running
        assert check.status is CheckStatus.VERIFIED
        assert check.checked == check.entries >= ENTRIES
        assert not writer.degradation


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET leaf = zeroblob(length(leaf)) WHERE seq = 3",
        "UPDATE journal SET outcome = x'00' WHERE seq = 3",
        "UPDATE journal SET input = zeroblob(length(input)) WHERE seq = 3",
        "UPDATE trade SET price_ugrx = price_ugrx + 1 WHERE seq = 5",
    ],
    ids=["leaf", "outcome", "input", "history of trades"],
)
async def test_a_flipped_bit_before_the_snapshot_is_found_while_the_backend_works(
    path: Path, statement: str
) -> None:
    change(path, statement)
    async with journal_at(path) as journal, writer_on(journal) as writer:
        check = BackgroundCheck(path, writer)
        await check.run(0)
        assert check.status is CheckStatus.MISMATCH
        assert writer.degradation.parts == [DegradedPart.HISTORY]
        assert "entry " in writer.degraded
        assert str(path.parent) not in writer.degraded
        assert writer.degradation.obstacle == ""
        (committed,) = await writer.submit([TickInput()])
        assert committed.seq > ENTRIES


async def test_a_check_that_cannot_be_carried_out_is_no_finding(path: Path) -> None:
    async with journal_at(path) as journal, writer_on(journal) as writer:
        check = BackgroundCheck(path.with_name("none.db"), writer)
        await check.run(0)
        assert check.status is CheckStatus.FAILED
        assert not writer.degradation


async def test_a_stop_ends_the_other_process(path: Path) -> None:
    async with journal_at(path) as journal, writer_on(journal) as writer:
        check = BackgroundCheck(path, writer)
        running = asyncio.create_task(check.run(0))
        await until(lambda: check.status is CheckStatus.RUNNING)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert check.status is CheckStatus.RUNNING
