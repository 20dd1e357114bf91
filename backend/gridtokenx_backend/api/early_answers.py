"""Answers that a connection gives by itself, before a request has been read to its end."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

MAX_HEAD_BYTES = 32_768
MAX_FIELDS = 100

_DETAIL = {
    HTTPStatus.BAD_REQUEST: "expected a request of HTTP/1.1 (RFC 9112)",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "expected a shorter body",
    HTTPStatus.REQUEST_URI_TOO_LONG: f"expected a head of at most {MAX_HEAD_BYTES} bytes",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        f"expected a head of at most {MAX_HEAD_BYTES} bytes and {MAX_FIELDS} fields"
    ),
}
_REASON = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "bad_request",
    HTTPStatus.REQUEST_URI_TOO_LONG: "head_too_large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head_too_large",
}


def early_answer(status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a whole answer: a problem document (RFC 9457), and the connection's end."""
    reason = _REASON[status]
    body = msgspec.json.encode(
        {
            "type": f"urn:gridtokenx:problem:{reason}",
            "title": "The request was refused",
            "status": status.value,
            "detail": _DETAIL[status],
            "reason": reason,
        }
    )
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}".encode(),
        *(name + b": " + value for name, value in headers),
        b"content-type: application/problem+json",
        f"content-length: {len(body)}".encode(),
        b"connection: close",
    ]
    return b"\r\n".join([*lines, b"", body])
