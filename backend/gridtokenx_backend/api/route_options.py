"""Options that the routes of several modules share."""

from __future__ import annotations

from typing import Any

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.request_errors import respond_unreadable
from gridtokenx_wire.order import MAX_JWS_BYTES

MAX_COMMAND_BYTES = 1 << 20

OPERATOR_COMMAND: dict[str, Any] = {
    "status_code": 200,
    "request_max_body_size": MAX_COMMAND_BYTES,
    "guards": [operator_only],
    "exception_handlers": {  # what msgspec raises of a body, and Litestar does not expect
        UnicodeDecodeError: respond_unreadable,
        RecursionError: respond_unreadable,
    },
}
"""A command of the operator with a JSON body."""

SIGNED_INSTRUCTION: dict[str, Any] = {
    "status_code": 200,
    "request_max_body_size": MAX_JWS_BYTES + 1,
}
"""An instruction that a member has signed, as a compact JWS."""
