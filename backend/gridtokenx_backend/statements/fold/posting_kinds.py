"""What a movement is called on the statements of the accounts that it touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.messages.outcomes import FrameHeld, Outcome
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
from gridtokenx_backend.statements.model.document import PostingKind
from gridtokenx_wire.units import format_grx, format_kwh

CHARGE_ACCOUNTS = (FEES, WHEELING, LOSSES, CONGESTION)
"""Those that trades pay into."""
_ISSUED: Mapping[str, PostingKind] = {GRID: "minted", GRX: "deposited", REC: "issued"}
_RETURNED: Mapping[str, PostingKind] = {GRID: "clawed_back", GRX: "withdrawn", REC: "cancelled"}
_SPENT: Mapping[str, PostingKind] = {RETIRED: "retired", FED_IN: "fed_in"}
_command = msgspec.json.Decoder(SettlementCommand)


class MovementKinds(NamedTuple):
    """What a movement is to the account that it leaves, and to the one that it reaches."""

    leaving: PostingKind | None
    reaching: PostingKind | None


def is_wallet(account: str) -> bool:
    """Return whether an account is a member's."""
    return ":" not in account


def is_of_trades(movement: Movement) -> bool:
    """Return whether a trade of the same entry explains a movement.

    Such a movement goes from one wallet to another, or to an account of charges.
    """
    return is_wallet(movement.debit) and (
        is_wallet(movement.credit) or movement.credit in CHARGE_ACCOUNTS
    )


def kinds_of(entry_kind: str, movement: Movement) -> MovementKinds:
    """Return what a movement is to the account that it leaves, and to the one that it reaches.

    Only members' accounts have kinds: it is None for an issuer or for retired energy.
    """
    asset = movement.asset
    if is_wallet(movement.debit) and is_wallet(movement.credit):
        if asset == GRX:
            return MovementKinds(leaving="paid_for_shared", reaching="earned_by_sharing")
        return MovementKinds(leaving="given", reaching="received")
    if movement.debit == RETIRED:
        return MovementKinds(leaving=None, reaching="taken_back")
    if movement.debit == issuer(asset):
        opens = entry_kind == "configure"
        return MovementKinds(leaving=None, reaching="opening_balance" if opens else _ISSUED[asset])
    if movement.credit == issuer(asset):
        return MovementKinds(leaving=_RETURNED[asset], reaching=None)
    return MovementKinds(leaving=_SPENT.get(movement.credit, "paid"), reaching="paid_out")


def reason_of(kind: str, command: bytes | None, outcome: Outcome | None) -> str:
    """Return why an operator moved something, or nothing.

    It is the reference of a payment or the reason of a correction.
    """
    if isinstance(outcome, MeterCorrected):
        return f"correction of {outcome.meter}: {outcome.reason}"
    if isinstance(outcome, HeldDecided):
        return f"held energy of {outcome.meter}: {outcome.reason}"
    if kind != "settlement" or not command:
        return ""
    decoded = _command.decode(command)
    return decoded.reference if isinstance(decoded, Deposit | ConfirmWithdrawal) else ""


def held_changes(outcome: Outcome) -> list[tuple[str, int]]:
    """Return by how much more or less surplus is held for whom after an outcome."""
    if isinstance(outcome, FrameHeld):
        return [(each.owner, each.surplus_uwh) for each in outcome.held]
    if isinstance(outcome, HeldDecided):
        decided = (outcome.minted_uwh, outcome.voided_uwh)
        return [(owner, -amount) for part in decided for owner, amount in part.items()]
    return []


def spell(asset: str, amount: int) -> str:
    """Return an amount in kWh or GRX, or as a count of certificates of a MWh."""
    if asset == REC:
        return str(amount)
    return format_grx(amount) if asset == GRX else format_kwh(amount)
