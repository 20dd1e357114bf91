"""Errors as problem documents (RFC 9457), each with the enum's `reason`."""

from __future__ import annotations

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from gridtokenx_backend.core.messages.outcomes import EnrolmentRefusal, OrderRefusal
from gridtokenx_backend.core.messages.settlement_outcomes import SettlementRefusal
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.errors import JournalUnavailable

AnyRequest = Request[object, object, State]
MEDIA_TYPE = "application/problem+json"
_STATUS = {
    OrderRefusal.MALFORMED: 400,
    OrderRefusal.BAD_SIGNATURE: 401,
    OrderRefusal.WRONG_COMMUNITY: 400,
    OrderRefusal.UNKNOWN_WALLET: 404,
    OrderRefusal.ID_REUSED: 409,
    OrderRefusal.OUTSIDE_WINDOW: 400,
    OrderRefusal.SEGMENT_CLOSED: 409,
    OrderRefusal.BAD_QUANTITY: 400,
    OrderRefusal.BAD_PRICE: 400,
    OrderRefusal.BAD_AMOUNT: 400,
    OrderRefusal.REFERENCE_USED: 409,
    OrderRefusal.UNKNOWN_CERTIFICATE: 404,
    OrderRefusal.NOT_SETTLEABLE: 400,
    OrderRefusal.CONTRADICTORY: 400,
    OrderRefusal.BAD_EXPIRY: 400,
    OrderRefusal.UNKNOWN_ORDER: 404,
    OrderRefusal.UNKNOWN_ZONE: 404,
    OrderRefusal.ZONE_CLOSED: 409,
    OrderRefusal.WOULD_TRADE: 409,
    OrderRefusal.INSUFFICIENT_BALANCE: 409,
    OrderRefusal.BUSY: 429,
}


_ENROLMENT_STATUS = {
    EnrolmentRefusal.MALFORMED: 400,
    EnrolmentRefusal.BAD_SIGNATURE: 401,
    EnrolmentRefusal.UNKNOWN_TOKEN: 404,
    EnrolmentRefusal.TOKEN_USED: 409,
    EnrolmentRefusal.TOKEN_WITHDRAWN: 410,
    EnrolmentRefusal.TOKEN_EXPIRED: 410,
    EnrolmentRefusal.UNKNOWN_DEVICE: 404,
    EnrolmentRefusal.DEVICE_REVOKED: 403,
    EnrolmentRefusal.DEVICE_PENDING: 409,
    EnrolmentRefusal.DEVICE_ACTIVE: 409,
    EnrolmentRefusal.DEVICE_ELSEWHERE: 409,
    EnrolmentRefusal.ALREADY_FOLLOWED: 409,
    EnrolmentRefusal.TOO_MANY_TOKENS: 429,
}
_ENROLMENT_DETAIL = {
    EnrolmentRefusal.BAD_SIGNATURE: "expected a signature by the device's key",
    EnrolmentRefusal.UNKNOWN_TOKEN: "expected a token of this community's operator",
    EnrolmentRefusal.TOKEN_USED: "expected a token that no other key has used",
    EnrolmentRefusal.TOKEN_WITHDRAWN: "expected a token that the operator has not withdrawn",
    EnrolmentRefusal.TOKEN_EXPIRED: "expected a token that has not expired",
    EnrolmentRefusal.UNKNOWN_DEVICE: "expected the id of a device of this community",
    EnrolmentRefusal.DEVICE_REVOKED: "expected a device that was not revoked",
    EnrolmentRefusal.DEVICE_PENDING: "expected a device that the operator has approved",
    EnrolmentRefusal.DEVICE_ACTIVE: "expected a pending device; this one is active",
    EnrolmentRefusal.ALREADY_FOLLOWED: "expected a key that no other follows yet",
}


_SETTLEMENT_STATUS = {
    SettlementRefusal.UNKNOWN_WALLET: 404,
    SettlementRefusal.BAD_AMOUNT: 400,
    SettlementRefusal.BAD_TEXT: 400,
    SettlementRefusal.REFERENCE_USED: 409,
    SettlementRefusal.UNKNOWN_WITHDRAWAL: 404,
    SettlementRefusal.UNKNOWN_METER: 404,
    SettlementRefusal.BAD_SPAN: 400,
    SettlementRefusal.OUTDATED: 409,
    SettlementRefusal.MONTH_NOT_OVER: 400,
    SettlementRefusal.BUSY: 429,
}


class Problem(Exception):
    """Becomes the answer: `status`, a short `title`, what was expected, and the reason."""

    def __init__(self, status: int, title: str, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.reason = reason


def refused(reason: OrderRefusal, detail: str) -> Problem:
    """The problem for an instruction that was refused."""
    return Problem(_STATUS[reason], "The instruction was refused", detail, reason.value)


def enrolment_refused(reason: EnrolmentRefusal, detail: str = "") -> Problem:
    """The problem for an enrolment or an operator's command that was refused."""
    detail = detail or _ENROLMENT_DETAIL[reason]
    return Problem(_ENROLMENT_STATUS[reason], "The request was refused", detail, reason.value)


def settlement_refused(reason: SettlementRefusal, detail: str) -> Problem:
    """The problem for an operator's command on money, corrections or certificates."""
    status = _SETTLEMENT_STATUS[reason]
    return Problem(status, "The command was refused", detail, reason.value)


def respond(_: AnyRequest, problem: Problem) -> Response[bytes]:
    """Litestar's exception handler for Problem."""
    body = msgspec.json.encode(
        {
            "type": f"urn:gridtokenx:problem:{problem.reason}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "reason": problem.reason,
        }
    )
    headers = {"Retry-After": "1"} if problem.status in (429, 503) else None
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def respond_http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses: an unknown path, a wrong method, a bad parameter."""
    reason = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    if error.status_code == 401:
        reason = "unauthorized"
    title = "The request was refused"
    return respond(request, Problem(error.status_code, title, error.detail, reason))


def respond_unreadable(request: AnyRequest, _: Exception) -> Response[bytes]:
    """A body that is no text, or nested beyond what its decoder bears."""
    detail = "expected JSON in UTF-8"
    return respond(request, Problem(400, "The request was refused", detail, "bad_request"))


def respond_unavailable(
    request: AnyRequest, error: Overloaded | JournalUnavailable
) -> Response[bytes]:
    """The queue is full, or the journal does not take or give anything."""
    return respond(request, Problem(503, "Try again later", str(error), "unavailable"))
