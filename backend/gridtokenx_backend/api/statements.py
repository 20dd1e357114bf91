"""Statements and periods: documents for those entitled to them, steps by the operator."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.operator import operator_only
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.reader_access import AnyRequest, reading_wallet
from gridtokenx_backend.core.messages.inputs import change_period
from gridtokenx_backend.core.messages.period_records import (
    ChangePeriod,
    PeriodChanged,
    PeriodRefusal,
    PeriodRefused,
)
from gridtokenx_backend.core.model.billing_periods import Period
from gridtokenx_backend.core.model.local_time import parse_month
from gridtokenx_backend.statements.jobs.statement_jobs import NotMade, StatementJobs
from gridtokenx_backend.statements.jobs.worker import DocumentTask
from gridtokenx_backend.statements.render.forms import FORMS, MEDIA_TYPES, Form

MAX_STEP_BYTES = 32 * 1024 * 1024
"""A step names a hundred bytes for each member."""
_STATUS = {PeriodRefusal.BAD_PERIOD: 400, PeriodRefusal.UNKNOWN_WALLET: 404}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


Revision: TypeAlias = Annotated[int, QueryParameter(ge=0)]
"""`?revision=`; 0 is the newest."""


class PeriodView(msgspec.Struct, frozen=True):
    """`entries` are the journal's numbers of its steps; revision n is the n-th of them."""

    month: str
    status: str
    revision: int
    from_ms: int
    to_ms: int
    entries: list[int]


class PeriodStepView(msgspec.Struct, frozen=True):
    """`fed_in_uwh` is what the step moved to the utility, out of how many wallets."""

    month: str
    status: str
    revision: int
    journal_seq: int
    wallets: int
    fed_in_uwh: int
    cancelled_orders: int


@get("/v1/periods", guards=[operator_only])
async def periods(backend: NamedDependency[Backend]) -> list[PeriodView]:
    """The months that are no longer open, oldest first."""
    async with backend.writer.reading() as community:
        return [_view(month, period) for month, period in sorted(community.periods.items())]


@post(
    "/v1/periods",
    guards=[operator_only],
    status_code=200,
    request_max_body_size=MAX_STEP_BYTES,
)
async def take_step(request: AnyRequest, backend: NamedDependency[Backend]) -> PeriodStepView:
    """Journals a period's step. `gridtokenx-backend period` makes its documents first."""
    body = await request.body()
    try:
        command = msgspec.json.decode(body, type=ChangePeriod)
        parse_month(command.month)
    except (ValueError, RecursionError) as error:  # msgspec's and Unicode's are ValueErrors
        raise Problem(400, "The request was refused", str(error), "bad_request") from None
    ((result, seq, _),) = await backend.writer.submit([change_period(command)])
    if isinstance(result, PeriodRefused):
        status = _STATUS.get(result.reason, 409)
        raise Problem(status, "The step was not taken", result.detail, result.reason.value)
    assert isinstance(result, PeriodChanged)
    fed_in_uwh = sum(movement.amount for movement in result.movements)
    return PeriodStepView(
        result.month,
        result.status,
        result.revision,
        seq,
        len(result.movements),
        fed_in_uwh,
        len(result.cancelled),
    )


@get("/v1/statements/{wallet:str}/{document:str}")
async def statement(
    request: AnyRequest,
    backend: NamedDependency[Backend],
    wallet: FromPath[str],
    document: FromPath[str],
    revision: Revision = 0,
) -> Response[bytes]:
    """A member's statement: `{document}` is a month and a form, such as 2026-06.pdf.

    Of a month that is still open it is a preview; of another the newest revision, or the one that
    is asked for. For the operator, and for the wallet's owner with a signed read token.
    """
    reader = await reading_wallet(request, backend)
    async with backend.writer.reading() as community:
        if wallet not in community.members or reader not in (None, wallet):
            detail = "expected the wallet of a member" if reader is None else "expected your wallet"
            raise Problem(404, "No such wallet", detail, "unknown_wallet")
    return await _document(backend, reader, wallet, document, revision)


@get("/v1/reports/{document:str}")
async def report(
    request: AnyRequest,
    backend: NamedDependency[Backend],
    document: FromPath[str],
    revision: Revision = 0,
) -> Response[bytes]:
    """The community's report of a month; `{document}` and revisions are as for statements.

    For the operator and every member.
    """
    reader = await reading_wallet(request, backend)
    async with backend.writer.reading() as community:
        if reader is not None and reader not in community.members:
            raise Problem(404, "No such wallet", "expected a member's wallet", "unknown_wallet")
    return await _document(backend, reader, "", document, revision)


async def _document(
    backend: Backend, reader: str | None, wallet: str, name: str, revision: int
) -> Response[bytes]:
    month, _, suffix = name.partition(".")
    form = next((each for each in FORMS if each == suffix), None)
    if form is None:
        expected = ", ".join(FORMS)
        raise Problem(404, "No such form", f"expected one of {expected}", "not_found")
    jobs = _jobs(backend)
    sha256 = await _stored(backend, wallet, month, revision)
    task = DocumentTask(str(jobs.journal), str(jobs.store), month, wallet, form, sha256)
    try:
        made = await jobs.make(task, reader or "")
    except NotMade as error:
        raise Problem(404, "No such document", str(error), "not_found") from None
    kind = f"statement-{wallet[:8]}" if wallet else "report"
    return _response(made, form, f"{kind}-{month}.{form}")


async def _stored(backend: Backend, wallet: str, month: str, revision: int) -> str:
    """The hash of a document; empty if the month is open and so has none."""
    async with backend.writer.reading() as community:
        period = community.periods.get(month)
        last = period.revision if period else 0
        if not 0 <= revision <= last:
            detail = f"expected a revision up to {last}"
            raise Problem(404, "No such revision", detail, "not_found")
        entry = period.entries[(revision or last) - 1] if period else 0
    if not entry:
        return ""
    step = await backend.journal.entry(entry)
    assert step is not None
    command = msgspec.json.decode(step.input, type=ChangePeriod)
    found = dict(command.documents).get(wallet, "") if wallet else command.report
    if not found:
        detail = "expected a wallet that was a member's in that month"
        raise Problem(404, "No such document", detail, "not_found")
    return found


def _jobs(backend: Backend) -> StatementJobs:
    if backend.statements is None:
        raise Problem(404, "No statements", "expected a backend with a data folder", "not_found")
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
        month, period.status, period.revision, period.from_ms, period.to_ms, period.entries
    )
