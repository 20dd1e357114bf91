"""SQLite on a thread of its own, for a loop that must not wait."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gridtokenx_backend.errors import JournalUnavailable

T = TypeVar("T")


class Connection:
    """A SQLite connection on a thread of its own. A call is one hop, whatever it does there."""

    def __init__(self, path: Path | str, *, uri: bool = False) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._path = path
        self._uri = uri
        self._db: sqlite3.Connection | None = None

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns. Raises JournalUnavailable for whatever SQLite raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, work)

    def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._db is None:
                self._db = sqlite3.connect(
                    self._path, isolation_level=None, timeout=5, uri=self._uri
                )
            return work(self._db)
        except sqlite3.Error as error:
            raise JournalUnavailable(str(error)) from None

    async def close(self) -> None:
        if self._db is not None:
            await self.call(sqlite3.Connection.close)
            self._db = None
        self._thread.shutdown()
