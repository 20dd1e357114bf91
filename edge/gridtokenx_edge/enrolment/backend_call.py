"""Calls of the backend's API with the standard library, as the gateway has no HTTP client."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import ssl
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from gridtokenx_edge.errors import CannotEnrol

_TIMEOUT_S = 15
_MAX_ANSWER_BYTES = 1 << 20
_NOT_YET_VALID, _EXPIRED = 9, 10  # This is OpenSSL's X509_V_ERR_CERT_….
_HOST = re.compile(r"[^\s\x00-\x1f\x7f]+").fullmatch


class Answer(NamedTuple):
    status: int
    body: bytes


def parse_url(url: str, *, insecure: bool) -> SplitResult:
    """Return the API's address.

    Raises CannotEnrol for anything else, and for plain HTTP that was not allowed.
    """
    wrong = CannotEnrol(f"--backend: expected https://HOST or https://HOST:PORT, got {url!r}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise wrong from None
    is_plain = not (parts.username or parts.path.strip("/") or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not host or not is_plain or not _HOST(host):
        raise wrong
    if parts.scheme == "http" and not (insecure or _is_loopback(host)):
        raise CannotEnrol("--backend: expected https://; --insecure allows plain HTTP")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def untrusting() -> ssl.SSLContext:
    """Return TLS that checks nothing, for what is checked by other means.

    That is the CA's certificate, which the token's fingerprint proves.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def trusting(ca_pem: str) -> ssl.SSLContext:
    """Return TLS by the community's CA, or by a public one if a proxy stands before the API."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError):
        raise CannotEnrol("expected the CA's certificate in PEM") from None
    return context


def ask(
    url: SplitResult, method: str, path: str, body: bytes | None, context: ssl.SSLContext
) -> Answer:
    """Send a request and return the answer's body.

    Raises CannotEnrol if nobody answers, or if TLS finds the wrong server.
    """
    where = f"{url.scheme}://{url.netloc}"
    host = url.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, url.port, timeout=_TIMEOUT_S, context=context)
        if url.scheme == "https"
        else http.client.HTTPConnection(host, url.port, timeout=_TIMEOUT_S)
    )
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read(_MAX_ANSWER_BYTES))
    except ssl.SSLCertVerificationError as error:
        raise CannotEnrol(f"{where}: TLS: {error.verify_message}{_hint(error)}") from None
    except ssl.SSLError as error:
        raise CannotEnrol(f"{where}: TLS: {error.reason or error}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CannotEnrol(f"{where}: no answer: {reason}") from None
    finally:
        connection.close()


def _hint(error: ssl.SSLCertVerificationError) -> str:
    is_of_time = error.verify_code in (_NOT_YET_VALID, _EXPIRED)
    return " (is this machine's clock right?)" if is_of_time else ""


def problem_code(answer: Answer) -> str:
    """Return the reason of a problem document as programs read it, or nothing."""
    try:
        return str(json.loads(answer.body)["reason"])
    except (ValueError, KeyError, TypeError):
        return ""


def problem(answer: Answer) -> str:
    """Return what a problem document (RFC 9457) says, or as much as there is."""
    try:
        document: Any = json.loads(answer.body)
        return str(document["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status}"
