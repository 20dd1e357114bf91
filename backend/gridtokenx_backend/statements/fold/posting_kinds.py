"""What movements are to the accounts that they touch, in a member's words."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.messages.outcomes import Outcome
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.ledger import (
    CONGESTION,
    FED_IN,
    FEES,
    GRID,
    GRX,
    LOSSES,
    REC,
    RETIRED,
    WHEELING,
    Movement,
    issuer,
)
from gridtokenx_backend.core.model.settlement import ConfirmWithdrawal, Deposit, SettlementCommand
from gridtokenx_backend.statements.fold.journal_rows import JournalRow
from gridtokenx_wire.units import format_grx, format_kwh

_CHARGES = frozenset({FEES, WHEELING, LOSSES, CONGESTION})
_ISSUED = {GRID: "minted", GRX: "deposited", REC: "issued"}
_BACK = {GRID: "clawed_back", GRX: "withdrawn", REC: "cancelled"}
_GONE = {RETIRED: "retired", FED_IN: "fed_in"}
_command = msgspec.json.Decoder(SettlementCommand)


def is_wallet(account: str) -> bool:
    """Whether an account is a member's."""
    return ":" not in account


def is_of_trades(movement: Movement) -> bool:
    """Whether a trade of the same entry explains it: between wallets, or a charge."""
    return is_wallet(movement.debit) and (is_wallet(movement.credit) or movement.credit in _CHARGES)


def kinds_of(entry: str, movement: Movement) -> tuple[str, str]:
    """What a movement is to the account that it leaves, and to the one that it reaches."""
    asset = movement.asset
    if is_wallet(movement.debit) and is_wallet(movement.credit):
        return ("paid_for_shared", "earned_by_sharing") if asset == GRX else ("given", "received")
    if movement.debit == RETIRED:
        return "", "taken_back"
    if movement.debit == issuer(asset):
        return "", "opening_balance" if entry == "configure" else _ISSUED[asset]
    if movement.credit == issuer(asset):
        return _BACK[asset], ""
    return _GONE.get(movement.credit, "paid"), "paid_out"


def about_of(row: JournalRow, outcome: Outcome | None) -> str:
    """Why an operator moved something: the payment's reference, the correction's reason."""
    if isinstance(outcome, MeterCorrected):
        return f"correction of {outcome.meter}: {outcome.reason}"
    if row.kind != "settlement" or not row.given:
        return ""
    command = _command.decode(row.given)
    return command.reference if isinstance(command, Deposit | ConfirmWithdrawal) else ""


def spell(asset: str, amount: int) -> str:
    """An amount in kWh, GRX, or certificates of a MWh."""
    if asset == REC:
        return str(amount)
    return format_grx(amount) if asset == GRX else format_kwh(amount)
