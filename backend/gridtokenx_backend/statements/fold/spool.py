"""Keeps the lines of many members on disk, from the pass over the journal to their documents.

A month of a large community has more trades than memory should hold at once.
"""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Literal, Self

import msgspec

SpoolPart = Literal["trade", "GRID", "GRX", "REC"]
_BATCH = 5_000


class Spool:
    """A private temporary database, which disappears when it is closed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8000;"
            "CREATE TABLE line (wallet TEXT, part TEXT, n INTEGER, line BLOB,"
            " PRIMARY KEY (wallet, part, n)) WITHOUT ROWID"
        )
        self._waiting: list[tuple[str, SpoolPart, int, bytes]] = []
        self._n = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def add(self, wallet: str, part: SpoolPart, line: bytes) -> None:
        """Keep a line behind the others of this part."""
        self._n += 1
        self._waiting.append((wallet, part, self._n, line))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def lines(self, wallet: str, part: SpoolPart) -> list[msgspec.Raw]:
        """Return the lines of a part, in the order in which they came."""
        self._flush()
        query = "SELECT line FROM line WHERE wallet = ? AND part = ? ORDER BY n"
        return [msgspec.Raw(line) for (line,) in self._db.execute(query, (wallet, part))]

    def _flush(self) -> None:
        if self._waiting:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO line VALUES (?,?,?,?)", self._waiting)
            self._db.execute("COMMIT")
            self._waiting.clear()
