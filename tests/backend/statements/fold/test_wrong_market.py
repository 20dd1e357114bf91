"""A core that settles trades or retires GRID wrongly is noticed, in a line that says where.

Each case changes what the core would have journaled, and nothing else. The last test holds what the
module docstrings say is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.statements.documents.test_coupled_trades import MAY, Coupled
from tests.backend.statements.june import JUNE, June
from tests.backend.statements.period_steps import take
from tests.backend.statements.wrong_core import (
    REPORT,
    Change,
    failed_checks,
    go_wrong,
    moved_more,
    remade,
    with_leaf,
)
from tests.backend.village import KWH, Resident

from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    IntervalCleared,
    OrderAccepted,
    PeriodChanged,
    Ticked,
)
from gridtokenx_backend.core.model.ledger import (
    FED_IN,
    FEES,
    GRID,
    GRX,
    RETIRED,
    WHEELING,
    Movement,
    issuer,
)
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_backend.statements.fold.findings import COMMUNITY
from gridtokenx_backend.statements.fold.journal_rows import JournalRow
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.spool import Spool

replace = msgspec.structs.replace
Settled = tuple[Any, list[Movement]]
"""A trade and the movements of its entry."""
NOON_MS = JUNE.from_ms + 12 * 3_600_000
ANNA, BEN = Resident("anna").wallet, Resident("ben").wallet


def june() -> June:
    """The first two days of June, which are not stored yet."""
    made = June()
    made.begin()
    for number in (1, 2):
        made.day(JUNE, number)
    return made


def each_trade(change: Callable[[Any, list[Movement]], Settled]) -> Change:
    """Return the change of an order's outcome that has one trade."""

    def changed(outcome: Any) -> Any:
        if not (isinstance(outcome, OrderAccepted) and len(outcome.trades) == 1):
            return outcome
        trade, movements = change(outcome.trades[0], outcome.movements)
        return replace(outcome, trades=[trade], movements=movements)

    return changed


def each_retirement(change: Callable[[Any, list[Movement]], Settled]) -> Change:
    """Return the change of a tick's outcome in which its first retirement is changed."""

    def changed(outcome: Any) -> Any:
        if not (isinstance(outcome, Ticked) and outcome.retirements):
            return outcome
        first, *others = outcome.retirements
        first, movements = change(first, outcome.movements)
        return replace(outcome, retirements=[first, *others], movements=movements)

    return changed


# Each of these leaves all sums that the core itself keeps in order.


def a_doubled_fee(trade: Any, movements: list[Movement]) -> Settled:
    fee_ugrx = trade.fee_ugrx
    movements = moved_more(movements, GRX, (trade.buyer, FEES), fee_ugrx)
    movements = moved_more(movements, GRX, (trade.buyer, trade.seller), -fee_ugrx)
    return replace(trade, fee_ugrx=2 * fee_ugrx, net_ugrx=trade.net_ugrx - fee_ugrx), movements


def doubled_wheeling(trade: Any, movements: list[Movement]) -> Settled:
    if not (more_ugrx := trade.wheeling_ugrx):
        return trade, movements
    movements = moved_more(movements, GRX, (trade.buyer, WHEELING), more_ugrx)
    gross_ugrx = trade.gross_ugrx + more_ugrx
    return replace(trade, wheeling_ugrx=2 * more_ugrx, gross_ugrx=gross_ugrx), movements


def rent_within_a_zone(trade: Any, movements: list[Movement]) -> Settled:
    if trade.buyer_zone != trade.seller_zone:
        return trade, movements
    rent = Movement(asset=GRX, debit=trade.buyer, credit="community:congestion", amount=9)
    return replace(trade, rent_ugrx=9), [*movements, rent]


# And these do not.


def a_fee_that_nobody_paid(trade: Any, movements: list[Movement]) -> Settled:
    return replace(trade, fee_ugrx=trade.fee_ugrx + 5), movements


def a_price_that_nobody_paid(trade: Any, movements: list[Movement]) -> Settled:
    return replace(trade, price_ugrx=trade.price_ugrx + 1000), movements


def more_for_the_seller(trade: Any, movements: list[Movement]) -> Settled:
    return trade, moved_more(movements, GRX, (trade.buyer, trade.seller), 7)


def less_energy_for_the_buyer(trade: Any, movements: list[Movement]) -> Settled:
    return trade, moved_more(movements, GRID, (trade.seller, trade.buyer), -1)


def a_fee_on_another_account(trade: Any, movements: list[Movement]) -> Settled:
    return trade, [
        replace(each, credit=WHEELING) if each.credit == FEES else each for each in movements
    ]


def less_on_the_ledger(first: Any, movements: list[Movement]) -> Settled:
    return first, moved_more(movements, GRID, (first.wallet, RETIRED), -KWH // 10)


def more_than_was_bought(first: Any, movements: list[Movement]) -> Settled:
    more_uwh = KWH
    movements = moved_more(movements, GRID, (first.wallet, RETIRED), more_uwh)
    return replace(first, amount_uwh=first.amount_uwh + more_uwh), movements


def another_interval(first: Any, movements: list[Movement]) -> Settled:
    return replace(first, interval_ms=NOON_MS), movements


def more_than_anna_has(first: Any, movements: list[Movement]) -> Settled:
    gift = Movement(asset=GRID, debit=ANNA, credit=BEN, amount=10**6 * KWH)
    return first, [*movements, gift]


@pytest.mark.parametrize(
    ("change", "whose", "text"),
    [
        (each_trade(a_doubled_fee), "anna", "market fee of a trade = the fee by the terms"),
        (each_trade(doubled_wheeling), "ben", "wheeling of a trade = wheeling by the terms"),
        (
            each_trade(rent_within_a_zone),
            "cleo",
            "congestion rent of a trade = congestion rent by the terms",
        ),
        (
            each_trade(a_fee_that_nobody_paid),
            "anna",
            "community lines of the bill = GRX that trades moved",
        ),
        (
            each_trade(a_price_that_nobody_paid),
            "cleo",
            "community lines of the bill = GRX that trades moved",
        ),
        (
            each_trade(more_for_the_seller),
            "anna",
            "GRX: the lines of this statement = the ledger's movements",
        ),
        (
            each_trade(less_energy_for_the_buyer),
            "ben",
            "GRID: the lines of this statement = the ledger's movements",
        ),
        (
            each_trade(a_fee_on_another_account),
            REPORT,
            "fees: what trades were charged = what reached the account",
        ),
        (
            each_retirement(less_on_the_ledger),
            "ben",
            "bought GRID retired against import = GRID that left for it",
        ),
        (
            each_retirement(more_than_was_bought),
            "ben",
            "GRID retired against import beyond what was bought",
        ),
        (
            each_retirement(another_interval),
            "ben",
            "bought GRID retired beyond the import of its interval",
        ),
        (each_retirement(more_than_anna_has), "anna", "GRID: a balance below zero"),
    ],
)
def test_a_wrong_entry_fails_a_check_of_whom_it_concerns(
    change: Change, whose: str, text: str, tmp_path: Path
) -> None:
    made = june()
    entry = go_wrong(made, change)
    failed = failed_checks(made, tmp_path / "journal.db", "2026-06")
    texts = [line for line, _, _ in failed[whose] if line.startswith(text)]
    assert texts, failed
    if texts[0] != text:
        assert f"entry {entry})" in texts[0] or "first that of 2026-06-01 12:00)" in texts[0]
    if whose != REPORT:
        assert "checks that failed on statements" in [line for line, _, _ in failed[REPORT]]


def test_a_failed_check_has_the_amount_of_the_entry_and_that_of_the_terms(tmp_path: Path) -> None:
    made = june()
    entry = go_wrong(made, each_trade(a_doubled_fee))
    failed = failed_checks(made, tmp_path / "journal.db", "2026-06")
    # 1.5 kWh for 0.11 GRX each, of which 0.5 % are 825 µGRX.
    text = f"market fee of a trade = the fee by the terms (3 times, first in entry {entry})"
    assert failed["anna"] == [(text, "0.001650", "0.000825")]
    assert failed["ben"] == failed["cleo"] == []


def test_surplus_that_left_beyond_the_documents_is_on_the_revised_statement(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    made = june()
    made.at_ms = JUNE.to_ms
    made.tick()
    made.store(path)
    take(made, path, "final")
    last = made.entries[-1]
    outcome = decode_outcome(last.outcome)
    assert isinstance(outcome, PeriodChanged)
    movements = moved_more(outcome.movements, GRID, (ANNA, FED_IN), KWH)
    made.entries[-1] = remade(last, replace(outcome, movements=movements))
    made._stored = 0
    failed = failed_checks(made, tmp_path / "wrong.db", "2026-06")
    text = "unsold surplus that left for the utility = that of the month's documents"
    ((line, left, right),) = failed["anna"]
    assert line == f"{text} (entry {last.seq})"
    assert Fraction(left) - Fraction(right) == 1
    assert failed["ben"] == failed["cleo"] == []


def test_a_leaf_that_has_other_movements_than_its_outcome_fails_the_report(
    tmp_path: Path,
) -> None:
    made = june()
    index, outcome = next(
        (index, outcome)
        for index, entry in enumerate(made.entries)
        if isinstance(outcome := decode_outcome(entry.outcome), FrameAccepted) and outcome.movements
    )
    others = moved_more(outcome.movements, GRID, (issuer(GRID), ANNA), 1)
    made.entries[index] = with_leaf(made.entries[index], others)
    failed = failed_checks(made, tmp_path / "journal.db", "2026-06")
    text = "movements of an entry's public part that are not those of its outcome"
    assert failed[REPORT] == [(f"{text} (entry {index + 1})", "1", "0")]


def minted_twice(outcome: Any) -> Any:
    """All that was minted is minted again, for no export."""
    if not isinstance(outcome, FrameAccepted):
        return outcome
    return replace(outcome, movements=[*outcome.movements, *outcome.movements])


def of_a_later_purchase(first: Any, movements: list[Movement]) -> Settled:
    return replace(first, bought_entry=first.bought_entry + 3), movements


@pytest.mark.parametrize("change", [minted_twice, each_retirement(of_a_later_purchase)])
def test_what_the_docstrings_call_unnoticed_passes_every_check(
    change: Change, tmp_path: Path
) -> None:
    made = june()
    go_wrong(made, change)
    failed = failed_checks(made, tmp_path / "journal.db", "2026-06")
    assert failed == {"anna": [], "ben": [], "cleo": [], REPORT: []}


def test_wrong_wheeling_of_an_auction_between_zones_passes_every_check(tmp_path: Path) -> None:
    """The journal does not name the links that the energy took."""
    made = Coupled()

    def changed(outcome: Any) -> Any:
        if not isinstance(outcome, IntervalCleared):
            return outcome
        trade, movements = doubled_wheeling(outcome.trades[0], outcome.movements)
        return replace(outcome, trades=[trade], movements=movements)

    go_wrong(made, changed)
    failed = failed_checks(made, tmp_path / "journal.db", MAY.name)
    assert failed == {"anna": [], "ben": [], "cleo": [], REPORT: []}


def test_entries_whose_private_part_was_erased_leave_no_finding() -> None:
    made = june()
    wallets = [who.wallet for who in (made.anna, made.ben, made.cleo)]
    with Spool() as spool:
        fold = MonthFold(JUNE, spool)
        for entry in made.entries:
            is_erased = isinstance(decode_outcome(entry.outcome), OrderAccepted)
            row = JournalRow(
                seq=entry.seq,
                at_ms=entry.at_ms,
                kind=entry.kind,
                leaf=entry.leaf,
                input=None if is_erased else entry.input,
                outcome=None if is_erased else entry.outcome,
            )
            fold.add(row)
    assert fold.wallet(BEN).retired is not None
    assert [fold.findings.checks(wallet) for wallet in [*wallets, COMMUNITY]] == [[], [], [], []]
