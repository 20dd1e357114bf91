"""What the API refuses, and what the user cannot mean, each as one exception."""

from __future__ import annotations

import msgspec


class ApiProblem(Exception):
    """The API did not do what was asked; its text is one line for a person.

    `reason` is for programs: the API's own (`insufficient_balance`, `unknown_wallet`), or
    `unreachable` when nobody answered and `unexpected_answer` when the answer is not the API's.
    `status` is the HTTP status, 0 without an answer.
    """

    def __init__(self, reason: str, detail: str, status: int = 0) -> None:
        super().__init__(one_line(f"{reason}: {detail}"))
        self.reason = reason
        self.detail = detail
        self.status = status


class Mistake(ValueError):
    """What was asked for cannot be sent; its text is one line that says what was expected."""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457, with the API's `reason` beside its members."""

    title: str = ""
    detail: str = ""
    reason: str = ""


def problem_of(status: int, content: bytes) -> ApiProblem:
    """Return the problem in an answer with an error status, whatever its content is."""
    try:
        document = msgspec.json.decode(content, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _Document()
    if not document.reason:
        return ApiProblem("unexpected_answer", f"the server answered with status {status}", status)
    return ApiProblem(document.reason, document.detail or document.title, status)


def one_line(text: str) -> str:
    """Return foreign text fit for a terminal: one line without control characters, cut to 500
    characters.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:500]
