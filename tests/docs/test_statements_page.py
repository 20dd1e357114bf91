"""The figures of docs/market.md on statements come out of a journal."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from tests.backend.statements.june import June, journaled
from tests.docs.markdown import DOCS, section, tables

from gridtokenx_backend.core.settlement.periods import _BEFORE
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.model import document
from gridtokenx_backend.statements.model.document import StatementData

PAGE = section((DOCS / "market.md").read_text(), "Statements")
INTEGRATOR = section((DOCS / "integrator.md").read_text(), "Statements")


@pytest.fixture(scope="module")
def ben(tmp_path_factory: pytest.TempPathFactory) -> StatementData:
    path: Path = tmp_path_factory.mktemp("page") / "journal.db"
    june: June = journaled(path)
    with Books(path, "2026-06") as books:
        books.catch_up()
        return books.data(june.ben.wallet)


def amount(text: str) -> Fraction | None:
    return Fraction(text) if text else None


def test_bens_bill_is_that_of_the_page(ben: StatementData) -> None:
    _, shown, *_ = tables(PAGE)
    lines = [
        [line.text, line.quantity_kwh, line.price_grx_per_kwh, line.amount_grx]
        for line in ben.bill.lines
    ]
    lines.append(["total", "", "", ben.bill.total_grx])
    assert [[row[0], *map(amount, row[1:])] for row in shown] == [
        [line[0], *map(amount, line[1:])] for line in lines
    ]
    assert ben.alone is not None
    assert f"= {float(ben.alone.total_grx)} GRX. He saved {float(ben.alone.saved_grx)}." in PAGE
    assert f"{float(ben.energy.covered_kwh):g} kWh of his import were covered" in PAGE


def test_every_step_of_a_period_is_on_the_page() -> None:
    (steps,) = tables(section((DOCS / "market.md").read_text(), "Periods"))
    assert {row[0]: frozenset(row[1].split(", ")) for row in steps} == _BEFORE


def test_every_key_of_a_statement_is_on_the_integrators_page() -> None:
    outer, inner = tables(INTEGRATOR)
    assert keys(outer) == set(document.Statement.__struct_fields__)
    assert keys(inner) == set(document.StatementData.__struct_fields__)
    for kind in (document.EnergySummary, document.Bill, document.TradeLine, document.BillLine):
        missing = [name for name in kind.__struct_fields__ if f"`{name}`" not in INTEGRATOR]
        assert missing == []
    assert msgspec.json.encode(document.FORMAT).decode().strip('"') in INTEGRATOR


def keys(rows: list[list[str]]) -> set[str]:
    return {name.strip("` ") for row in rows for name in row[0].split(",")}
