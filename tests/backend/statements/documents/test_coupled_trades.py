"""Trades over a full link, from signed orders to the statement: the link's rent is a charge."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from tests.backend.statements.month_journal import Chronicle
from tests.backend.statements.naive import Moved, grx, money
from tests.backend.village import KWH, START_MS, Resident, member_terms

from gridtokenx_backend.api.views import trade_view
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, OrderAccepted
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.report import report_of
from gridtokenx_backend.statements.documents.report_totals import totals_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.model.document import TradeLine
from gridtokenx_backend.statements.model.months import month_of
from gridtokenx_backend.statements.render.csv_form import to_csv

MAY = month_of(START_MS, "UTC")
LINK = {
    "from": "north",
    "to": "south",
    "capacity_kwh": "4",
    "wheeling_grx_per_kwh": "0.02",
    "loss_bps": 500,
    "loss_price_grx_per_kwh": "0.2",
}


class Coupled(Chronicle):
    """Anna sells in the north; ben, in the south, buys more than the link carries."""

    def __init__(self) -> None:
        super().__init__(
            zone=[{"name": "north"}, {"name": "south"}], link=[LINK], market={"fee_bps": 50}
        )
        self.configure(
            member=[
                member_terms(self.anna, "1000") | {"zone": "north"},
                member_terms(self.ben, "1000") | {"zone": "south"},
                member_terms(self.cleo, "1000") | {"zone": "south"},
            ]
        )
        self.give_grid(self.north, "ABB-1", 9 * KWH)
        self.offer(self.anna, "sell", "9", "0.1")
        self.offer(self.ben, "buy", "9", "0.5")
        due_ms = self.community.clear_due_ms
        cleared = self.apply(inputs.clearing_input(START_MS - START_MS % INTERVAL_MS), due_ms)
        assert isinstance(cleared, IntervalCleared)
        (self.trade,) = cleared.trades

    def offer(self, who: Resident, side: str, kwh: str, price: str) -> None:
        order = who.order(side, side, kwh, price, issued_ms=self.at_ms)
        accepted = self.tell(msgspec.structs.replace(order, segment="interval"))
        assert isinstance(accepted, OrderAccepted), accepted


@pytest.fixture(scope="module")
def coupled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Coupled, Path]:
    village = Coupled()
    return village, village.store(tmp_path_factory.mktemp("coupled") / "journal.db")


@pytest.fixture
def books(coupled: tuple[Coupled, Path]) -> Iterator[Books]:
    with Books(coupled[1], MAY.name) as opened:
        opened.catch_up()
        yield opened


def test_the_buyers_bill_has_the_rent_among_its_charges(
    coupled: tuple[Coupled, Path], books: Books
) -> None:
    village, _ = coupled
    assert village.trade.rent_ugrx == 4 * (500_000 - 100_000 - 20_000 - 10_000)
    data = books.data(village.ben.wallet)
    lines = {line.text: money(line.amount_grx) for line in data.bill.lines}
    assert lines == {
        "energy bought in the community": Fraction(4, 10),
        "network between zones on purchases": Fraction(8, 100),
        "losses between zones on purchases": Fraction(4, 100),
        "congestion between zones on purchases": Fraction(148, 100),
    }
    assert money(data.bill.total_grx) == 4 * Fraction(1, 2)  # the south's price
    assert [check.text for check in data.checks if not check.holds] == []
    (trade,) = [msgspec.json.decode(raw, type=TradeLine) for raw in data.trades]
    assert (trade.rent_grx, trade.amount_grx) == ("1.480000", "-2.000000")
    rows = csv.DictReader(io.StringIO(to_csv(statement_of(data, "open", 0))))
    assert [row["rent_grx"] for row in rows if row["part"] == "trade"] == ["1.480000"]


def test_the_seller_bears_no_rent(coupled: tuple[Coupled, Path], books: Books) -> None:
    data = books.data(coupled[0].anna.wallet)
    lines = {line.text: money(line.amount_grx) for line in data.bill.lines}
    assert lines["energy sold in the community"] == -Fraction(4, 10)
    assert lines["market fee on sales"] == Fraction(2, 1000)
    assert not any("congestion" in text for text in lines)
    assert [check.text for check in data.checks if not check.holds] == []


def test_statements_and_report_are_what_the_leaves_moved(
    coupled: tuple[Coupled, Path], books: Books
) -> None:
    village, _ = coupled
    for who in (village.anna, village.ben, village.cleo):
        data = books.data(who.wallet)
        (account,) = [each for each in data.accounts if each.asset == "GRX"]
        moved = Moved(village.entries, who.wallet, MAY)
        assert money(account.closing) == grx(moved.before["GRX"] + moved.within["GRX"])
    report = report_of(books, map(totals_of, map(books.data, books.wallets)), "open", 0)
    rents = [
        amount
        for entry in village.entries
        for asset, _, credit, amount in json.loads(entry.leaf)["movements"]
        if credit == "community:congestion"
    ]
    assert money(report.data.charges.congestion_grx) == grx(sum(rents)) == Fraction(148, 100)
    assert [check.text for check in report.data.checks if not check.holds] == []


def test_the_history_of_trades_says_the_rent(coupled: tuple[Coupled, Path]) -> None:
    village, path = coupled

    async def newest() -> str:
        journal = await open_journal(path)
        try:
            (row,) = await journal.trades(1)
        finally:
            await journal.close()
        assert row.rent_ugrx == village.trade.rent_ugrx
        return trade_view(row, row.seq, row.at_ms).rent_grx

    assert asyncio.run(newest()) == "1.480000"
