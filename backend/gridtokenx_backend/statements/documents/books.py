"""A month's books: one pass over the journal, and from it the statement of any member."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.errors import OperatorError
from gridtokenx_backend.statements.documents.allocation_pairs import PairSums
from gridtokenx_backend.statements.documents.statement import BilledMember, data_of
from gridtokenx_backend.statements.fold.allocations import EVERYBODY
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.journal_rows import JournalRow, JournalRows
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.roster import Roster
from gridtokenx_backend.statements.fold.spool import Spool
from gridtokenx_backend.statements.model.document import StatementData
from gridtokenx_backend.statements.model.months import parse_month

PROGRESS_EVERY = 5_000


class NoBooks(OperatorError):
    """There is no such month, or no community yet."""


class NoSuchMonth(NoBooks):
    """There is no such month. The text names no file, so whoever asked may read it."""


class Books:
    """The books of a month, made from the journal at `path` without changing anything."""

    def __init__(self, path: Path, month: str, only: Container[str] | None = None) -> None:
        """Open the journal. Raises JournalUnavailable, and NoBooks.

        `only` are the wallets whose trades and postings are kept; None keeps those of all.
        """
        self._rows = JournalRows(path)
        history = self._rows.terms()
        if not history:
            self._rows.close()
            raise NoBooks(f"{path}: expected a journal with terms, found none")
        try:
            self.month = parse_month(month, history[-1].terms.community.time_zone)
        except ValueError as error:
            self._rows.close()
            raise NoSuchMonth(str(error)) from None
        newest_ms = self._rows.last_at_ms()
        if not (history[0].at_ms < self.month.to_ms and self.month.from_ms <= newest_ms):
            self._rows.close()
            raise NoSuchMonth(f"expected a month of the community's time so far, got {month}")
        self.roster = Roster(history, self.month)
        self._spool = Spool()
        self.fold = MonthFold(self.month, self._spool, only)
        self._pairs = PairSums(self.fold.allocations)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spool.close()
        self._rows.close()

    @property
    def community(self) -> str:
        """The community's name."""
        return self.roster.newest.community.name

    def newest_step(self) -> PeriodCommand | None:
        """Return the month's last step, whose documents are stored; None while it is open."""
        return self._rows.newest_step(self.month.name)

    @property
    def feeds_in(self) -> bool:
        """Whether unsold surplus goes to the utility when the month is final."""
        return self.roster.newest.settlement.feed_in_unsold

    @property
    def wallets(self) -> list[str]:
        """The wallets of the members who get a statement."""
        return list(self.roster.names)

    def catch_up(self, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Read all that is journaled by now, from where the last call stopped.

        `progress` is called with the number of entries that are read, and with their total.
        Afterwards `fold.touched` names the accounts and meters that entries concerned.
        """
        last = self._rows.last_seq()
        self._pairs = PairSums(self.fold.allocations)
        self.fold.add_all(_reporting(self._rows.rows(self.fold.seq, last), last, progress))
        progress(last, last)

    def data(self, wallet: str) -> StatementData:
        """Return what the month was for a member. Raises KeyError for other wallets."""
        member = BilledMember(
            name=self.roster.names[wallet],
            wallet=wallet,
            plan=self.roster.plan(wallet),
            meters=self.metered(wallet),
            feeds_in=self.feeds_in,
            sharing=self.roster.newest.sharing,
        )
        return data_of(self.fold, member, self.community, self._spool, self._pairs)

    def dependencies(self, wallet: str) -> set[str]:
        """Return what changes a member's statement if it is in `fold.touched`."""
        meters = [span.meter for span in self.roster.spans.get(wallet, [])]
        return {wallet, EVERYBODY, *meters}

    def metered(self, wallet: str) -> list[MeteredSpan]:
        """Return the member's metering points with their intervals."""
        meters = self.fold.meters
        return [
            MeteredSpan(span, meters.get(span.meter)) for span in self.roster.spans.get(wallet, [])
        ]


def _reporting(
    rows: Iterator[JournalRow], total: int, progress: Callable[[int, int], None]
) -> Iterator[JournalRow]:
    """Yield the rows, and call `progress` from time to time."""
    for row in rows:
        if row.seq % PROGRESS_EVERY == 0:
            progress(row.seq, total)
        yield row
