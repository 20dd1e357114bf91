"""The list of what a backup holds: `manifest.json` names every file with its size and hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from gridtokenx_backend.errors import CannotStart

MANIFEST = "manifest.json"
VERSION = 1
_CHUNK = 1 << 20


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a backup, by its path within it."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `entries` is how many the journal has, `elsewhere` what was left out.

    What was left out are files that the config names outside its folder and the data folder.
    """

    v: int
    program: str
    community: str
    made_ms: int
    entries: int
    files: list[BackupFile]
    elsewhere: list[str]


def list_files(folder: Path) -> list[BackupFile]:
    """Return the files of a folder but its manifest, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    return [
        BackupFile(name=name, size=path.stat().st_size, sha256=_sha256(path))
        for name, path in zip(names, paths, strict=True)
        if name != MANIFEST
    ]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup whose files are all as they were. Raises CannotStart."""
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise CannotStart(f"{path}: expected a backup's manifest: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise CannotStart(f"{path}: expected a backup's manifest: {error}") from None
    if manifest.v > VERSION:
        raise CannotStart(
            f"{path}: expected version {VERSION}, got {manifest.v}: install a newer one"
        )
    there = {each.name: each for each in list_files(folder)}
    for listed in manifest.files:
        if there.pop(listed.name, None) != listed:
            raise CannotStart(
                f"{folder / listed.name}: missing, or not what the backup was made of"
            )
    if there:
        raise CannotStart(f"{folder / min(there)}: expected only files that the manifest lists")
    return manifest


def _sha256(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()
