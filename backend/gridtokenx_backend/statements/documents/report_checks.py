"""What must agree in the community's report, computed in two ways.

Members' sums are compared with each other, with the trades of the fold and with what clearings
moved. That all accounts sum to zero holds for any journal, because the fold takes each movement
from one account and gives it to another. Behind these checks, and only if the core is wrong, stand
charges that did not reach their accounts and the findings that concern the whole community.
"""

from __future__ import annotations

from gridtokenx_backend.core.model.ledger import GRX
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.report_totals import StatementTotals
from gridtokenx_backend.statements.fold.allocations import MonthAllocations
from gridtokenx_backend.statements.fold.findings import COMMUNITY
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.posting_kinds import CHARGE_ACCOUNTS
from gridtokenx_backend.statements.model.document import Check, compare
from gridtokenx_wire.units import format_grx, format_kwh

_CHARGES = ("fees", "wheeling", "losses", "congestion rent")


def report_checks(books: Books, total: StatementTotals) -> list[Check]:
    """Return the checks over all members, with those that failed."""
    fold, energy = books.fold, total.energy
    bought, sold = format_kwh(energy["bought_kwh"]), format_kwh(energy["sold_kwh"])
    traded = format_kwh(fold.trading.quantity_uwh)
    checks = [
        compare("bought by members = sold by members", bought, sold),
        compare("sold by members = volume of all trades", sold, traded),
        compare("checks that failed on statements", str(total.failed_checks), "0"),
    ]
    if not fold.allocations.is_empty:
        checks += _allocation_checks(fold.allocations, total)
    for asset, amount in fold.totals().items():
        checks.append(compare(f"{asset}: all accounts of the ledger sum to", str(amount), "0"))
    return [*checks, *_charge_checks(fold), *fold.findings.checks(COMMUNITY)]


def _allocation_checks(allocations: MonthAllocations, total: StatementTotals) -> list[Check]:
    """Return whether others gave what members received, and whether the ledger moved it."""
    given_uwh = total.energy["given_kwh"]
    covered_uwh = total.energy["received_kwh"] - allocations.uncovered_uwh
    checks = [
        compare(
            "received by the key, as far as known producers cover it = given",
            format_kwh(covered_uwh),
            format_kwh(given_uwh),
        ),
        compare(
            "cost of shared energy = what producers earned",
            format_grx(total.cost_ugrx),
            format_grx(total.earned_ugrx),
        ),
    ]
    if allocations.is_comparable:
        moved_uwh = sum(amounts.gave_uwh for amounts in allocations.moved.values())
        moved = format_kwh(moved_uwh + allocations.waiting_uwh)
        text = "GRID that left for shared energy, and what waits = given by the key"
        checks.append(compare(text, moved, format_kwh(given_uwh)))
    return checks


def _charge_checks(fold: MonthFold) -> list[Check]:
    """Return a failed check for each account that did not get what trades were charged for it."""
    checks = [
        compare(
            f"{name}: what trades were charged = what reached the account",
            format_grx(charged_ugrx),
            format_grx(fold.moved_within(account, GRX)),
        )
        for name, account, charged_ugrx in zip(
            _CHARGES, CHARGE_ACCOUNTS, fold.trading.charges_ugrx, strict=True
        )
    ]
    return [check for check in checks if not check.holds]
