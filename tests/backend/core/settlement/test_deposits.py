"""Money in and out: once for each reference, and set aside until the operator says."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.settling import why
from tests.backend.village import START_MS, Resident, Village, assert_sound, order_input

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import OrderRefused, Repeated, Result
from gridtokenx_backend.core.messages.settlement_outcomes import (
    Deposited,
    WithdrawalPaid,
    WithdrawalRefused,
    WithdrawalRequested,
)
from gridtokenx_backend.core.model.ledger import GRX, Movement, issuer
from gridtokenx_backend.core.model.settlement import ConfirmWithdrawal, Deposit, RefuseWithdrawal
from gridtokenx_backend.core.settlement import deposits
from gridtokenx_wire.order import Withdraw
from gridtokenx_wire.units import MAX_AMOUNT, UGRX_PER_GRX

THOUSAND = 1000 * UGRX_PER_GRX


def deposit(village: Village, amount_ugrx: int = 5, reference: str = "r", **other: str) -> Result:
    wallet = other.get("wallet", village.anna.wallet)
    command = Deposit(wallet=wallet, amount_ugrx=amount_ugrx, reference=reference)
    return village.apply(inputs.settlement_input(command))


def withdrawal(who: Resident, name: str, grx: str, reference: str = "rent") -> Withdraw:
    head = {"v": 1, "community": "lane", "wallet": who.wallet, "id": name, "issued_ms": START_MS}
    return Withdraw(**head, amount_grx=grx, reference=reference)


def ask(village: Village, name: str, grx: str, reference: str = "rent") -> Result:
    return village.apply(
        order_input(village.anna.sign(withdrawal(village.anna, name, grx, reference)))
    )


def confirm(village: Village, number: int, reference: str = "bank 1") -> Result:
    return village.apply(
        inputs.settlement_input(ConfirmWithdrawal(number=number, reference=reference))
    )


def refuse(village: Village, number: int, reason: str = "no account") -> Result:
    return village.apply(inputs.settlement_input(RefuseWithdrawal(number=number, reason=reason)))


def test_a_deposit_is_issued_to_the_wallet_once(village: Village) -> None:
    outcome = deposit(village, 25 * UGRX_PER_GRX, "SEPA 1")
    movement = Movement(
        asset=GRX, debit=issuer(GRX), credit=village.anna.wallet, amount=25 * UGRX_PER_GRX
    )
    assert outcome == Deposited(village.anna.wallet, 25 * UGRX_PER_GRX, [movement])
    entry = village.community.entries
    assert deposit(village, 25 * UGRX_PER_GRX, "SEPA 1") == Repeated(entry)
    assert village.community.entries == entry
    assert village.grx(village.anna) == (THOUSAND + 25 * UGRX_PER_GRX, 0)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"amount_ugrx": 6}, "reference_used"),
        ({"wallet": "another member"}, "reference_used"),
        ({"wallet": "nobody", "reference": "n"}, "unknown_wallet"),
        ({"amount_ugrx": 0, "reference": "n"}, "bad_amount"),
        ({"amount_ugrx": -1, "reference": "n"}, "bad_amount"),
        ({"amount_ugrx": MAX_AMOUNT, "reference": "n"}, "bad_amount"),
        ({"reference": ""}, "bad_text"),
        ({"reference": "  "}, "bad_text"),
        ({"reference": "a\nb"}, "bad_text"),
        ({"reference": "x" * 141}, "bad_text"),
    ],
)
def test_a_deposit_that_cannot_be_is_refused(
    village: Village, other: dict[str, Any], reason: str
) -> None:
    deposit(village)
    before = village.community.snapshot()
    if other.get("wallet") == "another member":
        other = {**other, "wallet": village.ben.wallet}
    assert why(deposit(village, **other)) == reason
    assert village.community.snapshot() == before


def test_all_that_can_exist_can_be_deposited_and_no_more(village: Village) -> None:
    left = MAX_AMOUNT - 3 * THOUSAND
    assert isinstance(deposit(village, left), Deposited)
    assert why(deposit(village, 1, "one more")) == "bad_amount"


def test_a_withdrawal_is_set_aside_and_then_paid(village: Village) -> None:
    asked = ask(village, "w", "400")
    assert isinstance(asked, WithdrawalRequested)
    assert village.grx(village.anna) == (THOUSAND, 400 * UGRX_PER_GRX)
    assert_sound(village.community)
    paid = confirm(village, asked.number)
    movement = Movement(
        asset=GRX, debit=village.anna.wallet, credit=issuer(GRX), amount=400 * UGRX_PER_GRX
    )
    wallet = village.anna.wallet
    assert paid == WithdrawalPaid(
        number=asked.number, wallet=wallet, amount_ugrx=400 * UGRX_PER_GRX, movements=[movement]
    )
    assert village.grx(village.anna) == (600 * UGRX_PER_GRX, 0)
    assert confirm(village, asked.number) == Repeated(village.community.entries)
    assert why(confirm(village, asked.number, "bank 2")) == "unknown_withdrawal"
    assert why(refuse(village, asked.number)) == "unknown_withdrawal"
    assert village.community.settlement.withdrawals == {}
    assert_sound(village.community)


def test_a_refused_withdrawal_is_the_members_again(village: Village) -> None:
    asked = ask(village, "w", "400")
    assert isinstance(asked, WithdrawalRequested)
    refused = refuse(village, asked.number)
    wallet, amount = village.anna.wallet, 400 * UGRX_PER_GRX
    assert refused == WithdrawalRefused(
        number=asked.number, wallet=wallet, amount_ugrx=amount, reason="no account"
    )
    assert village.grx(village.anna) == (THOUSAND, 0)
    assert why(confirm(village, asked.number)) == "unknown_withdrawal"


def test_what_is_set_aside_cannot_be_spent(village: Village) -> None:
    ask(village, "w", "400")
    assert why(village.tell(village.anna.order("b", "buy", "601", "1"))) == "insufficient_balance"
    village.accept(village.anna.order("c", "buy", "600", "1"))
    assert why(ask(village, "w2", "0.000001", "more")) == "insufficient_balance"


def test_an_order_and_a_withdrawal_have_numbers_of_their_own(village: Village) -> None:
    first = village.accept(village.anna.order("a", "buy", "1", "0.1"))
    asked = ask(village, "w", "1")
    second = village.accept(village.anna.order("b", "buy", "1", "0.1"))
    assert isinstance(asked, WithdrawalRequested)
    assert [first.number, asked.number, second.number] == [1, 2, 3]


@pytest.mark.parametrize(
    ("grx", "reference", "reason"),
    [
        ("0", "n", "bad_amount"),
        ("-1", "n", "bad_amount"),
        ("much", "n", "bad_amount"),
        ("0.0000001", "n", "bad_amount"),
        ("1", "", "malformed"),
        ("1", "x" * 141, "malformed"),
        ("1", "rent", "reference_used"),
        ("1000.000001", "n", "insufficient_balance"),
    ],
)
def test_a_withdrawal_that_cannot_be_is_refused(
    village: Village, grx: str, reference: str, reason: str
) -> None:
    ask(village, "w", "1")
    before = village.community.snapshot()
    assert why(ask(village, "w2", grx, reference)) == reason
    assert village.community.snapshot() == before


def test_the_same_withdrawal_again_is_the_same(village: Village) -> None:
    ask(village, "w", "1")
    entry = village.community.entries
    assert ask(village, "w", "1") == Repeated(entry)
    assert why(ask(village, "w", "2")) == "id_reused"


def test_a_reference_pays_one_withdrawal_and_is_no_deposits(village: Village) -> None:
    numbers = []
    for name in ("one", "two"):
        asked = ask(village, name, "1", name)
        assert isinstance(asked, WithdrawalRequested)
        numbers.append(asked.number)
    confirm(village, numbers[0], "bank 1")
    assert why(confirm(village, numbers[1], "bank 1")) == "reference_used"
    assert why(deposit(village, 5, "bank 1")) == "reference_used"
    assert why(confirm(village, numbers[1], "")) == "bad_text"
    assert why(refuse(village, numbers[1], "")) == "bad_text"


def test_open_withdrawals_and_references_are_bounded(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(deposits.MAX_OPEN_WITHDRAWALS):
        assert isinstance(ask(village, f"w{number}", "1", f"{number}"), WithdrawalRequested)
    assert why(ask(village, "more", "1", "more")) == "busy"
    monkeypatch.setattr(deposits, "MAX_REFERENCES", 1)
    deposit(village)
    assert why(deposit(village, 5, "second")) == "busy"


def test_a_stranger_withdraws_nothing(village: Village) -> None:
    stranger = Resident("stranger")
    outcome = village.tell(withdrawal(stranger, "w", "1"))
    assert isinstance(outcome, OrderRefused)
    assert why(outcome) == "unknown_wallet"
