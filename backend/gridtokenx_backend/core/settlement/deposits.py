"""Money in and out: GRX is issued for a payment that came, and goes back for one that was made.

The payment itself is made elsewhere, by the operator. Its reference is used once: the same command
again is answered as before, and another one with the same reference is refused.
"""

from __future__ import annotations

import hashlib

import msgspec

from gridtokenx_backend.core.messages.outcomes import OrderRefusal, OrderRefused, Repeated
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
    Referred,
    RefuseWithdrawal,
    Withdrawal,
)
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Withdraw
from gridtokenx_wire.units import MAX_AMOUNT, format_grx

MAX_REFERENCES = 1_000_000
MAX_OPEN_WITHDRAWALS = 20
"""Of one wallet."""
MAX_TEXT = 140
"""Of references and reasons; what a SEPA transfer carries."""
_TEXT = f"1 to {MAX_TEXT} printable characters"
_encode = msgspec.json.Encoder().encode


def deposit(community: Community, given: Deposit) -> Deposited | SettlementRefused | Repeated:
    """Credits a payment that came in."""
    if given.wallet not in community.members:
        return _refused(SettlementRefusal.UNKNOWN_WALLET, "expected the wallet of a member")
    if given.amount_ugrx <= 0:
        return _refused(SettlementRefusal.BAD_AMOUNT, "expected an amount above 0 GRX")
    if known := _known(community, given.reference, given):
        return known
    movement = Movement(GRX, issuer(GRX), given.wallet, given.amount_ugrx)
    if community.ledger.post([movement]):
        most = format_grx(MAX_AMOUNT + community.ledger.posted(issuer(GRX), GRX))
        return _refused(SettlementRefusal.BAD_AMOUNT, f"expected at most {most} GRX")
    _remember(community, given.reference, given)
    return Deposited(given.wallet, given.amount_ugrx, [movement])


def withdraw(community: Community, given: Withdraw) -> WithdrawalRequested | OrderRefused:
    """Sets a member's money aside, to be paid out by the operator."""
    try:
        amount_ugrx = given.amount_ugrx
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_AMOUNT, str(error))
    if amount_ugrx <= 0:
        return OrderRefused(OrderRefusal.BAD_AMOUNT, "expected an amount above 0 GRX")
    if not is_text(given.reference):
        return OrderRefused(OrderRefusal.MALFORMED, f"expected a reference of {_TEXT}")
    mine = [
        each for each in community.settlement.withdrawals.values() if each.wallet == given.wallet
    ]
    if any(each.reference == given.reference for each in mine):
        detail = "expected a reference that no open withdrawal of this wallet has"
        return OrderRefused(OrderRefusal.REFERENCE_USED, detail)
    if len(mine) >= MAX_OPEN_WITHDRAWALS:
        detail = f"expected fewer than {MAX_OPEN_WITHDRAWALS} open withdrawals"
        return OrderRefused(OrderRefusal.BUSY, detail)
    number = community.next_order
    if community.ledger.reserve(number, given.wallet, GRX, amount_ugrx):
        free = format_grx(community.ledger.available(given.wallet, GRX))
        detail = f"expected {format_grx(amount_ugrx)} GRX available, got {free}"
        return OrderRefused(OrderRefusal.INSUFFICIENT_BALANCE, detail)
    community.next_order += 1
    community.settlement.withdrawals[number] = Withdrawal(
        number, given.wallet, amount_ugrx, given.reference, community.entries + 1
    )
    return WithdrawalRequested(number, given.wallet, amount_ugrx)


def confirm(
    community: Community, given: ConfirmWithdrawal
) -> WithdrawalPaid | SettlementRefused | Repeated:
    """A withdrawal was paid: its money goes back to the issuer."""
    if known := _known(community, given.reference, given):
        return known
    asked = community.settlement.withdrawals.pop(given.number, None)
    if asked is None:
        return _none_open(given.number)
    movement = community.ledger.post_pending(asked.number, issuer(GRX), asked.amount_ugrx)
    community.ledger.close_pending(asked.number)
    _remember(community, given.reference, given)
    return WithdrawalPaid(
        number=asked.number,
        wallet=asked.wallet,
        amount_ugrx=asked.amount_ugrx,
        movements=[movement],
    )


def refuse(community: Community, given: RefuseWithdrawal) -> WithdrawalRefused | SettlementRefused:
    """A withdrawal is not paid: its money is free again."""
    if not is_text(given.reason):
        return _refused(SettlementRefusal.BAD_TEXT, f"expected a reason of {_TEXT}")
    asked = community.settlement.withdrawals.pop(given.number, None)
    if asked is None:
        return _none_open(given.number)
    community.ledger.close_pending(asked.number)
    return WithdrawalRefused(
        number=asked.number, wallet=asked.wallet, amount_ugrx=asked.amount_ugrx, reason=given.reason
    )


def is_text(text: str) -> bool:
    """Whether it may stand as a reference or a reason."""
    return 1 <= len(text) <= MAX_TEXT and text.isprintable() and bool(text.strip())


def _known(
    community: Community, reference: str, given: Deposit | ConfirmWithdrawal
) -> SettlementRefused | Repeated | None:
    """What to answer at once: the reference is no text, or was used before."""
    if not is_text(reference):
        return _refused(SettlementRefusal.BAD_TEXT, f"expected a reference of {_TEXT}")
    references = community.settlement.references
    if known := references.get(reference):
        if known.digest == _digest(given):
            return Repeated(known.entry)
        detail = f"expected a new reference, entry {known.entry} used it for another payment"
        return _refused(SettlementRefusal.REFERENCE_USED, detail)
    if len(references) >= MAX_REFERENCES:
        detail = f"expected fewer than {MAX_REFERENCES} references"
        return _refused(SettlementRefusal.BUSY, detail)
    return None


def _remember(community: Community, reference: str, given: Deposit | ConfirmWithdrawal) -> None:
    referred = Referred(_digest(given), community.entries + 1)
    community.settlement.references[reference] = referred


def _digest(given: Deposit | ConfirmWithdrawal) -> bytes:
    return hashlib.sha256(_encode(given)).digest()[:16]


def _none_open(number: int) -> SettlementRefused:
    detail = f"expected the number of an open withdrawal, got {number}"
    return _refused(SettlementRefusal.UNKNOWN_WITHDRAWAL, detail)


def _refused(reason: SettlementRefusal, detail: str) -> SettlementRefused:
    return SettlementRefused(reason, detail)
