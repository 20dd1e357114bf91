"""Reads what statements need of a journal, beside a running backend, one row at a time."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from gridtokenx_backend.core.messages.inputs import ConfigurationInput, PeriodInput, parse
from gridtokenx_backend.core.messages.outcomes import Outcome, Trade, trades_of
from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.journal.entry import decode_leaf, decode_outcome
from gridtokenx_backend.journal.sqlite_journal import check_schema

_ROWS_AT_ONCE = 1000
KINDS_WITH_INPUT = ("configure", "period", "settlement", "grid_data")
"""Kinds of entries whose input says what their outcome does not."""


class JournalRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An entry as it is stored, but for a time that was wrong.

    `at_ms` is never after the time to which the operator set the community back later: an entry
    that a wrong clock dated belongs to the month in which the mistake ended.
    `input` is empty for kinds whose input is not needed; it and `outcome` are None where the
    private part was erased.
    """

    seq: int
    at_ms: int
    kind: str
    leaf: bytes
    input: bytes | None
    outcome: bytes | None


class DecodedRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The same entry with rules and movements of its leaf; outcome and trades if not erased."""

    seq: int
    at_ms: int
    kind: str
    rules: int
    movements: Sequence[Movement]
    input: bytes | None
    outcome: Outcome | None
    trades: Sequence[Trade]


class DatedTerms(msgspec.Struct, frozen=True):
    """Terms and the time from which they are in force."""

    at_ms: int
    terms: CommunityTerms


def decode_row(row: JournalRow) -> DecodedRow:
    """Return the content of an entry."""
    outcome = decode_outcome(row.outcome) if row.outcome is not None else None
    leaf = decode_leaf(row.leaf)
    return DecodedRow(
        seq=row.seq,
        at_ms=row.at_ms,
        kind=row.kind,
        rules=leaf.rules,
        movements=leaf.movements,
        input=row.input,
        outcome=outcome,
        trades=trades_of(outcome) if outcome is not None else (),
    )


def terms_of(configuration: bytes) -> CommunityTerms:
    """Return the terms that the input of a `configure` entry put into force."""
    configured = parse("configure", configuration)
    assert isinstance(configured, ConfigurationInput)
    return configured.terms


class _CorrectedTimes:
    """The times of entries, bounded by those to which the operator set the community back later."""

    def __init__(self, confirmed: Sequence[tuple[int, int]]) -> None:
        """Take the entries of the operator's word on the time, (seq, at_ms), oldest first."""
        self._seqs = [seq for seq, _ in confirmed]
        latest = list(accumulate(reversed([at_ms for _, at_ms in confirmed]), min))
        self._latest_ms = latest[::-1]

    def at(self, seq: int, at_ms: int) -> int:
        """Return when an entry was really made, as far as that is known."""
        index = bisect_right(self._seqs, seq)
        return min(at_ms, self._latest_ms[index]) if index < len(self._seqs) else at_ms


class JournalRows:
    """A connection of its own, which sees only what is committed."""

    def __init__(self, path: Path) -> None:
        """Open the journal for reading. Raises JournalUnavailable."""
        self._path = path
        try:
            self._db = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5, check_same_thread=False
            )
            check_schema(self._db)
            self.last_seq()
        except sqlite3.Error as error:
            raise JournalUnavailable(f"{path}: expected a journal: {error}") from None

    def close(self) -> None:
        self._db.close()

    def last_seq(self) -> int:
        """Return the number of the newest entry; 0 without one."""
        (newest,) = self._db.execute("SELECT max(seq) FROM journal").fetchone()
        return newest or 0

    def last_at_ms(self) -> int:
        """Return the time of the newest entry; 0 without one."""
        newest = self._read("SELECT at_ms FROM journal ORDER BY seq DESC LIMIT 1", ())
        return int(newest[0][0]) if newest else 0

    def _corrected(self) -> _CorrectedTimes:
        query = "SELECT seq, at_ms FROM journal WHERE kind = 'clock' ORDER BY seq"
        return _CorrectedTimes(self._read(query, ()))

    def terms(self) -> list[DatedTerms]:
        """Return all terms that were ever in force, oldest first."""
        query = "SELECT seq, at_ms, input FROM journal WHERE kind = 'configure' ORDER BY seq"
        corrected = self._corrected()
        return [
            DatedTerms(corrected.at(seq, at_ms), terms_of(configuration))
            for seq, at_ms, configuration in self._read(query, ())
            if configuration is not None
        ]

    def newest_step(self, month: str) -> PeriodCommand | None:
        """Return the month's last step; None while the month is open."""
        query = "SELECT input FROM journal WHERE kind = 'period' ORDER BY seq DESC"
        for (command,) in self._read(query, ()):
            step = parse("period", command)
            assert isinstance(step, PeriodInput)
            if step.command.month == month:
                return step.command
        return None

    def rows(self, after: int, until: int) -> Iterator[JournalRow]:
        """Yield the entries with numbers in (after, until], in order."""
        kinds = ",".join(f"'{kind}'" for kind in KINDS_WITH_INPUT)
        query = (
            f"SELECT seq, at_ms, kind, leaf, CASE WHEN kind IN ({kinds}) THEN input ELSE x'' END,"  # noqa: S608
            " outcome FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        )
        corrected = self._corrected()
        while rows := self._read(query, (after, until, _ROWS_AT_ONCE)):
            for seq, at_ms, kind, leaf, command, outcome in rows:
                yield JournalRow(
                    seq=seq,
                    at_ms=corrected.at(seq, at_ms),
                    kind=kind,
                    leaf=leaf,
                    input=command,
                    outcome=outcome,
                )
            after = rows[-1][0]

    def _read(self, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise JournalUnavailable(f"{self._path}: {error}") from None
