"""The page, the PDF and the CSV say what the document says."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zlib
from fractions import Fraction
from html.parser import HTMLParser

import pytest
from tests.backend.statements.june import JUNE, June
from tests.backend.statements.naive import money

from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.report import CommunityReport, report_of
from gridtokenx_backend.statements.documents.report_totals import totals_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.model.document import Statement, canonical, encode, sha256
from gridtokenx_backend.statements.render import format_quantity
from gridtokenx_backend.statements.render.csv_form import guarded
from gridtokenx_backend.statements.render.forms import report_as, statement_as
from gridtokenx_backend.statements.render.pdf import NoPdf

WARNS = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""WeasyPrint leaves its colour profile's file to be closed by the collector."""


class Page(HTMLParser):
    """The page's text by table row, and all of it; what was opened and never closed."""

    VOID = frozenset({"meta", "br", "rect"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())
        self.left_open = self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data.strip()


def number(text: str) -> Fraction:
    return Fraction(text.replace("\u2212", "-").replace(format_quantity.THIN_SPACE, ""))


@pytest.fixture
def ben(books: Books, june: June) -> Statement:
    return statement_of(books.data(june.ben.wallet), "provisional", 2)


@pytest.fixture
def anna(books: Books, june: June) -> Statement:
    return statement_of(books.data(june.anna.wallet), "final", 3)


@pytest.fixture
def report(books: Books) -> CommunityReport:
    summaries = [totals_of(books.data(wallet)) for wallet in books.wallets]
    return report_of(books, summaries, "final", 3)


@pytest.mark.parametrize("name", ["anna", "ben"])
def test_every_line_of_the_bill_is_on_the_page(name: str, request: pytest.FixtureRequest) -> None:
    statement: Statement = request.getfixturevalue(name)
    page = Page(statement_as("html", encode(statement)).decode())
    assert page.left_open == []
    rows = {row[0]: row for row in page.rows if row}
    for line in statement.data.bill.lines:
        shown = rows[line.text]
        if line.group == "community":
            assert number(shown[3]) == money(line.amount_grx)
    for check in statement.data.checks:
        assert check.text in page.text
    assert page.tags.count("svg") >= 1
    for part in (statement.status, "June 2026", statement.data_sha256, sha256(encode(statement))):
        assert part in page.text
    assert all(formula in page.text for formula in statement.data.formulas)


def test_each_trade_is_on_the_page_with_its_entry(ben: Statement) -> None:
    page = Page(statement_as("html", encode(ben)).decode())
    trades = [json.loads(bytes(raw)) for raw in ben.data.trades]
    shown = {(row[-1], number(row[2])) for row in page.rows if len(row) == 8 and row[0] != "When"}
    assert shown == {(str(each["entry"]), money(each["quantity_kwh"])) for each in trades}


def test_what_a_member_calls_themselves_is_text_and_no_markup(ben: Statement) -> None:
    named = json.loads(encode(ben))
    named["data"]["member"] = "<script>alert(1)</script> & co"
    page = statement_as("html", canonical(named)).decode()
    assert "<script" not in page
    assert "<script>alert(1)</script> & co" in Page(page).text


def test_the_page_asks_for_nothing_else(ben: Statement) -> None:
    page = statement_as("html", encode(ben)).decode()
    assert re.search(r"(?:src|href)=|url\(|@import|https?://", page) is None


def test_the_csv_has_the_total_and_all_of_the_trades(ben: Statement) -> None:
    text = statement_as("csv", encode(ben)).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    bill = [row for row in rows if row["part"] == "bill"]
    *lines, total = (money(row["amount_grx"]) for row in bill)
    assert sum(lines) == total == money(ben.data.bill.total_grx)
    assert len([row for row in rows if row["part"] == "trade"]) == len(ben.data.trades)
    assert rows[-1]["sha256"] == ben.data_sha256
    balance = Fraction(0)
    for row in rows:
        if row["part"] == "trade" or (
            row["part"] == "account GRX" and row["text"] != "closing balance"
        ):
            balance += money(row["amount_grx"])
    (closing,) = [
        row["amount_grx"]
        for row in rows
        if (row["part"], row["text"]) == ("account GRX", "closing balance")
    ]
    assert balance == money(closing)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("@x", "'@x"),
        ("-x", "'-x"),
        ("-1.5", "-1.5"),
        ("-1+cmd|'/C calc'!A0", "'-1+cmd|'/C calc'!A0"),
        ("-1.5.", "'-1.5."),
        ("ABB-1", "ABB-1"),
        ("", ""),
        (5, 5),
    ],
)
def test_a_spreadsheet_runs_nothing_out_of_the_csv(value: object, written: object) -> None:
    assert guarded(value) == written


@WARNS
def test_a_pdf_is_archivable_and_carries_the_document(
    ben: Statement, report: CommunityReport
) -> None:
    """Both in one test: it is WeasyPrint that takes its time to load."""
    assert_archivable(statement_as("pdf", encode(ben)), encode(ben), "statement-2026-06.json")
    assert_archivable(report_as("pdf", canonical(report)), canonical(report), "report-2026-06.json")


def assert_archivable(made: bytes, document: bytes, name: str) -> None:
    assert made.startswith(b"%PDF-1.7")
    streams = unpacked(made)
    everything = b"\n".join([made, *streams])
    assert re.search(rb"pdfaid:part(>|=\")3", everything)
    assert re.search(rb"pdfaid:conformance(>|=\")A", everything)
    assert b"/AFRelationship /Data" in everything or b"/AFRelationship/Data" in everything
    assert name.encode() in everything
    assert b"/MarkInfo" in everything  # tagged, as conformance A asks
    assert document in streams


def unpacked(pdf: bytes) -> list[bytes]:
    """What the streams hold that are deflated."""
    found = []
    for match in re.finditer(rb"stream\r?\n", pdf):
        try:
            found.append(zlib.decompressobj().decompress(pdf[match.end() :]))
        except zlib.error:
            continue
    return found


def test_without_weasyprint_a_pdf_is_refused_in_one_line(
    ben: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(NoPdf, match="a PDF needs WeasyPrint and Pango") as told:
        statement_as("pdf", encode(ben))
    assert "\n" not in str(told.value)


def test_a_long_list_is_shown_by_day_and_complete_in_the_csv(ben: Statement) -> None:
    long = json.loads(encode(ben))
    long["data"]["trades"] *= 4
    document = canonical(long)
    page = Page(statement_as("html", document).decode())
    days = [row for row in page.rows if len(row) == 7 and row[1] == "bought"]
    assert len(days) == len({row[0] for row in days}) <= 30
    quantities = sum(number(row[2]) for row in days)
    assert quantities == sum(money(each["quantity_kwh"]) for each in long["data"]["trades"])
    assert statement_as("csv", document).count(b"\r\ntrade,") == len(long["data"]["trades"])


def test_the_report_adds_all_members_up(books: Books, june: June, report: CommunityReport) -> None:
    data = report.data
    statements = [books.data(wallet) for wallet in books.wallets]
    assert (data.members, data.meters) == (3, 2)
    for name, amount in data.energy.items():
        parts = [money(getattr(each.energy, name) or "0") for each in statements]
        assert money(amount) == sum(parts)
    assert money(data.paid_grx) == sum(money(each.bill.total_grx) for each in statements)
    shares = money(data.energy["covered_kwh"]) / money(data.energy["import_kwh"])
    assert 0 <= 100 * shares - money(data.self_sufficiency_percent) < Fraction(1, 10)
    assert [check.text for check in data.checks if not check.holds] == []
    frames = [entry for entry in june.entries if entry.kind == "frame"]
    inside = [entry for entry in frames if JUNE.from_ms <= entry.at_ms < JUNE.to_ms]
    assert (data.readings_accepted, data.readings_refused) == (len(inside), 0)
    trades = [json.loads(bytes(raw)) for each in statements for raw in each.trades]
    sold = [each for each in trades if each["side"] == "sold"]
    assert sum(each.trades for each in data.prices) == len(sold)
    for prices in data.prices:
        lowest, mean, highest = (
            money(amount)
            for amount in (
                prices.lowest_grx_per_kwh,
                prices.mean_grx_per_kwh,
                prices.highest_grx_per_kwh,
            )
        )
        assert lowest <= mean <= highest


def test_the_report_has_a_page_and_a_csv(report: CommunityReport) -> None:
    document = canonical(report)
    page = Page(report_as("html", document).decode())
    assert page.left_open == []
    assert f"{report.data.self_sufficiency_percent} %" in page.text
    assert report.data_sha256 in page.text
    rows = list(csv.DictReader(io.StringIO(report_as("csv", document).decode(), newline="")))
    named = {(row["part"], row["text"]): row["amount"] for row in rows}
    assert named["money", "gain"] == report.data.gain_grx
    assert named["energy", "import_kwh"] == report.data.energy["import_kwh"]


@pytest.mark.parametrize(
    ("amount", "least", "expected"),
    [
        ("1234.500000", 2, "1\u202f234.50"),
        ("-0.070000", 2, "\u22120.07"),
        ("0.000000", 2, "0.00"),
        ("7", 0, "7"),
        ("", 2, "–"),
    ],
)
def test_amounts_are_written_exactly(amount: str, least: int, expected: str) -> None:
    assert format_quantity.exact(amount, least) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("1.005", "1.01"),
        ("-1.005", "\u22121.01"),
        ("-0.001", "0.00"),
        ("2999.999", "3\u202f000.00"),
    ],
)
def test_rounded_amounts_are_rounded_half_away_from_zero(amount: str, expected: str) -> None:
    assert format_quantity.rounded(amount) == expected
