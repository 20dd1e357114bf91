"""Who waits for documents: a bound for all, and a smaller one for each member."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.statements.jobs import statement_jobs
from gridtokenx_backend.statements.jobs.statement_jobs import (
    MOST_OF_A_MEMBER,
    MOST_WAITING,
    NotReadable,
    StatementJobs,
)
from gridtokenx_backend.statements.jobs.worker import DocumentTask

TASK = DocumentTask(journal="journal", store="store", month="2026-06", wallet="wallet", form="json")


@pytest.mark.asyncio
async def test_one_member_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = asyncio.Event()

    async def run(_: DocumentTask) -> bytes:
        await may_end.wait()
        return b"made"

    monkeypatch.setattr(statement_jobs, "_run", run)
    at = StatementJobs(Path("journal"), Path("store"))
    asked = [asyncio.create_task(at.make(TASK, "anna")) for _ in range(MOST_OF_A_MEMBER)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await at.make(TASK, "anna")
    others = [f"member {number}" for number in range(MOST_WAITING - MOST_OF_A_MEMBER)]
    asked += [asyncio.create_task(at.make(TASK, other)) for other in others]
    await asyncio.sleep(0)
    for reader in ("one more", ""):
        with pytest.raises(Overloaded):
            await at.make(TASK, reader)
    may_end.set()
    assert await asyncio.gather(*asked) == [b"made"] * MOST_WAITING
    assert await at.make(TASK, "anna") == b"made"
    assert not at._waiting


@pytest.mark.asyncio
@pytest.mark.parametrize("sha256", ["", "0" * 64], ids=["a preview", "a stored document"])
@pytest.mark.parametrize("is_there", [False, True], ids=["no file", "another file"])
async def test_what_the_server_cannot_read_names_no_path_to_whoever_asked(
    tmp_path: Path, sha256: str, *, is_there: bool
) -> None:
    journal, store = tmp_path / "journal.db", tmp_path / "documents.db"
    if is_there:
        for path in (journal, store):
            path.write_bytes(b"no database at all" * 100)
    task = DocumentTask(
        journal=str(journal),
        store=str(store),
        month="2026-06",
        wallet="wallet",
        form="json",
        sha256=sha256,
    )
    with pytest.raises(NotReadable) as refused:
        await StatementJobs(journal, store).make(task, "wallet")
    assert str(tmp_path) not in str(refused.value)
    assert "its operator can help" in str(refused.value)
