"""Who may ask: the operator, or a member who reads what belongs to them."""

from __future__ import annotations

import hmac

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.read_token import ReadToken, parse_read_token

_BEARER = "Bearer "


def operator_only(
    connection: ASGIConnection[object, object, object, State], _: BaseRouteHandler
) -> None:
    """Let only requests with `Authorization: Bearer <operator.token>` pass. Raises Problem."""
    backend: Backend = connection.app.state.backend
    header = connection.headers.get("authorization", "")
    if not _is_operator(header, backend):
        raise Problem(
            status=401,
            title="Only the operator may do this",
            detail="expected the header Authorization: Bearer with the operator's token",
            reason="unauthorized",
        )


async def reader_wallet(request: AnyRequest, backend: Backend) -> str | None:
    """Return the wallet whose read token a request carries; None for the operator.

    Raises Problem.
    """
    header = request.headers.get("authorization", "")
    if _is_operator(header, backend):
        return None
    if not header.startswith(_BEARER):
        raise _unauthorised("expected the header Authorization: Bearer with a token")
    try:
        parsed = parse_read_token(header.removeprefix(_BEARER).encode())
    except WireError as error:
        raise _unauthorised(f"expected the operator's token or a member's: {error}") from None
    _check_time(parsed.token, backend)
    if not await backend.verifier.verify_one(parsed.signed.job(parsed.public_key)):
        raise _unauthorised("expected a signature by the wallet")
    return parsed.token.wallet


def _is_operator(header: str, backend: Backend) -> bool:
    expected = f"{_BEARER}{backend.operator_token}"
    return hmac.compare_digest(header.encode(), expected.encode())


def _check_time(token: ReadToken, backend: Backend) -> None:
    """Raise Problem unless a token is for this community and for now."""
    community = backend.writer.community
    if token.community != community.name:
        raise _unauthorised(f"expected a token for the community {community.name!r}")
    now_ms = backend.clock.now_ms()
    if not token.issued_ms - community.limits.future_tolerance_ms <= now_ms < token.expires_ms:
        raise _unauthorised(f"expected a token that is good at {now_ms}, the community's time")


def _unauthorised(detail: str) -> Problem:
    title = "This is for the owner and the operator"
    return Problem(status=401, title=title, detail=detail, reason="unauthorized")
