"""Journals of a core that is wrong: outcomes are changed; leaves and commitments follow them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.backend.statements.month_journal import Chronicle

from gridtokenx_backend.core.messages.inputs import parse
from gridtokenx_backend.core.messages.outcomes import Outcome
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.journal.entry import Entry, decode_outcome, make_entry
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.report import report_of
from gridtokenx_backend.statements.documents.report_totals import totals_of

REPORT = "report"
Change = Callable[[Any], Any]
"""Returns the outcome that a wrong core would have made, or the same one."""
FailedCheck = tuple[str, str, str]
"""The text of a check, its left and its right amount."""


def go_wrong(chronicle: Chronicle, change: Change) -> int:
    """Change the outcomes of a chronicle that is not stored yet; return the first such entry."""
    changed: list[int] = []
    for index, entry in enumerate(chronicle.entries):
        before = decode_outcome(entry.outcome)
        after = change(before)
        if after != before:
            changed.append(entry.seq)
            chronicle.entries[index] = remade(entry, after)
    assert changed, "expected an outcome to change"
    return changed[0]


def remade(entry: Entry, outcome: Outcome) -> Entry:
    """Return the entry as the core would have journaled it with another outcome."""
    return make_entry(entry.seq, entry.at_ms, parse(entry.kind, entry.input), outcome, entry.salt)


def with_leaf(entry: Entry, movements: Sequence[Movement]) -> Entry:
    """Return the entry with other movements in its leaf than its outcome has."""
    leaf = json.loads(entry.leaf) | {"movements": msgspec.to_builtins(list(movements))}
    return entry._replace(leaf=json.dumps(leaf).encode())


def moved_more(
    movements: Sequence[Movement], asset: str, way: tuple[str, str], more: int
) -> list[Movement]:
    """Return the movements with `more` on those from one account to another."""
    changed = [
        msgspec.structs.replace(each, amount=each.amount + more)
        if (each.asset, each.debit, each.credit) == (asset, *way)
        else each
        for each in movements
    ]
    assert changed != list(movements)
    return changed


def failed_checks(chronicle: Chronicle, path: Path, month: str) -> dict[str, list[FailedCheck]]:
    """Return the checks that do not hold, by the member's name or REPORT."""
    chronicle.store(path)
    with Books(path, month) as books:
        books.catch_up()
        people = (chronicle.anna, chronicle.ben, chronicle.cleo)
        datas = {who.name: books.data(who.wallet) for who in people}
        report = report_of(books, map(totals_of, datas.values()), "open", 0)
    checks = {name: data.checks for name, data in datas.items()} | {REPORT: report.data.checks}
    return {
        name: [(each.text, each.left, each.right) for each in of_document if not each.holds]
        for name, of_document in checks.items()
    }
