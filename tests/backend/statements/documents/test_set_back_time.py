"""A month in which the server's clock was wrong: what it dated wrongly counts when that ended."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.backend.statements.june import DAY_MS, JUNE, June
from tests.backend.statements.naive import money

from gridtokenx_backend.core.messages.clock_records import ClockCommand
from gridtokenx_backend.core.messages.inputs import clock_input, settlement_input
from gridtokenx_backend.core.model.settlement import Deposit
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.model.document import Posting


@pytest.mark.parametrize("ahead_ms", [40 * DAY_MS, 3650 * DAY_MS])
def test_a_deposit_of_the_wrong_time_is_on_the_statement_of_the_month_that_it_was_in(
    tmp_path: Path, ahead_ms: int
) -> None:
    june = June()
    june.begin()
    right_ms = june.at_ms = JUNE.from_ms + DAY_MS
    june.at_ms = right_ms + ahead_ms
    deposit = Deposit(wallet=june.ben.wallet, amount_ugrx=7_000_000, reference="SEPA 1")
    june.apply(settlement_input(deposit))
    june.configure(oracle={"future_tolerance_s": 30})
    june.at_ms = right_ms + 1000
    word = ClockCommand(time_ms=june.at_ms, reason="the clock was wrong")
    june.apply(clock_input(word))
    path = june.store(tmp_path / "journal.db")
    with Books(path, "2026-06") as books:
        books.catch_up()
        data = books.data(june.ben.wallet)
    grx = next(account for account in data.accounts if account.asset == "GRX")
    postings = [msgspec.json.decode(each, type=Posting) for each in grx.postings]
    (posting,) = [each for each in postings if each.kind == "deposited"]
    assert posting.time_ms == right_ms + 1000
    assert money(posting.amount) == money("7")
    assert [check.text for check in data.checks if not check.holds] == []
