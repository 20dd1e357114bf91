"""What a gateway asks before it may send frames: the CA, its certificate, its next key."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from litestar import MediaType, get, post
from litestar.di import NamedDependency

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.problems import Problem, enrolment_refused
from gridtokenx_backend.api.rate_limit import WINDOW_S
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService, NotEnrolled
from gridtokenx_wire.enrolment import (
    MAX_STATEMENT_BYTES,
    EnrolmentAnswer,
    EnrolmentRequest,
)

_MAX_BODY_BYTES = MAX_STATEMENT_BYTES + 256
_body = msgspec.json.Decoder(EnrolmentRequest)


@get("/v1/ca", media_type=MediaType.TEXT)
async def ca(backend: NamedDependency[Backend]) -> str:
    """Return the community's CA certificate as PEM. A token holds its fingerprint."""
    return enrolment_of(backend).authority.pem


@post("/v1/enrolments", status_code=201, request_max_body_size=_MAX_BODY_BYTES)
async def enrol(request: AnyRequest, backend: NamedDependency[Backend]) -> EnrolmentAnswer:
    """Enrol a gateway: the JSON body holds a token's secret and a statement signed by its key.

    The same key with the same token gets the same answer as before.
    """
    enrolment = enrolment_of(backend)

    async def work() -> EnrolmentAnswer:
        try:
            enrolment_request = _body.decode(await request.body())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotEnrolled(EnrolmentRefusal.MALFORMED, str(error)) from None
        return await enrolment.enrol(enrolment_request)

    return await _limited(request, backend, work)


@post("/v1/enrolments/rotation", status_code=201, request_max_body_size=_MAX_BODY_BYTES)
async def rotate(request: AnyRequest, backend: NamedDependency[Backend]) -> EnrolmentAnswer:
    """Let a new key follow the one in use. The body is a compact JWS by the key in use."""
    enrolment = enrolment_of(backend)

    async def work() -> EnrolmentAnswer:
        return await enrolment.rotate(await request.body())

    return await _limited(request, backend, work)


async def _limited(
    request: AnyRequest, backend: Backend, work: Callable[[], Awaitable[EnrolmentAnswer]]
) -> EnrolmentAnswer:
    """Return what `work` returns, unless the address was wrong too often. Raises Problem."""
    if backend.writer.degraded:
        raise Overloaded(backend.writer.degraded)
    address = request.client.host if request.client else ""
    if not backend.wrong_requests.is_allowed(address, time.monotonic()):
        detail = f"expected fewer wrong requests; try again in {WINDOW_S:g} s"
        raise Problem(
            status=429, title="Too many wrong requests", detail=detail, reason="too_many_guesses"
        )
    try:
        return await work()
    except NotEnrolled as refusal:
        backend.wrong_requests.was_wrong(address, time.monotonic())
        raise enrolment_refused(refusal.reason, refusal.detail) from None


def enrolment_of(backend: Backend) -> EnrolmentService:
    """Return the enrolment of a backend. Raises Problem if it has no CA."""
    if backend.enrolment is None:
        detail = "expected the operator to have run: gridtokenx-backend init"
        raise Problem(status=404, title="Enrolment is not set up", detail=detail, reason="no_ca")
    return backend.enrolment
