"""One June for all tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.backend.statements.june import June, journaled

from gridtokenx_backend.statements.documents.books import Books


@pytest.fixture(scope="session")
def june_path(tmp_path_factory: pytest.TempPathFactory) -> tuple[June, Path]:
    path = tmp_path_factory.mktemp("june") / "journal.db"
    return journaled(path), path


@pytest.fixture
def june(june_path: tuple[June, Path]) -> June:
    return june_path[0]


@pytest.fixture
def books(june_path: tuple[June, Path]) -> Iterator[Books]:
    """June's books, read to the journal's end."""
    with Books(june_path[1], "2026-06") as opened:
        opened.catch_up()
        yield opened
