"""Money in and out, certificates and corrections: members sign, the operator confirms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.instructions import carry_out
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.paging import Limit
from gridtokenx_backend.api.past_owners import owner_by_terms
from gridtokenx_backend.api.problems import (
    INSTRUCTION_REFUSALS,
    SETTLEMENT_REFUSALS,
    Problem,
    settlement_refused,
)
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND, SIGNED_INSTRUCTION
from gridtokenx_backend.api.settlement_bodies import (
    CorrectionBody,
    DepositBody,
    MonthBody,
    ReasonBody,
    ReferenceBody,
)
from gridtokenx_backend.api.settlement_views import (
    CertificateChangeView,
    CertificatesView,
    CorrectionView,
    DepositView,
    IssuedView,
    OpenWithdrawalView,
    SettlementView,
    WithdrawalView,
    certificate_view,
    open_withdrawal_view,
    settlement_view,
)
from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.messages.outcomes import NotJournaled, Repeated
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificatesIssued,
    NothingIssued,
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.minting import correction_spans, corrections
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
from gridtokenx_wire.order import RecRetire, RecTransfer, Withdraw
from gridtokenx_wire.units import parse_grx, parse_kwh

_ATTEMPTS = 3


@post(
    "/v1/withdrawals",
    **SIGNED_INSTRUCTION,
    **operation(
        "request_withdrawal",
        "Ask for money to be paid out",
        Tag.INSTRUCTIONS,
        Access.EVERYONE,
        INSTRUCTION_REFUSALS,
    ),
)
async def withdraw(request: AnyRequest, backend: NamedDependency[Backend]) -> WithdrawalView:
    """Set money aside for the operator to pay out."""
    view = await carry_out(request, backend, (Withdraw,))
    assert isinstance(view, WithdrawalView)
    return view


@post(
    "/v1/certificates/transfers",
    **SIGNED_INSTRUCTION,
    **operation(
        "transfer_certificate",
        "Give a certificate to another member",
        Tag.INSTRUCTIONS,
        Access.EVERYONE,
        INSTRUCTION_REFUSALS,
    ),
)
async def transfer_certificate(
    request: AnyRequest, backend: NamedDependency[Backend]
) -> CertificateChangeView:
    """Transfer a certificate to another member."""
    view = await carry_out(request, backend, (RecTransfer,))
    assert isinstance(view, CertificateChangeView)
    return view


@post(
    "/v1/certificates/retirements",
    **SIGNED_INSTRUCTION,
    **operation(
        "retire_certificate",
        "Use a certificate up",
        Tag.INSTRUCTIONS,
        Access.EVERYONE,
        INSTRUCTION_REFUSALS,
    ),
)
async def retire_certificate(
    request: AnyRequest, backend: NamedDependency[Backend]
) -> CertificateChangeView:
    """Retire a certificate for a beneficiary."""
    view = await carry_out(request, backend, (RecRetire,))
    assert isinstance(view, CertificateChangeView)
    return view


@get(
    "/v1/certificates",
    **operation(
        "list_certificates",
        "List certificates",
        Tag.MARKET,
        Access.EVERYONE,
        {404: ["unknown_certificate"]},
    ),
)
async def certificates(
    backend: NamedDependency[Backend],
    wallet: Annotated[str, QueryParameter(max_length=64)] = "",
    after: Annotated[str, QueryParameter(max_length=300)] = "",
    limit: Limit = 100,
) -> CertificatesView:
    """Return certificates, oldest first: all or one wallet's, from behind the serial `after`."""
    async with backend.writer.durable_state() as community:
        known = community.settlement.certificates
        if after and after not in known:
            detail = "expected a serial number of this community in 'after'"
            raise Problem(
                status=404, title="No such certificate", detail=detail, reason="unknown_certificate"
            )
        found = []
        passed = not after
        for serial, certificate in known.items():
            if passed and wallet in ("", certificate.owner):
                found.append(certificate_view(certificate))
                if len(found) > limit:
                    break
            passed = passed or serial == after
        following = found[limit - 1].serial if len(found) > limit else ""
        return CertificatesView(certificates=found[:limit], next=following)


@get(
    "/v1/operator/withdrawals",
    guards=[operator_only],
    **operation(
        "list_open_withdrawals", "List withdrawals that wait", Tag.OPERATION, Access.OPERATOR
    ),
)
async def open_withdrawals(backend: NamedDependency[Backend]) -> list[OpenWithdrawalView]:
    """Return the withdrawals that wait for the operator, oldest first."""
    async with backend.writer.durable_state() as community:
        return [
            open_withdrawal_view(each, community.members[each.wallet].name)
            for each in community.settlement.withdrawals.values()
        ]


@post(
    "/v1/operator/deposits",
    **OPERATOR_COMMAND,
    **operation(
        "record_deposit",
        "Credit a payment that came in",
        Tag.OPERATION,
        Access.OPERATOR,
        SETTLEMENT_REFUSALS,
    ),
)
async def deposit(backend: NamedDependency[Backend], data: JSONBody[DepositBody]) -> DepositView:
    """Credit a payment that came in. The same payment again gets the same answer as before."""
    amount_ugrx = _amount("amount_grx", data.amount_grx, parse_grx)
    command = Deposit(wallet=data.wallet, amount_ugrx=amount_ugrx, reference=data.reference)
    view = await operate(backend, command)
    assert isinstance(view, DepositView)
    return view


@post(
    "/v1/operator/withdrawals/{number:int}/confirm",
    **OPERATOR_COMMAND,
    **operation(
        "confirm_withdrawal",
        "Record that a withdrawal was paid",
        Tag.OPERATION,
        Access.OPERATOR,
        SETTLEMENT_REFUSALS,
    ),
)
async def confirm_withdrawal(
    backend: NamedDependency[Backend], number: FromPath[int], data: JSONBody[ReferenceBody]
) -> WithdrawalView:
    """Record that a withdrawal was paid, with a reference that no other payment has."""
    view = await operate(backend, ConfirmWithdrawal(number=number, reference=data.reference))
    assert isinstance(view, WithdrawalView)
    return view


@post(
    "/v1/operator/withdrawals/{number:int}/refuse",
    **OPERATOR_COMMAND,
    **operation(
        "refuse_withdrawal",
        "Give the money of a withdrawal back",
        Tag.OPERATION,
        Access.OPERATOR,
        SETTLEMENT_REFUSALS,
    ),
)
async def refuse_withdrawal(
    backend: NamedDependency[Backend], number: FromPath[int], data: JSONBody[ReasonBody]
) -> WithdrawalView:
    """Give a withdrawal's money back to its member."""
    view = await operate(backend, RefuseWithdrawal(number=number, reason=data.reason))
    assert isinstance(view, WithdrawalView)
    return view


@post(
    "/v1/operator/certificates",
    **OPERATOR_COMMAND,
    **operation(
        "issue_certificates",
        "Issue the certificates of a month",
        Tag.OPERATION,
        Access.OPERATOR,
        SETTLEMENT_REFUSALS,
    ),
)
async def issue_certificates(
    backend: NamedDependency[Backend], data: JSONBody[MonthBody]
) -> IssuedView:
    """Issue the certificates of a month that is over; the second time there are none to issue."""
    try:
        month = parse_month(data.month)
    except ValueError as error:
        refusal = SettlementRefusal.MONTH_NOT_OVER
        raise settlement_refused(refusal, f"month: {error}", field="month") from None
    committed = await submit(backend, IssueCertificates(month=month))
    result = committed.result
    match result:
        case NothingIssued():
            return IssuedView(month=month_text(month), certificates=[], journal_seq=0)
        case CertificatesIssued():
            views = [certificate_view(each) for each in result.certificates]
            return IssuedView(
                month=month_text(month), certificates=views, journal_seq=committed.seq
            )
    raise AssertionError(result)


@post(
    "/v1/operator/corrections",
    **OPERATOR_COMMAND,
    **operation(
        "correct_meter",
        "Correct what a meter counted",
        Tag.OPERATION,
        Access.OPERATOR,
        SETTLEMENT_REFUSALS,
    ),
)
async def correct(
    backend: NamedDependency[Backend], data: JSONBody[CorrectionBody]
) -> CorrectionView:
    """Correct what a meter counted: the difference is minted or clawed back."""
    import_uwh = _amount("import_kwh", data.import_kwh, parse_kwh)
    export_uwh = _amount("export_kwh", data.export_kwh, parse_kwh)
    for attempt in range(1, _ATTEMPTS + 1):
        span = await _span(backend, data)
        rows = await backend.series.read(data.meter, data.from_ms, data.to_ms)
        command = Correct(
            meter=data.meter,
            from_ms=data.from_ms,
            to_ms=data.to_ms,
            import_uwh=import_uwh,
            export_uwh=export_uwh,
            counted_import_uwh=sum(row.import_uwh for row in rows),
            counted_export_uwh=sum(row.export_uwh for row in rows),
            revision=span.revision,
            reason=data.reason,
            owner=span.owner,
            counted_from_ms=rows[0].interval_ms if rows else -1,
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


def _amount(field: str, text: str, parse: Callable[[str], int]) -> int:
    """Return an amount of the body in its base unit. Raises Problem."""
    try:
        return parse(text)
    except ValueError as error:
        refusal = SettlementRefusal.BAD_AMOUNT
        raise settlement_refused(refusal, f"{field}: {error}", field=field) from None


class _Span(NamedTuple):
    """The revision of a span to correct. `owner` is empty if the core knows it by itself."""

    revision: int
    owner: str


async def _span(backend: Backend, data: CorrectionBody) -> _Span:
    """Look up the span of a correction. Raises Problem if it may not be corrected."""
    async with backend.writer.durable_state() as community:
        meter = community.meters.get(data.meter)
        if refused := correction_spans.unacceptable_span(
            community, meter, data.from_ms, data.to_ms
        ):
            raise settlement_refused(refused.reason, refused.detail)
        assert meter is not None
        revision = corrections.revision_of(meter, data.from_ms, data.to_ms)
        is_known = meter.is_owner_known_at(data.from_ms)
    owner = ""
    if not is_known:
        owner = await owner_by_terms(backend.journal, data.meter, data.from_ms, data.to_ms)
    return _Span(revision, owner)


async def operate(backend: Backend, command: SettlementCommand) -> SettlementView:
    """Return the answer to a command, or the one that the same command got before.

    Raises Problem.
    """
    committed = await submit(backend, command)
    result = committed.result
    if isinstance(result, Repeated):
        entry = await backend.journal.entry(result.entry)
        assert entry is not None
        return settlement_view(decode_outcome(entry.outcome), entry.seq)
    assert not isinstance(result, NotJournaled)
    return settlement_view(result, committed.seq)


async def submit(backend: Backend, command: SettlementCommand) -> Committed:
    """Return the durable result of a command. Raises Problem and Overloaded."""
    if obstacle := backend.writer.degradation.obstacle:
        raise Overloaded(obstacle)
    (committed,) = await backend.writer.submit([settlement_input(command)])
    if isinstance(committed.result, SettlementRefused):
        raise settlement_refused(committed.result.reason, committed.result.detail)
    return committed
