"""What `gridtokenx-backend replay` does: read a journal beside a running backend, or without it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from gridtokenx_backend.core.state import digest
from gridtokenx_backend.journal import SqliteJournal, open_journal_readonly
from gridtokenx_backend.replay import rebuild
from gridtokenx_backend.replay import verify as verify_journal


async def run(path: Path, *, verify: bool) -> dict[str, str | int]:
    """The report as names and values. Raises JournalUnavailable, ReplayMismatch."""
    journal = await open_journal_readonly(path)
    try:
        if not verify:
            community = await rebuild(journal)
            state = community.snapshot()
            return {"entries": community.entries, "digest": digest(state), "verified": "no"}
        return await _verify(journal)
    finally:
        await journal.close()


async def _verify(journal: SqliteJournal) -> dict[str, str | int]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=await journal.last_seq())
        report = await verify_journal(journal, lambda seq: progress.update(task, completed=seq))
    return {
        "entries": report.entries,
        "digest": report.digest,
        "signatures_checked": report.signatures,
        "snapshots_checked": report.snapshots,
        "verified": "yes",
    }
