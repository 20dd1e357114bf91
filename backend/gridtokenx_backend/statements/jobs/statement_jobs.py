"""Makes documents for the API: each in a process of its own, few at a time, within a time limit."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.errors import OperatorError
from gridtokenx_backend.statements.jobs.worker import MISTAKE, DocumentTask

TIMEOUT_S = 60.0
MOST_AT_ONCE = 2
MOST_WAITING = 16
MOST_OF_A_MEMBER = 2
log = structlog.get_logger()


class NotMade(OperatorError):
    """The document could not be made; the text says what was expected."""


class NotReadable(OperatorError):
    """The server cannot read what it has stored; its log says why, not the answer."""


class StatementJobs:
    """Makes documents of a journal and a store of documents."""

    def __init__(self, journal: Path, store: Path) -> None:
        self.journal = journal
        self.store = store
        self._free = asyncio.Semaphore(MOST_AT_ONCE)
        self._waiting: Counter[str] = Counter()

    async def make(self, task: DocumentTask, reader: str = "") -> bytes:
        """Return the document.

        Raises NotMade, NotReadable, and Overloaded if too many are waited for.

        `reader` is the wallet that asks; it is empty for the operator. One member cannot wait for
        many documents, so that there is room for the others.
        """
        is_too_many = reader and self._waiting[reader] >= MOST_OF_A_MEMBER
        if is_too_many or self._waiting.total() >= MOST_WAITING:
            raise Overloaded("expected fewer documents asked for at once")
        self._waiting[reader] += 1
        try:
            async with self._free:
                return await _run(task)
        finally:
            self._waiting[reader] -= 1
            self._waiting += Counter()  # drops readers who wait for nothing


async def _run(task: DocumentTask) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gridtokenx_backend.statements.jobs.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            made, errors = await process.communicate(msgspec.json.encode(task))
    except TimeoutError:
        raise Overloaded(f"expected a document within {TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        if process.returncode == MISTAKE and lines:
            raise NotMade(lines[-1])
        log.error("a document cannot be made", error=lines[-1] if lines else "ended early")
        raise NotReadable("the server cannot read what it has stored; its operator can help")
    return made
