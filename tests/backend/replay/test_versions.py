"""What versions before this one stored is replayed; what later ones stored is refused in a line."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.backend.replay.test_replay import (  # noqa: F401 (fixtures)
    _lived,
    _path,
    execute,
    reader_of,
    rebuilt,
    verified,
)

from gridtokenx_backend.core.state.snapshot import OLDEST_VERSION, State, digest
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_backend.journal.entry import decode_leaf, leaf_hash


async def test_a_start_refuses_a_snapshot_that_it_cannot_read(path: Path) -> None:
    state = msgspec.msgpack.decode(await _state(path))
    newer = msgspec.msgpack.encode([state[0] + 1, *state[1:]])
    assert len(state) == len(State.__struct_fields__)
    for content in (newer, b"\xff"):
        execute(path, "UPDATE snapshot SET state = ?, digest = ?", content, digest(content))
        with pytest.raises(ReplayMismatch, match="snapshot 5: "):
            await rebuilt(path)


async def test_a_snapshot_of_an_older_version_is_passed_over_and_all_is_replayed(
    path: Path,
) -> None:
    straight = (await rebuilt(path)).snapshot()
    older = msgspec.msgpack.encode([OLDEST_VERSION - 1, "of", "another", "shape"])
    execute(path, "UPDATE snapshot SET state = ?, digest = ?", older, digest(older))
    assert (await rebuilt(path)).snapshot() == straight
    assert (await verified(path)).snapshots == 0


@pytest.mark.parametrize(
    ("field", "expected"),
    [("v", "got 3 and 2: install the version"), ("rules", "got 2 and 3: install the version")],
)
async def test_an_entry_of_a_newer_program_is_refused_in_one_line_that_says_what_to_do(
    path: Path, field: str, expected: str
) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        (stored,) = database.execute("SELECT leaf FROM journal WHERE seq = 7").fetchone()
        leaf = decode_leaf(stored)
        newer = msgspec.json.encode(
            msgspec.structs.replace(leaf, **{field: getattr(leaf, field) + 1})
        )
        query = "UPDATE journal SET leaf = ?, leaf_hash = ? WHERE seq = 7"
        database.execute(query, (newer, leaf_hash(newer)))
    with pytest.raises(ReplayMismatch, match=expected) as error:
        await rebuilt(path)
    assert str(error.value).startswith("entry 7: expected leaf version 2 and rules version 2")


async def _state(path: Path) -> bytes:
    async with reader_of(path) as reader:
        snapshot = await reader.newest_snapshot()
        assert snapshot is not None
        return snapshot.state
