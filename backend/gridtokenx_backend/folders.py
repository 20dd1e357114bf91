"""Folders that the backend makes for its files."""

from __future__ import annotations

from pathlib import Path

from gridtokenx_backend.errors import CannotStart


def make_folder(path: Path, mode: int) -> None:
    """Make a folder and those above it, where they are missing. Raises CannotStart."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise CannotStart(f"{path}: cannot be made: {error.strerror}") from None
