"""State that was lost or put back: the start says so in one line, and goes on only when told to."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from bench.rig.processes import free_port
from tests.backend.running import write_configs
from tests.backend.village import Village

from gridtokenx_backend import server
from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.errors import CannotStart, OperatorError
from gridtokenx_backend.journal.sqlite_journal import open_journal_readonly
from gridtokenx_backend.replay.replay import rebuild, verify
from gridtokenx_backend.startup.accepted_loss import accept_loss, set_former_community_aside

ENTRIES = 24


@pytest.fixture(name="settings")
async def _settings(tmp_path: Path, village: Village) -> Settings:
    """The config of a community that ran, made an old copy of its journal, and was stopped."""
    settings = load_settings(write_configs(tmp_path, village.document, free_port()))
    prepare_data_folder(settings)
    async with server.start(settings) as backend:
        await _tick_to(backend.writer, 3)
    shutil.copy(settings.journal, tmp_path / "old.db")
    async with server.start(settings) as backend:
        await _tick_to(backend.writer, ENTRIES)
        await backend.series.flush()
    return settings


async def _tick_to(writer: Writer, seq: int) -> None:
    while writer.durable_seq < seq:
        await writer.submit([TickInput()])


async def start_and_stop(settings: Settings) -> int:
    """Return the number of entries once the backend has started and stopped."""
    async with server.start(settings) as backend:
        return backend.writer.durable_seq


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def cut_off(settings: Settings) -> None:
    execute(settings.journal, "DELETE FROM journal WHERE seq > 4")
    execute(settings.journal, "DELETE FROM snapshot")


def put_back(settings: Settings) -> None:
    shutil.copy(settings.data.parent / "old.db", settings.journal)


def empty(settings: Settings) -> None:
    for table in ("journal", "trade", "snapshot"):
        execute(settings.journal, f"DELETE FROM {table}")  # noqa: S608


def truncate(settings: Settings) -> None:
    settings.journal.write_bytes(b"")


def delete(settings: Settings) -> None:
    settings.journal.unlink()


def delete_with_head(settings: Settings) -> None:
    settings.journal.unlink()
    settings.journal_head.unlink()


def lose_ack_key(settings: Settings) -> None:
    settings.ack_key.unlink()


def change_ack_key(settings: Settings) -> None:
    settings.ack_key.unlink()
    shutil.move(settings.journal, settings.data.parent / "kept.db")
    for path in (settings.journal_head, settings.series):
        shutil.move(path, settings.data.parent / f"kept-{path.name}")
    prepare_data_folder(settings)
    shutil.move(settings.data.parent / "kept.db", settings.journal)
    for path in (settings.journal_head, settings.series):
        shutil.move(settings.data.parent / f"kept-{path.name}", path)


def lose_token(settings: Settings) -> None:
    settings.operator_token.unlink()


def lose_head(settings: Settings) -> None:
    settings.journal_head.unlink()


def damage_head(settings: Settings) -> None:
    content = bytearray(settings.journal_head.read_bytes())
    content[20] ^= 1
    settings.journal_head.write_bytes(bytes(content))


LOST_ENTRIES = [
    pytest.param(cut_off, "journal ends with entry 4", id="the newest 20 entries are cut off"),
    pytest.param(put_back, "journal ends with entry ", id="an old copy is put back"),
    pytest.param(empty, "journal ends with no entry", id="every table is emptied"),
]
LOST_JOURNAL = [
    pytest.param(truncate, "journal.db is lost with ", id="the file is emptied"),
    pytest.param(delete, "journal.db is lost with ", id="the journal is deleted"),
    pytest.param(delete_with_head, "journal.db is lost: ", id="with its head"),
]
LOST_FILES = [
    pytest.param(lose_ack_key, "ack.key is lost", id="the ack key is deleted"),
    pytest.param(change_ack_key, "ack.key is lost: expected ", id="another ack key"),
    pytest.param(lose_token, "operator.token is lost", id="the operator's token is deleted"),
    pytest.param(lose_head, "journal.head is lost", id="the head is deleted"),
    pytest.param(damage_head, "journal.head cannot be relied on", id="the head is changed"),
]


@pytest.mark.parametrize(("lose", "said"), LOST_ENTRIES + LOST_JOURNAL + LOST_FILES)
async def test_a_start_that_misses_something_is_refused_in_one_line(
    settings: Settings, lose: Callable[[Settings], None], said: str
) -> None:
    lose(settings)
    files = sorted(path.name for path in settings.data.iterdir())
    with pytest.raises(CannotStart) as refused:
        await start_and_stop(settings)
    assert said in str(refused.value)
    assert "gridtokenx-backend restore" in str(refused.value)
    assert "\n" not in str(refused.value)
    kept = sorted(path.name for path in settings.data.iterdir())
    assert [name for name in kept if not name.endswith(("-wal", "-shm"))] == files


async def test_a_community_with_all_of_its_state_starts_again(settings: Settings) -> None:
    entries = await start_and_stop(settings)
    assert await start_and_stop(settings) == entries >= ENTRIES


async def test_a_kill_leaves_a_head_that_the_journal_is_not_behind(settings: Settings) -> None:
    head = settings.journal_head.read_bytes()
    async with server.start(settings) as backend:
        await _tick_to(backend.writer, ENTRIES + 3)
    settings.journal_head.write_bytes(head)  # as if the process had ended before it was written
    assert await start_and_stop(settings) >= ENTRIES + 3


@pytest.mark.parametrize(("lose", "said"), LOST_ENTRIES + LOST_FILES)
async def test_a_loss_is_accepted_with_a_reason_that_is_journaled(
    settings: Settings, lose: Callable[[Settings], None], said: str
) -> None:
    lose(settings)
    done = await accept_loss(settings, "the disk died")
    assert any(said in each for each in done.lost)
    entries = await start_and_stop(settings)
    assert entries >= done.journal_seq
    journal = await open_journal_readonly(settings.journal)
    try:
        entry = await journal.entry(done.journal_seq)
        assert entry is not None
        assert (entry.kind, b"the disk died" in entry.input) == ("loss", True)
        assert (await verify(journal, lambda _: None)).entries == entries
    finally:
        await journal.close()
    assert await start_and_stop(settings) >= entries


async def test_nothing_is_accepted_where_nothing_is_lost(settings: Settings) -> None:
    with pytest.raises(OperatorError, match="nothing is lost"):
        await accept_loss(settings, "just in case")


@pytest.mark.parametrize(("lose", "said"), LOST_JOURNAL)
async def test_a_new_community_begins_only_by_that_word(
    settings: Settings, lose: Callable[[Settings], None], said: str
) -> None:
    lose(settings)
    with pytest.raises(CannotStart, match="run --new"):
        await accept_loss(settings, "the disk died")
    former = set_former_community_aside(settings)
    assert said in former
    async with server.start(settings, former=former) as backend:
        loss = await backend.journal.entry(2)
        assert loss is not None
        assert (loss.kind, former.encode()[:10] in loss.input) == ("loss", True)
        assert (await rebuild(backend.journal)).entries == backend.writer.durable_seq
    await start_and_stop(settings)


async def test_a_journal_is_not_given_up_by_an_option(settings: Settings) -> None:
    with pytest.raises(CannotStart, match="expected no journal"):
        set_former_community_aside(settings)
    assert await start_and_stop(settings) >= ENTRIES
