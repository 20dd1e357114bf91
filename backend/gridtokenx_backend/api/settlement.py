"""Money in and out, and certificates: what members sign, and what the operator confirms."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.instructions import carry_out
from gridtokenx_backend.api.operator import operator_only
from gridtokenx_backend.api.paging import Limit
from gridtokenx_backend.api.problems import Problem, respond_unreadable, settlement_refused
from gridtokenx_backend.api.settlement_views import (
    CertificateChangeView,
    CertificatesView,
    CorrectionView,
    DepositView,
    IssuedView,
    OpenWithdrawalView,
    SettlementAnswer,
    WithdrawalView,
    certificate_view,
    open_withdrawal_view,
    settled_view,
)
from gridtokenx_backend.core.messages.inputs import settle
from gridtokenx_backend.core.messages.outcomes import NotJournaled, Repeated
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificatesIssued,
    NothingIssued,
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.minting import corrections
from gridtokenx_backend.core.model.local_time import month_text, parse_month
from gridtokenx_backend.core.model.settlement import (
    ConfirmWithdrawal,
    Correct,
    Deposit,
    IssueCertificates,
    RefuseWithdrawal,
    SettlementCommand,
)
from gridtokenx_backend.engine.writer import Committed, Overloaded
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_wire.order import MAX_JWS_BYTES, RecRetire, RecTransfer, Withdraw
from gridtokenx_wire.units import parse_grx, parse_kwh

_ATTEMPTS = 3
_LATEST_MS = 2**53
AnyRequest = Request[object, object, State]
SIGNED: dict[str, Any] = {"status_code": 200, "request_max_body_size": MAX_JWS_BYTES + 1}
OPERATED: dict[str, Any] = {
    "status_code": 200,
    "guards": [operator_only],
    "exception_handlers": {  # what msgspec raises of a body, and Litestar does not expect
        UnicodeDecodeError: respond_unreadable,
        RecursionError: respond_unreadable,
    },
}


class DepositBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wallet: str
    amount_grx: str
    reference: str


class ReferenceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reference: str


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class CorrectionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the meter really moved from `from_ms` to `to_ms`, both the starts of intervals."""

    meter: str
    from_ms: Annotated[int, msgspec.Meta(ge=0, le=_LATEST_MS)]
    to_ms: Annotated[int, msgspec.Meta(ge=0, le=_LATEST_MS)]
    import_kwh: str
    export_kwh: str
    reason: str


class MonthBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    month: str


@post("/v1/withdrawals", **SIGNED)
async def withdraw(request: AnyRequest, backend: NamedDependency[Backend]) -> WithdrawalView:
    """Sets money aside that the operator is to pay out."""
    view = await carry_out(request, backend, (Withdraw,))
    assert isinstance(view, WithdrawalView)
    return view


@post("/v1/certificates/transfers", **SIGNED)
async def transfer_certificate(
    request: AnyRequest, backend: NamedDependency[Backend]
) -> CertificateChangeView:
    """Gives a certificate to another member."""
    view = await carry_out(request, backend, (RecTransfer,))
    assert isinstance(view, CertificateChangeView)
    return view


@post("/v1/certificates/retirements", **SIGNED)
async def retire_certificate(
    request: AnyRequest, backend: NamedDependency[Backend]
) -> CertificateChangeView:
    """Uses a certificate up for a beneficiary."""
    view = await carry_out(request, backend, (RecRetire,))
    assert isinstance(view, CertificateChangeView)
    return view


@get("/v1/certificates")
async def certificates(
    backend: NamedDependency[Backend],
    wallet: Annotated[str, QueryParameter(max_length=64)] = "",
    after: Annotated[str, QueryParameter(max_length=300)] = "",
    limit: Limit = 100,
) -> CertificatesView:
    """Certificates, oldest first: all, or those of one wallet; `after` a serial number."""
    async with backend.writer.reading() as community:
        known = community.settlement.certificates
        if after and after not in known:
            detail = "expected a serial number of this community in 'after'"
            raise Problem(404, "No such certificate", detail, "unknown_certificate")
        found = []
        passed = not after
        for serial, certificate in known.items():
            if passed and wallet in ("", certificate.owner):
                found.append(certificate_view(certificate))
                if len(found) > limit:
                    break
            passed = passed or serial == after
        following = found[limit - 1].serial if len(found) > limit else ""
        return CertificatesView(found[:limit], following)


@get("/v1/operator/withdrawals", guards=[operator_only])
async def open_withdrawals(backend: NamedDependency[Backend]) -> list[OpenWithdrawalView]:
    """The withdrawals that wait for the operator, oldest first."""
    async with backend.writer.reading() as community:
        return [
            open_withdrawal_view(each, community.members[each.wallet].name)
            for each in community.settlement.withdrawals.values()
        ]


@post("/v1/operator/deposits", **OPERATED)
async def deposit(backend: NamedDependency[Backend], data: JSONBody[DepositBody]) -> DepositView:
    """Credits a payment that came in. The same one again is answered as before."""
    try:
        amount_ugrx = parse_grx(data.amount_grx)
    except ValueError as error:
        raise settlement_refused(SettlementRefusal.BAD_AMOUNT, str(error)) from None
    command = Deposit(wallet=data.wallet, amount_ugrx=amount_ugrx, reference=data.reference)
    view = await operate(backend, command)
    assert isinstance(view, DepositView)
    return view


@post("/v1/operator/withdrawals/{number:int}/confirm", **OPERATED)
async def confirm_withdrawal(
    backend: NamedDependency[Backend], number: FromPath[int], data: JSONBody[ReferenceBody]
) -> WithdrawalView:
    """Says that a withdrawal was paid, under a reference that no other payment has."""
    view = await operate(backend, ConfirmWithdrawal(number=number, reference=data.reference))
    assert isinstance(view, WithdrawalView)
    return view


@post("/v1/operator/withdrawals/{number:int}/refuse", **OPERATED)
async def refuse_withdrawal(
    backend: NamedDependency[Backend], number: FromPath[int], data: JSONBody[ReasonBody]
) -> WithdrawalView:
    """Gives a withdrawal's money back to its member."""
    view = await operate(backend, RefuseWithdrawal(number=number, reason=data.reason))
    assert isinstance(view, WithdrawalView)
    return view


@post("/v1/operator/certificates", **OPERATED)
async def issue_certificates(
    backend: NamedDependency[Backend], data: JSONBody[MonthBody]
) -> IssuedView:
    """Issues the certificates of a month that is over; a second time none are left to issue."""
    try:
        month = parse_month(data.month)
    except ValueError as error:
        raise settlement_refused(SettlementRefusal.MONTH_NOT_OVER, str(error)) from None
    result, seq, _ = await submit(backend, IssueCertificates(month=month))
    match result:
        case NothingIssued():
            return IssuedView(month_text(month), [], 0)
        case CertificatesIssued():
            views = [certificate_view(each) for each in result.certificates]
            return IssuedView(month_text(month), views, seq)
    raise AssertionError(result)


@post("/v1/operator/corrections", **OPERATED)
async def correct(
    backend: NamedDependency[Backend], data: JSONBody[CorrectionBody]
) -> CorrectionView:
    """Puts right what was counted of a meter: mints or claws back the difference."""
    try:
        import_uwh, export_uwh = parse_kwh(data.import_kwh), parse_kwh(data.export_kwh)
    except ValueError as error:
        raise settlement_refused(SettlementRefusal.BAD_AMOUNT, str(error)) from None
    for attempt in range(1, _ATTEMPTS + 1):
        revision = await _revision(backend, data)
        rows = await backend.series.read(data.meter, data.from_ms, data.to_ms)
        command = Correct(
            meter=data.meter,
            from_ms=data.from_ms,
            to_ms=data.to_ms,
            import_uwh=import_uwh,
            export_uwh=export_uwh,
            counted_import_uwh=sum(row.import_uwh for row in rows),
            counted_export_uwh=sum(row.export_uwh for row in rows),
            revision=revision,
            reason=data.reason,
        )
        try:
            view = await operate(backend, command)
        except Problem as problem:
            if problem.reason != SettlementRefusal.OUTDATED.value or attempt == _ATTEMPTS:
                raise
            continue  # a late reading came in between
        assert isinstance(view, CorrectionView)
        return view
    raise AssertionError("the last attempt returns or raises")


async def _revision(backend: Backend, data: CorrectionBody) -> int:
    """That of the span, after a look that it may be corrected and is closed by now."""
    async with backend.writer.reading() as community:
        meter = community.meters.get(data.meter)
        if refused := corrections.unacceptable_span(meter, data.from_ms, data.to_ms):
            raise settlement_refused(refused.reason, refused.detail)
        assert meter is not None
        return corrections.revision_of(meter, data.from_ms, data.to_ms)


async def operate(backend: Backend, command: SettlementCommand) -> SettlementAnswer:
    """The answer to an operator's command, or to the same one before. Raises Problem."""
    result, seq, _ = await submit(backend, command)
    if isinstance(result, Repeated):
        entry = await backend.journal.entry(result.entry)
        assert entry is not None
        return settled_view(decode_outcome(entry.outcome), entry.seq)
    assert not isinstance(result, NotJournaled)
    return settled_view(result, seq)


async def submit(backend: Backend, command: SettlementCommand) -> Committed:
    if backend.writer.degraded:
        raise Overloaded(backend.writer.degraded)
    (settled,) = await backend.writer.submit([settle(command)])
    if isinstance(settled.result, SettlementRefused):
        raise settlement_refused(settled.result.reason, settled.result.detail)
    return settled
