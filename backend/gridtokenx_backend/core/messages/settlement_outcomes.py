"""The outcomes of settlement: money, retirement, corrections and certificates."""

from __future__ import annotations

from enum import Enum

import msgspec

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.settlement import Certificate


class SettlementRefusal(Enum):
    """Why an operator's command changed nothing. Checked in this order."""

    UNKNOWN_WALLET = "unknown_wallet"
    BAD_AMOUNT = "bad_amount"
    BAD_TEXT = "bad_text"
    REFERENCE_USED = "reference_used"
    """Another payment has it. The same payment again is answered as before."""
    UNKNOWN_WITHDRAWAL = "unknown_withdrawal"
    """No open withdrawal has that number."""
    UNKNOWN_METER = "unknown_meter"
    BAD_SPAN = "bad_span"
    OUTDATED = "outdated"
    """The counted energy has changed since it was looked up. Another try can succeed."""
    MONTH_NOT_OVER = "month_not_over"
    BUSY = "busy"
    """A bound is reached. A later try can succeed."""


class SettlementRefused(msgspec.Struct, frozen=True, gc=False):
    """A command that changed nothing and is not journaled. `detail` says what was expected."""

    reason: SettlementRefusal
    detail: str


class NothingIssued(msgspec.Struct, frozen=True, gc=False):
    """Nothing was issued: no meter has a full MWh that is not certified yet. Not journaled."""

    month: int


class Retirement(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """Bought energy that covers a wallet's import of the 15-minute interval at `interval_ms`.

    The wallet bought it in the journal's entry `bought_entry`.
    """

    wallet: str
    interval_ms: int
    bought_entry: int
    amount_uwh: int


class Deposited(msgspec.Struct, frozen=True, array_like=True, tag="deposit", gc=False):
    """A payment that came in was credited."""

    wallet: str
    amount_ugrx: int
    movements: list[Movement]


class WithdrawalRequested(msgspec.Struct, frozen=True, array_like=True, tag="withdraw", gc=False):
    """A withdrawal that waits for the operator. Its amount is in escrow under `number`."""

    number: int
    wallet: str
    amount_ugrx: int


class WithdrawalPaid(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="paid", gc=False
):
    """A withdrawal that the operator has paid."""

    number: int
    wallet: str
    amount_ugrx: int
    movements: list[Movement]


class WithdrawalRefused(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="unpaid", gc=False
):
    """A withdrawal that will not be paid. Its escrow is the member's again."""

    number: int
    wallet: str
    amount_ugrx: int
    reason: str


class MeterCorrected(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="correct", gc=False
):
    """What a correction changed: how much more (or less) energy moved than was counted.

    `surplus_uwh` was minted or, below zero, is to be clawed back. `owed_uwh` is all that the
    owner's next mints will pay after this. `rows` are the intervals as they are now: substitutes.
    """

    meter: str
    owner: str
    from_ms: int
    to_ms: int
    import_uwh: int
    export_uwh: int
    surplus_uwh: int
    owed_uwh: int
    reason: str
    rows: list[IntervalEnergy]
    movements: list[Movement]


class CertificatesIssued(msgspec.Struct, frozen=True, array_like=True, tag="rec_issue", gc=False):
    """The certificates that were issued up to the end of a month."""

    month: int
    certificates: list[Certificate]
    movements: list[Movement]


class CertificateMoved(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="rec_transfer", gc=False
):
    """A certificate that went from a wallet to another."""

    serial: str
    wallet: str
    to: str
    movements: list[Movement]


class CertificateRetired(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="rec_retire", gc=False
):
    """A certificate that was used up for a beneficiary."""

    serial: str
    wallet: str
    beneficiary: str
    movements: list[Movement]


SettlementOutcome = (
    Deposited
    | WithdrawalRequested
    | WithdrawalPaid
    | WithdrawalRefused
    | MeterCorrected
    | CertificatesIssued
    | CertificateMoved
    | CertificateRetired
    | HeldDecided
)
Moving = (
    Deposited
    | WithdrawalPaid
    | MeterCorrected
    | CertificatesIssued
    | CertificateMoved
    | CertificateRetired
    | HeldDecided
)
"""The outcomes that move tokens."""
