"""Makes a backup beside a running backend, or without one.

    manifest.json
    config/   backend.toml, community.toml, and what the config names beside them
    data/     the databases, keys, tokens and certificates

Each database is copied in one transaction of its own. The series comes first and the documents come
last, so that no copy knows of an entry, and no entry of a document, that is not in the backup.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from gridtokenx_backend.backup.manifest import MANIFEST, VERSION, Manifest, list_files
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_backend.continuity.journal_head import JournalHead, seal_head
from gridtokenx_backend.errors import CannotStart
from gridtokenx_wire.atomic_file import synchronise_folder
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import load_private_key
from gridtokenx_wire.release import release
from gridtokenx_wire.sqlite_thread import connect

_NOT_COPIED = ("lock", "journal.head", "lost.acks")
_ONE_FILE = ".tar"


def make_backup(settings: Settings, config: Path, out: Path) -> Manifest:
    """Write a backup to `out`, whole or not at all: one file if it ends in .tar, else a folder.

    Raises CannotStart, ConfigError.
    """
    if out.exists():
        raise CannotStart(f"{out}: expected a name that is free")
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        draft.mkdir(parents=True, mode=0o700)
        try:
            manifest = _fill(settings, config, draft)
            if out.suffix == _ONE_FILE:
                _pack(draft, out)
            else:
                draft.rename(out)
            synchronise_folder(out.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotStart(f"{out}: the backup cannot be made: {reason}") from None
    return manifest


def _fill(settings: Settings, config: Path, folder: Path) -> Manifest:
    data = folder / "data"
    data.mkdir(mode=0o700)
    for database in (settings.series, settings.journal, settings.documents):
        if database.exists():
            _copy_database(database, data / database.name)
    if not (data / settings.journal.name).exists():
        raise CannotStart(f"{settings.journal}: expected a journal, found none")
    for path in _other_files(settings.data):
        _copy_file(path, data / path.relative_to(settings.data))
    head = _head_of(data / settings.journal.name)
    if head.seq:
        _write(data / settings.journal_head.name, _sealed(settings, head))
    _copy_file(config, folder / "config" / "backend.toml")
    inside, elsewhere = _named_files(settings)
    for path in inside:
        _copy_file(path, folder / "config" / path.relative_to(settings.folder))
    manifest = Manifest(
        v=VERSION,
        program=release(),
        community=load_terms(settings.community).community.name,
        made_ms=time.time_ns() // 1_000_000,
        entries=head.seq,
        files=list_files(folder),
        elsewhere=[str(path) for path in elsewhere],
    )
    _write(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def _copy_database(source: Path, target: Path) -> None:
    with closing(connect(source, is_readonly=True)) as read, closing(connect(target)) as written:
        read.backup(written)
    target.chmod(0o600)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _other_files(data: Path) -> Iterator[Path]:
    """Yield the files of a data folder that are no databases and no drafts."""
    for path in sorted(data.rglob("*")):
        parts = path.relative_to(data).parts
        is_draft = any(part.startswith(".") for part in parts)
        is_database = ".db" in path.name
        if path.is_file() and not (is_draft or is_database or parts[0] in _NOT_COPIED):
            yield path


def _named_files(settings: Settings) -> tuple[list[Path], list[Path]]:
    """Return the files that the config names outside the data folder: beside it, and elsewhere."""
    broker, api = settings.backend.broker, settings.backend.api
    names = [broker.ca, broker.cert, broker.key, api.cert, api.key, broker.access]
    paths = [settings.community, *(settings.path(name) for name in names if name)]
    files = [each for path in paths for each in ([path] if path.is_file() else path.rglob("*"))]
    outside = sorted(
        {path for path in files if path.is_file() and not path.is_relative_to(settings.data)}
    )
    inside = [path for path in outside if path.is_relative_to(settings.folder)]
    return inside, [path for path in outside if path not in inside]


def _head_of(journal: Path) -> JournalHead:
    with closing(connect(journal, is_readonly=True)) as db:
        last = db.execute("SELECT seq, leaf_hash, at_ms FROM journal ORDER BY seq DESC LIMIT 1")
        seq, leaf_hash, at_ms = last.fetchone() or (0, bytes(32), 0)
        counted = db.execute("SELECT count(*) FROM journal WHERE kind IN ('frame', 'refused')")
        (frames,) = counted.fetchone()
        (trades,) = db.execute("SELECT count(*) FROM trade").fetchone()
    return JournalHead(seq=seq, leaf_hash=leaf_hash, at_ms=at_ms, frames=frames, trades=trades)


def _sealed(settings: Settings, head: JournalHead) -> bytes:
    try:
        return seal_head(head, load_private_key(settings.ack_key))
    except KeyFileError as error:
        raise CannotStart(str(error)) from None


def _copy_file(source: Path, target: Path) -> None:
    _write(target, source.read_bytes())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _pack(folder: Path, out: Path) -> None:
    packed = folder.with_name(f"{folder.name}{_ONE_FILE}")
    try:
        descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(folder, arcname=out.stem)
            file.flush()
            os.fsync(file.fileno())
        packed.rename(out)
    finally:
        packed.unlink(missing_ok=True)
