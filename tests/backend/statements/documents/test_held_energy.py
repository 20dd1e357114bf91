"""Energy that is held, on the statement of the month in which it was, and of the next."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.backend.statements.june import HOUR_MS, JULY, JUNE, ZONE
from tests.backend.statements.month_journal import Chronicle
from tests.backend.village import KWH, meter_terms

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.model.settlement import DecideHeld
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.model.document import Account, Posting, StatementData

FIRST_MS = JUNE.from_ms + 12 * HOUR_MS


def grid(data: StatementData) -> Account:
    (found,) = [each for each in data.accounts if each.asset == "GRID"]
    return found


@pytest.fixture(name="journal", scope="module")
def _journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Anna's meter shows zero first and then 3 kWh, in June; the operator decides in July."""
    village = Chronicle(community={"name": "lane", "time_zone": ZONE})
    village.configure(
        meter=[meter_terms("ABB-1", village.north, village.anna) | {"starts_at_zero": False}]
    )
    village.meter_reads(village.north, "ABB-1", FIRST_MS)
    village.meter_reads(village.north, "ABB-1", FIRST_MS + HOUR_MS, 0, 3 * KWH)
    village.meter_reads(village.north, "ABB-1", FIRST_MS + 2 * HOUR_MS, 0, KWH)
    village.at_ms = JULY.from_ms + HOUR_MS
    held = village.community.meters["ABB-1"].guard
    assert held is not None
    assert held.held is not None
    command = DecideHeld(
        meter="ABB-1", entry=held.held.entry, steps=1, decision="void", reason="power cut"
    )
    assert isinstance(village.apply(settlement_input(command)), HeldDecided)
    return village.store(tmp_path_factory.mktemp("held") / "journal.db")


def test_what_is_held_at_the_months_end_is_shown_and_in_no_balance(journal: Path) -> None:
    wallet = Chronicle().anna.wallet
    with Books(journal, "2026-06") as books:
        books.catch_up()
        june = grid(books.data(wallet))
    assert (june.closing, june.pending) == ("0.000000000", "4.000000000")
    with Books(journal, "2026-07") as books:
        books.catch_up()
        july = grid(books.data(wallet))
        (posting,) = [msgspec.json.decode(raw, type=Posting) for raw in july.postings]
    assert (july.closing, july.pending) == ("1.000000000", msgspec.UNSET)
    assert (posting.kind, posting.about) == ("minted", "held energy of ABB-1: power cut")


def test_a_statement_of_before_says_nothing_of_it(journal: Path) -> None:
    with Books(journal, "2026-06") as books:
        books.catch_up()
        ben = grid(books.data(Chronicle().ben.wallet))
    assert b"pending" not in msgspec.json.encode(ben)
