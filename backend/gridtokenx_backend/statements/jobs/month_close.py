"""A period's step: makes every member's document, and the command that names them by their hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gridtokenx_backend.core.messages.period_records import FeedIn, PeriodCommand
from gridtokenx_backend.core.model.billing_periods import PeriodStatus
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.notes import correction_notes
from gridtokenx_backend.statements.documents.report import report_of
from gridtokenx_backend.statements.documents.report_totals import StatementTotals, totals_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import DocumentStore, read_document
from gridtokenx_backend.statements.model.document import (
    CorrectedDocument,
    CorrectionNote,
    canonical,
    decode,
    encode,
)

Progress = Callable[[int, int], None]
"""It is called with the number of documents that are made, and with their total."""


class MonthClosing:
    """Makes the documents of one step, and makes those again whose wallets moved meanwhile."""

    def __init__(self, books: Books, store: Path, status: PeriodStatus) -> None:
        self._books = books
        self._store = store
        self._status: PeriodStatus = status
        self._hashes: dict[str, str] = {}
        """The documents' hashes by wallet."""
        self._totals: dict[str, StatementTotals] = {}

    def command(self, progress: Progress) -> PeriodCommand:
        """Read what the journal has by now, make the documents that are due, and name them all."""
        books = self._books
        books.catch_up()
        touched = books.fold.touched
        revision = len(books.fold.steps) + 1
        due = [
            wallet
            for wallet in books.wallets
            if wallet not in self._hashes or not touched.isdisjoint(books.dependencies(wallet))
        ]
        report = self._make(due, revision, progress)
        books.fold.touched = set()
        return PeriodCommand(
            month=books.month.name,
            status=self._status,
            revision=revision,
            from_ms=books.month.from_ms,
            to_ms=books.month.to_ms,
            documents=list(self._hashes.items()),
            report=report,
            feed_in=self._feed_in(),
        )

    def _make(self, due: list[str], revision: int, progress: Progress) -> str:
        """Store the documents of the wallets that are due, and the report; return its hash."""
        last = self._books.fold.steps[-1].command if revision > 1 else None
        former = dict(last.documents) if last else {}
        with DocumentStore(self._store) as store:
            for number, wallet in enumerate(due):
                progress(number, len(due))
                self._hashes[wallet] = store.put(self._document(wallet, revision, former))
            corrects = CorrectedDocument(revision - 1, last.report) if last else None
            report = report_of(self._books, self._totals.values(), self._status, revision, corrects)
            report_hash = store.put(canonical(report))
        progress(len(due), len(due))
        return report_hash

    def _document(self, wallet: str, revision: int, former: dict[str, str]) -> bytes:
        """Return a member's document; `former` has the hashes of the revision before it."""
        data = self._books.data(wallet)
        self._totals[wallet] = totals_of(data)
        corrects, notes = None, list[CorrectionNote]()
        stored = read_document(self._store, former[wallet]) if wallet in former else None
        if stored is not None:
            corrects = CorrectedDocument(revision - 1, former[wallet])
            notes = correction_notes(decode(stored), former[wallet], data.bill.lines)
        return encode(statement_of(data, self._status, revision, corrects, notes))

    def _feed_in(self) -> list[FeedIn]:
        """Return what goes to the utility with this step."""
        books = self._books
        if self._status != "final" or not books.feeds_in:
            return []
        feed_in = []
        for address in books.wallets:
            wallet = books.fold.wallets.get(address)
            if wallet is not None and wallet.minted_uwh:
                each = FeedIn(
                    wallet=address,
                    minted_uwh=wallet.minted_by_end_uwh,
                    fed_in_uwh=books.fold.unsold_uwh(address, wallet),
                    given_later_uwh=books.fold.given_later_uwh(address),
                )
                feed_in.append(each)
        return feed_in
