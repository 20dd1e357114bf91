"""Statements of a community that shares are compared with a second computation."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import pytest
from tests.backend.statements import naive_sharing as naive
from tests.backend.statements.naive import Moved, kwh, money
from tests.backend.statements.period_steps import document, take
from tests.backend.statements.shared_month import (
    FLAT_B,
    FLAT_C,
    PLANT,
    WH,
    Energies,
    SharedMonth,
    key,
    local_ms,
    statements,
)

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.model.document import canonical, encode
from gridtokenx_backend.statements.render.forms import report_as, statement_as

EVENING_MS = local_ms("2026-06-15T21:00")
PRICE = Fraction(12, 100)
QUARTERS: list[tuple[int, int, int]] = [
    (600, 300, 900),
    (1000, 100, 100),
    (0, 500, 400),
    (333, 200, 401),
    (700, 100, 1300),  # from 22 o'clock on the utility's night price holds
    (500, 250, 0),
]
SHARES = {FLAT_B: Fraction(40), FLAT_C: Fraction(45)}
STATIC = key("static", shares_percent={FLAT_B: "40", FLAT_C: "45"})


def naive_received(mode: str) -> list[dict[str, int]]:
    """By interval, what each flat gets."""
    found = []
    for made, used_b, used_c in QUARTERS:
        used = {FLAT_B: used_b * WH, FLAT_C: used_c * WH}
        is_static = mode == "static"
        found.append(
            naive.static(made * WH, used, SHARES) if is_static else naive.dynamic(made * WH, used)
        )
    return found


def shared(mode: str, quarters: Iterable[Energies] = QUARTERS, **sharing: str) -> SharedMonth:
    village = SharedMonth(EVENING_MS, [STATIC if mode == "static" else key(mode)], **sharing)
    for energies in quarters:
        village.quarter(*energies)
    return village


def imported() -> SharedMonth:
    """The same as `dynamic`, but by the grid operator's file, which comes at the end."""
    village = shared("imported")
    rows = naive_received("dynamic")
    village.operator_says(
        a=(FLAT_B, "received", [row[FLAT_B] // WH for row in rows]),
        b=(FLAT_C, "received", [row[FLAT_C] // WH for row in rows]),
        c=(FLAT_B, "consumption", [used for _, used, _ in QUARTERS]),
        d=(FLAT_C, "consumption", [used for _, _, used in QUARTERS]),
        e=(PLANT, "generation", [made for made, _, _ in QUARTERS]),
    )
    village.quarter(0, 0, 0)
    return village


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_statement_is_what_a_second_computation_gives(mode: str, tmp_path: Path) -> None:
    found, report = statements(shared(mode), tmp_path / "journal.db")
    received = naive_received(mode)
    costs = {}
    for name, meter, column in (("ben", FLAT_B, 1), ("cleo", FLAT_C, 2)):
        data = found[name]
        lines = {line.text: line for line in data.bill.lines}
        got_uwh = [row[meter] for row in received]
        costs[name] = sum((naive.cost(uwh, PRICE) for uwh in got_uwh), Fraction(0))
        line = lines["energy received by the key"]
        assert money(line.quantity_kwh) == kwh(sum(got_uwh))
        assert money(line.amount_grx) == costs[name]
        left = [row[column] * WH - got for row, got in zip(QUARTERS, got_uwh, strict=True)]
        dear, cheap = kwh(sum(left[:4])), kwh(sum(left[4:]))
        assert money(lines["energy, other times"].amount_grx) == naive.rounded(dear * 3 / 10)
        assert money(lines["energy, night"].amount_grx) == naive.rounded(cheap * 2 / 10)
        assert money(data.energy.residual_kwh) == dear + cheap
    anna = {line.text: line for line in found["anna"].bill.lines}
    made_uwh = sum(made for made, _, _ in QUARTERS) * WH
    given_uwh = sum(sum(row.values()) for row in received)
    assert money(anna["energy given by the key"].amount_grx) == -sum(costs.values())
    assert money(anna["energy given by the key"].quantity_kwh) == kwh(given_uwh)
    surplus = anna["surplus that no member used"]
    assert money(surplus.quantity_kwh) == kwh(made_uwh - given_uwh)
    assert money(surplus.amount_grx) == -naive.rounded(kwh(made_uwh - given_uwh) * 7 / 100)
    assert money(report.data.energy["received_kwh"]) == kwh(given_uwh)
    assert report.data.sharing is not None
    assert money(report.data.sharing.cost_grx) == sum(costs.values())


def test_every_line_names_the_entry_that_allocated_it(tmp_path: Path) -> None:
    village = shared("static")
    data = statements(village, tmp_path / "journal.db")[0]["ben"]
    assert data.allocation is not None
    clearings = {
        EVENING_MS + number * INTERVAL_MS: entry.seq
        for number, entry in enumerate(each for each in village.entries if each.kind == "clear")
    }
    received = naive_received("static")
    lines = data.allocation.lines
    assert [(line.time_ms, line.entry, money(line.energy_kwh)) for line in lines] == [
        (at_ms, entry, kwh(row[FLAT_B]))
        for (at_ms, entry), row in zip(clearings.items(), received, strict=True)
        if row[FLAT_B]
    ]
    (used,) = data.allocation.keys
    assert (used.version, used.mode, used.valid_from) == (1, "static", "2026-01-01T00:00:00Z")
    assert used.intervals == len(QUARTERS) == data.allocation.slots.measured
    assert data.allocation.slots.missing == village.month.intervals - len(QUARTERS)


def test_what_the_grid_operator_allocates_is_billed_and_compared(tmp_path: Path) -> None:
    found, _ = statements(imported(), tmp_path / "journal.db")
    by_key, _ = statements(shared("dynamic"), tmp_path / "dynamic.db")
    received = naive_received("dynamic")
    for name, meter in (("ben", FLAT_B), ("cleo", FLAT_C)):
        lines = {line.text: line for line in found[name].bill.lines}
        told_uwh = sum(row[meter] // WH * WH for row in received)  # the file is in Wh
        assert money(lines["energy received by the key"].quantity_kwh) == kwh(told_uwh)
        (both,) = found[name].reconciliation
        assert (both.direction, both.intervals, both.difference_kwh) == ("import", 6, "0.000000000")
        assert both.only_gateway == 1  # the last quarter of an hour is not in the file
        assert found[name].energy.import_kwh == by_key[name].energy.import_kwh


def test_where_the_operator_measured_more_it_is_the_operators_figure_that_is_billed(
    tmp_path: Path,
) -> None:
    village = shared("imported", [(1000, 400, 0)])
    village.operator_says(
        a=(FLAT_B, "received", [450]),
        b=(FLAT_B, "consumption", [600]),
        c=(FLAT_C, "received", [0]),
        d=(PLANT, "generation", [900]),
    )
    village.quarter(0, 0, 0)
    found, _ = statements(village, tmp_path / "journal.db")
    ben, anna = found["ben"], found["anna"]
    assert (money(ben.energy.import_kwh), money(ben.energy.residual_kwh)) == (
        Fraction(6, 10),
        Fraction(15, 100),
    )
    assert money(ben.reconciliation[0].difference_kwh) == -Fraction(2, 10)
    assert money(anna.energy.surplus_kwh) == Fraction(45, 100)
    assert money(anna.reconciliation[0].difference_kwh) == Fraction(1, 10)
    assert ben.reconciliation[0].first_entry == anna.reconciliation[0].last_entry > 0


# Missing, late, corrected ------------------------------------------------------------------------


def test_a_missing_meter_is_held_for_and_never_billed_as_zero(tmp_path: Path) -> None:
    village = shared("static", [(600, 200, 300), (600, 200, None)])
    found, report = statements(village, tmp_path / "journal.db")
    cleo, anna = found["cleo"].allocation, found["anna"].allocation
    assert cleo is not None
    assert anna is not None
    assert cleo.unknown == 1
    assert [(line.side, line.energy_kwh) for line in cleo.lines] == [
        ("received", "0.270000000"),
        ("received", ""),
        ("given", ""),  # whether it made anything is not known either
    ]
    assert {line.quality for line in cleo.lines[1:]} == {"provisional"}
    assert (cleo.slots.measured, cleo.slots.provisional) == (1, 1)
    assert money(anna.held_kwh) == Fraction(270, 1000)
    made, given, held = Fraction(12, 10), Fraction(67, 100), Fraction(27, 100)
    assert money(found["anna"].energy.surplus_kwh) == made - given - held
    assert report.data.sharing is not None
    assert report.data.sharing.slots.provisional == 1


def test_a_late_meter_after_provisional_becomes_notes_that_name_what_they_correct(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    village = SharedMonth(local_ms("2026-06-30T23:30"), [key("dynamic")])
    village.quarter(600, 200, None)
    village.quarter(0, 0, None)
    early = next(each.seq for each in village.entries if each.kind == "clear")
    village.store(path)
    before = document(path, take(village, path, "provisional"), village.ben.wallet)
    village.read(FLAT_C, 1, 400)
    village.read(FLAT_C, 2)
    village.quarter(0, 0, 0)
    village.store(path)
    after = document(path, take(village, path, "provisional"), village.ben.wallet)
    assert before.data.allocation is not None
    assert after.data.allocation is not None
    assert [line.revision for line in before.data.allocation.lines] == [0]
    line = after.data.allocation.lines[0]
    assert (line.energy_kwh, line.quality) == ("0.200000000", "measured")
    assert (line.revision, line.corrects) == (1, early)
    notes = {note.text.partition(",")[0]: note for note in after.notes}
    got = naive.cost(200 * WH, PRICE) - money(before.data.allocation.cost_grx)
    assert got > 0
    assert money(notes["energy received by the key"].amount_grx) == got
    assert notes["energy received by the key"].kind == "debit"
    assert notes["energy"].kind == "credit"
    assert after.corrects is not None
    assert [check for check in after.data.checks if not check.holds] == []


@pytest.mark.parametrize("settle", ["statement", "grx"])
def test_a_correction_after_final_is_a_revised_document_with_notes(
    settle: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    begin_ms = local_ms("2026-06-30T22:00")
    village = SharedMonth(begin_ms, [key("dynamic")], settle=settle)
    for _ in range(8):
        village.quarter(600, 300, 300)
    village.quarter(500, 100, 100)  # the first of July
    village.store(path)
    final = document(path, take(village, path, "final"), village.anna.wallet)
    assert village.balance("community:fed-in", "GRID")[0] == 0
    wrong = Correct(FLAT_B, begin_ms, begin_ms + INTERVAL_MS, 100 * WH, 0, 300 * WH, 0, 0, "wired")
    assert isinstance(village.apply(inputs.settlement_input(wrong)), MeterCorrected)
    village.quarter(500, 100, 100)
    village.store(path)
    step = take(village, path, "revised")
    revised = {
        name: document(path, step, who.wallet)
        for name, who in (("anna", village.anna), ("ben", village.ben), ("cleo", village.cleo))
    }
    amount = naive.cost(200 * WH, PRICE)
    for name, kind in (("anna", "debit"), ("ben", "credit")):
        notes = {note.text.partition(",")[0]: note for note in revised[name].notes}
        line = "energy given by the key" if name == "anna" else "energy received by the key"
        assert (notes[line].kind, money(notes[line].amount_grx)) == (kind, amount)
    assert revised["cleo"].notes == []
    assert revised["anna"].data.energy.surplus_kwh == "0.200000000"
    assert final.data.energy.surplus_kwh == "0.000000000"
    allocation = revised["ben"].data.allocation
    assert allocation is not None
    (line_again,) = [each for each in allocation.lines if each.revision]
    clearings = [each.seq for each in village.entries if each.kind == "clear"]
    assert (line_again.entry, line_again.corrects) == (clearings[-1], clearings[0])
    paid = naive.cost(2200 * WH, PRICE) if settle == "grx" else Fraction(0)
    assert money(revised["ben"].data.bill.shared_paid_grx) == paid
    for each in revised.values():
        assert [check for check in each.data.checks if not check.holds] == []


def test_surplus_leaves_for_the_utility_with_the_month_that_made_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    village = SharedMonth(local_ms("2026-06-30T23:30"), [key("dynamic")])
    village.quarter(900, 100, 100)
    village.quarter(0, 0, 0)
    village.quarter(500, 200, 300)  # July gives all that it makes
    village.store(path)
    final = document(path, take(village, path, "final"), village.anna.wallet)
    assert village.balance("community:fed-in", "GRID")[0] == 700 * WH
    assert final.data.energy.surplus_kwh == final.data.energy.unsold_kwh == "0.700000000"


def test_what_waits_to_be_minted_is_told_and_the_sums_agree_all_the_same(tmp_path: Path) -> None:
    """The grid operator knows what the plant made; without its gateway nothing is minted."""
    village = shared("imported", [(None, 400, 0)])
    village.operator_says(
        a=(FLAT_B, "received", [400]),
        b=(FLAT_C, "received", [0]),
        c=(PLANT, "generation", [900]),
    )
    village.quarter(None, 0, 0)
    found, report = statements(village, tmp_path / "journal.db")
    ben = found["ben"]
    assert ben.allocation is not None
    assert (ben.allocation.waiting_kwh, ben.energy.received_kwh) == ("0.400000000", "0.400000000")
    assert report.data.sharing is not None
    assert report.data.sharing.waiting_kwh == "0.400000000"
    assert village.balance("community:retired", "GRID")[0] == 0
    village.read(PLANT, 1, 900)
    village.quarter(0, 0, 0)
    found, report = statements(village, tmp_path / "journal.db")
    assert report.data.sharing is not None
    assert report.data.sharing.waiting_kwh == "0.000000000"
    assert "received by the key = GRID retired for it" in [
        each.text for each in found["ben"].checks
    ]


# Money on the ledger -----------------------------------------------------------------------------


def test_what_was_paid_on_the_ledger_is_told_apart_from_what_is_owed(tmp_path: Path) -> None:
    found, report = statements(shared("dynamic", settle="grx"), tmp_path / "journal.db")
    for data in found.values():
        assert data.bill.shared_paid_grx == data.bill.shared_grx != "0.000000"
    (grx,) = [each for each in found["ben"].accounts if each.asset == "GRX"]
    assert [each.kind for each in grx.sums] == ["opening_balance", "paid_for_shared"]
    assert report.data.sharing is not None
    assert report.data.sharing.paid_grx == report.data.sharing.cost_grx
    owed, _ = statements(shared("dynamic"), tmp_path / "owed.db")
    assert owed["ben"].bill.shared_paid_grx == "0.000000"
    assert owed["ben"].bill.total_grx == found["ben"].bill.total_grx


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_the_leaves_moved_what_the_statements_say(mode: str, tmp_path: Path) -> None:
    village = shared(mode)
    found, _ = statements(village, tmp_path / "journal.db")
    for name, who in (("ben", village.ben), ("cleo", village.cleo)):
        moved = Moved(village.entries, who.wallet, village.month)
        assert kwh(moved.to["GRID", "community:retired"]) == money(found[name].energy.received_kwh)
    movements = Moved(village.entries, village.anna.wallet, village.month)
    sent = sum(uwh for (asset, _), uwh in movements.to.items() if asset == "GRID")
    assert kwh(sent) == money(found["anna"].energy.given_kwh)


# Who served whom ---------------------------------------------------------------------------------


def test_who_served_whom_adds_up_to_what_was_received_and_given(tmp_path: Path) -> None:
    found, _ = statements(shared("dynamic"), tmp_path / "journal.db")
    served = {name: data.allocation.served for name, data in found.items() if data.allocation}
    to = {each.wallet: each.energy_kwh for each in served["anna"]}
    assert {each.side for each in served["anna"]} == {"to"}
    for name in ("ben", "cleo"):
        (each,) = served[name]
        assert (each.side, each.wallet) == ("from", found["anna"].wallet)
        assert each.energy_kwh == to[found[name].wallet] == found[name].energy.received_kwh


def test_too_many_pairs_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtokenx_backend.statements.documents.allocation_pairs.MOST_PAIRS", 3)
    found, _ = statements(shared("dynamic"), tmp_path / "journal.db")
    assert [data.allocation.served for data in found.values() if data.allocation] == [[], [], []]


# Forms -------------------------------------------------------------------------------------------


def test_page_and_csv_say_the_key_its_lines_and_the_comparison(tmp_path: Path) -> None:
    found, report = statements(imported(), tmp_path / "journal.db")
    stored = encode(statement_of(found["cleo"], "open", 0))
    page = statement_as("html", stored).decode()
    for words in (
        "Key version 1, imported, valid from 2026-01-01T00:00:00Z: 7 intervals.",
        "energy received by the key",
        "Gateway and grid operator",
        "corrects entry",
        "Who served whom",
    ):
        assert words in page
    table = statement_as("csv", stored).decode()
    assert 'shared,"flat-c received, key 1, measured, revision 1 of entry' in table
    assert 'reconciliation,"flat-c import, grid operator, 6 intervals"' in table
    stored_report = canonical(report)
    assert "Shared by the key" in report_as("html", stored_report).decode()
    assert '"intervals by key 1, imported"' in report_as("csv", stored_report).decode()
