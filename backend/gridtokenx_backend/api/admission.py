"""The operator admits gateways to the community: one-time tokens, approval, revocation."""

from __future__ import annotations

import os
from typing import Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.enrolment import enrolment_of
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import ENROLMENT_REFUSALS, enrolment_refused
from gridtokenx_backend.api.request_errors import unreadable
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND
from gridtokenx_backend.api.texts import MAX_SITE, check_text
from gridtokenx_backend.api.views import AdmissionView, NewTokenView, TokenView
from gridtokenx_backend.core.messages.device_outcomes import DeviceApproved, DeviceRevoked
from gridtokenx_backend.core.messages.inputs import (
    DeviceCommand,
    Input,
    TokenCommand,
    device_input,
    token_input,
)
from gridtokenx_backend.core.messages.outcomes import EnrolmentRefused, Result
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal
from gridtokenx_backend.core.model.registry import Token, TokenStatus
from gridtokenx_backend.core.registration.enrolment import active_followers
from gridtokenx_wire.enrolment import SECRET_BYTES, make_token
from gridtokenx_wire.keys import device_text

MAX_VALID_HOURS = 30 * 24
_HOUR_MS = 3_600_000
_ID_CHARS = 16


class NewTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which site a token is, and how long it is good."""

    site: str
    valid_hours: int = 24


class ApprovalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the active gateways of the site stay."""

    beside: bool = False


class DeviceReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a gateway is revoked, or released."""

    reason: str


@get(
    "/v1/tokens",
    guards=[operator_only],
    **operation("list_tokens", "List one-time tokens", Tag.OPERATION, Access.OPERATOR),
)
async def tokens(backend: NamedDependency[Backend]) -> list[TokenView]:
    """Return all one-time tokens that are stored, by id; the secret of a token is not stored."""
    now_ms = backend.clock.now_ms()
    async with backend.writer.durable_state() as community:
        return [
            TokenView(
                id=digest[:_ID_CHARS],
                site=token.site,
                status=_status(token, now_ms),
                expires_ms=token.expires_ms,
                device=device_text(token.device) if token.device else "",
            )
            for digest, token in community.tokens.items()
        ]


def _status(token: Token, now_ms: int) -> TokenStatus | Literal["expired"]:
    return "expired" if token.status == "open" and token.expires_ms <= now_ms else token.status


@post(
    "/v1/tokens",
    **(OPERATOR_COMMAND | {"status_code": 201}),
    **operation(
        "create_token",
        "Make a one-time token",
        Tag.OPERATION,
        Access.OPERATOR,
        ENROLMENT_REFUSALS,
        {404: ["no_ca"]},
    ),
)
async def create_token(
    backend: NamedDependency[Backend], data: JSONBody[NewTokenBody]
) -> NewTokenView:
    """Make a token with which one gateway of a site may enrol once. Only this answer shows it."""
    check_text("site", data.site, MAX_SITE)
    if not 1 <= data.valid_hours <= MAX_VALID_HOURS:
        detail = f"valid_hours: expected 1 to {MAX_VALID_HOURS}, got {data.valid_hours}"
        raise unreadable(detail, "valid_hours")
    token = make_token(os.urandom(SECRET_BYTES), enrolment_of(backend).authority.der)
    expires_ms = backend.clock.now_ms() + data.valid_hours * _HOUR_MS
    command = TokenCommand(
        action="issue", token=token.digest, site=data.site, expires_ms=expires_ms
    )
    await _submit(backend, token_input(command))
    return NewTokenView(
        token=token.text, id=token.digest[:_ID_CHARS], site=data.site, expires_ms=expires_ms
    )


@post(
    "/v1/tokens/{token:str}/withdraw",
    **OPERATOR_COMMAND,
    **operation(
        "withdraw_token", "Withdraw a token", Tag.OPERATION, Access.OPERATOR, ENROLMENT_REFUSALS
    ),
)
async def withdraw_token(backend: NamedDependency[Backend], token: FromPath[str]) -> TokenView:
    """Withdraw a token that nobody has used, so that nobody can use it."""
    async with backend.writer.durable_state() as community:
        found = [each for each in community.tokens if each[:_ID_CHARS] == token]
    if not found:
        detail = "expected the id of a token, as the list shows it"
        raise enrolment_refused(EnrolmentRefusal.UNKNOWN_TOKEN, detail)
    await _submit(backend, token_input(TokenCommand(action="withdraw", token=found[0])))
    async with backend.writer.durable_state() as community:
        kept = community.tokens[found[0]]
        return TokenView(
            id=token, site=kept.site, status=kept.status, expires_ms=kept.expires_ms, device=""
        )


@post(
    "/v1/devices/{device:str}/approve",
    **OPERATOR_COMMAND,
    **operation(
        "approve_device", "Admit a gateway", Tag.OPERATION, Access.OPERATOR, ENROLMENT_REFUSALS
    ),
)
async def approve_device(
    backend: NamedDependency[Backend], device: FromPath[str], data: JSONBody[ApprovalBody]
) -> AdmissionView:
    """Admit a pending gateway. The active ones of its site are revoked, unless `beside` is true."""
    command = DeviceCommand(action="approve", device=device, beside=data.beside)
    result = await _submit(backend, device_input(command))
    assert isinstance(result, DeviceApproved)
    return AdmissionView(
        device=device,
        status="active",
        replaced=[device_text(each) for each in result.replaced],
        followed_by=[],
    )


@post(
    "/v1/devices/{device:str}/release",
    **OPERATOR_COMMAND,
    **operation(
        "release_device",
        "Take frames of a held gateway again",
        Tag.OPERATION,
        Access.OPERATOR,
        ENROLMENT_REFUSALS,
    ),
)
async def release_device(
    backend: NamedDependency[Backend], device: FromPath[str], data: JSONBody[DeviceReasonBody]
) -> AdmissionView:
    """Take frames of a held gateway again. Its chain goes on behind the frames that are stored."""
    check_text("reason", data.reason)
    await _submit(
        backend, device_input(DeviceCommand(action="release", device=device, reason=data.reason))
    )
    return AdmissionView(device=device, status="active", replaced=[], followed_by=[])


@post(
    "/v1/devices/{device:str}/revoke",
    **OPERATOR_COMMAND,
    **operation(
        "revoke_device",
        "Revoke a gateway for ever",
        Tag.OPERATION,
        Access.OPERATOR,
        ENROLMENT_REFUSALS,
    ),
)
async def revoke_device(
    backend: NamedDependency[Backend], device: FromPath[str], data: JSONBody[DeviceReasonBody]
) -> AdmissionView:
    """Revoke a gateway's key and certificates for ever.

    Keys that followed this one stay valid. The answer names them, because whoever had this key may
    have made the next one.
    """
    check_text("reason", data.reason)
    result = await _submit(
        backend, device_input(DeviceCommand(action="revoke", device=device, reason=data.reason))
    )
    assert isinstance(result, DeviceRevoked)
    async with backend.writer.durable_state() as community:
        followers = [device_text(each) for each in active_followers(community, result.device)]
    return AdmissionView(device=device, status="revoked", replaced=[], followed_by=followers)


async def _submit(backend: Backend, input_: Input) -> Result:
    """Return the durable result of a command. Raises Problem."""
    (committed,) = await backend.writer.submit([input_])
    result = committed.result
    if isinstance(result, EnrolmentRefused):
        raise enrolment_refused(result.reason, result.detail)
    if backend.broker_access is not None:
        backend.broker_access.changed()
    return result
