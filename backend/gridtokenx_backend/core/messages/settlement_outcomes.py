"""What came of settlement: outcomes of money, retirement, corrections and certificates."""

from __future__ import annotations

from enum import Enum

import msgspec

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.settlement import Certificate


class SettlementRefusal(Enum):
    """Why an operator's command changed nothing. Checked in this order."""

    UNKNOWN_WALLET = "unknown_wallet"
    BAD_AMOUNT = "bad_amount"
    BAD_TEXT = "bad_text"
    REFERENCE_USED = "reference_used"
    """For another payment; the same one again is answered as before."""
    UNKNOWN_WITHDRAWAL = "unknown_withdrawal"
    """None of that number is open."""
    UNKNOWN_METER = "unknown_meter"
    BAD_SPAN = "bad_span"
    OUTDATED = "outdated"
    """What was counted has changed since it was looked up; try again."""
    MONTH_NOT_OVER = "month_not_over"
    BUSY = "busy"
    """A bound is reached."""


class SettlementRefused(msgspec.Struct, frozen=True, gc=False):
    """A command that changed nothing and is not journaled. `detail` says what was expected."""

    reason: SettlementRefusal
    detail: str


class NothingIssued(msgspec.Struct, frozen=True, gc=False):
    """No meter has a full MWh that is not certified yet. Not journaled."""

    month: int


class Retirement(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """`amount_uwh` that a wallet bought in the journal's entry `bought_entry` covers its import.

    The import is that of the 15-minute interval that starts at `interval_ms`.
    """

    wallet: str
    interval_ms: int
    bought_entry: int
    amount_uwh: int


class Deposited(msgspec.Struct, frozen=True, array_like=True, tag="deposit", gc=False):
    wallet: str
    amount_ugrx: int
    movements: list[Movement]


class WithdrawalRequested(msgspec.Struct, frozen=True, array_like=True, tag="withdraw", gc=False):
    """The amount is in escrow under `number`."""

    number: int
    wallet: str
    amount_ugrx: int


class WithdrawalPaid(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="paid", gc=False
):
    number: int
    wallet: str
    amount_ugrx: int
    movements: list[Movement]


class WithdrawalRefused(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="unpaid", gc=False
):
    """The escrow is the member's again."""

    number: int
    wallet: str
    amount_ugrx: int
    reason: str


class MeterCorrected(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="correct", gc=False
):
    """What a correction changed: energy moved more (or less) than counted, by register.

    `surplus_uwh` was minted, or is to be clawed back; `owed_uwh` is all that the owner's next
    mints will pay, after this. `rows` are the span's intervals as they are now: substitutes.
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
    month: int
    certificates: list[Certificate]
    movements: list[Movement]


class CertificateMoved(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="rec_transfer", gc=False
):
    serial: str
    wallet: str
    to: str
    movements: list[Movement]


class CertificateRetired(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="rec_retire", gc=False
):
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
)
Moving = (
    Deposited
    | WithdrawalPaid
    | MeterCorrected
    | CertificatesIssued
    | CertificateMoved
    | CertificateRetired
)
"""Those that move tokens."""
