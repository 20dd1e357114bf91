"""Backups: made beside a running server, verified when put back, never over what is there."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.rig.processes import free_port
from tests.backend.running import write_configs
from tests.backend.village import Village

from gridtokenx_backend import server
from gridtokenx_backend.backup.backup_writer import make_backup
from gridtokenx_backend.backup.manifest import MANIFEST
from gridtokenx_backend.backup.restoration import Restored, restore_backup
from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.enrolment.preparation import initialise
from gridtokenx_backend.errors import CannotStart, OperatorError
from gridtokenx_backend.statements.jobs.document_store import DocumentStore, read_document

REASON = "the disk died"


@pytest.fixture(name="config")
def _config(tmp_path: Path, village: Village) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    config = write_configs(folder, village.document, free_port())
    settings = load_settings(config)
    prepare_data_folder(settings)
    initialise(settings, "lane", [])
    return config


async def run_to(settings: Settings, seq: int, then: Callable[[], object] = lambda: None) -> int:
    """Run a backend until its journal has that many entries; return how many it has at the end."""
    async with server.start(settings) as backend:
        while backend.writer.durable_seq < seq:
            await backend.writer.submit([TickInput()])
        then()
        return backend.writer.durable_seq


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def put_back(
    backup: Path, config: Path, *, replace: bool = False, reason: str = ""
) -> Restored:
    return await restore_backup(
        backup, config, replace=replace, reason=reason, progress=lambda _: None
    )


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
async def test_a_backup_of_a_running_server_starts_on_an_empty_machine(
    tmp_path: Path, config: Path, name: str
) -> None:
    settings = load_settings(config)
    await run_to(settings, 2)
    with DocumentStore(settings.documents) as store:
        document = store.put(b'{"a":"statement"}')
    out = tmp_path / name
    entries = await run_to(settings, 5, lambda: make_backup(settings, config, out))
    elsewhere = tmp_path / "new" / "backend.toml"
    elsewhere.parent.mkdir()
    done = await put_back(out, elsewhere)
    assert done.entries == entries
    there = load_settings(elsewhere)
    assert read_document(there.documents, document) == b'{"a":"statement"}'
    for kept in ("ack.key", "operator.token", "ca/ca.key", "ca/ca.pem", "tls/broker.key"):
        assert (there.data / kept).read_bytes() == (settings.data / kept).read_bytes()
        assert stat.S_IMODE((there.data / kept).stat().st_mode) == 0o600
    assert await run_to(there, entries + 1) >= entries + 1


async def test_nobody_but_its_owner_can_read_a_backup(tmp_path: Path, config: Path) -> None:
    settings = load_settings(config)
    await run_to(settings, 2)
    for out in (tmp_path / "folder", tmp_path / "file.tar"):
        make_backup(settings, config, out)
        for path in (out, *out.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert names_in(tmp_path) == ["file.tar", "folder", "site"]


async def test_a_restore_overwrites_nothing_unless_it_is_told_to(
    tmp_path: Path, config: Path
) -> None:
    settings = load_settings(config)
    out = tmp_path / "backup"
    entries = await run_to(settings, 5, lambda: make_backup(settings, config, out))
    with pytest.raises(CannotStart, match="--replace"):
        await put_back(out, config)
    later = await run_to(settings, entries + 9)
    with pytest.raises(
        CannotStart, match=f"entry {later} was stored: .* entries are lost.*--reason"
    ):
        await put_back(out, config, replace=True)
    assert await run_to(settings, later) == later
    done = await put_back(out, config, replace=True, reason=REASON)
    former = Path(done.kept)
    assert (former / "journal.db").exists()
    async with server.start(settings) as backend:
        loss = await backend.journal.entry(entries + 1)
        assert loss is not None
        assert (loss.kind, REASON.encode() in loss.input) == ("loss", True)


async def test_a_restore_while_a_server_runs_is_refused(tmp_path: Path, config: Path) -> None:
    from gridtokenx_backend.config.data_folder import lock_data_folder

    settings = load_settings(config)
    out = tmp_path / "backup"
    await run_to(settings, 2, lambda: make_backup(settings, config, out))
    with (
        lock_data_folder(settings.data),
        pytest.raises(CannotStart, match="another backend is running"),
    ):
        await put_back(out, config, replace=True, reason=REASON)


def change_journal(backup: Path) -> None:
    path = backup / "data" / "journal.db"
    content = bytearray(path.read_bytes())
    at = content.rindex(b'"commitment"')
    content[at + 20] ^= 1
    path.write_bytes(bytes(content))


def change_journal_and_manifest(backup: Path) -> None:
    change_journal(backup)
    from gridtokenx_backend.backup.manifest import list_files

    manifest = json.loads((backup / MANIFEST).read_bytes())
    manifest["files"] = [
        {"name": each.name, "size": each.size, "sha256": each.sha256} for each in list_files(backup)
    ]
    (backup / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(change_journal, "journal.db: missing, or not what", id="a changed file"),
        pytest.param(change_journal_and_manifest, "entry ", id="a changed entry"),
        pytest.param(lambda b: (b / "data" / "ack.key").unlink(), "ack.key: missing", id="no key"),
        pytest.param(lambda b: (b / MANIFEST).unlink(), "expected a backup's manifest", id="none"),
        pytest.param(lambda b: (b / "data/x").touch(), "data/x: expected only files", id="more"),
    ],
)
async def test_a_damaged_backup_is_refused_and_changes_nothing(
    tmp_path: Path, config: Path, damage: Callable[[Path], object], said: str
) -> None:
    settings = load_settings(config)
    out = tmp_path / "backup"
    entries = await run_to(settings, 4, lambda: make_backup(settings, config, out))
    damage(out)
    with pytest.raises(OperatorError, match=said):
        await put_back(out, config, replace=True, reason=REASON)
    assert names_in(config.parent) == ["backend.toml", "community.toml", "data"]
    assert await run_to(settings, entries) >= entries


async def test_a_backup_takes_the_place_of_nothing(tmp_path: Path, config: Path) -> None:
    settings = load_settings(config)
    await run_to(settings, 2)
    (tmp_path / "there").mkdir()
    with pytest.raises(CannotStart, match="expected a name that is free"):
        make_backup(settings, config, tmp_path / "there")
