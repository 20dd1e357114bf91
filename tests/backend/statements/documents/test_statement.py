"""A member's statement against the journal that it is made of."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from tests.backend.statements.june import JUNE, ZONE, June
from tests.backend.statements.naive import Moved, grx, kwh, money

from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.core.messages.outcomes import Ticked
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_backend.statements.documents.books import Books, NoBooks
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.model.document import (
    Posting,
    StatementData,
    TradeLine,
    canonical,
    decode,
    encode,
    sha256,
)
from gridtokenx_backend.statements.model.months import parse_month

EVERYONE = ("anna", "ben", "cleo")


def data_of(books: Books, june: June, name: str) -> StatementData:
    return books.data(getattr(june, name).wallet)


def trades_of(data: StatementData) -> list[TradeLine]:
    return [msgspec.json.decode(raw, type=TradeLine) for raw in data.trades]


@pytest.mark.parametrize("name", EVERYONE)
def test_balances_and_sums_are_those_of_the_leaves(books: Books, june: June, name: str) -> None:
    data = data_of(books, june, name)
    moved = Moved(june.entries, data.wallet, JUNE)
    for account in data.accounts:
        unit = grx if account.asset == "GRX" else kwh
        opening, closing = money(account.opening), money(account.closing)
        assert opening == unit(moved.before[account.asset])
        assert closing == unit(moved.before[account.asset] + moved.within[account.asset])
        assert opening + sum(money(each.amount) for each in account.sums) == closing


@pytest.mark.parametrize("name", EVERYONE)
def test_every_line_names_an_entry_that_moved_just_that(
    books: Books, june: June, name: str
) -> None:
    data = data_of(books, june, name)
    lines: dict[tuple[int, str], Fraction] = {}
    for trade in trades_of(data):
        sign = 1 if trade.side == "bought" else -1
        for asset, amount in (
            ("GRX", money(trade.amount_grx)),
            ("GRID", sign * money(trade.quantity_kwh)),
        ):
            lines[trade.entry, asset] = lines.get((trade.entry, asset), Fraction(0)) + amount
    for account in data.accounts:
        for raw in account.postings:
            posting = msgspec.json.decode(raw, type=Posting)
            key = posting.entry, account.asset
            lines[key] = lines.get(key, Fraction(0)) + money(posting.amount)
    by_entry: dict[tuple[int, str], Fraction] = {}
    for entry in june.entries:
        leaf = json.loads(entry.leaf)
        if JUNE.from_ms <= leaf["at_ms"] < JUNE.to_ms:
            for asset, debit, credit, amount in leaf["movements"]:
                signed = amount * ((credit == data.wallet) - (debit == data.wallet))
                unit = grx if asset == "GRX" else kwh
                if signed:
                    key = entry.seq, asset
                    by_entry[key] = by_entry.get(key, Fraction(0)) + unit(signed)
    assert lines == by_entry
    assert lines


@pytest.mark.parametrize("name", EVERYONE)
def test_the_checks_are_printed_and_hold(books: Books, june: June, name: str) -> None:
    data = data_of(books, june, name)
    assert [check.text for check in data.checks if not check.holds] == []
    assert len(data.checks) >= 5


def test_charges_are_on_the_bill_of_who_bears_them(books: Books, june: June) -> None:
    bills = {name: data_of(books, june, name) for name in EVERYONE}
    charged_ugrx = sum(
        amount
        for entry in june.entries
        if JUNE.from_ms <= entry.at_ms < JUNE.to_ms
        for asset, _, credit, amount in json.loads(entry.leaf)["movements"]
        if asset == "GRX" and credit.startswith("community:")
    )
    assert charged_ugrx
    assert sum(total_of(data, "community") for data in bills.values()) == grx(charged_ugrx)
    assert texts(bills["anna"]) >= {"energy sold in the community", "market fee on sales"}
    assert "market fee on purchases" not in texts(bills["ben"])


def texts(data: StatementData) -> set[str]:
    return {line.text for line in data.bill.lines}


def total_of(data: StatementData, group: str) -> Fraction:
    return sum(
        (money(line.amount_grx) for line in data.bill.lines if line.group == group), Fraction(0)
    )


def test_the_bill_is_what_hand_and_paper_give(books: Books, june: June) -> None:
    data = data_of(books, june, "ben")
    # Every day from 19 to 2 o'clock half a kWh an hour: 3 hours before 22 and 4 after it.
    assert data.alone is not None
    alone = {line.text: line for line in data.alone.lines}
    assert money(alone["energy, other times"].quantity_kwh) == 30 * 3 * Fraction(1, 2)
    assert money(alone["energy, other times"].amount_grx) == 45 * Fraction(3, 10)
    assert money(alone["energy, night"].amount_grx) == 60 * Fraction(2, 10)
    assert money(alone["network and levies"].amount_grx) == 105 * Fraction(5, 100)
    assert money(alone["basic fee, a month"].amount_grx) == Fraction(45, 10)
    assert money(data.alone.saved_grx) == money(data.alone.total_grx) - money(data.bill.total_grx)


def test_bought_energy_that_was_retired_is_not_billed_by_the_utility(
    books: Books, june: June
) -> None:
    data = data_of(books, june, "ben")
    covered = money(data.energy.covered_kwh)
    retired = [
        each
        for entry in june.entries
        if isinstance(outcome := decode_outcome(entry.outcome), Ticked)
        for each in outcome.retirements
        if each.wallet == data.wallet and JUNE.from_ms <= each.interval_ms < JUNE.to_ms
    ]
    assert covered == kwh(sum(each.amount_uwh for each in retired)) > 0
    lines = {line.text: line for line in data.bill.lines}
    residual = sum(
        money(lines[text].quantity_kwh) for text in ("energy, other times", "energy, night")
    )
    assert residual == 105 - covered == money(data.energy.residual_kwh)
    # The network is paid for on all import, whoever the energy came from.
    assert money(lines["network and levies"].quantity_kwh) == 105


def test_unsold_surplus_is_paid_at_the_feed_in_tariff(books: Books, june: June) -> None:
    data = data_of(books, june, "anna")
    sold_uwh = sum(
        amount
        for entry in june.entries
        for asset, debit, _, amount in json.loads(entry.leaf)["movements"]
        if asset == "GRID" and debit == data.wallet
    )
    minted = Moved(june.entries, data.wallet, JUNE).minted_uwh
    # What was sold in July, before June is final, was minted in June: the oldest goes first.
    unsold = minted - sold_uwh
    assert unsold > 0
    (line,) = [line for line in data.bill.lines if line.group == "feed_in"]
    assert money(line.quantity_kwh) == kwh(unsold)
    assert money(line.amount_grx) == -kwh(unsold) * Fraction(7, 100)


@pytest.mark.parametrize("name", EVERYONE)
def test_the_total_is_the_sum_of_its_lines(books: Books, june: June, name: str) -> None:
    bill = data_of(books, june, name).bill
    lines = sum((money(line.amount_grx) for line in bill.lines), Fraction(0))
    assert money(bill.total_grx) == lines
    parts = (bill.settled_grx, bill.utility_grx, bill.feed_in_grx)
    assert sum(map(money, parts)) == lines


def test_a_document_is_canonical_json_and_comes_back_the_same(books: Books, june: June) -> None:
    statement = statement_of(data_of(books, june, "anna"), "provisional", 1)
    stored = encode(statement)
    again = json.loads(stored)
    dumped = json.dumps(again, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert dumped.encode() == stored
    assert encode(decode(stored)) == stored
    data = json.dumps(again["data"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sha256(data.encode()) == statement.data_sha256 == again["data_sha256"]


def test_preview_and_final_have_the_same_data(books: Books, june: June) -> None:
    data = data_of(books, june, "ben")
    preview, final = statement_of(data, "open", 0), statement_of(data, "final", 2)
    assert canonical(preview.data) == canonical(final.data)
    assert preview.data_sha256 == final.data_sha256


def test_a_pass_that_goes_on_later_gives_the_same(june: June, tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    june._stored, kept = 0, june._stored
    june.store(whole)
    june._stored = kept
    with Books(whole, "2026-06") as books:
        half = len(june.entries) // 2
        books.fold.add_all(books._rows.rows(0, half))
        books.catch_up()
        later = [books.data(wallet) for wallet in books.wallets]
    with Books(whole, "2026-06") as books:
        books.catch_up()
        assert [books.data(wallet) for wallet in books.wallets] == later


def test_missing_intervals_are_said_and_never_zero(
    june_path: tuple[June, Path], june: June
) -> None:
    with Books(june_path[1], "2026-07") as books:
        books.catch_up()
        data = books.data(june.ben.wallet)
    (block,) = data.meters
    assert block.quality.measured == 3 * 96
    assert block.quality.missing == 31 * 96 - 3 * 96


def test_a_month_without_readings_is_missing_and_not_zero(tmp_path: Path) -> None:
    june = June()
    june.begin()
    june.apply(TickInput(), parse_month("2026-08", ZONE).from_ms)
    with Books(june.store(tmp_path / "journal.db"), "2026-08") as books:
        books.catch_up()
        data = books.data(june.ben.wallet)
    (block,) = data.meters
    assert (block.import_kwh, block.export_kwh) == ("", "")
    assert block.quality.missing == block.quality.expected == 31 * 96
    assert data.alone is None
    assert [line.group for line in data.bill.lines] == []


def test_only_the_asked_wallets_lines_are_kept(june_path: tuple[June, Path], june: June) -> None:
    wallet = june.ben.wallet
    with Books(june_path[1], "2026-06", {wallet}) as books:
        books.catch_up()
        assert books.data(wallet).trades
        assert books.data(june.anna.wallet).trades == []


@pytest.mark.parametrize("month", ["2026-04", "2026-08", "9998-12"])
def test_a_month_before_the_community_or_not_begun_is_told(
    june_path: tuple[June, Path], month: str
) -> None:
    with pytest.raises(NoBooks, match="expected a month of the community's time so far, got"):
        Books(june_path[1], month)


def test_a_month_that_is_none_is_one_line(june_path: tuple[June, Path]) -> None:
    with pytest.raises(NoBooks, match="expected a month such as 2026-06, got 'june'"):
        Books(june_path[1], "june")
