"""Verifies a journal slowly: `python -m gridtokenx_backend.replay.background_worker JOURNAL`.

It is a process of its own, which reads the file for itself and yields to every other. It works at
most half of the time. Each line on stdout is JSON: how far it has come, or what it has found.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec

from gridtokenx_backend.errors import JournalUnavailable, ReplayMismatch
from gridtokenx_backend.journal.sqlite_journal import open_journal_readonly
from gridtokenx_backend.replay.replay import verify

_LEAST_URGENT = 19
_EVERY = 100
_LONGEST_PAUSE_S = 1.0


class VerificationLine(msgspec.Struct, frozen=True, kw_only=True):
    """How far a verification is: `checked` of `entries`; at its end `is_done`, or a `mismatch`.

    `fault` says why it could not go on; that is no finding about the journal.
    """

    checked: int
    entries: int
    is_done: bool = False
    mismatch: str = ""
    fault: str = ""


def main() -> int:
    """Verify the journal named on the command line as far as it now goes; return the exit code."""
    os.nice(_LEAST_URGENT)
    asyncio.run(_work(Path(sys.argv[1])))
    return 0


async def _work(path: Path) -> None:
    checked = entries = 0
    worked_from = time.monotonic()

    def progress(seq: int) -> None:
        nonlocal checked, worked_from
        checked = seq
        _tell(VerificationLine(checked=checked, entries=entries))
        time.sleep(min(time.monotonic() - worked_from, _LONGEST_PAUSE_S))
        worked_from = time.monotonic()

    try:
        journal = await open_journal_readonly(path)
        try:
            entries = await journal.last_seq()
            if entries:
                await verify(journal, progress, until=entries, progress_every=_EVERY)
            line = VerificationLine(checked=entries, entries=entries, is_done=True)
        finally:
            await journal.close()
    except ReplayMismatch as error:
        line = VerificationLine(checked=checked, entries=entries, mismatch=str(error))
    except JournalUnavailable as error:
        line = VerificationLine(checked=checked, entries=entries, fault=str(error))
    _tell(line)


def _tell(line: VerificationLine) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
