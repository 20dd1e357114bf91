"""The community's month: volumes, prices, shares, CO₂ and quality, over all members' statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gridtokenx_backend.core.tariff_terms import CarbonTerms
from gridtokenx_backend.statements.books import Books
from gridtokenx_backend.statements.document import (
    Check,
    Corrected,
    Data,
    QualityCounts,
    Status,
    canonical,
    sha256,
)
from gridtokenx_backend.statements.prices import Prices
from gridtokenx_wire.units import (
    UWH_PER_KWH,
    format_decimal,
    format_grx,
    format_kwh,
    parse_grx,
    parse_kwh,
)

FORMAT = "gridtokenx-report-1"
FORMULAS = [
    "self-sufficiency = bought GRID retired against import ÷ import of all meters",
    "self-consumption = GRID sold to members ÷ export of all meters",
    "volume-weighted price = sum of quantity × price ÷ sum of quantity, rounded down",
    "gain = what all members would have paid without the community − what they paid with it",
    "avoided CO₂ = bought GRID retired against import × the stated factor, rounded down",
]
_ENERGY = (
    "import_kwh",
    "covered_kwh",
    "residual_kwh",
    "export_kwh",
    "minted_kwh",
    "bought_kwh",
    "sold_kwh",
    "unsold_kwh",
)
_QUALITY = QualityCounts.__struct_fields__


class Summary(msgspec.Struct, gc=False):
    """What of a statement, or of all together, is in the report."""

    members: int = 0
    meters: int = 0
    energy: dict[str, int] = {}
    quality: dict[str, int] = {}
    total_ugrx: int = 0
    alone_ugrx: int = 0
    compared: int = 0
    """How many members' costs could be compared with those without the community."""
    saved_ugrx: int = 0
    failed_checks: int = 0

    def add(self, other: Summary) -> None:
        self.members += other.members
        self.meters += other.meters
        for mine, others in ((self.energy, other.energy), (self.quality, other.quality)):
            for name, amount in others.items():
                mine[name] = mine.get(name, 0) + amount
        self.total_ugrx += other.total_ugrx
        self.alone_ugrx += other.alone_ugrx
        self.compared += other.compared
        self.saved_ugrx += other.saved_ugrx
        self.failed_checks += other.failed_checks


def summary_of(data: Data) -> Summary:
    """The part of a statement that the report counts."""
    energy = {name: parse_kwh(getattr(data.energy, name) or "0") for name in _ENERGY}
    quality = {
        name: sum(getattr(block.quality, name) for block in data.meters) for name in _QUALITY
    }
    alone = data.alone
    return Summary(
        1,
        len(data.meters),
        energy,
        quality,
        parse_grx(data.bill.total_grx),
        parse_grx(alone.total_grx) if alone else 0,
        int(alone is not None),
        parse_grx(alone.saved_grx) if alone else 0,
        sum(not check.holds for check in data.checks),
    )


class Charges(msgspec.Struct, frozen=True):
    """What trades paid to the community's accounts."""

    fees_grx: str
    wheeling_grx: str
    losses_grx: str
    congestion_grx: str


class Carbon(msgspec.Struct, frozen=True):
    g_per_kwh: int
    source: str
    avoided_kg: str


class ReportData(msgspec.Struct, frozen=True):
    """Shares are in per cent with one decimal, empty where there is nothing to divide by."""

    community: str
    month: str
    time_zone: str
    from_ms: int
    to_ms: int
    days: int
    members: int
    meters: int
    energy: dict[str, str]
    self_sufficiency_percent: str
    self_consumption_percent: str
    prices: list[Prices]
    welfare_grx: str
    """Of the interval auctions: bids less asks of what they traded."""
    charges: Charges
    paid_grx: str
    without_grx: str
    gain_grx: str
    compared_members: int
    carbon: Carbon | None
    quality: QualityCounts
    readings_accepted: int
    readings_refused: int
    formulas: list[str]
    checks: list[Check]


class Report(msgspec.Struct, frozen=True):
    format: str
    status: Status
    revision: int
    corrects: Corrected | None
    data: ReportData
    data_sha256: str


_decoder = msgspec.json.Decoder(Report)


def decode_report(stored: bytes) -> Report:
    """The report of its bytes. Raises ValueError."""
    return _decoder.decode(stored)


def report_of(
    books: Books,
    summaries: Iterable[Summary],
    status: Status,
    revision: int,
    corrects: Corrected | None = None,
) -> Report:
    """The report, given what all statements come to."""
    total = Summary(energy={}, quality={})
    for each in summaries:
        total.add(each)
    data = _data(books, total)
    return Report(FORMAT, status, revision, corrects, data, sha256(canonical(data)))


def _data(books: Books, total: Summary) -> ReportData:
    month, fold = books.month, books.fold
    energy = {name: total.energy.get(name, 0) for name in _ENERGY}
    quality: dict[str, Any] = {name: total.quality.get(name, 0) for name in _QUALITY}
    return ReportData(
        books.community,
        month.name,
        month.zone,
        month.from_ms,
        month.to_ms,
        month.days,
        total.members,
        total.meters,
        {name: format_kwh(amount) for name, amount in energy.items()},
        _percent(energy["covered_kwh"], energy["import_kwh"]),
        _percent(energy["sold_kwh"], energy["export_kwh"]),
        fold.trading.prices(),
        format_grx(fold.trading.welfare_ugrx),
        Charges(*(format_grx(amount) for amount in fold.trading.charges(fold.wallets))),
        format_grx(total.total_ugrx),
        format_grx(total.alone_ugrx),
        format_grx(total.saved_ugrx),
        total.compared,
        _carbon(books.roster.newest.carbon, energy["covered_kwh"]),
        QualityCounts(**quality),
        fold.readings.accepted,
        fold.readings.refused,
        FORMULAS,
        _checks(books, total, energy),
    )


def _percent(part: int, whole: int) -> str:
    """Rounded down to a tenth."""
    return format_decimal(1000 * part // whole, 1) if whole else ""


def _carbon(terms: CarbonTerms, covered_uwh: int) -> Carbon | None:
    if not terms.g_per_kwh:
        return None
    avoided_g = covered_uwh * terms.g_per_kwh // UWH_PER_KWH
    return Carbon(terms.g_per_kwh, terms.source, format_decimal(avoided_g, 3))


def _checks(books: Books, total: Summary, energy: dict[str, int]) -> list[Check]:
    """What must agree over all members."""
    trading = books.fold.trading
    bought, sold = format_kwh(energy["bought_kwh"]), format_kwh(energy["sold_kwh"])
    traded = format_kwh(trading.quantity_uwh)
    found = [
        Check("bought by members = sold by members", bought, sold, bought == sold),
        Check("sold by members = volume of all trades", sold, traded, sold == traded),
        Check(
            "checks that failed on statements",
            str(total.failed_checks),
            "0",
            total.failed_checks == 0,
        ),
    ]
    for asset, amount in books.fold.sums().items():
        text = f"{asset}: all accounts of the ledger sum to"
        found.append(Check(text, str(amount), "0", amount == 0))
    return found
