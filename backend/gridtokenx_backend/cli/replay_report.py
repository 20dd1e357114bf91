"""What `gridtokenx-backend replay` reports of a journal, beside a running backend or without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal, open_journal_readonly
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_backend.replay.replay import verify as verify_journal
from gridtokenx_backend.replay.series_check import SeriesCheck
from gridtokenx_backend.series.store import open_series, open_series_readonly


async def make_report(path: Path, series: Path | None, *, verify: bool) -> dict[str, str | int]:
    """Return the report as names and values; the stored series is compared if there is one.

    Raises JournalUnavailable, ReplayMismatch.
    """
    journal = await open_journal_readonly(path)
    try:
        if not verify:
            community = await rebuild(journal)
            state = community.snapshot()
            return {"entries": community.entries, "digest": digest(state), "verified": "no"}
        async with _series_check(series) as check:
            return await _verify(journal, check)
    finally:
        await journal.close()


@asynccontextmanager
async def _series_check(path: Path | None) -> AsyncIterator[SeriesCheck | None]:
    """Yield the check of the stored series as it is now; None if there is no series."""
    if path is None:
        yield None
        return
    stored = await open_series_readonly(path)
    try:
        again = await open_series("")
        try:
            yield SeriesCheck(stored, again, await stored.hold())
        finally:
            await again.close()
    finally:
        await stored.close()


async def _verify(journal: SqliteJournal, series: SeriesCheck | None) -> dict[str, str | int]:
    with Progress(console=Console(stderr=True, markup=False), transient=True) as progress:
        task = progress.add_task("replaying", total=await journal.last_seq())
        report = await verify_journal(
            journal, lambda seq: progress.update(task, completed=seq), series
        )
    return {
        "entries": report.entries,
        "digest": report.digest,
        "signatures_checked": report.signatures,
        "snapshots_checked": report.snapshots,
        "intervals_checked": report.intervals,
        "verified": "yes",
    }
