"""Makes a member's statement of the fold, the meters' intervals and the tariff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.ledger import ASSETS, GRID, GRX, Asset
from gridtokenx_backend.core.model.sharing_terms import SharingTerms
from gridtokenx_backend.statements.documents import bill as billing
from gridtokenx_backend.statements.documents.allocation_pairs import PairSums
from gridtokenx_backend.statements.documents.sharing import (
    SharedEnergy,
    key_allocation,
    shared_energy,
)
from gridtokenx_backend.statements.documents.statement_checks import statement_checks
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.operator_figures import reconcile
from gridtokenx_backend.statements.fold.posting_kinds import spell
from gridtokenx_backend.statements.fold.spool import Spool, SpoolPart
from gridtokenx_backend.statements.fold.tariffs import ROUNDING, TariffPlan
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import (
    FORMAT,
    Account,
    CorrectedDocument,
    CorrectionNote,
    EnergySummary,
    MeteringPoint,
    PostingSum,
    QualityCounts,
    Statement,
    StatementData,
    Status,
    WindowEnergy,
    canonical,
    sha256,
)
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month
from gridtokenx_wire.config import encode_hook
from gridtokenx_wire.units import format_kwh

SHARED_FORMULAS = [
    "received and given = the newest allocation that the journal has of each interval",
    "residual import of an interval = import − what was received by the key; an interval whose"
    " import is not known counts with what was received",
    "cost = what was received × the interval's community price, rounded down;"
    " what is earned is divided over the producers pro rata to what they gave",
    "surplus = export − given by the key − what is held back for meters that are missing"
    " − what other communities get",
    "in the mode imported, import and export are the grid operator's where its files have them",
]
FORMULAS = [
    "residual import = import of the meters − bought GRID retired against the same intervals",
    "a purchase is on the statement of the month in which it was made, also if it covers import"
    " of the month before",
    "amount of a line = quantity × price",
    "a sale's or purchase's value = quantity × price; charges are added for the buyer who bears"
    " them and subtracted from the seller who does",
    "unsold surplus = GRID minted by the end of the month that is still held when it is final;"
    " a sale takes the oldest minted GRID first and bought GRID last",
    "total = community + utility − feed-in",
    "saved = cost of all import and export under the utility tariff alone − total",
]


class BilledMember(msgspec.Struct, frozen=True, kw_only=True):
    """Whose statement it is, on which tariff, with which metering points."""

    name: str
    wallet: str
    plan: TariffPlan | None
    meters: Sequence[MeteredSpan]
    feeds_in: bool = True
    """Whether what nobody bought goes to the utility."""
    sharing: SharingTerms = SharingTerms()


def data_of(
    fold: MonthFold, member: BilledMember, community: str, spool: Spool, pairs: PairSums
) -> StatementData:
    """Return what the month was for this member."""
    month, allocations = fold.month, fold.allocations
    wallet = fold.wallets.get(member.wallet) or WalletMonth()
    meters, terms, plan = member.meters, member.sharing, member.plan
    shared = shared_energy(allocations, fold.operator, member.wallet, meters, terms)
    usage = billing.usage_of(month, plan, meters, wallet.retired, shared)
    unsold_uwh = fold.unsold_uwh(member.wallet, wallet)
    surplus_uwh = unsold_uwh if shared is None else shared.surplus_uwh
    fed_in_uwh = surplus_uwh if member.feeds_in else 0
    bill = billing.bill_of(wallet, usage, plan, fed_in_uwh, shared)
    allocation = None
    if shared is not None:
        allocation = key_allocation(allocations, member.wallet, shared, terms, pairs)
    return StatementData(
        community=community,
        month=month.name,
        time_zone=month.zone,
        from_ms=month.from_ms,
        to_ms=month.to_ms,
        days=month.days,
        member=member.name,
        wallet=member.wallet,
        energy=_energy_summary(wallet, usage, unsold_uwh, shared),
        bill=bill,
        alone=billing.without_community(bill, usage, plan),
        meters=[_metering_point(month, plan, metered) for metered in meters],
        trades=spool.lines(member.wallet, "trade"),
        accounts=[_account(asset, wallet, spool, member.wallet) for asset in ASSETS],
        tariff=_tariff_terms(plan),
        allocation=allocation,
        rounding=ROUNDING,
        formulas=[*FORMULAS, *SHARED_FORMULAS] if shared else FORMULAS,
        checks=statement_checks(fold, member.wallet, meters, bill, usage),
        reconciliation=[each for metered in meters for each in reconcile(metered, fold.operator)],
    )


def statement_of(
    data: StatementData,
    status: Status,
    revision: int,
    corrects: CorrectedDocument | None = None,
    notes: Sequence[CorrectionNote] = (),
) -> Statement:
    """Return the document around the data."""
    return Statement(
        format=FORMAT,
        status=status,
        revision=revision,
        corrects=corrects,
        notes=list(notes),
        data=data,
        data_sha256=sha256(canonical(data)),
    )


def _tariff_terms(plan: TariffPlan | None) -> Any:
    """Return the terms of the tariff as JSON has them."""
    if plan is None:
        return None
    return msgspec.json.decode(msgspec.json.encode(plan.terms, enc_hook=encode_hook))


def _energy_summary(
    wallet: WalletMonth, usage: billing.EnergyUsage, unsold_uwh: int, shared: SharedEnergy | None
) -> EnergySummary:
    minted = wallet.sums.get((GRID, "minted"))
    return EnergySummary(
        import_kwh=format_kwh(usage.import_uwh) if usage.is_known else "",
        covered_kwh=format_kwh(usage.retired_uwh),
        residual_kwh=format_kwh(usage.residual_uwh) if usage.is_known else "",
        export_kwh=format_kwh(usage.export_uwh) if usage.is_known else "",
        minted_kwh=format_kwh(minted.amount if minted else 0),
        bought_kwh=format_kwh(wallet.bought.quantity_uwh),
        sold_kwh=format_kwh(wallet.sold.quantity_uwh),
        unsold_kwh=format_kwh(unsold_uwh),
        received_kwh=format_kwh(usage.received_uwh),
        given_kwh=format_kwh(shared.given_uwh if shared else 0),
        surplus_kwh=format_kwh(shared.surplus_uwh if shared else unsold_uwh),
    )


def _metering_point(month: Month, plan: TariffPlan | None, metered: MeteredSpan) -> MeteringPoint:
    is_known, span = metered.is_known, metered.span
    windows = []
    if plan is not None and is_known:
        sums = [0] * len(plan.bands)
        bands = plan.band_of[span.first : span.end]
        for band_index, import_uwh in zip(bands, metered.imports, strict=False):
            sums[band_index] += import_uwh
        windows = [
            WindowEnergy(window=band.window, import_kwh=format_kwh(amount))
            for band, amount in zip(plan.bands, sums, strict=True)
        ]
    return MeteringPoint(
        meter=span.meter,
        policy=span.policy,
        from_ms=month.from_ms + span.first * INTERVAL_MS,
        to_ms=month.from_ms + span.end * INTERVAL_MS,
        import_kwh=format_kwh(metered.import_uwh) if is_known else "",
        export_kwh=format_kwh(metered.export_uwh) if is_known else "",
        windows=windows,
        quality=quality_counts(metered),
    )


def quality_counts(metered: MeteredSpan) -> QualityCounts:
    """Return how many intervals of a metering point have which quality."""
    qualities = metered.qualities
    counts = {quality.label: qualities.count(quality) for quality in Quality}
    return QualityCounts(expected=metered.expected, revised=metered.revised, **counts)


def _account(asset: Asset, wallet: WalletMonth, spool: Spool, address: str) -> Account:
    held_uwh = wallet.held_uwh if asset == GRID else 0
    part: SpoolPart = "GRX" if asset == GRX else "GRID" if asset == GRID else "REC"
    opening = wallet.before[asset]
    sums = [
        PostingSum(
            kind=kind,
            amount=spell(asset, moved.amount),
            count=moved.count,
            first_entry=moved.first_entry,
            last_entry=moved.last_entry,
        )
        for (of, kind), moved in sorted(wallet.sums.items())
        if of == asset
    ]
    return Account(
        asset=asset,
        opening=spell(asset, opening),
        sums=sums,
        closing=spell(asset, opening + wallet.within[asset]),
        postings=spool.lines(address, part),
        pending=spell(asset, held_uwh) if held_uwh else msgspec.UNSET,
    )
