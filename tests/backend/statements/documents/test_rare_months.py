"""Statements of months in which something rare happened in other parts of the market."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.backend.sharing_village import key
from tests.backend.statements.june import DAY_MS, JUNE, June
from tests.backend.statements.naive import money
from tests.backend.statements.period_steps import document, take
from tests.backend.village import KWH

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.model.ledger import CONGESTION, FED_IN, GRID, GRX
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.model.document import StatementData
from gridtokenx_backend.statements.render.csv_form import to_csv


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def data_of(june: June, path: Path, wallet: str) -> StatementData:
    june.store(path)
    with Books(path, "2026-06") as books:
        books.catch_up()
        return books.data(wallet)


def test_the_rent_of_a_full_link_is_on_the_buyers_statement(path: Path) -> None:
    june = June()
    june.begin()
    june.meter_reads(june.north, "ABB-1", JUNE.from_ms + 3_600_000, 0, 9 * KWH)
    link = june.document["link"][0] | {"capacity_kwh": "4"}
    june.configure(interval={"enabled": True}, link=[link])
    for who, side, price in ((june.anna, "sell", "0.1"), (june.ben, "buy", "0.5")):
        order = who.order(side, side, "9", price, issued_ms=june.at_ms)
        june.accept(msgspec.structs.replace(order, segment="interval"))
    cleared = june.apply(
        inputs.clearing_input(june.community.cleared_ms), june.community.clear_due_ms
    )
    assert isinstance(cleared, IntervalCleared)
    rent_ugrx, _ = june.balance(CONGESTION, GRX)
    assert rent_ugrx == sum(trade.rent_ugrx for trade in cleared.trades) > 0
    bens, annas = (data_of(june, path, who.wallet) for who in (june.ben, june.anna))
    for data in (bens, annas):
        assert [check.text for check in data.checks if not check.holds] == []
    amounts = {line.text: line.amount_grx for line in bens.bill.lines}
    assert money(amounts["congestion between zones on purchases"]) * 10**6 == rent_ugrx
    assert money(bens.bill.settled_grx) == 4 * money("0.5")
    assert "congestion between zones on sales" not in {line.text for line in annas.bill.lines}
    assert "rent_grx" in to_csv(statement_of(bens, "open", 0)).splitlines()[0]


def test_what_was_shared_is_not_fed_in_when_the_month_is_final(path: Path) -> None:
    """In a community that shares by a key, what producers gave is no surplus of theirs."""
    june = June()
    june.begin()
    june.configure(
        community={"name": "lane", "mode": "dynamic", "time_zone": "Europe/Vienna"},
        interval={"enabled": True},
        sharing={"key": [key()]},
    )
    at_ms = JUNE.from_ms + 4 * 900_000
    june.meter_reads(june.south, "ABB-2", at_ms, 2 * KWH, 0)
    june.meter_reads(june.north, "ABB-1", at_ms, 0, 6 * KWH)
    june.meter_reads(june.south, "ABB-2", JUNE.to_ms + DAY_MS)
    june.meter_reads(june.north, "ABB-1", JUNE.to_ms + DAY_MS)
    while june.community.cleared_ms < at_ms:
        june.apply(inputs.clearing_input(june.community.cleared_ms))
    owned_uwh, _ = june.grid(june.anna)
    assert owned_uwh == 4 * KWH
    assert [c.text for c in data_of(june, path, june.anna.wallet).checks if not c.holds] == []
    command = take(june, path, "final")
    assert june.balance(FED_IN, GRID) == (4 * KWH, 0)
    energy = document(path, command, june.anna.wallet).data.energy
    assert money(energy.unsold_kwh) == 4
