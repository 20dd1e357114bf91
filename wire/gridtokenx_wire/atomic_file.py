"""Files that appear or are replaced in one step: a reader sees the old one or the new one, whole.

All of it is durable when a function returns. A draft beside the file has its content first.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PUBLIC = 0o644
PRIVATE = 0o600


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file in place of one that may be there; the umask does not matter. Raises OSError."""
    with _draft(path, content, mode) as draft:
        draft.replace(path)
    synchronise_folder(path.parent)


def create_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file where there is none; the umask does not matter.

    Raises FileExistsError if there is one, OSError if it cannot be written.
    """
    with _draft(path, content, mode) as draft:
        os.link(draft, path)  # unlike a rename, a link never replaces a file
    synchronise_folder(path.parent)


def synchronise_folder(folder: Path) -> None:
    """Make durable which files a folder has. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
