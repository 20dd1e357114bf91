"""Deposits and withdrawals: GRX is issued for a payment that came in, and goes back for one made.

The operator makes the payment itself elsewhere. A payment's reference is used once: the same
command again is answered as before, and another command with the same reference is refused.
"""

from __future__ import annotations

import hashlib

import msgspec

from gridtokenx_backend.core.messages.outcomes import OrderRefused, Repeated
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.messages.settlement_outcomes import (
    Deposited,
    SettlementRefusal,
    SettlementRefused,
    WithdrawalPaid,
    WithdrawalRefused,
    WithdrawalRequested,
)
from gridtokenx_backend.core.model.ledger import GRX, Movement, issuer
from gridtokenx_backend.core.model.settlement import (
    ConfirmWithdrawal,
    Deposit,
    RefuseWithdrawal,
    UsedReference,
    Withdrawal,
)
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Withdraw
from gridtokenx_wire.units import MAX_AMOUNT, format_grx

MAX_REFERENCES = 1_000_000
MAX_OPEN_WITHDRAWALS = 20
"""How many withdrawals of one wallet may be open."""
MAX_TEXT = 140
"""The longest reference or reason: it is what a SEPA transfer can carry."""
_TEXT = f"1 to {MAX_TEXT} printable characters"
_encode = msgspec.json.Encoder().encode


def deposit(community: Community, command: Deposit) -> Deposited | SettlementRefused | Repeated:
    """Credit a payment that came in."""
    if command.wallet not in community.members:
        return _refused(SettlementRefusal.UNKNOWN_WALLET, "expected the wallet of a member")
    if command.amount_ugrx <= 0:
        return _refused(SettlementRefusal.BAD_AMOUNT, "amount_grx: expected an amount above 0 GRX")
    if known := _known(community, command.reference, command):
        return known
    movement = Movement(
        asset=GRX, debit=issuer(GRX), credit=command.wallet, amount=command.amount_ugrx
    )
    if community.ledger.post([movement]):
        most = format_grx(MAX_AMOUNT + community.ledger.posted(issuer(GRX), GRX))
        return _refused(SettlementRefusal.BAD_AMOUNT, f"amount_grx: expected at most {most} GRX")
    _remember(community, command.reference, command)
    return Deposited(command.wallet, command.amount_ugrx, [movement])


def withdraw(community: Community, instruction: Withdraw) -> WithdrawalRequested | OrderRefused:
    """Set a member's money aside until the operator has paid it out."""
    try:
        amount_ugrx = instruction.amount_ugrx
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_AMOUNT, f"amount_grx: {error}")
    if amount_ugrx <= 0:
        return OrderRefused(OrderRefusal.BAD_AMOUNT, "amount_grx: expected an amount above 0 GRX")
    if not is_text(instruction.reference):
        return OrderRefused(OrderRefusal.MALFORMED, f"reference: expected {_TEXT}")
    mine = [
        each
        for each in community.settlement.withdrawals.values()
        if each.wallet == instruction.wallet
    ]
    if any(each.reference == instruction.reference for each in mine):
        detail = "expected a reference that no open withdrawal of this wallet has"
        return OrderRefused(OrderRefusal.REFERENCE_USED, detail)
    if len(mine) >= MAX_OPEN_WITHDRAWALS:
        detail = f"expected fewer than {MAX_OPEN_WITHDRAWALS} open withdrawals"
        return OrderRefused(OrderRefusal.BUSY, detail)
    number = community.next_order
    if community.ledger.reserve(number, instruction.wallet, GRX, amount_ugrx):
        free = format_grx(community.ledger.available(instruction.wallet, GRX))
        detail = f"expected {format_grx(amount_ugrx)} GRX available, got {free}"
        return OrderRefused(OrderRefusal.INSUFFICIENT_BALANCE, detail)
    community.next_order += 1
    community.settlement.withdrawals[number] = Withdrawal(
        number=number,
        wallet=instruction.wallet,
        amount_ugrx=amount_ugrx,
        reference=instruction.reference,
        entry=community.entries + 1,
    )
    return WithdrawalRequested(number, instruction.wallet, amount_ugrx)


def confirm(
    community: Community, command: ConfirmWithdrawal
) -> WithdrawalPaid | SettlementRefused | Repeated:
    """Give the money of a withdrawal that was paid back to the issuer."""
    if known := _known(community, command.reference, command):
        return known
    withdrawal = community.settlement.withdrawals.pop(command.number, None)
    if withdrawal is None:
        return _none_open(command.number)
    movement = community.ledger.post_pending(withdrawal.number, issuer(GRX), withdrawal.amount_ugrx)
    community.ledger.close_pending(withdrawal.number)
    _remember(community, command.reference, command)
    return WithdrawalPaid(
        number=withdrawal.number,
        wallet=withdrawal.wallet,
        amount_ugrx=withdrawal.amount_ugrx,
        movements=[movement],
    )


def refuse(
    community: Community, command: RefuseWithdrawal
) -> WithdrawalRefused | SettlementRefused:
    """Free the money of a withdrawal that will not be paid."""
    if not is_text(command.reason):
        return _refused(SettlementRefusal.BAD_TEXT, f"reason: expected {_TEXT}")
    withdrawal = community.settlement.withdrawals.pop(command.number, None)
    if withdrawal is None:
        return _none_open(command.number)
    community.ledger.close_pending(withdrawal.number)
    return WithdrawalRefused(
        number=withdrawal.number,
        wallet=withdrawal.wallet,
        amount_ugrx=withdrawal.amount_ugrx,
        reason=command.reason,
    )


def is_text(text: str) -> bool:
    """Return whether a text may stand as a reference or a reason."""
    return 1 <= len(text) <= MAX_TEXT and text.isprintable() and bool(text.strip())


def _known(
    community: Community, reference: str, command: Deposit | ConfirmWithdrawal
) -> SettlementRefused | Repeated | None:
    """Return the answer if the reference is no text or was used before; None if it is new."""
    if not is_text(reference):
        return _refused(SettlementRefusal.BAD_TEXT, f"reference: expected {_TEXT}")
    references = community.settlement.references
    if known := references.get(reference):
        if known.digest == _digest(command):
            return Repeated(known.entry)
        detail = f"expected a new reference, entry {known.entry} used it for another payment"
        return _refused(SettlementRefusal.REFERENCE_USED, detail)
    if len(references) >= MAX_REFERENCES:
        detail = f"expected fewer than {MAX_REFERENCES} references"
        return _refused(SettlementRefusal.BUSY, detail)
    return None


def _remember(community: Community, reference: str, command: Deposit | ConfirmWithdrawal) -> None:
    referred = UsedReference(_digest(command), community.entries + 1)
    community.settlement.references[reference] = referred


def _digest(command: Deposit | ConfirmWithdrawal) -> bytes:
    return hashlib.sha256(_encode(command)).digest()[:16]


def _none_open(number: int) -> SettlementRefused:
    detail = f"expected the number of an open withdrawal, got {number}"
    return _refused(SettlementRefusal.UNKNOWN_WITHDRAWAL, detail)


def _refused(reason: SettlementRefusal, detail: str) -> SettlementRefused:
    return SettlementRefused(reason, detail)
