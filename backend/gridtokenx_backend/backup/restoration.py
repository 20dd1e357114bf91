"""Puts a backup back: checked by replay before anything of the old data is moved."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from gridtokenx_backend.backup.manifest import Manifest, read_manifest
from gridtokenx_backend.config.data_folder import lock_data_folder
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.journal.sqlite_journal import open_journal_readonly
from gridtokenx_backend.replay.replay import ReplayReport, verify
from gridtokenx_backend.startup.accepted_loss import journal_loss
from gridtokenx_backend.startup.continuity_check import read_head


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was put back. `kept` is where the former data folder is, if there was one.

    `lost` says which entries the backup does not hold, as far as that is known.
    """

    community: str
    data: str
    entries: int
    digest: str
    kept: str = ""
    lost: str = ""


async def restore_backup(
    backup: Path, config: Path, *, replace: bool, reason: str, progress: Callable[[int], None]
) -> Restored:
    """Put a backup where the config says; a config that is missing comes out of the backup.

    With `replace` a data folder that is there is put aside. `reason` is needed if entries are known
    that the backup lacks. Raises CannotStart, ConfigError, ReplayMismatch, JournalUnavailable.
    """
    with _unpacked(backup) as folder, ExitStack() as held:
        manifest = read_manifest(folder)
        _copy_config(folder / "config", config)
        settings = load_settings(config)
        _check_target(settings, replace=replace)
        if settings.data.exists():
            held.enter_context(lock_data_folder(settings.data))
        lost = _lost(settings, manifest)
        if lost and not reason:
            raise CannotStart(f'{backup}: {lost}; to restore it nevertheless: --reason "..."')
        staged = _stage(settings, folder / "data")
        try:
            report = await _verify(staged.journal, progress)
            if lost:
                await journal_loss(staged, [lost], reason)
            kept = _exchange(settings.data, staged.data)
        finally:
            shutil.rmtree(staged.data, ignore_errors=True)
    return Restored(
        community=manifest.community,
        data=str(settings.data),
        entries=report.entries,
        digest=report.digest,
        kept=kept,
        lost=lost,
    )


@contextmanager
def _unpacked(backup: Path) -> Iterator[Path]:
    if backup.is_dir():
        yield backup
        return
    folder = Path(mkdtemp(prefix=f".{backup.name}.", dir=backup.parent))
    try:
        try:
            with tarfile.open(backup, "r:") as tar:
                tar.extractall(folder, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise CannotStart(f"{backup}: expected a backup: {error}") from None
        inside = [path for path in folder.iterdir() if path.is_dir()]
        yield inside[0] if len(inside) == 1 else folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_config(source: Path, config: Path) -> None:
    """Copy the config files of a backup, if the config is missing. Raises CannotStart."""
    if config.exists():
        return
    for path in sorted(each for each in source.rglob("*") if each.is_file()):
        name = path.relative_to(source)
        target = config if name == Path("backend.toml") else config.parent / name
        if target.exists():
            raise CannotStart(f"{target}: expected no file, because {config} is missing")
    for path in sorted(each for each in source.rglob("*") if each.is_file()):
        name = path.relative_to(source)
        target = config if name == Path("backend.toml") else config.parent / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(path, target)


def _check_target(settings: Settings, *, replace: bool) -> None:
    if not settings.data.exists():
        return
    there = sorted(path.name for path in settings.data.iterdir() if path.name != "lock")
    if there and not replace:
        raise CannotStart(
            f"{settings.data}: expected an empty folder, found {', '.join(there[:3])}"
            f"{' and more' if len(there) > 3 else ''}; to put it aside and restore: --replace"
        )


def _lost(settings: Settings, manifest: Manifest) -> str:
    """Return what the folder's head knows and the backup lacks; empty if that is nothing."""
    head, _ = read_head(settings, {})
    if head is None or head.seq <= manifest.entries:
        return ""
    return (
        f"the backup ends with entry {manifest.entries}, and entry {head.seq} was stored: "
        f"{head.seq - manifest.entries} entries are lost"
    )


def _stage(settings: Settings, source: Path) -> Settings:
    """Copy the data beside where it is to be; return the settings that mean the copy."""
    staged = settings.data.with_name(f"{settings.data.name}.restoring")
    if staged.exists():
        raise CannotStart(f"{staged}: a restore is running or was broken off; remove it first")
    staged.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, staged)
    for path in [staged, *staged.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    section = msgspec.structs.replace(settings.backend.backend, data=str(staged.absolute()))
    backend = msgspec.structs.replace(settings.backend, backend=section)
    return Settings(backend, settings.folder)


async def _verify(path: Path, progress: Callable[[int], None]) -> ReplayReport:
    journal = await open_journal_readonly(path)
    try:
        return await verify(journal, progress)
    finally:
        await journal.close()


def _exchange(data: Path, staged: Path) -> str:
    """Put the staged folder in place of the present one; return where that is kept."""
    kept = ""
    if data.exists():
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        former = data.with_name(f"{data.name}.before-{stamp}")
        data.rename(former)
        kept = str(former)
    staged.rename(data)
    return kept
