"""Energy that the interval market took, and corrections that came later."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backend.statements.june import DAY_MS, JULY, JUNE, June
from tests.backend.statements.naive import money
from tests.backend.statements.period_steps import document, take

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.settlement import Correct, Deposit
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.model.document import StatementData
from gridtokenx_backend.statements.model.months import INTERVAL_MS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def june(path: Path) -> June:
    """The last day of June and the first of July, with clearings."""
    june = June()
    june.configure(interval={"enabled": True})
    june.meter_reads(june.north, "ABB-1", JUNE.to_ms - DAY_MS)
    june.meter_reads(june.south, "ABB-2", JUNE.to_ms - DAY_MS)
    june.day(JUNE, 30)
    june.day(JULY, 1)
    june.store(path)
    return june


def ben_of(june: June, path: Path) -> StatementData:
    june.store(path)
    with Books(path, "2026-06") as books:
        books.catch_up()
        return books.data(june.ben.wallet)


def test_what_a_clearing_covered_is_not_billed_by_the_utility(june: June, path: Path) -> None:
    before = ben_of(june, path)
    assert money(before.energy.covered_kwh) == 0
    covered_uwh = 0
    while (at_ms := june.community.cleared_ms) < JUNE.to_ms:
        outcome = june.apply(inputs.clearing_input(at_ms))
        assert isinstance(outcome, IntervalCleared), outcome
        covered_uwh += sum(each.amount_uwh for each in outcome.retirements)
    after = ben_of(june, path)
    assert money(after.energy.covered_kwh) * 10**9 == covered_uwh > 0
    assert money(after.bill.utility_grx) < money(before.bill.utility_grx)
    assert [check.text for check in after.checks if not check.holds] == []


def test_a_correction_becomes_a_note_and_a_posting_with_its_reason(june: June, path: Path) -> None:
    first = document(path, take(june, path, "final"), june.anna.wallet)
    noon_ms = JUNE.to_ms - DAY_MS + 11 * 3_600_000
    command = Correct(
        meter="ABB-1",
        from_ms=noon_ms,
        to_ms=noon_ms + 4 * INTERVAL_MS,
        import_uwh=10**9,
        export_uwh=3 * 10**9,
        counted_import_uwh=0,
        counted_export_uwh=2 * 10**9,
        revision=0,
        reason="a wire was loose",
    )
    outcome = june.apply(inputs.settlement_input(command))
    assert isinstance(outcome, MeterCorrected), outcome
    june.store(path)
    second = document(path, take(june, path, "revised"), june.anna.wallet)
    (block,) = second.data.meters
    assert block.quality.substitute == block.quality.revised == 4
    notes = {note.text.partition(",")[0]: note.kind for note in second.notes}
    assert notes["network and levies"] == "debit"  # one kWh more was taken
    assert second.corrects is not None
    assert second.corrects.revision == first.revision
    with Books(path, "2026-07") as books:  # minted in July, when it was corrected
        books.catch_up()
        (grid,) = [each for each in books.data(june.anna.wallet).accounts if each.asset == "GRID"]
    told = b"".join(bytes(raw) for raw in grid.postings)
    assert b"correction of ABB-1: a wire was loose" in told


def test_a_deposit_is_on_the_statement_with_its_reference(june: June, path: Path) -> None:
    deposit = Deposit(wallet=june.ben.wallet, amount_ugrx=5_000_000, reference="bank 4711")
    june.apply(inputs.settlement_input(deposit))
    june.store(path)
    with Books(path, "2026-07") as books:
        books.catch_up()
        (grx,) = [each for each in books.data(june.ben.wallet).accounts if each.asset == "GRX"]
    (posting,) = [raw for raw in grx.postings if b"deposited" in bytes(raw)]
    assert b'"about":"bank 4711"' in bytes(posting)
    assert b'"amount":"5.000000"' in bytes(posting)
