"""What must agree on a statement, computed in two ways.

The first checks compare sums that come from different places: lines from the private outcomes with
movements of the public leaves, the bill with its lines, the import by time of use with the whole
import, allocations with what clearings moved. They are on every statement. They notice a mistake of
the core where the two sides do not make it alike, and over a month two mistakes can cancel.

Behind them stand the findings of the fold, one for each kind, and none if the core is right. The
modules of `statements.fold` that end in `_checks` say what they notice and what they do not.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_backend.core.model.ledger import ASSETS
from gridtokenx_backend.statements.documents.bill import EnergyUsage
from gridtokenx_backend.statements.fold.allocations import MonthAllocations, SharedAmounts
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.posting_kinds import spell
from gridtokenx_backend.statements.fold.retirement_checks import excess_by_interval
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import Bill, Check, compare
from gridtokenx_backend.statements.model.months import INTERVAL_MS
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx


def statement_checks(
    fold: MonthFold,
    address: str,
    meters: Sequence[MeteredSpan],
    bill: Bill,
    usage: EnergyUsage,
) -> list[Check]:
    """Return the checks of the statement of the wallet `address`, with those that failed."""
    wallet = fold.wallets.get(address) or WalletMonth()
    return [
        *_account_checks(wallet),
        *_bill_checks(wallet, bill),
        *_usage_checks(usage),
        *_allocation_checks(fold.allocations, address),
        *_coverage_checks(fold, wallet, meters),
        *fold.findings.checks(address),
    ]


def _account_checks(wallet: WalletMonth) -> list[Check]:
    """Return the lines of each account beside the movements of the leaves."""
    checks = []
    for asset in ASSETS:
        lines = sum(moved.amount for (of, _), moved in wallet.sums.items() if of == asset)
        text = f"{asset}: the lines of this statement = the ledger's movements"
        checks.append(compare(text, spell(asset, lines), spell(asset, wallet.within[asset])))
    return checks


def _bill_checks(wallet: WalletMonth, bill: Bill) -> list[Check]:
    """Return the bill beside what trades moved, and its total beside its lines."""
    moved_ugrx = wallet.bought.amount_ugrx + wallet.sold.amount_ugrx
    total_ugrx = sum(parse_grx(line.amount_grx) for line in bill.lines)
    return [
        compare(
            "community lines of the bill = GRX that trades moved",
            bill.settled_grx,
            format_grx(-moved_ugrx),
        ),
        compare("total = sum of the bill's lines", format_grx(total_ugrx), bill.total_grx),
    ]


def _usage_checks(usage: EnergyUsage) -> list[Check]:
    """Return the residual import by time of use beside that of the whole month."""
    if not usage.is_known:
        return []
    return [
        compare(
            "residual import by time of use = import − retired − received by the key",
            format_kwh(sum(usage.residual_by_band_uwh)),
            format_kwh(usage.residual_uwh),
        )
    ]


def _allocation_checks(allocations: MonthAllocations, address: str) -> list[Check]:
    """Return what the key allocated beside what the ledger moved for it.

    Energy is not compared while some of it waits to be minted.
    """
    if allocations.is_empty or not allocations.is_comparable:
        return []
    allocated = allocations.allocated(address)
    moved = allocations.moved.get(address, SharedAmounts())
    checks = []
    if not allocations.waiting_uwh:
        for text, allocated_uwh, moved_uwh in (
            ("received by the key = GRID retired for it", allocated.took_uwh, moved.took_uwh),
            ("given by the key = GRID that left for it", allocated.gave_uwh, moved.gave_uwh),
        ):
            checks.append(compare(text, format_kwh(allocated_uwh), format_kwh(moved_uwh)))
    text = "paid for shared energy = GRX that clearings moved"
    checks.append(compare(text, format_grx(allocated.paid_ugrx), format_grx(moved.paid_ugrx)))
    return checks


def _coverage_checks(
    fold: MonthFold, wallet: WalletMonth, meters: Sequence[MeteredSpan]
) -> list[Check]:
    """Return a failed check if bought GRID covered more than the import of an interval."""
    if wallet.retired is None or not any(metered.is_known for metered in meters):
        return []
    excess = excess_by_interval(meters, wallet.retired, fold.month.intervals)
    if not excess:
        return []
    first = fold.month.local(fold.month.from_ms + min(excess) * INTERVAL_MS)
    text = "bought GRID retired beyond the import of its interval"
    place = f"{len(excess)} intervals, first that of {first:%Y-%m-%d %H:%M}"
    return [compare(f"{text} ({place})", format_kwh(sum(excess.values())), format_kwh(0))]
