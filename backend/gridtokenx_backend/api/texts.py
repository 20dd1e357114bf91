"""The check of what the operator writes for others to read: reasons, and names of sites."""

from __future__ import annotations

from gridtokenx_backend.api.problems import Problem
from gridtokenx_wire.plain_text import is_plain

MAX_REASON = 500
MAX_SITE = 200


def check_text(field: str, text: str, most: int = MAX_REASON) -> None:
    """Raise Problem unless a field of the body is one line of printable characters.

    The journal publishes reasons, and terminals show them: nothing in them may command a terminal.
    """
    if not is_plain(text, most):
        raise Problem(
            status=400,
            title="The text cannot be taken",
            detail=f"{field}: expected 1 to {most} printable characters in one line",
            reason="bad_request",
            field=field,
        )
