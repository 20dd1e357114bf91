"""The community's month: volumes, prices, shares, CO₂ and quality, over all members' statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gridtokenx_backend.core.model.tariff_terms import CarbonTerms
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.sharing import community_prices, keys_used, slot_counts
from gridtokenx_backend.statements.fold.allocations import MonthAllocations
from gridtokenx_backend.statements.fold.prices import ZonePrices
from gridtokenx_backend.statements.model.document import (
    Check,
    CorrectedDocument,
    KeyUsage,
    QualityCounts,
    StatementData,
    Status,
    canonical,
    check_format,
    sha256,
)
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
    "self-sufficiency = bought GRID retired against import, and energy received by the key,"
    " ÷ import of all meters",
    "self-consumption = GRID sold to members, and energy given by the key, ÷ export of all meters",
    "volume-weighted price = sum of quantity × price ÷ sum of quantity, rounded down",
    "gain = what all members would have paid without the community − what they paid with it",
    "avoided CO₂ = bought GRID retired against import, and energy received by the key,"
    " × the stated factor, rounded down",
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
    "received_kwh",
    "given_kwh",
    "surplus_kwh",
)
_QUALITY = QualityCounts.__struct_fields__


class StatementTotals(msgspec.Struct, gc=False):
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
    cost_ugrx: int = 0
    """Of shared energy, to those who received it."""
    earned_ugrx: int = 0
    paid_ugrx: int = 0
    """By those who owe: what of it the ledger has moved."""

    def add(self, other: StatementTotals) -> None:
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
        self.cost_ugrx += other.cost_ugrx
        self.earned_ugrx += other.earned_ugrx
        self.paid_ugrx += other.paid_ugrx


def summary_of(data: StatementData) -> StatementTotals:
    """The part of a statement that the report counts."""
    energy = {name: parse_kwh(getattr(data.energy, name) or "0") for name in _ENERGY}
    quality = {
        name: sum(getattr(block.quality, name) for block in data.meters) for name in _QUALITY
    }
    alone, shared = data.alone, data.allocation
    return StatementTotals(
        1,
        len(data.meters),
        energy,
        quality,
        parse_grx(data.bill.total_grx),
        parse_grx(alone.total_grx) if alone else 0,
        int(alone is not None),
        parse_grx(alone.saved_grx) if alone else 0,
        sum(not check.holds for check in data.checks),
        parse_grx(shared.cost_grx) if shared else 0,
        parse_grx(shared.earned_grx) if shared else 0,
        max(0, parse_grx(shared.paid_grx)) if shared else 0,
    )


class NetworkCharges(msgspec.Struct, frozen=True):
    """What trades paid to the community's accounts."""

    fees_grx: str
    wheeling_grx: str
    losses_grx: str
    congestion_grx: str


class AvoidedCarbon(msgspec.Struct, frozen=True):
    g_per_kwh: int
    source: str
    avoided_kg: str


class SharingReport(msgspec.Struct, frozen=True):
    """What the community's key did: `slots` are the month's intervals by their allocation.

    Members owe each other `cost_grx`, of which those who owe have paid `paid_grx` on the ledger.
    """

    keys: list[KeyUsage]
    slots: QualityCounts
    lowest_grx_per_kwh: str
    mean_grx_per_kwh: str
    highest_grx_per_kwh: str
    waiting_kwh: str
    cost_grx: str
    paid_grx: str


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
    prices: list[ZonePrices]
    welfare_grx: str
    """Of the interval auctions: bids less asks of what they traded."""
    charges: NetworkCharges
    paid_grx: str
    without_grx: str
    gain_grx: str
    compared_members: int
    carbon: AvoidedCarbon | None
    quality: QualityCounts
    readings_accepted: int
    readings_refused: int
    formulas: list[str]
    checks: list[Check]
    sharing: SharingReport | None = None


class CommunityReport(msgspec.Struct, frozen=True):
    format: str
    status: Status
    revision: int
    corrects: CorrectedDocument | None
    data: ReportData
    data_sha256: str


_decoder = msgspec.json.Decoder(CommunityReport)


def decode_report(stored: bytes) -> CommunityReport:
    """Return the report of its bytes. Raises as `document.decode` does."""
    check_format(stored, FORMAT)
    return _decoder.decode(stored)


def report_of(
    books: Books,
    summaries: Iterable[StatementTotals],
    status: Status,
    revision: int,
    corrects: CorrectedDocument | None = None,
) -> CommunityReport:
    """The report, given what all statements come to."""
    total = StatementTotals(energy={}, quality={})
    for each in summaries:
        total.add(each)
    data = _data(books, total)
    return CommunityReport(FORMAT, status, revision, corrects, data, sha256(canonical(data)))


def _data(books: Books, total: StatementTotals) -> ReportData:
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
        _percent(energy["covered_kwh"] + energy["received_kwh"], energy["import_kwh"]),
        _percent(energy["sold_kwh"] + energy["given_kwh"], energy["export_kwh"]),
        fold.trading.prices(),
        format_grx(fold.trading.welfare_ugrx),
        NetworkCharges(*(format_grx(amount) for amount in fold.trading.charges(fold.wallets))),
        format_grx(total.total_ugrx),
        format_grx(total.alone_ugrx),
        format_grx(total.saved_ugrx),
        total.compared,
        _carbon(books.roster.newest.carbon, energy["covered_kwh"] + energy["received_kwh"]),
        QualityCounts(**quality),
        fold.readings.accepted,
        fold.readings.refused,
        FORMULAS,
        _checks(books, total, energy),
        _shared(books, total),
    )


def _shared(books: Books, total: StatementTotals) -> SharingReport | None:
    shares = books.fold.shares
    if shares.is_empty:
        return None
    lowest, mean, highest = community_prices(shares)
    return SharingReport(
        keys_used(shares, books.roster.newest.sharing),
        slot_counts(shares),
        lowest,
        mean,
        highest,
        format_kwh(shares.waiting_uwh),
        format_grx(total.cost_ugrx),
        format_grx(total.paid_ugrx),
    )


def _percent(part: int, whole: int) -> str:
    """Rounded down to a tenth."""
    return format_decimal(1000 * part // whole, 1) if whole else ""


def _carbon(terms: CarbonTerms, covered_uwh: int) -> AvoidedCarbon | None:
    if not terms.g_per_kwh:
        return None
    avoided_g = covered_uwh * terms.g_per_kwh // UWH_PER_KWH
    return AvoidedCarbon(terms.g_per_kwh, terms.source, format_decimal(avoided_g, 3))


def _checks(books: Books, total: StatementTotals, energy: dict[str, int]) -> list[Check]:
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
    if not books.fold.shares.is_empty:
        found += _shared_checks(books.fold.shares, total, energy)
    for asset, amount in books.fold.sums().items():
        text = f"{asset}: all accounts of the ledger sum to"
        found.append(Check(text, str(amount), "0", amount == 0))
    return found


def _shared_checks(
    shares: MonthAllocations, total: StatementTotals, energy: dict[str, int]
) -> list[Check]:
    """Of the key: what members received others gave, and the ledger moved it."""
    given = format_kwh(energy["given_kwh"])
    covered = format_kwh(energy["received_kwh"] - shares.uncovered_uwh)
    cost, earned = format_grx(total.cost_ugrx), format_grx(total.earned_ugrx)
    found = [
        Check(
            "received by the key, as far as known producers cover it = given",
            covered,
            given,
            covered == given,
        ),
        Check("cost of shared energy = what producers earned", cost, earned, cost == earned),
    ]
    if shares.comparable:
        moved = sum(amounts.gave_uwh for amounts in shares.moved.values())
        left, right = format_kwh(moved + shares.waiting_uwh), given
        text = "GRID that left for shared energy, and what waits = given by the key"
        found.append(Check(text, left, right, left == right))
    return found
