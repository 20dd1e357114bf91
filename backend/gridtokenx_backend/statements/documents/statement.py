"""A member's month: from the fold, the meters' intervals and the tariff to the document's data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.ledger import ASSETS, GRID, GRX
from gridtokenx_backend.core.model.sharing_terms import SharingTerms
from gridtokenx_backend.statements.documents import bill as billing
from gridtokenx_backend.statements.documents.allocation_pairs import PairSums
from gridtokenx_backend.statements.documents.sharing import SharedEnergy, allocation_of, shared_of
from gridtokenx_backend.statements.fold.allocations import MonthAllocations, SharedAmounts
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.operator_figures import reconciled
from gridtokenx_backend.statements.fold.posting_kinds import spell
from gridtokenx_backend.statements.fold.spool import Spool, SpoolPart
from gridtokenx_backend.statements.fold.tariffs import ROUNDING, TariffPlan
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import (
    FORMAT,
    Account,
    Bill,
    Check,
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
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx

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


class BilledMember(msgspec.Struct, frozen=True):
    """Whose statement it is, on which tariff, with which metering points."""

    name: str
    wallet: str
    plan: TariffPlan | None
    meters: Sequence[MeteredSpan]
    feeds_in: bool = True
    """Whether what nobody bought goes to the utility."""
    sharing: SharingTerms = SharingTerms()


def data_of(
    fold: MonthFold, person: BilledMember, community: str, spool: Spool, serving: PairSums
) -> StatementData:
    """What the month was for this member."""
    month = fold.month
    wallet = fold.wallets.get(person.wallet) or WalletMonth()
    meters, terms = person.meters, person.sharing
    shared = shared_of(fold.shares, fold.operator, person.wallet, meters, terms)
    usage = billing.usage(month, person.plan, meters, wallet.retired, shared)
    unsold_uwh = fold.unsold_uwh(person.wallet, wallet)
    surplus_uwh = unsold_uwh if shared is None else shared.surplus_uwh
    fed_in_uwh = surplus_uwh if person.feeds_in else 0
    bill = billing.bill_of(wallet, usage, person.plan, fed_in_uwh, shared)
    accounts = [_account(asset, wallet, spool, person.wallet) for asset in ASSETS]
    return StatementData(
        community,
        month.name,
        month.zone,
        month.from_ms,
        month.to_ms,
        month.days,
        person.name,
        person.wallet,
        _energy(wallet, usage, unsold_uwh, shared),
        bill,
        billing.alone(bill, usage, person.plan),
        [_block(month, person.plan, metered) for metered in person.meters],
        spool.lines(person.wallet, "trade"),
        accounts,
        _snapshot(person.plan),
        allocation_of(fold.shares, person.wallet, shared, terms, serving) if shared else None,
        ROUNDING,
        [*FORMULAS, *SHARED_FORMULAS] if shared else FORMULAS,
        checks(wallet, bill, usage, fold.shares, person.wallet),
        [each for metered in meters for each in reconciled(metered, fold.operator)],
    )


def statement_of(
    data: StatementData,
    status: Status,
    revision: int,
    corrects: CorrectedDocument | None = None,
    notes: Sequence[CorrectionNote] = (),
) -> Statement:
    """The document around the data."""
    found = sha256(canonical(data))
    return Statement(FORMAT, status, revision, corrects, list(notes), data, found)


def _snapshot(plan: TariffPlan | None) -> Any:
    if plan is None:
        return None
    return msgspec.json.decode(msgspec.json.encode(plan.terms, enc_hook=encode_hook))


def _energy(
    wallet: WalletMonth, usage: billing.EnergyUsage, unsold_uwh: int, shared: SharedEnergy | None
) -> EnergySummary:
    known = usage.known
    minted = wallet.tallies.get((GRID, "minted"))
    return EnergySummary(
        format_kwh(usage.import_uwh) if known else "",
        format_kwh(usage.retired_uwh),
        format_kwh(usage.import_uwh - usage.retired_uwh - usage.received_uwh) if known else "",
        format_kwh(usage.export_uwh) if known else "",
        format_kwh(minted.amount if minted else 0),
        format_kwh(wallet.bought.quantity_uwh),
        format_kwh(wallet.sold.quantity_uwh),
        format_kwh(unsold_uwh),
        "",
        format_kwh(usage.received_uwh),
        format_kwh(shared.given_uwh if shared else 0),
        format_kwh(shared.surplus_uwh if shared else unsold_uwh),
    )


def _block(month: Month, plan: TariffPlan | None, metered: MeteredSpan) -> MeteringPoint:
    known = metered.known
    windows = []
    if plan is not None and known:
        sums = [0] * len(plan.bands)
        bands = plan.band_of[metered.first : metered.end]
        for band_index, import_uwh in zip(bands, metered.imports, strict=False):
            sums[band_index] += import_uwh
        windows = [
            WindowEnergy(band.window, format_kwh(amount))
            for band, amount in zip(plan.bands, sums, strict=True)
        ]
    return MeteringPoint(
        metered.meter,
        metered.policy,
        month.from_ms + metered.first * INTERVAL_MS,
        month.from_ms + metered.end * INTERVAL_MS,
        format_kwh(metered.import_uwh) if known else "",
        format_kwh(metered.export_uwh) if known else "",
        windows,
        quality_of(metered),
    )


def quality_of(metered: MeteredSpan) -> QualityCounts:
    """How well the intervals are known."""
    qualities = metered.qualities
    counts = {quality.label: qualities.count(quality) for quality in Quality}
    return QualityCounts(metered.expected, revised=metered.revised, **counts)


def _account(asset: str, wallet: WalletMonth, spool: Spool, address: str) -> Account:
    part: SpoolPart = "GRX" if asset == GRX else "GRID" if asset == GRID else "REC"
    opening = wallet.before[asset]
    return Account(
        asset,
        spell(asset, opening),
        [
            PostingSum(
                kind, spell(asset, tally.amount), tally.count, tally.first_entry, tally.last_entry
            )
            for (of, kind), tally in sorted(wallet.tallies.items())
            if of == asset
        ],
        spell(asset, opening + wallet.within[asset]),
        spool.lines(address, part),
    )


def checks(
    wallet: WalletMonth,
    bill: Bill,
    usage: billing.EnergyUsage,
    shares: MonthAllocations,
    address: str,
) -> list[Check]:
    """What must agree: the lines with the ledger, the total with its lines."""
    found = []
    for asset in ASSETS:
        lines = sum(tally.amount for (of, _), tally in wallet.tallies.items() if of == asset)
        found.append(
            _check(
                f"{asset}: the lines of this statement = the ledger's movements",
                spell(asset, lines),
                spell(asset, wallet.within[asset]),
            )
        )
    settled = wallet.bought.amount_ugrx + wallet.sold.amount_ugrx
    found.append(
        _check(
            "community lines of the bill = GRX that trades moved",
            bill.settled_grx,
            format_grx(-settled),
        )
    )
    total = sum(parse_grx(line.amount_grx) for line in bill.lines)
    found.append(_check("total = sum of the bill's lines", format_grx(total), bill.total_grx))
    if usage.known:
        by_band = sum(usage.residual_uwh)
        covered_uwh = usage.retired_uwh + usage.received_uwh
        found.append(
            _check(
                "residual import by time of use = import − retired − received by the key",
                format_kwh(by_band),
                format_kwh(usage.import_uwh - covered_uwh),
            )
        )
    return [*found, *_shared_checks(shares, address)]


def _shared_checks(shares: MonthAllocations, address: str) -> list[Check]:
    """The key's lines against the ledger; not energy while some of it waits to be minted."""
    if shares.is_empty:
        return []
    said = shares.allocated(address)
    moved = shares.moved.get(address, SharedAmounts())
    found = []
    if shares.comparable and not shares.waiting_uwh:
        for text, left_uwh, right_uwh in (
            ("received by the key = GRID retired for it", said.took_uwh, moved.took_uwh),
            ("given by the key = GRID that left for it", said.gave_uwh, moved.gave_uwh),
        ):
            found.append(_check(text, format_kwh(left_uwh), format_kwh(right_uwh)))
    if shares.comparable:
        paid, on_ledger = format_grx(said.paid_ugrx), format_grx(moved.paid_ugrx)
        found.append(_check("paid for shared energy = GRX that clearings moved", paid, on_ledger))
    return found


def _check(text: str, left: str, right: str) -> Check:
    return Check(text, left, right, left == right)
