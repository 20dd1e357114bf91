"""Reads what statements need of a journal, beside a running backend, one row at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import msgspec

from gridtokenx_backend.core.messages.inputs import ConfigureInput, PeriodInput, parse
from gridtokenx_backend.core.messages.period_records import ChangePeriod
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.sqlite_journal import check_schema

_READ = 1000
_WITH_INPUT = ("configure", "period", "settlement", "grid_data")
"""Kinds whose input says what their outcome does not."""


class JournalRow(NamedTuple):
    """`given` is empty for kinds whose input is not needed; both are None where erased."""

    seq: int
    at_ms: int
    kind: str
    leaf: bytes
    given: bytes | None
    outcome: bytes | None


class DatedTerms(NamedTuple):
    """Terms and the time from which they are in force."""

    at_ms: int
    terms: CommunityTerms


def terms_of(given: bytes) -> CommunityTerms:
    """The terms that an entry put into force."""
    configured = parse("configure", given)
    assert isinstance(configured, ConfigureInput)
    return configured.terms


class JournalRows:
    """A connection of its own; only what is committed is seen."""

    def __init__(self, path: Path) -> None:
        """Raises JournalUnavailable."""
        self._path = path
        try:
            self._db = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5, check_same_thread=False
            )
            check_schema(self._db)
            self.last_seq()
        except sqlite3.Error as error:
            raise JournalUnavailable(f"{path}: expected a journal: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def last_seq(self) -> int:
        (newest,) = self._db.execute("SELECT max(seq) FROM journal").fetchone()
        return newest or 0

    def last_at_ms(self) -> int:
        """The time of the newest entry; 0 without one."""
        found = self._read("SELECT at_ms FROM journal ORDER BY seq DESC LIMIT 1", ())
        return int(found[0][0]) if found else 0

    def terms(self) -> list[DatedTerms]:
        """All terms that were ever in force, oldest first."""
        query = "SELECT at_ms, input FROM journal WHERE kind = 'configure' ORDER BY seq"
        found = []
        for at_ms, given in self._read(query, ()):
            if given is not None:
                found.append(DatedTerms(at_ms, terms_of(given)))
        return found

    def newest_step(self, month: str) -> ChangePeriod | None:
        """The month's last step; None while it is open."""
        query = "SELECT input FROM journal WHERE kind = 'period' ORDER BY seq DESC"
        for (given,) in self._read(query, ()):
            step = parse("period", given)
            assert isinstance(step, PeriodInput)
            if step.command.month == month:
                return step.command
        return None

    def rows(self, after: int, until: int) -> Iterator[JournalRow]:
        """The entries with numbers in (after, until], in order."""
        wanted = ",".join(f"'{kind}'" for kind in _WITH_INPUT)
        query = (
            f"SELECT seq, at_ms, kind, leaf, CASE WHEN kind IN ({wanted}) THEN input ELSE x'' END,"  # noqa: S608
            " outcome FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        )
        while rows := self._read(query, (after, until, _READ)):
            yield from (JournalRow(*row) for row in rows)
            after = rows[-1][0]

    def _read(self, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise JournalUnavailable(f"{self._path}: {error}") from None
