"""Journals that a former version wrote: the same state, balances and documents, for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.compat.stored import (
    COMMUNITIES,
    EXPECTED,
    V1,
    count,
    cut,
    entries_of,
    forget_snapshots,
    run,
    told,
)

from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import terms_digest
from gridtokenx_backend.core.messages.inputs import PeriodInput, parse
from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.journal.sqlite_journal import (
    SqliteJournal,
    open_journal,
    open_journal_readonly,
)
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_backend.series.store import open_series
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.jobs.month_close import MonthClosing
from gridtokenx_backend.statements.model.document import sha256
from gridtokenx_backend.statements.render.forms import report_as, statement_as

MONTH = "2026-03"


def journal_of(v1: Path, name: str) -> Path:
    return v1 / name / "data" / "journal.db"


def documents_of(v1: Path, name: str) -> Path:
    return v1 / name / "data" / "documents.db"


@asynccontextmanager
async def reader_of(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await open_journal_readonly(path)
    try:
        yield journal
    finally:
        await journal.close()


async def rebuilt(path: Path) -> Community:
    async with reader_of(path) as journal:
        return await rebuild(journal)


STEPS = [(name, step) for name in COMMUNITIES for step in EXPECTED[name]["periods"]]
"""Every step of a closed month, with its community."""


def step_id(value: object) -> str:
    return value["status"] if isinstance(value, dict) else str(value)


# --- the state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMUNITIES)
def test_every_entry_comes_out_the_same_again_from_the_first_one_on(v1: Path, name: str) -> None:
    expected = EXPECTED[name]
    report = told(
        "gridtokenx_backend", "replay", "--verify", "--config", str(v1 / name / "backend.toml")
    )
    assert report == {
        "entries": expected["entries"],
        "digest": expected["digest"],
        "signatures_checked": expected["verified"]["signatures"],
        "snapshots_checked": 1,
        "intervals_checked": expected["verified"]["intervals"],
        "verified": "yes",
    }


@pytest.mark.parametrize(
    ("name", "after"),
    [(name, each["seq"]) for name in COMMUNITIES for each in EXPECTED[name]["snapshots"]]
    + [(name, 0) for name in COMMUNITIES],
)
async def test_a_start_from_any_stored_snapshot_or_from_none_ends_in_the_same_state(
    v1: Path, name: str, after: int
) -> None:
    path = journal_of(v1, name)
    forget_snapshots(path, after)
    async with reader_of(path) as journal:
        newest = await journal.newest_snapshot()
        assert (newest.seq if newest else 0) == after
        community = await rebuild(journal)
    assert community.entries == EXPECTED[name]["entries"] > after
    assert digest(community.snapshot()) == EXPECTED[name]["digest"]


@pytest.mark.parametrize("name", COMMUNITIES)
async def test_a_stored_snapshot_is_read_and_written_again_to_the_byte(v1: Path, name: str) -> None:
    path = journal_of(v1, name)
    for each in reversed(EXPECTED[name]["snapshots"]):
        forget_snapshots(path, each["seq"])
        async with reader_of(path) as journal:
            stored = await journal.newest_snapshot()
        assert stored is not None
        assert (stored.seq, stored.digest) == (each["seq"], each["digest"])
        assert restore(stored.state).snapshot() == stored.state
        assert digest(stored.state) == each["digest"]


@pytest.mark.parametrize("name", COMMUNITIES)
async def test_every_account_holds_what_it_held(v1: Path, name: str) -> None:
    ledger = (await rebuilt(journal_of(v1, name))).ledger
    for asset, accounts in EXPECTED[name]["balances"].items():
        found = {
            account: {"posted": ledger.posted(account, asset), "held": ledger.held(account, asset)}
            for account in accounts
        }
        assert found == accounts
        assert sum(each["posted"] for each in found.values()) == 0, "no other account has any"


@pytest.mark.parametrize("name", COMMUNITIES)
async def test_the_terms_in_force_are_those_of_the_stored_file(v1: Path, name: str) -> None:
    community = await rebuilt(journal_of(v1, name))
    source = EXPECTED[name]["source_sha256"]
    assert community.name == EXPECTED[name]["community"]
    assert community.active_terms.source.hex() == source
    assert terms_digest(v1 / name / "community.toml").hex() == source


@pytest.mark.parametrize("name", COMMUNITIES)
async def test_the_journal_is_opened_for_writing_and_nothing_in_it_changes(
    v1: Path, name: str
) -> None:
    last = EXPECTED[name]["entries"]
    journal = await open_journal(journal_of(v1, name))
    assert await journal.last_seq() == last
    await journal.close()
    assert entries_of(journal_of(v1, name), last) == entries_of(journal_of(V1, name), last)


@pytest.mark.parametrize("name", COMMUNITIES)
async def test_the_series_of_intervals_is_there_as_far_as_it_was_kept(v1: Path, name: str) -> None:
    settings = load_settings(v1 / name / "backend.toml")
    series = await open_series(settings.series)
    try:
        assert await series.applied() == EXPECTED[name]["verified"]["intervals_up_to_entry"]
        days = await series.days((-1, -1), 1000)
    finally:
        await series.close()
    stored = sum(len(day.rows) for day in days)
    assert stored == EXPECTED[name]["verified"]["intervals"]


# --- the closed month ---------------------------------------------------------------------------


async def command_of(path: Path, entry: int) -> PeriodCommand:
    """The step of a month that an entry took."""
    async with reader_of(path) as journal:
        stored = await journal.entry(entry)
    assert stored is not None
    given = parse(stored.kind, stored.input)
    assert isinstance(given, PeriodInput)
    return given.command


@pytest.mark.parametrize(("name", "step"), STEPS, ids=step_id)
async def test_the_documents_of_a_closed_month_are_made_again_to_the_byte(
    v1: Path, name: str, step: dict[str, Any]
) -> None:
    path, store = journal_of(v1, name), documents_of(v1, name)
    journaled = await command_of(path, step["entry"])
    kept = count(store, "document")
    cut(path, step["entry"] - 1)
    with Books(path, MONTH) as books:
        again = MonthClosing(books, store, step["status"]).command(lambda *_: None)
    assert again == journaled
    assert count(store, "document") == kept, "none of them is a new one"


@pytest.mark.parametrize(("name", "step"), STEPS, ids=step_id)
async def test_every_document_that_a_step_names_is_kept_and_can_be_shown(
    v1: Path, name: str, step: dict[str, Any]
) -> None:
    community = await rebuilt(journal_of(v1, name))
    journaled = await command_of(journal_of(v1, name), step["entry"])
    named = {community.members[wallet].name: sha for wallet, sha in journaled.documents}
    assert named == step["statements_sha256"]
    assert journaled.report == step["report_sha256"]
    for shas, as_form in ((named.values(), statement_as), ([journaled.report], report_as)):
        for sha in shas:
            document = read_document(documents_of(v1, name), sha)
            assert document is not None
            assert sha256(document) == sha
            assert as_form("json", document) == document
            assert as_form("csv", document)
            assert as_form("html", document)


@pytest.mark.parametrize("name", COMMUNITIES)
def test_a_members_statement_is_the_one_of_the_last_step(
    v1: Path, name: str, tmp_path: Path
) -> None:
    config, out = str(v1 / name / "backend.toml"), tmp_path / "statements"
    options = ("--format", "json", "--out", str(out), "--config", config)
    run("gridtokenx_backend", "statement", MONTH, *options)
    run("gridtokenx_backend", "report", MONTH, *options)
    newest = EXPECTED[name]["periods"][-1]
    found = {sha256(file.read_bytes()) for file in out.iterdir()}
    assert found == {*newest["statements_sha256"].values(), newest["report_sha256"]}
