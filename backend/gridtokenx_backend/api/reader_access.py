"""Who asks: the operator, or a member who reads what is theirs."""

from __future__ import annotations

import hmac

from litestar import Request
from litestar.datastructures import State

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.problems import Problem
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.read_token import ReadToken, parse_read_token

AnyRequest = Request[object, object, State]
_BEARER = "Bearer "


async def reading_wallet(request: AnyRequest, backend: Backend) -> str | None:
    """The wallet whose token the request carries; None for the operator. Raises Problem."""
    given = request.headers.get("authorization", "")
    if hmac.compare_digest(given.encode(), f"{_BEARER}{backend.operator_token}".encode()):
        return None
    if not given.startswith(_BEARER):
        raise _unauthorized("expected the header Authorization: Bearer with a token")
    try:
        parsed = parse_read_token(given.removeprefix(_BEARER).encode())
    except WireError as error:
        raise _unauthorized(f"expected the operator's token or a member's: {error}") from None
    _check_time(parsed.token, backend)
    if not await backend.verifier.verify_one(parsed.signed.job(parsed.public_key)):
        raise _unauthorized("expected a signature by the wallet")
    return parsed.token.wallet


def _check_time(token: ReadToken, backend: Backend) -> None:
    community = backend.writer.community
    if token.community != community.name:
        raise _unauthorized(f"expected a token for the community {community.name!r}")
    now_ms = backend.clock.now_ms()
    if not token.issued_ms - community.limits.future_tolerance_ms <= now_ms < token.expires_ms:
        raise _unauthorized(f"expected a token that is good at {now_ms}, the community's time")


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "This is for the owner and the operator", detail, "unauthorized")
