"""Statements and billing periods: members read documents, the operator takes the steps."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from gridtokenx_backend.api.authorisation import operator_only, reader_wallet
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import Problem, by_status
from gridtokenx_backend.api.request_errors import undecodable, unreadable
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.core.messages.inputs import period_input
from gridtokenx_backend.core.messages.period_records import (
    PeriodChanged,
    PeriodCommand,
    PeriodRefusal,
    PeriodRefused,
)
from gridtokenx_backend.core.model.billing_periods import Period, PeriodStatus
from gridtokenx_backend.core.model.local_time import parse_month
from gridtokenx_backend.statements.jobs.statement_jobs import NotMade, NotReadable, StatementJobs
from gridtokenx_backend.statements.jobs.worker import DocumentTask
from gridtokenx_backend.statements.render.forms import FORMS, MEDIA_TYPES, Form
from gridtokenx_wire.units import format_kwh

MAX_STEP_BYTES = 32 * 1024 * 1024
"""A step holds about a hundred bytes for each member."""
_STATUS = {PeriodRefusal.BAD_PERIOD: 400, PeriodRefusal.UNKNOWN_WALLET: 404}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


Revision: TypeAlias = Annotated[int, QueryParameter(ge=0)]
"""`?revision=`: the number of a revision, or 0 for the newest."""


class PeriodView(msgspec.Struct, frozen=True, kw_only=True):
    """A month. `entries` are the numbers of its steps in the journal, one for each revision."""

    month: str
    status: PeriodStatus
    revision: int
    from_ms: int
    to_ms: int
    entries: list[int]


class PeriodStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step. `fed_in_kwh` is the energy that it moved to the utility out of `wallets` wallets."""

    month: str
    status: PeriodStatus
    revision: int
    journal_seq: int
    wallets: int
    fed_in_uwh: int
    fed_in_kwh: str
    cancelled_orders: int


@get(
    "/v1/periods",
    guards=[operator_only],
    **operation("list_periods", "List months that are not open", Tag.DOCUMENTS, Access.OPERATOR),
)
async def periods(backend: NamedDependency[Backend]) -> list[PeriodView]:
    """Return the months that are no longer open, oldest first."""
    async with backend.writer.durable_state() as community:
        return [_view(month, period) for month, period in sorted(community.periods.items())]


@post(
    "/v1/periods",
    guards=[operator_only],
    status_code=200,
    request_max_body_size=MAX_STEP_BYTES,
    **operation(
        "take_period_step",
        "Journal a step of a month",
        Tag.DOCUMENTS,
        Access.OPERATOR,
        by_status({each: _STATUS.get(each, 409) for each in PeriodRefusal}),
    ),
)
async def take_step(request: AnyRequest, backend: NamedDependency[Backend]) -> PeriodStepView:
    """Journal a period's step. `gridtokenx-backend period` makes its documents before."""
    body = await request.body()
    try:
        command = msgspec.json.decode(body, type=PeriodCommand)
    except (ValueError, RecursionError) as error:  # msgspec's and Unicode's are ValueErrors
        raise undecodable(error, PeriodCommand) from None
    try:
        parse_month(command.month)
    except ValueError as error:
        raise unreadable(f"month: {error}", "month") from None
    (committed,) = await backend.writer.submit([period_input(command)])
    result, seq = committed.result, committed.seq
    if isinstance(result, PeriodRefused):
        status = _STATUS.get(result.reason, 409)
        raise Problem(
            status=status,
            title="The step was not taken",
            detail=result.detail,
            reason=result.reason.value,
        )
    assert isinstance(result, PeriodChanged)
    fed_in_uwh = sum(movement.amount for movement in result.movements)
    return PeriodStepView(
        month=result.month,
        status=result.status,
        revision=result.revision,
        journal_seq=seq,
        wallets=len(result.movements),
        fed_in_uwh=fed_in_uwh,
        fed_in_kwh=format_kwh(fed_in_uwh),
        cancelled_orders=len(result.cancelled),
    )


@get(
    "/v1/statements/{wallet:str}/{document:str}",
    **operation(
        "get_statement",
        "Show a statement of a member",
        Tag.DOCUMENTS,
        Access.OWNER,
        {404: ["not_found", "unknown_wallet"]},
    ),
)
async def statement(
    request: AnyRequest,
    backend: NamedDependency[Backend],
    wallet: FromPath[str],
    document: FromPath[str],
    revision: Revision = 0,
) -> Response[bytes]:
    """Return a member's statement: `{document}` is a month and a form, such as 2026-06.pdf.

    A month that is still open has a preview; others have the newest revision, or the one that is
    asked for. The operator may ask, and the wallet's owner with a signed read token.
    """
    reader = await reader_wallet(request, backend)
    async with backend.writer.durable_state() as community:
        if wallet not in community.members or reader not in (None, wallet):
            detail = "expected the wallet of a member" if reader is None else "expected your wallet"
            raise Problem(
                status=404, title="No such wallet", detail=detail, reason="unknown_wallet"
            )
    return await _document(backend, document, revision, reader=reader, wallet=wallet)


@get(
    "/v1/reports/{document:str}",
    **operation(
        "get_report",
        "Show the report of the community",
        Tag.DOCUMENTS,
        Access.OWNER,
        {404: ["not_found", "unknown_wallet"]},
    ),
)
async def report(
    request: AnyRequest,
    backend: NamedDependency[Backend],
    document: FromPath[str],
    revision: Revision = 0,
) -> Response[bytes]:
    """Return the community's report of a month; `{document}` and revisions are as for statements.

    The operator and every member may ask.
    """
    reader = await reader_wallet(request, backend)
    async with backend.writer.durable_state() as community:
        if reader is not None and reader not in community.members:
            raise Problem(
                status=404,
                title="No such wallet",
                detail="expected a member's wallet",
                reason="unknown_wallet",
            )
    return await _document(backend, document, revision, reader=reader, wallet="")


async def _document(
    backend: Backend, name: str, revision: int, *, reader: str | None, wallet: str
) -> Response[bytes]:
    """Return a wallet's statement, or the report if `wallet` is empty. Raises Problem."""
    month, _, suffix = name.partition(".")
    form = next((each for each in FORMS if each == suffix), None)
    if form is None:
        expected = ", ".join(FORMS)
        raise Problem(
            status=404,
            title="No such form",
            detail=f"expected one of {expected}",
            reason="not_found",
        )
    jobs = _jobs(backend)
    sha256 = await _stored(backend, wallet, month, revision)
    task = DocumentTask(
        journal=str(jobs.journal),
        store=str(jobs.store),
        month=month,
        wallet=wallet,
        form=form,
        sha256=sha256,
    )
    try:
        made = await jobs.make(task, reader or "")
    except NotMade as error:
        raise Problem(
            status=404, title="No such document", detail=str(error), reason="not_found"
        ) from None
    except NotReadable as error:
        raise Problem(
            status=503, title="The document cannot be read", detail=str(error), reason="unavailable"
        ) from None
    kind = f"statement-{wallet[:8]}" if wallet else "report"
    return _response(made, form, f"{kind}-{month}.{form}")


async def _stored(backend: Backend, wallet: str, month: str, revision: int) -> str:
    """Return the hash of a document; empty if the month is open, because then nothing is stored."""
    async with backend.writer.durable_state() as community:
        period = community.periods.get(month)
        last = period.revision if period else 0
        if not 0 <= revision <= last:
            detail = f"expected a revision up to {last}"
            raise Problem(status=404, title="No such revision", detail=detail, reason="not_found")
        entry = period.entries[(revision or last) - 1] if period else 0
    if not entry:
        return ""
    step = await backend.journal.entry(entry)
    assert step is not None
    command = msgspec.json.decode(step.input, type=PeriodCommand)
    found = dict(command.documents).get(wallet, "") if wallet else command.report
    if not found:
        detail = "expected a wallet that was a member's in that month"
        raise Problem(status=404, title="No such document", detail=detail, reason="not_found")
    return found


def _jobs(backend: Backend) -> StatementJobs:
    if backend.statements is None:
        raise Problem(
            status=404,
            title="No statements",
            detail="expected a backend with a data folder",
            reason="not_found",
        )
    return backend.statements


def _response(made: bytes, form: Form, file: str) -> Response[bytes]:
    headers = {
        "Content-Disposition": f'inline; filename="{file}"',
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(made, media_type=MEDIA_TYPES[form], headers=headers)


def _view(month: str, period: Period) -> PeriodView:
    return PeriodView(
        month=month,
        status=period.status,
        revision=period.revision,
        from_ms=period.from_ms,
        to_ms=period.to_ms,
        entries=period.entries,
    )
