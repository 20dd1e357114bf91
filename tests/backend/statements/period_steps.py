"""Takes the steps of a period in the core of a made-up June, without a server."""

from __future__ import annotations

from pathlib import Path

from tests.backend.statements.june import June

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.period_records import PeriodChanged, PeriodCommand
from gridtokenx_backend.core.model.billing_periods import PeriodStatus
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.jobs.month_close import MonthClosing
from gridtokenx_backend.statements.model.document import Statement, decode


def take(june: June, journal: Path, status: PeriodStatus, month: str = "2026-06") -> PeriodCommand:
    """Make the documents beside the journal, and journal the step."""
    with Books(journal, month) as books:
        command = MonthClosing(books, store_of(journal), status).command(lambda *_: None)
    outcome = june.apply(inputs.period_input(command))
    assert isinstance(outcome, PeriodChanged), outcome
    june.store(journal)
    return command


def store_of(journal: Path) -> Path:
    return journal.with_name("documents.db")


def document(journal: Path, command: PeriodCommand, wallet: str) -> Statement:
    stored = read_document(store_of(journal), dict(command.documents)[wallet])
    assert stored is not None
    return decode(stored)
