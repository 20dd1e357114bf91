"""What the API answers while nothing can be stored, or nothing can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.backend.api.test_views import reported
from tests.backend.parts import journal_at, turns
from tests.backend.serving import Api, problem
from tests.backend.village import Village

from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.engine import writer as writer_module
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal


@pytest.fixture(name="journal")
async def _journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with journal_at(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture(name="api")
async def _api(journal: SqliteJournal, village: Village) -> AsyncIterator[Api]:
    async with reported(journal, village) as api:
        yield api


@pytest.fixture(name="stuck")
async def _stuck(
    api: Api, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    """An API whose journal does not store the tick that waits."""
    monkeypatch.setattr(writer_module, "_READ_TIMEOUT_S", 0.01)
    store, free = journal.append, asyncio.Event()

    async def append(entries: Sequence[Any], trades: Sequence[Any]) -> None:
        await free.wait()
        await store(entries, trades)

    monkeypatch.setattr(journal, "append", append)
    waiting = api.writer.enqueue([TickInput()])
    await turns()
    yield api
    free.set()
    await waiting


@pytest.mark.parametrize("path", ["/v1/summary", "/v1/book", "/v1/devices"])
async def test_what_is_not_durable_is_not_shown(stuck: Api, path: str) -> None:
    response = await stuck.ask(path)
    problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"


async def test_health_and_metrics_count_only_what_is_durable(stuck: Api) -> None:
    assert (await stuck.get("/v1/health")).json()["journal_seq"] == 3
    assert "gridtokenx_journal_entries_total 3.0" in (await stuck.ask("/metrics")).text


async def test_a_full_queue_is_said_as_such(stuck: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED", 0)
    response = await stuck.order(stuck.ben, "b", "buy", "1", "0.2")
    problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/v1/trades", "/v1/meters/ABB-1/readings"])
async def test_a_journal_that_cannot_be_read_is_said_as_such(
    api: Api, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def refuse(_: int) -> None:
        raise JournalUnavailable("disk I/O error")

    monkeypatch.setattr(journal, "trades", refuse)
    monkeypatch.setattr(journal, "entry", refuse)
    problem(await api.ask(path), 503, "unavailable")
