"""The community's report of a month: energy, prices, CO₂ and quality, over all statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gridtokenx_backend.core.model.ledger import GRX
from gridtokenx_backend.core.model.tariff_terms import CarbonTerms
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.report_checks import report_checks
from gridtokenx_backend.statements.documents.report_totals import (
    ENERGY_NAMES,
    QUALITY_NAMES,
    StatementTotals,
)
from gridtokenx_backend.statements.documents.sharing import (
    community_prices,
    key_usages,
    slot_counts,
)
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.posting_kinds import CHARGE_ACCOUNTS
from gridtokenx_backend.statements.fold.prices import ZonePrices
from gridtokenx_backend.statements.model.document import (
    Check,
    CorrectedDocument,
    KeyUsage,
    QualityCounts,
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


class NetworkCharges(msgspec.Struct, frozen=True, kw_only=True):
    """What trades paid to the community's accounts."""

    fees_grx: str
    wheeling_grx: str
    losses_grx: str
    congestion_grx: str


class AvoidedCarbon(msgspec.Struct, frozen=True, kw_only=True):
    """The CO₂ that energy from members avoided, by the stated factor."""

    g_per_kwh: int
    source: str
    avoided_kg: str


class ContradictedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Intervals in which the grid operator's files say more than can be.

    `kind` is a ContradictionKind. By the files `said_kwh` was received in them, and `counted_kwh`
    was counted. `meter` is empty where it concerns all meters together.
    """

    kind: str
    meter: str
    intervals: int
    first_ms: int
    said_kwh: str
    counted_kwh: str


class SharingReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the community's key did in the month.

    `slots` counts the month's intervals by the quality of their allocation. Members owe each other
    `cost_grx`, of which `paid_grx` was paid on the ledger. `contradictions` stand in documents only
    where there are any.
    """

    keys: list[KeyUsage]
    slots: QualityCounts
    lowest_grx_per_kwh: str
    mean_grx_per_kwh: str
    highest_grx_per_kwh: str
    waiting_kwh: str
    cost_grx: str
    paid_grx: str
    contradictions: list[ContradictedFigures] = []


class ReportData(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report says, except for its status and revision.

    Percentages have one decimal; they are empty where there is nothing to divide by.
    """

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
    """What bids exceeded asks by, of all that the interval auctions traded."""
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


class CommunityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The community's report of a month, in one of its revisions."""

    format: str
    status: Status
    revision: int
    corrects: CorrectedDocument | None
    data: ReportData
    data_sha256: str


_decoder = msgspec.json.Decoder(CommunityReport)


def decode_report(stored: bytes) -> CommunityReport:
    """Return the report of stored bytes. Raises as `document.decode` does."""
    check_format(stored, FORMAT)
    return _decoder.decode(stored)


def report_of(
    books: Books,
    statements: Iterable[StatementTotals],
    status: Status,
    revision: int,
    corrects: CorrectedDocument | None = None,
) -> CommunityReport:
    """Return the report of what all statements come to."""
    total = StatementTotals(energy={}, quality={})
    for each in statements:
        total.add(each)
    data = _data(books, total)
    return CommunityReport(
        format=FORMAT,
        status=status,
        revision=revision,
        corrects=corrects,
        data=data,
        data_sha256=sha256(canonical(data)),
    )


def _data(books: Books, total: StatementTotals) -> ReportData:
    month, fold = books.month, books.fold
    energy = {name: total.energy.get(name, 0) for name in ENERGY_NAMES}
    quality: dict[str, Any] = {name: total.quality.get(name, 0) for name in QUALITY_NAMES}
    from_members_uwh = energy["covered_kwh"] + energy["received_kwh"]
    to_members_uwh = energy["sold_kwh"] + energy["given_kwh"]
    return ReportData(
        community=books.community,
        month=month.name,
        time_zone=month.zone,
        from_ms=month.from_ms,
        to_ms=month.to_ms,
        days=month.days,
        members=total.members,
        meters=total.meters,
        energy={name: format_kwh(amount) for name, amount in energy.items()},
        self_sufficiency_percent=_percent(from_members_uwh, energy["import_kwh"]),
        self_consumption_percent=_percent(to_members_uwh, energy["export_kwh"]),
        prices=fold.trading.prices(),
        welfare_grx=format_grx(fold.trading.welfare_ugrx),
        charges=_network_charges(fold),
        paid_grx=format_grx(total.total_ugrx),
        without_grx=format_grx(total.alone_ugrx),
        gain_grx=format_grx(total.saved_ugrx),
        compared_members=total.compared,
        carbon=_avoided_carbon(books.roster.newest.carbon, from_members_uwh),
        quality=QualityCounts(**quality),
        readings_accepted=fold.readings.accepted,
        readings_refused=fold.readings.refused,
        formulas=FORMULAS,
        checks=report_checks(books, total),
        sharing=_sharing_report(books, total),
    )


def _network_charges(fold: MonthFold) -> NetworkCharges:
    """Return what reached the community's accounts in the month."""
    fees, wheeling, losses, congestion = (
        format_grx(fold.moved_within(account, GRX)) for account in CHARGE_ACCOUNTS
    )
    return NetworkCharges(
        fees_grx=fees, wheeling_grx=wheeling, losses_grx=losses, congestion_grx=congestion
    )


def _sharing_report(books: Books, total: StatementTotals) -> SharingReport | None:
    allocations = books.fold.allocations
    if allocations.is_empty:
        return None
    prices = community_prices(allocations)
    return SharingReport(
        keys=key_usages(allocations, books.roster.newest.sharing),
        slots=slot_counts(allocations),
        lowest_grx_per_kwh=prices.lowest,
        mean_grx_per_kwh=prices.mean,
        highest_grx_per_kwh=prices.highest,
        waiting_kwh=format_kwh(allocations.waiting_uwh),
        cost_grx=format_grx(total.cost_ugrx),
        paid_grx=format_grx(total.paid_ugrx),
        contradictions=[
            ContradictedFigures(
                kind=each.kind.value,
                meter=each.meter,
                intervals=each.intervals,
                first_ms=each.first_ms,
                said_kwh=format_kwh(each.said_uwh),
                counted_kwh=format_kwh(each.counted_uwh),
            )
            for each in books.fold.contradictions.sums()
        ],
    )


def _percent(part: int, whole: int) -> str:
    """Return the percentage, rounded down to a tenth."""
    return format_decimal(1000 * part // whole, 1) if whole else ""


def _avoided_carbon(terms: CarbonTerms, energy_uwh: int) -> AvoidedCarbon | None:
    """Return what the energy avoided by the terms' factor, if they have one."""
    if not terms.g_per_kwh:
        return None
    avoided_g = energy_uwh * terms.g_per_kwh // UWH_PER_KWH
    return AvoidedCarbon(
        g_per_kwh=terms.g_per_kwh, source=terms.source, avoided_kg=format_decimal(avoided_g, 3)
    )
