"""Files that appear or are replaced in one step, with the mode that was asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtokenx_wire.atomic_file import PRIVATE, PUBLIC, create_file, replace_file


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    former = os.umask(0o027)
    yield
    os.umask(former)


@pytest.mark.parametrize("mode", [PUBLIC, PRIVATE])
def test_a_file_is_replaced_and_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        replace_file(path, content, mode)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_file(path, b"first", PRIVATE)
    with pytest.raises(FileExistsError):
        create_file(path, b"second", PRIVATE)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "place"
    path.mkdir()
    with pytest.raises(OSError, match="irectory"):
        replace_file(path, b"new", PUBLIC)
    assert list(tmp_path.iterdir()) == [path]
