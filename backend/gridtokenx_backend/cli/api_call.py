"""Asks the running backend over its API as the operator: it is the one writer."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.errors import CannotStart, OperatorError
from gridtokenx_wire.keys import read_secret

_TIMEOUT_S = 10
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (a name, not a socket)


class ApiRefused(OperatorError):
    """The backend said no; its text is what was expected, `reason` is for programs."""

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason


def call(settings: Settings, url: str, method: str, path: str, body: Any = None) -> Any:
    """The decoded answer. `url` is empty for the API that the config describes.

    `body` is sent as it is if it is bytes (a CBOR sequence), else as JSON.

    Raises CannotStart (nobody answers), ApiRefused, KeyFileError (the operator's token).
    """
    url = url or _configured(settings)
    token = read_secret(settings.operator_token).decode().strip()
    is_raw = isinstance(body, bytes)
    kind = "application/cbor-seq" if is_raw else "application/json"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    content = body if body is None or is_raw else json.dumps(body)
    try:
        connection = _connect(settings, url)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "is the backend running? its address: --api URL"
        raise CannotStart(f"{url}: no answer: {reason} ({hint})") from None
    return _decode(url, status, answer)


def _decode(url: str, status: int, answer: bytes) -> Any:
    try:
        decoded = json.loads(answer)
    except ValueError:
        raise CannotStart(f"{url}: expected JSON, got status {status}") from None
    if status >= 400:
        detail = decoded.get("detail", f"status {status}")
        raise ApiRefused(f"{url}: {detail}", decoded.get("reason", ""))
    return decoded


def _configured(settings: Settings) -> str:
    api = settings.backend.api
    if not api.port:
        raise CannotStart("api.port is 0, a free one: say which with --api URL")
    host = _EVERYWHERE.get(api.host, api.host)
    scheme = "https" if api.cert else "http"
    return f"{scheme}://[{host}]:{api.port}" if ":" in host else f"{scheme}://{host}:{api.port}"


def _connect(settings: Settings, url: str) -> http.client.HTTPConnection:
    """A connection to be; HTTPS is checked against the community's CA and the system's."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in ("http", "https") or not host:
        raise CannotStart(f"--api: expected http://HOST:PORT or https://HOST:PORT, got {url!r}")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    if (settings.ca / "ca.pem").exists():
        context.load_verify_locations(settings.ca / "ca.pem")
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
