"""`.gridtokenx-demo/`: all that the demo makes, in one folder, used by one demo at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

NAME = ".gridtokenx-demo"
_MARKER = {"made_by": "gridtokenx-sim demo", "layout": 1}
_FOLDERS = ("config", "data", "keys", "lines", "logs")
_FILES = (
    "clock.json",
    "demo.json",
    "identities.json",
    "meters.json",
    "pids.json",
    "statement.json",
)


class FolderError(Exception):
    """A folder that cannot be used; one line says why."""


class Folder:
    """The demo's files under `root`, an absolute path, as `open_folder` yields it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config"
        self.data = root / "data"
        self.keys = root / "keys"
        self.lines = root / "lines"
        self.logs = root / "logs"
        self.clock = root / "clock.json"
        self.identities = root / "identities.json"
        self.meters = root / "meters.json"
        self.pids = root / "pids.json"
        self.statement = root / "statement.json"

    @property
    def journal(self) -> Path:
        return self.data / "backend" / "journal.db"

    @property
    def operator_token(self) -> Path:
        return self.data / "backend" / "operator.token"

    def outbox(self, gateway: str) -> Path:
        return self.data / f"{gateway}.outbox.db"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


@contextmanager
def open_folder(root: Path, *, fresh: bool) -> Iterator[Folder]:
    """Open the folder, which is made if need be, and keep all other demos out until the context
    ends.

    `fresh` deletes first what an earlier demo made, and only that. Raises FolderError.
    """
    with ExitStack() as held:
        try:
            _check(root)
            root.mkdir(mode=0o700, exist_ok=True)
            _check_owner(root)
            held.enter_context(_lock(root))
            if fresh:
                _wipe(root)
            folder = _prepare(root)
        except OSError as error:
            raise FolderError(f"{error.filename or root}: {error.strerror}") from None
        yield folder


def write_json(path: Path, value: Any) -> None:
    """Replace `path` in one step, so that a reader never sees half a file. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(msgspec.json.encode(value))
    draft.replace(path)


def _check(root: Path) -> None:
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise FolderError(f"{root}: expected a folder of the demo, found something else")


def _check_owner(root: Path) -> None:
    """Let only an empty folder pass, or one with the demo's own mark."""
    if {path.name for path in root.iterdir()} <= {"lock"}:
        return
    try:
        mark = msgspec.json.decode((root / "demo.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        mark = None
    if mark != _MARKER:
        raise FolderError(f"{root}: expected a folder that this demo made; it is left as it is")


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise FolderError(f"{root}: another demo is running here (process {holder})") from None
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _wipe(root: Path) -> None:
    """Delete what a demo makes, by name; whatever else lies there stays."""
    for name in _FOLDERS:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    # The mark is deleted last, so that a deletion that was interrupted can be repeated.
    for name in sorted(_FILES, key="demo.json".__eq__):
        (root / name).unlink(missing_ok=True)
        for draft in root.glob(f".{name}.*"):
            draft.unlink(missing_ok=True)


def _prepare(root: Path) -> Folder:
    for name in _FOLDERS:
        (root / name).mkdir(mode=0o700, exist_ok=True)
    if not (root / "demo.json").exists():
        write_json(root / "demo.json", _MARKER)
    return Folder(root)
