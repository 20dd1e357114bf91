"""What the API answers of standing orders, money, corrections and certificates."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.messages.outcomes import Outcome
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificateMoved,
    CertificateRetired,
    Deposited,
    MeterCorrected,
    WithdrawalPaid,
    WithdrawalRefused,
    WithdrawalRequested,
)
from gridtokenx_backend.core.model.local_time import month_text
from gridtokenx_backend.core.model.registry import StandingOrder
from gridtokenx_backend.core.model.settlement import Certificate, Withdrawal
from gridtokenx_wire.units import format_grx, format_kwh


class StandingOrderView(msgspec.Struct, frozen=True):
    """`curve` has [from_hour, price] where the price changes by hour."""

    side: str
    price_grx_per_kwh: str
    keep_kwh: str
    segment: str
    curve: list[tuple[int, str]]
    paused: bool


class DepositView(msgspec.Struct, frozen=True):
    wallet: str
    amount_grx: str
    journal_seq: int


class WithdrawalView(msgspec.Struct, frozen=True):
    """`status` is asked (it is in escrow), paid, or refused."""

    number: int
    wallet: str
    amount_grx: str
    status: str
    journal_seq: int


class OpenWithdrawalView(msgspec.Struct, frozen=True):
    """One that waits for the operator; `name` is the member's, `reference` what they gave."""

    number: int
    wallet: str
    name: str
    amount_grx: str
    reference: str
    journal_seq: int


class CorrectionView(msgspec.Struct, frozen=True):
    """What changed, by register: below zero where too much had been counted.

    `surplus_kwh` was minted or clawed back; `owed_kwh` is what the owner's next mints will pay.
    """

    meter: str
    import_kwh: str
    export_kwh: str
    surplus_kwh: str
    owed_kwh: str
    intervals: int
    journal_seq: int


class CertificateView(msgspec.Struct, frozen=True):
    """One MWh: that between two marks in µWh of all that the meter has minted.

    The mints lie in the journal's entries from `first_entry` to `last_entry`. `status` is issued
    or retired.
    """

    serial: str
    status: str
    month: str
    meter: str
    technology: str
    from_uwh: int
    to_uwh: int
    first_entry: int
    last_entry: int
    issued_entry: int
    issued_ms: int
    owner: str
    beneficiary: str
    retired_entry: int
    retired_ms: int


class CertificatesView(msgspec.Struct, frozen=True):
    """Oldest first; `next` is what to ask with for more, empty at the end."""

    certificates: list[CertificateView]
    next: str


class IssuedView(msgspec.Struct, frozen=True):
    """Those that were issued now; none if nothing was due, and then `journal_seq` is 0."""

    month: str
    certificates: list[CertificateView]
    journal_seq: int


class CertificateChangeView(msgspec.Struct, frozen=True):
    """`status` is transferred (`owner` has it now) or retired (for the `beneficiary`)."""

    serial: str
    status: str
    owner: str
    beneficiary: str
    journal_seq: int


SettlementAnswer = DepositView | WithdrawalView | CorrectionView | CertificateChangeView


def certificate_view(certificate: Certificate) -> CertificateView:
    return CertificateView(
        certificate.serial,
        certificate.status,
        month_text(certificate.month),
        certificate.meter,
        certificate.technology,
        certificate.from_uwh,
        certificate.to_uwh,
        certificate.first_entry,
        certificate.last_entry,
        certificate.issued_entry,
        certificate.issued_ms,
        certificate.owner,
        certificate.beneficiary,
        certificate.retired_entry,
        certificate.retired_ms,
    )


def standing_order_view(side: str, order: StandingOrder) -> StandingOrderView:
    return StandingOrderView(
        side,
        format_grx(order.price_ugrx),
        format_kwh(order.keep_uwh),
        order.segment,
        [(from_hour, format_grx(price)) for from_hour, price in order.curve],
        order.paused,
    )


def open_withdrawal_view(withdrawal: Withdrawal, name: str) -> OpenWithdrawalView:
    return OpenWithdrawalView(
        withdrawal.number,
        withdrawal.wallet,
        name,
        format_grx(withdrawal.amount_ugrx),
        withdrawal.reference,
        withdrawal.entry,
    )


def settled_view(outcome: Outcome, seq: int) -> SettlementAnswer:
    """The answer to what became the journal's entry `seq`."""
    match outcome:
        case Deposited():
            return DepositView(outcome.wallet, format_grx(outcome.amount_ugrx), seq)
        case WithdrawalRequested():
            return _withdrawal(outcome, "asked", seq)
        case WithdrawalPaid():
            return _withdrawal(outcome, "paid", seq)
        case WithdrawalRefused():
            return _withdrawal(outcome, "refused", seq)
        case CertificateMoved():
            return CertificateChangeView(outcome.serial, "transferred", outcome.to, "", seq)
        case CertificateRetired():
            wallet, beneficiary = outcome.wallet, outcome.beneficiary
            return CertificateChangeView(outcome.serial, "retired", wallet, beneficiary, seq)
        case MeterCorrected():
            return CorrectionView(
                outcome.meter,
                format_kwh(outcome.import_uwh),
                format_kwh(outcome.export_uwh),
                format_kwh(outcome.surplus_uwh),
                format_kwh(outcome.owed_uwh),
                len(outcome.rows),
                seq,
            )
    raise AssertionError(outcome)


def _withdrawal(
    outcome: WithdrawalRequested | WithdrawalPaid | WithdrawalRefused, status: str, seq: int
) -> WithdrawalView:
    amount = format_grx(outcome.amount_ugrx)
    return WithdrawalView(outcome.number, outcome.wallet, amount, status, seq)
