"""What a gateway asks before it may send frames: the CA, its certificate, its next key."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from litestar import MediaType, get, post
from litestar.di import NamedDependency

from gridtokenx_backend.api.authorisation import address_of
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import (
    ENROLMENT_REFUSALS,
    Problem,
    enrolment_refused,
    too_many_wrong,
)
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService, NotEnrolled
from gridtokenx_wire.enrolment import (
    MAX_STATEMENT_BYTES,
    EnrolmentAnswer,
    EnrolmentRequest,
    Token,
    parse_rotation,
)
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_text

_MAX_BODY_BYTES = MAX_STATEMENT_BYTES + 256
_body = msgspec.json.Decoder(EnrolmentRequest)


@get(
    "/v1/ca",
    media_type=MediaType.TEXT,
    **operation(
        "get_ca", "Show the certificate of the CA", Tag.ENROLMENT, Access.EVERYONE, {404: ["no_ca"]}
    ),
)
async def ca(backend: NamedDependency[Backend]) -> str:
    """Return the community's CA certificate as PEM. A token holds its fingerprint."""
    return enrolment_of(backend).authority.pem


@post(
    "/v1/enrolments",
    status_code=201,
    request_max_body_size=_MAX_BODY_BYTES,
    **operation(
        "enrol_gateway",
        "Enrol a gateway with a token",
        Tag.ENROLMENT,
        Access.EVERYONE,
        ENROLMENT_REFUSALS,
    ),
)
async def enrol(request: AnyRequest, backend: NamedDependency[Backend]) -> EnrolmentAnswer:
    """Enrol a gateway: the JSON body holds a token's secret and a statement signed by its key.

    The same key with the same token gets the same answer as before.
    """
    enrolment = enrolment_of(backend)
    body = await request.body()
    try:
        enrolment_request = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        malformed = NotEnrolled(EnrolmentRefusal.MALFORMED, str(error))
        return await _limited(request, backend, "", _raising(malformed))
    token = Token(secret=enrolment_request.secret, ca_fingerprint="").digest
    async with backend.writer.durable_state() as community:
        shown = token if token in community.tokens else ""
    return await _limited(request, backend, shown, lambda: enrolment.enrol(enrolment_request))


@post(
    "/v1/enrolments/rotation",
    status_code=201,
    request_max_body_size=_MAX_BODY_BYTES,
    **operation(
        "rotate_gateway_key",
        "Let a new key follow the one in use",
        Tag.ENROLMENT,
        Access.EVERYONE,
        ENROLMENT_REFUSALS,
    ),
)
async def rotate(request: AnyRequest, backend: NamedDependency[Backend]) -> EnrolmentAnswer:
    """Let a new key follow the one in use. The body is a compact JWS by the key in use."""
    enrolment = enrolment_of(backend)
    body = await request.body()
    try:
        device = parse_rotation(body).device
    except WireError as error:
        malformed = NotEnrolled(EnrolmentRefusal.MALFORMED, str(error))
        return await _limited(request, backend, "", _raising(malformed))
    async with backend.writer.durable_state() as community:
        shown = device_text(device) if device in community.devices else ""
    return await _limited(request, backend, shown, lambda: enrolment.rotate(body))


def _raising(refusal: NotEnrolled) -> Callable[[], Awaitable[EnrolmentAnswer]]:
    async def work() -> EnrolmentAnswer:
        raise refusal

    return work


async def _limited(
    request: AnyRequest,
    backend: Backend,
    shown: str,
    work: Callable[[], Awaitable[EnrolmentAnswer]],
) -> EnrolmentAnswer:
    """Return what `work` returns, unless there were too many wrong requests. Raises Problem.

    `shown` is the token or the device that a request names, if the community knows it. Such a
    request is no guess: its wrong ones are counted apart, so that whoever guesses from the same
    address keeps no honest gateway out.
    """
    if obstacle := backend.writer.degradation.obstacle:
        raise Overloaded(obstacle)
    address = address_of(request, backend)
    counted_for = f"{address} {shown}" if shown else address
    if wait_s := backend.wrong_requests.wait_s(counted_for, time.monotonic()):
        raise too_many_wrong("wrong requests", "too_many_guesses", wait_s)
    try:
        return await work()
    except NotEnrolled as refusal:
        backend.wrong_requests.was_wrong(counted_for, time.monotonic())
        backend.repeats.warn_about("wrong enrolment", address, reason=refusal.reason.value)
        raise enrolment_refused(refusal.reason, refusal.detail) from None


def enrolment_of(backend: Backend) -> EnrolmentService:
    """Return the enrolment of a backend. Raises Problem if it has no CA."""
    if backend.enrolment is None:
        detail = "expected the operator to have run: gridtokenx-backend init"
        raise Problem(status=404, title="Enrolment is not set up", detail=detail, reason="no_ca")
    return backend.enrolment
