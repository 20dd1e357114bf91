"""Who may ask: the operator, or a member who reads what belongs to them."""

from __future__ import annotations

import hmac
import time
from typing import Any, TypeAlias

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.client_address import holder_of
from gridtokenx_backend.api.problems import Problem, too_many_wrong
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.read_token import ReadToken, parse_read_token

AnyConnection: TypeAlias = ASGIConnection[Any, Any, Any, State]

_BEARER = "Bearer "


async def operator_only(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Let only requests with `Authorization: Bearer <operator.token>` pass. Raises Problem."""
    backend: Backend = connection.app.state.backend
    if not _shows(connection, backend.operator_token):
        expected = "expected the header Authorization: Bearer with the operator's token"
        raise _refusal(connection, backend, "Only the operator may do this", expected)


async def metrics_reader_only(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Let requests with the metrics' or the operator's token pass; all, if the config says so.

    Raises Problem.
    """
    backend: Backend = connection.app.state.backend
    if backend.has_public_metrics:
        return
    if not (
        _shows(connection, backend.metrics_token) or _shows(connection, backend.operator_token)
    ):
        expected = "expected the header Authorization: Bearer with the token in metrics.token"
        raise _refusal(connection, backend, "Only the operator's monitoring may do this", expected)


async def reader_wallet(request: AnyRequest, backend: Backend) -> str | None:
    """Return the wallet whose read token a request carries; None for the operator.

    Raises Problem.
    """
    if _shows(request, backend.operator_token):
        return None
    header = request.headers.get("authorization", "")
    if not header.startswith(_BEARER):
        raise _not_the_owner(request, backend, "expected the header Authorization: Bearer")
    try:
        parsed = parse_read_token(header.removeprefix(_BEARER).encode())
    except WireError as error:
        detail = f"expected the operator's token or a member's: {error}"
        raise _not_the_owner(request, backend, detail) from None
    if expected := _unless_for_now(parsed.token, backend):
        raise _not_the_owner(request, backend, expected)
    if not await backend.verifier.verify_one(parsed.signed.job(parsed.public_key)):
        raise _not_the_owner(request, backend, "expected a signature by the wallet")
    return parsed.token.wallet


def address_of(connection: AnyConnection, backend: Backend) -> str:
    """Return what requests are counted by: the client's address, or its network (IPv6)."""
    peer = connection.client.host if connection.client else ""
    forwarded = connection.headers.getall("x-forwarded-for", [])
    return holder_of(backend.proxies.client_of(peer, forwarded))


def _shows(connection: AnyConnection, token: str) -> bool:
    """Return whether a request carries this token. An empty token is never one."""
    header = connection.headers.get("authorization", "")
    expected = f"{_BEARER}{token}"
    return hmac.compare_digest(header.encode(), expected.encode()) and bool(token)


def _refusal(connection: AnyConnection, backend: Backend, title: str, detail: str) -> Problem:
    """Return why a request without the right token is refused, and count it if it had another."""
    if connection.headers.get("authorization"):
        address, now_s = address_of(connection, backend), time.monotonic()
        wait_s = backend.wrong_credentials.wait_s(address, now_s)
        backend.wrong_credentials.was_wrong(address, now_s)
        backend.repeats.warn_about("wrong credentials", address)
        if wait_s:
            return too_many_wrong("wrong credentials", "too_many_wrong_credentials", wait_s)
    return Problem(status=401, title=title, detail=detail, reason="unauthorized")


def _unless_for_now(token: ReadToken, backend: Backend) -> str:
    """Return what was expected of a token, "" if it is for this community and for now."""
    community = backend.writer.community
    if token.community != community.name:
        return f"expected a token for the community {community.name!r}"
    now_ms = backend.clock.now_ms()
    if not token.issued_ms - community.limits.future_tolerance_ms <= now_ms < token.expires_ms:
        return f"expected a token that is good at {now_ms}, the community's time"
    return ""


def _not_the_owner(request: AnyRequest, backend: Backend, detail: str) -> Problem:
    return _refusal(request, backend, "This is for the owner and the operator", detail)
