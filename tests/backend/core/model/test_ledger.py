"""Double entry: all or nothing, nobody below zero, escrow, and 64 bits."""

from __future__ import annotations

import pytest

from gridtokenx_backend.core.model.ledger import (
    ASSETS,
    GRID,
    GRX,
    REC,
    Ledger,
    LedgerRefusal,
    Movement,
    issuer,
)
from gridtokenx_wire.units import MAX_AMOUNT

ISSUER = issuer(GRX)


def ledger_with(**grx: int) -> Ledger:
    """Accounts that were issued so much GRX each."""
    ledger = Ledger()
    for account, amount in grx.items():
        assert (
            ledger.post([Movement(asset=GRX, debit=ISSUER, credit=account, amount=amount)]) is None
        )
    return ledger


def pay(debit: str, credit: str, amount: int, asset: str = GRX) -> Movement:
    return Movement(asset=asset, debit=debit, credit=credit, amount=amount)


def holdings(ledger: Ledger, *accounts: str) -> list[int]:
    return [ledger.posted(account, GRX) for account in accounts]


@pytest.mark.parametrize(
    ("linked", "refusal", "balances"),
    [
        pytest.param([], None, [100, 10, -110], id="nothing"),
        pytest.param([pay("anna", "ben", 1)], None, [99, 11, -110], id="one unit"),
        pytest.param([pay("anna", "ben", 100)], None, [0, 110, -110], id="all that there is"),
        pytest.param(
            [pay("anna", "ben", 101)],
            LedgerRefusal.INSUFFICIENT_BALANCE,
            [100, 10, -110],
            id="one more than there is",
        ),
        pytest.param(
            [pay("anna", "ben", 0)], LedgerRefusal.NOT_POSITIVE, [100, 10, -110], id="zero"
        ),
        pytest.param(
            [pay("anna", "ben", -1)], LedgerRefusal.NOT_POSITIVE, [100, 10, -110], id="negative"
        ),
        pytest.param(
            [pay("nobody", "ben", 1)],
            LedgerRefusal.INSUFFICIENT_BALANCE,
            [100, 10, -110],
            id="from an account that was never heard of",
        ),
        pytest.param(
            [pay("ben", "anna", 10), pay("anna", "ben", 110)],
            None,
            [0, 110, -110],
            id="the second spends what the first brought",
        ),
        pytest.param(
            [pay("anna", "ben", 110), pay("ben", "anna", 10)],
            LedgerRefusal.INSUFFICIENT_BALANCE,
            [100, 10, -110],
            id="order counts",
        ),
        pytest.param(
            [pay("anna", "ben", 60), pay("ben", "anna", 5), pay("anna", "ben", 46)],
            LedgerRefusal.INSUFFICIENT_BALANCE,
            [100, 10, -110],
            id="the last of three takes the other two back",
        ),
        pytest.param(
            [pay("anna", "ben", 60), pay(ISSUER, "ben", MAX_AMOUNT - 109)],
            LedgerRefusal.OVERFLOW,
            [100, 10, -110],
            id="an overflow takes back what went before",
        ),
        pytest.param([pay("anna", ISSUER, 40)], None, [60, 10, -70], id="back to the issuer"),
    ],
)
def test_linked_movements_are_posted_all_or_none(
    linked: list[Movement], refusal: LedgerRefusal | None, balances: list[int]
) -> None:
    ledger = ledger_with(anna=100, ben=10)
    assert ledger.post(linked) is refusal
    assert holdings(ledger, "anna", "ben", ISSUER) == balances


@pytest.mark.parametrize(
    ("issued", "more", "refusal"),
    [
        (1, MAX_AMOUNT - 1, None),
        (1, MAX_AMOUNT, LedgerRefusal.OVERFLOW),
        (MAX_AMOUNT - 1, 1, None),
        (MAX_AMOUNT, 1, LedgerRefusal.OVERFLOW),
    ],
)
def test_no_more_is_issued_than_64_bits_hold(
    issued: int, more: int, refusal: LedgerRefusal | None
) -> None:
    ledger = ledger_with(anna=issued)
    assert ledger.post([pay(ISSUER, "ben", more)]) is refusal


def test_what_came_back_may_be_issued_again() -> None:
    ledger = ledger_with(anna=MAX_AMOUNT)
    assert ledger.post([pay("anna", ISSUER, 5), pay(ISSUER, "ben", 5)]) is None
    assert ledger.post([pay(ISSUER, "ben", 1)]) is LedgerRefusal.OVERFLOW


def test_assets_are_apart() -> None:
    ledger = ledger_with(anna=7)
    assert [ledger.posted("anna", asset) for asset in ASSETS] == [0, 7, 0]
    for asset in (GRID, REC):
        refusal = ledger.post([pay("anna", "ben", 1, asset)])
        assert refusal is LedgerRefusal.INSUFFICIENT_BALANCE


@pytest.mark.parametrize(
    ("amount", "refusal", "available"),
    [
        (-1, LedgerRefusal.NOT_POSITIVE, 100),
        (0, LedgerRefusal.NOT_POSITIVE, 100),
        (1, None, 99),
        (100, None, 0),
        (101, LedgerRefusal.INSUFFICIENT_BALANCE, 100),
    ],
)
def test_escrow_takes_what_is_available(
    amount: int, refusal: LedgerRefusal | None, available: int
) -> None:
    ledger = ledger_with(anna=100)
    assert ledger.reserve(1, "anna", GRX, amount) is refusal
    assert ledger.available("anna", GRX) == available
    assert ledger.held("anna", GRX) == 100 - available
    assert ledger.posted("anna", GRX) == 100


def test_nobody_reserves_for_a_stranger() -> None:
    refusal = ledger_with(anna=1).reserve(1, "stranger", GRX, 1)
    assert refusal is LedgerRefusal.INSUFFICIENT_BALANCE


def test_what_is_in_escrow_is_not_spent_otherwise() -> None:
    ledger = ledger_with(anna=100)
    ledger.reserve(1, "anna", GRX, 60)
    assert ledger.post([pay("anna", "ben", 41)]) is LedgerRefusal.INSUFFICIENT_BALANCE
    assert ledger.reserve(2, "anna", GRX, 41) is LedgerRefusal.INSUFFICIENT_BALANCE
    assert ledger.reserve(2, "anna", GRX, 40) is None
    assert ledger.post([pay("anna", "ben", 1)]) is LedgerRefusal.INSUFFICIENT_BALANCE


def test_escrow_is_posted_released_and_closed_in_parts() -> None:
    ledger = ledger_with(anna=100)
    ledger.reserve(1, "anna", GRX, 60)
    ledger.reserve(2, "anna", GRX, 30)
    assert ledger.post_pending(1, "ben", 20) == pay("anna", "ben", 20)
    assert (ledger.posted("anna", GRX), ledger.held("anna", GRX)) == (80, 70)
    ledger.release(1, 15)
    assert (ledger.posted("anna", GRX), ledger.held("anna", GRX)) == (80, 55)
    ledger.close_pending(1)
    assert (ledger.posted("anna", GRX), ledger.held("anna", GRX)) == (80, 30)
    ledger.post_pending(2, "ben", 30)
    ledger.close_pending(2)
    assert (ledger.posted("anna", GRX), ledger.held("anna", GRX)) == (50, 0)
    assert ledger.posted("ben", GRX) == 50


def test_more_than_was_reserved_is_a_bug_and_not_a_payment() -> None:
    ledger = ledger_with(anna=100)
    ledger.reserve(1, "anna", GRX, 60)
    with pytest.raises(AssertionError):
        ledger.post_pending(1, "ben", 61)
    with pytest.raises(AssertionError):
        ledger.release(1, 61)
    assert holdings(ledger, "anna", "ben") == [100, 0]
