"""A period's step: every member's document, kept by its hash, and the command that names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gridtokenx_backend.core.messages.period_records import ChangePeriod, FeedIn
from gridtokenx_backend.core.model.billing_periods import PeriodStatus
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.notes import notes
from gridtokenx_backend.statements.documents.report import StatementTotals, report_of, summary_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import Documents, read_document
from gridtokenx_backend.statements.model.document import (
    CorrectedDocument,
    CorrectionNote,
    canonical,
    decode,
    encode,
)

Progress = Callable[[int, int], None]


class MonthClosing:
    """Makes the documents of one step. They are made again for wallets that moved meanwhile."""

    def __init__(self, books: Books, store: Path, status: PeriodStatus) -> None:
        self._books = books
        self._store = store
        self._status = status
        self._made: dict[str, str] = {}
        self._summaries: dict[str, StatementTotals] = {}

    def command(self, progress: Progress) -> ChangePeriod:
        """Reads what the journal has by now, makes what documents are missing, and names them."""
        books = self._books
        books.catch_up()
        moved = books.fold.touched
        revision = len(books.fold.steps) + 1
        due = [
            wallet
            for wallet in books.wallets
            if wallet not in self._made or not moved.isdisjoint(books.concern(wallet))
        ]
        report = self._make(due, revision, progress)
        books.fold.touched = set()
        return ChangePeriod(
            month=books.month.name,
            status=self._status,
            revision=revision,
            from_ms=books.month.from_ms,
            to_ms=books.month.to_ms,
            documents=list(self._made.items()),
            report=report,
            feed_in=self._feed_in(),
        )

    def _make(self, due: list[str], revision: int, progress: Progress) -> str:
        """Keeps the members' documents and the report; the hash of the latter."""
        last = self._books.fold.steps[-1].command if revision > 1 else None
        former = dict(last.documents) if last else {}
        with Documents(self._store) as documents:
            for done, wallet in enumerate(due):
                progress(done, len(due))
                self._made[wallet] = documents.put(self._document(wallet, revision, former))
            corrects = CorrectedDocument(revision - 1, last.report) if last else None
            report = report_of(
                self._books, self._summaries.values(), self._status, revision, corrects
            )
            kept = documents.put(canonical(report))
        progress(len(due), len(due))
        return kept

    def _document(self, wallet: str, revision: int, former: dict[str, str]) -> bytes:
        data = self._books.data(wallet)
        self._summaries[wallet] = summary_of(data)
        corrects, found = None, list[CorrectionNote]()
        stored = read_document(self._store, former[wallet]) if wallet in former else None
        if stored is not None:
            corrects = CorrectedDocument(revision - 1, former[wallet])
            found = notes(decode(stored), former[wallet], data.bill.lines)
        return encode(statement_of(data, self._status, revision, corrects, found))

    def _feed_in(self) -> list[FeedIn]:
        books = self._books
        if self._status != "final" or not books.feeds_in:
            return []
        found = []
        for address in books.wallets:
            wallet = books.fold.wallets.get(address)
            if wallet is not None and wallet.minted_uwh:
                found.append(
                    FeedIn(
                        wallet=address,
                        minted_uwh=wallet.minted_by_end_uwh,
                        fed_in_uwh=books.fold.unsold_uwh(address, wallet),
                        given_later_uwh=books.fold.given_later_uwh(address),
                    )
                )
        return found
