"""Errors as problem documents (RFC 9457), each with the enum's `reason`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response

from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal, OrderRefusal
from gridtokenx_backend.core.messages.settlement_outcomes import SettlementRefusal
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_wire.plain_text import escaped

MEDIA_TYPE = "application/problem+json"
_FIELD = re.compile(r"([a-z_]+): expected ")
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
    EnrolmentRefusal.DEVICE_HELD: 409,
    EnrolmentRefusal.NOT_HELD: 409,
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
    EnrolmentRefusal.DEVICE_HELD: "expected a device that is not held",
    EnrolmentRefusal.NOT_HELD: "expected a device that is held",
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


def by_status(statuses: Mapping[Any, int]) -> dict[int, list[str]]:
    """Return the reasons of refusals by their HTTP status, for the OpenAPI document."""
    found: dict[int, list[str]] = {}
    for refusal, status in statuses.items():
        found.setdefault(status, []).append(refusal.value)
    return found


INSTRUCTION_REFUSALS = by_status(_STATUS)
ENROLMENT_REFUSALS = by_status(_ENROLMENT_STATUS) | {429: ["too_many_tokens", "too_many_guesses"]}
SETTLEMENT_REFUSALS = by_status(_SETTLEMENT_STATUS)


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What an error answers (RFC 9457), with two members more: `reason`, and `field` if one field
    or parameter is wrong.
    """

    type: str
    title: str
    status: int
    detail: str
    reason: str
    field: str | msgspec.UnsetType = msgspec.UNSET


class Problem(Exception):
    """Becomes the answer to a request: an HTTP status, a short title, and what was expected.

    `reason` is for programs; it is the value of a refusal's enum where there is one.
    """

    def __init__(
        self,
        *,
        status: int,
        title: str,
        detail: str,
        reason: str,
        field: str = "",
        retry_after_s: int = 1,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.reason = reason
        self.field = field
        """The one field or parameter that is wrong, or empty."""
        self.retry_after_s = retry_after_s
        """When to try again, where the status (429, 503) says that it may help."""


def too_many_wrong(what: str, reason: str, wait_s: float) -> Problem:
    """Return the problem for an address that has sent too much that was wrong."""
    retry_after_s = math.ceil(wait_s)
    return Problem(
        status=429,
        title=f"Too many {what}",
        detail=f"expected fewer {what}; try again in {retry_after_s} s",
        reason=reason,
        retry_after_s=retry_after_s,
    )


def refused(reason: OrderRefusal, detail: str) -> Problem:
    """Return the problem for an instruction that was refused."""
    return Problem(
        status=_STATUS[reason],
        title="The instruction was refused",
        detail=detail,
        reason=reason.value,
        field=_field_in(detail),
    )


def enrolment_refused(reason: EnrolmentRefusal, detail: str = "") -> Problem:
    """Return the problem for an enrolment, or a command about devices, that was refused."""
    detail = detail or _ENROLMENT_DETAIL[reason]
    return Problem(
        status=_ENROLMENT_STATUS[reason],
        title="The request was refused",
        detail=detail,
        reason=reason.value,
    )


def settlement_refused(reason: SettlementRefusal, detail: str, *, field: str = "") -> Problem:
    """Return the problem for a command on money, corrections or certificates that was refused."""
    status = _SETTLEMENT_STATUS[reason]
    return Problem(
        status=status,
        title="The command was refused",
        detail=detail,
        reason=reason.value,
        field=field or _field_in(detail),
    )


def _field_in(detail: str) -> str:
    """Return the field that a detail such as `price: expected ...` begins with, or ""."""
    found = _FIELD.match(detail)
    return found[1] if found else ""


def respond(_: AnyRequest, problem: Problem) -> Response[bytes]:
    """Return the answer for a Problem; Litestar calls this as its exception handler."""
    body = msgspec.json.encode(
        ProblemDocument(
            type=f"urn:gridtokenx:problem:{problem.reason}",
            title=problem.title,
            status=problem.status,
            detail=escaped(problem.detail),
            reason=problem.reason,
            field=escaped(problem.field) or msgspec.UNSET,
        )
    )
    headers = {"Retry-After": str(problem.retry_after_s)} if problem.status in (429, 503) else None
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def respond_unavailable(
    request: AnyRequest, error: Overloaded | JournalUnavailable
) -> Response[bytes]:
    """Return the answer for a full queue, or a journal that can be neither written nor read."""
    return respond(
        request,
        Problem(status=503, title="Try again later", detail=str(error), reason="unavailable"),
    )
