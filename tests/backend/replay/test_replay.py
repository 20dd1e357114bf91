"""Replay: the same community from the journal alone, and nothing altered goes unseen."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.parts import journal_at, submit_each, writer_on
from tests.backend.village import (
    HOUR_MS,
    KWH,
    START_MS,
    Gateway,
    Village,
    convert_terms,
    frame_input,
    order_input,
    reading,
)

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import Input, OracleCommand, TickInput
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_backend.journal.entry import commit, decode_leaf, leaf_hash
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal, open_journal_readonly
from gridtokenx_backend.replay.replay import ReplayReport, rebuild, verify

CONFIGURED, FRAME, ASK, TRADE, TICK, SWITCH = 1, 3, 4, 5, 7, 8


def life() -> list[Input]:
    """A short one: entries 1 to 8, with every kind of input, two trades and a repetition."""
    village = Village()
    anna, ben, north = village.anna, village.ben, village.north
    ask = order_input(anna.sign(anna.order("a", "sell", "5", "0.2")))
    return [
        inputs.configuration_input(convert_terms(village.document), b"source"),
        frame_input(north.next([reading("ABB-1", START_MS - HOUR_MS)])),
        frame_input(north.next([reading("ABB-1", START_MS, 9 * KWH), reading("ABB-2", START_MS)])),
        ask,
        order_input(ben.sign(ben.order("b", "buy", "3", "0.2"))),
        ask,
        order_input(ben.sign(ben.standing("s", "buy", "0.2"))),
        TickInput(),
        inputs.oracle_input(OracleCommand(True, "a test")),
    ]


async def write(path: Path, all_inputs: Sequence[Input], snapshot_every: int = 10**9) -> bytes:
    """Lets a writer journal them; the snapshot of where it ended."""
    async with journal_at(path) as journal, writer_on(journal, None, snapshot_every) as writer:
        await submit_each(writer, all_inputs)
        return writer.community.snapshot()


@pytest.fixture(scope="module", name="lived")
def _lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a life, with a snapshot after entry 5."""
    path = tmp_path_factory.mktemp("lived") / "journal.db"

    async def live() -> None:
        await write(path, life()[:5], snapshot_every=5)
        await write(path, life()[5:])

    asyncio.run(live())
    return path


@pytest.fixture(name="path")
def _path(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(lived, tmp_path))


@asynccontextmanager
async def reader_of(path: Path) -> AsyncIterator[SqliteJournal]:
    reader = await open_journal_readonly(path)
    try:
        yield reader
    finally:
        await reader.close()


async def verified(path: Path) -> ReplayReport:
    async with reader_of(path) as reader:
        return await verify(reader, _ignore)


async def rebuilt(path: Path) -> Community:
    async with reader_of(path) as reader:
        return await rebuild(reader)


def _ignore(_seq: int) -> None:
    """Nobody watches the progress."""


def execute(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


# --- the same again -----------------------------------------------------------------------------


async def test_a_snapshot_and_the_tail_give_what_a_replay_from_the_start_gives(
    path: Path, tmp_path: Path
) -> None:
    straight = await write(tmp_path / "straight.db", life())
    from_snapshot = (await rebuilt(path)).snapshot()
    execute(path, "DELETE FROM snapshot")
    from_start = (await rebuilt(path)).snapshot()
    assert from_snapshot == from_start == straight


async def test_a_verification_says_what_it_has_compared(path: Path) -> None:
    community = await rebuilt(path)
    assert await verified(path) == ReplayReport(
        entries=8, digest=digest(community.snapshot()), signatures=5, snapshots=1
    )


async def test_a_verification_works_beside_a_running_writer(path: Path) -> None:
    async with journal_at(path) as journal, writer_on(journal) as writer:
        await writer.submit([TickInput()])
        assert (await verified(path)).entries == 9


async def test_a_trade_that_is_settled_meanwhile_is_no_mismatch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleo = Village().cleo
    late = order_input(cleo.sign(cleo.order("c", "buy", "1", "0.2")))
    async with journal_at(path) as journal, writer_on(journal) as writer:
        count = SqliteJournal.count_trades

        async def settle_one_first(self: SqliteJournal, up_to: int) -> int:
            await writer.submit([late])
            return await count(self, up_to)

        monkeypatch.setattr(SqliteJournal, "count_trades", settle_one_first)
        assert (await verified(path)).entries == 8
        assert len(await journal.trades(9)) == 2


async def test_an_empty_journal_is_an_empty_community(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "journal.db") as journal:
        assert (await rebuild(journal)).snapshot() == Community().snapshot()
        assert (await verify(journal, _ignore)).entries == 0


# --- tampering ----------------------------------------------------------------------------------

_HEX = "x'" + "ab" * 32 + "'"


@pytest.mark.parametrize(
    ("entry", "change", "found"),
    [
        (ASK, "seq = 99", "entry 4: missing"),
        (ASK, "at_ms = at_ms + 1", "entry 4: its at_ms "),
        (ASK, "at_ms = at_ms - 1", "entry 4: its at_ms "),
        (ASK, "kind = 'frame'", "entry 4: its kind "),
        (TICK, "kind = 'unheard-of'", "entry 7: its kind "),
        (FRAME, "previous = 1", "entry 3: its previous differs"),
        (ASK, "previous = 1", "entry 4: its previous differs"),
        (ASK, "leaf = x'7b7d'", "entry 4: its leaf_hash is not that of its leaf"),
        (ASK, f"leaf_hash = {_HEX}", "entry 4: its leaf_hash is not that of its leaf"),
        (ASK, "salt = x'00'", "entry 4: its salt, input or outcome "),
        (ASK, "salt = NULL", "entry 4: its salt was erased"),
        (FRAME, "input = x'00'", "entry 3: its salt, input or outcome "),
        (FRAME, "input = NULL", "entry 3: its input was erased"),
        (CONFIGURED, "input = x'7b7d'", "entry 1: its salt, input or outcome "),
        (TICK, "input = x'00'", "entry 7: its salt, input or outcome "),
        (SWITCH, "input = x'00'", "entry 8: its salt, input or outcome "),
        (TRADE, "outcome = x'00'", "entry 5: its salt, input or outcome "),
        (TRADE, "outcome = NULL", "entry 5: its outcome was erased"),
    ],
)
async def test_a_changed_column_is_named_with_its_entry(
    path: Path, entry: int, change: str, found: str
) -> None:
    execute(path, f"UPDATE journal SET {change} WHERE seq = {entry}")  # noqa: S608
    with pytest.raises(ReplayMismatch) as error:
        await verified(path)
    assert str(error.value).startswith(found)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("entry", range(1, 9))
@pytest.mark.parametrize("column", ["leaf", "leaf_hash", "salt", "input", "outcome"])
async def test_a_flipped_bit_anywhere_is_found(path: Path, entry: int, column: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        query = f"SELECT {column} FROM journal WHERE seq = ?"  # noqa: S608
        (stored,) = database.execute(query, (entry,)).fetchone()
        if not stored:
            return  # a tick's input is empty
        flipped = bytearray(stored)
        flipped[len(flipped) // 2] ^= 0x10
        query = f"UPDATE journal SET {column} = ? WHERE seq = ?"  # noqa: S608
        database.execute(query, (bytes(flipped), entry))
    with pytest.raises(ReplayMismatch, match=f"entry {entry}: .*{column}"):
        await verified(path)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM journal WHERE seq = 4", "entry 4: missing"),
        ("DELETE FROM journal WHERE seq = 1", "entry 1: missing"),
        ("DELETE FROM journal WHERE seq > 4", "snapshot 5: the journal ends at entry 4"),
        ("UPDATE snapshot SET seq = 6", "snapshot 6: the replayed state differs"),
        ("UPDATE snapshot SET state = x'00'", "snapshot 5: its digest differs"),
        ("UPDATE snapshot SET digest = 'ab'", "snapshot 5: its digest differs"),
    ],
)
async def test_what_is_missing_or_misplaced_is_named(
    path: Path, statement: str, found: str
) -> None:
    execute(path, statement)
    with pytest.raises(ReplayMismatch) as error:
        await verified(path)
    assert str(error.value) == found


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trade SET at_ms = 1",
        "UPDATE trade SET price_ugrx = 1",
        "UPDATE trade SET quantity_uwh = 1",
        "UPDATE trade SET gross_ugrx = 1",
        "UPDATE trade SET fee_ugrx = 1",
        "UPDATE trade SET net_ugrx = 1",
        "UPDATE trade SET wheeling_ugrx = 1",
        "UPDATE trade SET loss_ugrx = 1",
        "UPDATE trade SET rent_ugrx = 1",
        "UPDATE trade SET buyer = 'me'",
        "UPDATE trade SET buyer_zone = 'here'",
        "UPDATE trade SET seller_zone = 'here'",
        "UPDATE trade SET segment = 'interval'",
        "UPDATE trade SET seller = 'me'",
        "UPDATE trade SET seq = 4",
        "UPDATE trade SET n = 1",
        "DELETE FROM trade",
        "INSERT INTO trade VALUES (4, 0, 1, 1, 1, 1, 1, 'a', 'b', 1, 0, 0, '', '', '', 0)",
        "INSERT INTO trade VALUES (9, 0, 1, 1, 1, 1, 1, 'a', 'b', 1, 0, 0, '', '', '', 0)",
    ],
)
async def test_a_changed_trade_is_found(path: Path, change: str) -> None:
    execute(path, change)
    with pytest.raises(ReplayMismatch, match="trades"):
        await verified(path)


def forge(path: Path, entry: int, **columns: Any) -> None:
    """Rewrites an entry so that it agrees with itself, as one who can compute hashes would."""
    with closing(sqlite3.connect(path)) as database, database:
        query = "SELECT at_ms, leaf, salt, input, outcome FROM journal WHERE seq = ?"
        names = ("at_ms", "leaf", "salt", "input", "outcome")
        stored = dict(zip(names, database.execute(query, (entry,)).fetchone(), strict=True))
        stored |= columns
        leaf = msgspec.structs.replace(
            decode_leaf(stored["leaf"]),
            at_ms=stored["at_ms"],
            commitment=commit(stored["salt"], stored["input"], stored["outcome"]),
        )
        stored["leaf"] = msgspec.json.encode(leaf)
        query = "UPDATE journal SET at_ms=?, leaf=?, salt=?, input=?, outcome=?, leaf_hash=?"
        hashed = leaf_hash(stored["leaf"])
        database.execute(f"{query} WHERE seq = {entry}", (*stored.values(), hashed))


def stored_input(path: Path, entry: int) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT input FROM journal WHERE seq = ?"
        content: bytes = database.execute(query, (entry,)).fetchone()[0]
        return content


@pytest.mark.parametrize("entry", [FRAME, ASK])
async def test_a_forged_input_fails_by_its_signature(path: Path, entry: int) -> None:
    forged = bytearray(stored_input(path, entry))
    forged[-5] = ord("A") if forged[-5] != ord("A") else ord("B")
    forge(path, entry, input=bytes(forged))
    with pytest.raises(ReplayMismatch, match=f"entry {entry}: its signature is not valid"):
        await verified(path)


async def test_a_frame_of_a_stranger_fails_by_its_signature(path: Path) -> None:
    forge(path, 2, input=Gateway("stranger").seal([reading("ABB-1", START_MS)]))
    with pytest.raises(ReplayMismatch, match="entry 2: its signature is not valid"):
        await verified(path)


async def test_time_that_runs_backwards_is_found(path: Path) -> None:
    forge(path, FRAME, at_ms=START_MS - 1)
    with pytest.raises(ReplayMismatch, match="entry 3: its at_ms is before"):
        await verified(path)


async def test_a_forged_outcome_differs_from_the_computed_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT outcome FROM journal WHERE seq = 5"
        outcome: bytes = database.execute(query).fetchone()[0]
    forge(path, TRADE, outcome=outcome + b"")
    assert (await verified(path)).entries == 8  # nothing was changed yet
    forge(path, TRADE, outcome=outcome.replace(b"filled", b"failed"))
    with pytest.raises(ReplayMismatch, match=r"entry 5: its .*outcome differs"):
        await verified(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"device":"', b'"device":"x'), (b'"owner":"anna"', b'"owner":"nobody"')],
)
async def test_terms_that_refer_to_nothing_are_no_crash(path: Path, old: bytes, new: bytes) -> None:
    forge(path, CONFIGURED, input=stored_input(path, CONFIGURED).replace(old, new, 1))
    with pytest.raises(ReplayMismatch, match="entry 1: its terms cannot be used"):
        await verified(path)


async def test_an_input_that_would_be_refused_is_none(path: Path) -> None:
    ben = Village().ben
    broke = ben.sign(ben.order("b", "buy", "9999", "9"))
    forge(path, TRADE, input=broke)
    with pytest.raises(ReplayMismatch, match="entry 5: refused when replayed"):
        await verified(path)


# --- at a start ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE snapshot SET digest = 'ab'", "snapshot 5: its digest differs"),
        ("DELETE FROM journal WHERE seq >= 5", "snapshot 5: the journal ends at entry 4"),
        ("DELETE FROM journal WHERE seq = 6", "entry 6: missing"),
        ("UPDATE journal SET salt = x'00' WHERE seq = 7", "entry 7: its salt, input or outcome"),
    ],
)
async def test_a_start_refuses_what_does_not_fit(path: Path, statement: str, found: str) -> None:
    execute(path, statement)
    with pytest.raises(ReplayMismatch, match=found):
        await rebuilt(path)
