"""What the API answers about standing orders, money, corrections and certificates."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided, HeldDecision
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
from gridtokenx_wire.order import Segment, Side
from gridtokenx_wire.units import format_grx, format_kwh

WithdrawalStatus = Literal["asked", "paid", "refused"]


class StandingOrderView(msgspec.Struct, frozen=True, kw_only=True):
    """A standing order. `curve` has pairs [from_hour, price] if the price changes by hour."""

    side: Side
    price_grx_per_kwh: str
    keep_kwh: str
    segment: Segment
    curve: list[tuple[int, str]]
    paused: bool


class DepositView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that was credited."""

    wallet: str
    amount_grx: str
    journal_seq: int


class WithdrawalView(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal. `status` is asked (the money is in escrow), paid, or refused."""

    number: int
    wallet: str
    amount_grx: str
    status: WithdrawalStatus
    journal_seq: int


class OpenWithdrawalView(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal that waits for the operator.

    `name` is the member's name, `reference` is what the member asked to be written on the payment.
    """

    number: int
    wallet: str
    name: str
    amount_grx: str
    reference: str
    journal_seq: int


class CorrectionView(msgspec.Struct, frozen=True, kw_only=True):
    """What a correction has changed, by register; below zero where too much had been counted.

    `surplus_kwh` was minted or clawed back; `owed_kwh` will be taken from the owner's next mints.
    `owner` is the wallet that owned the meter in the corrected time.
    """

    meter: str
    owner: str
    import_kwh: str
    export_kwh: str
    surplus_kwh: str
    owed_kwh: str
    intervals: int
    journal_seq: int


class OwnerEnergyView(msgspec.Struct, frozen=True, kw_only=True):
    """Surplus of a meter that is one owner's."""

    owner: str
    surplus_kwh: str


class HeldDecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a meter's energy that was held: what was minted and what is void, by owner."""

    meter: str
    decision: HeldDecision
    minted: list[OwnerEnergyView]
    voided: list[OwnerEnergyView]
    reason: str
    journal_seq: int


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of one MWh: the energy from `from_uwh` to `to_uwh` of all that a meter minted.

    The journal's entries from `first_entry` to `last_entry` hold the mints. `status` is issued or
    retired.
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


class CertificatesView(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates, oldest first. `next` is the `after` for more; it is empty at the end."""

    certificates: list[CertificateView]
    next: str


class IssuedView(msgspec.Struct, frozen=True, kw_only=True):
    """The certificates that were issued now. If there are none, `journal_seq` is 0."""

    month: str
    certificates: list[CertificateView]
    journal_seq: int


class CertificateChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What was done with a certificate.

    `status` is transferred (then `owner` is the new one) or retired (for the `beneficiary`).
    """

    serial: str
    status: Literal["transferred", "retired"]
    owner: str
    beneficiary: str
    journal_seq: int


SettlementView = (
    DepositView | WithdrawalView | CorrectionView | CertificateChangeView | HeldDecisionView
)


def certificate_view(certificate: Certificate) -> CertificateView:
    return CertificateView(
        serial=certificate.serial,
        status=certificate.status,
        month=month_text(certificate.month),
        meter=certificate.meter,
        technology=certificate.technology,
        from_uwh=certificate.from_uwh,
        to_uwh=certificate.to_uwh,
        first_entry=certificate.first_entry,
        last_entry=certificate.last_entry,
        issued_entry=certificate.issued_entry,
        issued_ms=certificate.issued_ms,
        owner=certificate.owner,
        beneficiary=certificate.beneficiary,
        retired_entry=certificate.retired_entry,
        retired_ms=certificate.retired_ms,
    )


def standing_order_view(side: Side, order: StandingOrder) -> StandingOrderView:
    return StandingOrderView(
        side=side,
        price_grx_per_kwh=format_grx(order.price_ugrx),
        keep_kwh=format_kwh(order.keep_uwh),
        segment=order.segment,
        curve=[(from_hour, format_grx(price)) for from_hour, price in order.curve],
        paused=order.paused,
    )


def open_withdrawal_view(withdrawal: Withdrawal, name: str) -> OpenWithdrawalView:
    return OpenWithdrawalView(
        number=withdrawal.number,
        wallet=withdrawal.wallet,
        name=name,
        amount_grx=format_grx(withdrawal.amount_ugrx),
        reference=withdrawal.reference,
        journal_seq=withdrawal.entry,
    )


def settlement_view(outcome: Outcome, seq: int) -> SettlementView:
    """Return the answer to a command that became the journal's entry `seq`."""
    match outcome:
        case Deposited():
            return DepositView(
                wallet=outcome.wallet, amount_grx=format_grx(outcome.amount_ugrx), journal_seq=seq
            )
        case WithdrawalRequested():
            return _withdrawal(outcome, "asked", seq)
        case WithdrawalPaid():
            return _withdrawal(outcome, "paid", seq)
        case WithdrawalRefused():
            return _withdrawal(outcome, "refused", seq)
        case CertificateMoved():
            return CertificateChangeView(
                serial=outcome.serial,
                status="transferred",
                owner=outcome.to,
                beneficiary="",
                journal_seq=seq,
            )
        case CertificateRetired():
            wallet, beneficiary = outcome.wallet, outcome.beneficiary
            return CertificateChangeView(
                serial=outcome.serial,
                status="retired",
                owner=wallet,
                beneficiary=beneficiary,
                journal_seq=seq,
            )
        case MeterCorrected():
            return CorrectionView(
                meter=outcome.meter,
                owner=outcome.owner,
                import_kwh=format_kwh(outcome.import_uwh),
                export_kwh=format_kwh(outcome.export_uwh),
                surplus_kwh=format_kwh(outcome.surplus_uwh),
                owed_kwh=format_kwh(outcome.owed_uwh),
                intervals=len(outcome.rows),
                journal_seq=seq,
            )
        case HeldDecided():
            return HeldDecisionView(
                meter=outcome.meter,
                decision=outcome.decision,
                minted=by_owner(outcome.minted_uwh),
                voided=by_owner(outcome.voided_uwh),
                reason=outcome.reason,
                journal_seq=seq,
            )
    raise AssertionError(outcome)


def by_owner(amounts_uwh: dict[str, int]) -> list[OwnerEnergyView]:
    """Return amounts by owner as the API writes them."""
    return [
        OwnerEnergyView(owner=owner, surplus_kwh=format_kwh(amount))
        for owner, amount in amounts_uwh.items()
    ]


def _withdrawal(
    outcome: WithdrawalRequested | WithdrawalPaid | WithdrawalRefused,
    status: WithdrawalStatus,
    seq: int,
) -> WithdrawalView:
    amount = format_grx(outcome.amount_ugrx)
    return WithdrawalView(
        number=outcome.number,
        wallet=outcome.wallet,
        amount_grx=amount,
        status=status,
        journal_seq=seq,
    )
