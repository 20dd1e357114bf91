"""Files that are replaced in one step: a reader sees the old file or the new one, whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gridtokenx_backend.errors import CannotStart

PUBLIC = 0o644
PRIVATE = 0o600


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file durably and in one step; `mode` does not depend on the umask. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(path: Path, mode: int) -> None:
    """Make a folder and those above it, where they are missing. Raises CannotStart."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise CannotStart(f"{path}: cannot be made: {error.strerror}") from None
