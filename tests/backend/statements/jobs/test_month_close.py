"""Closing a month: what is kept, what leaves for the utility, and what a correction becomes."""

from __future__ import annotations

import sqlite3
import zlib
from fractions import Fraction
from pathlib import Path

import pytest
from tests.backend.statements.june import JULY, JUNE, June, journaled
from tests.backend.statements.month_journal import TARIFF
from tests.backend.statements.naive import kwh, money
from tests.backend.statements.period_steps import document, store_of, take

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import NotJournaled
from gridtokenx_backend.core.messages.period_records import PeriodRefusal, PeriodRefused
from gridtokenx_backend.core.model.ledger import FED_IN, GRID
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import DocumentStore, read_document
from gridtokenx_backend.statements.jobs.month_close import MonthClosing
from gridtokenx_backend.statements.model.document import Statement, canonical, encode, sha256

EVERYONE = ("anna", "ben", "cleo")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def june(path: Path) -> June:
    """Two days of June, one of July."""
    return journaled(path, 2, 1)


def test_the_final_document_is_the_preview_but_for_its_status(june: June, path: Path) -> None:
    with Books(path, "2026-06") as books:
        books.catch_up()
        previews = {wallet: books.data(wallet) for wallet in books.wallets}
    command = take(june, path, "final")
    assert len(command.documents) == 3
    for wallet, data in previews.items():
        final = document(path, command, wallet)
        assert canonical(final.data) == canonical(data)
        preview = statement_of(data, "open", 0)
        assert final.data_sha256 == preview.data_sha256
        assert (final.status, final.revision) == ("final", 1)


def test_surplus_that_is_paid_for_has_left_the_wallet(june: June, path: Path) -> None:
    command = take(june, path, "final")
    statement = document(path, command, june.anna.wallet)
    (line,) = [line for line in statement.data.bill.lines if line.group == "feed_in"]
    fed_in_uwh = june.balance(FED_IN, GRID)[0]
    assert fed_in_uwh > 0
    assert money(line.quantity_kwh) == kwh(fed_in_uwh)


def test_a_document_made_after_the_step_has_the_same_surplus(june: June, path: Path) -> None:
    final = document(path, take(june, path, "final"), june.anna.wallet)
    june.day(JULY, 2)  # trading goes on
    june.store(path)
    revised = document(path, take(june, path, "revised"), june.anna.wallet)
    assert canonical(revised.data) == canonical(final.data)
    assert revised.notes == []
    assert revised.corrects is not None
    assert revised.corrects.sha256 == sha256(encode(final))


def test_a_revision_has_credit_and_debit_notes_that_name_what_they_correct(
    june: June, path: Path
) -> None:
    first = document(path, take(june, path, "final"), june.ben.wallet)
    cheaper = {**TARIFF, "energy_grx_per_kwh": "0.29", "fixed_grx_per_month": "5"}
    june.configure(tariff=[cheaper])
    june.store(path)
    second = document(path, take(june, path, "revised"), june.ben.wallet)
    assert (second.status, second.revision) == ("revised", 2)
    notes = {note.text: note for note in second.notes}
    assert set(notes) == {"energy, other times", "basic fee, a month"}
    fee, energy = notes["basic fee, a month"], notes["energy, other times"]
    assert (energy.kind, money(energy.amount_grx)) == ("credit", cost(first) - cost(second))
    assert (fee.kind, money(fee.amount_grx)) == ("debit", Fraction(1, 2))
    assert {note.corrects_sha256 for note in second.notes} == {sha256(encode(first))}
    change = money(second.data.bill.total_grx) - money(first.data.bill.total_grx)
    signed = [money(n.amount_grx) * (1 if n.kind == "debit" else -1) for n in second.notes]
    assert sum(signed) == change


def cost(statement: Statement) -> Fraction:
    """Of the energy outside of the night."""
    lines = {line.text: line for line in statement.data.bill.lines}
    return money(lines["energy, other times"].amount_grx)


def test_no_revision_is_overwritten(june: June, path: Path) -> None:
    commands = [take(june, path, status) for status in ("provisional", "provisional", "final")]
    for revision, command in enumerate(commands, 1):
        statement = document(path, command, june.ben.wallet)
        assert statement.revision == command.revision == revision
    with Books(path, "2026-06") as books:
        books.catch_up()
        assert [step.command for step in books.fold.steps] == commands


def test_what_was_sold_while_documents_were_made_is_made_again(june: June, path: Path) -> None:
    with Books(path, "2026-06") as books:
        closing = MonthClosing(books, store_of(path), "final")
        early = closing.command(lambda *_: None)
        june.trade(9)
        june.store(path)
        stale = june.apply(inputs.period_input(early))
        assert isinstance(stale, PeriodRefused)
        assert stale.reason is PeriodRefusal.STALE
        made: list[int] = []
        late = closing.command(lambda _, total: made.append(total))
    assert not isinstance(june.apply(inputs.period_input(late)), NotJournaled)
    changed = set(dict(early.documents).items()) ^ set(dict(late.documents).items())
    assert june.anna.wallet in {wallet for wallet, _ in changed}
    assert set(made) == {3}  # all three traded


def test_unsold_surplus_stays_where_the_terms_say_so(path: Path) -> None:
    june = June()
    june.configure(settlement={"feed_in_unsold": False})
    june.begin()
    june.day(JUNE, 1)
    june.at_ms = JUNE.to_ms
    june.tick()
    june.store(path)
    before = june.grid(june.anna)
    command = take(june, path, "final")
    assert command.feed_in == []
    assert june.grid(june.anna) == before
    statement = document(path, command, june.anna.wallet)
    assert [line for line in statement.data.bill.lines if line.group == "feed_in"] == []


def test_a_stored_document_that_was_changed_is_not_given_out(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    with DocumentStore(path) as documents:
        name = documents.put(b"a document")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_document(path, name) == b"a document"
    assert read_document(path, "0" * 64) is None
    with sqlite3.connect(path) as db:
        db.execute("UPDATE document SET packed = ?", (zlib.compress(b"another"),))
    db.close()
    with pytest.raises(CannotStart, match="was changed"):
        read_document(path, name)


def test_documents_of_a_step_that_failed_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    names = []

    def fail() -> None:
        with DocumentStore(path) as documents:
            names.append(documents.put(b"a document"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert read_document(path, names[0]) is None
