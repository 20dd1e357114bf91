"""The running backend's API, asked as the operator: the backend is the journal's one writer."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.errors import CannotStart, OperatorError
from gridtokenx_wire.keys import read_token

_TIMEOUT_S = 10
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (a name, not a socket)


class ApiRefused(OperatorError):
    """The backend refused a request. Its text says what was expected, `reason` is for programs."""

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason


class OperatorApi:
    """Asks the API at `url`, or at the address in the config if `url` is empty.

    Its methods return the decoded JSON of the answer. They raise CannotStart if nobody answers,
    ApiRefused if the backend refuses, and KeyFileError for the operator's token.
    """

    def __init__(self, settings: Settings, url: str = "") -> None:
        self.settings = settings
        self._url = url

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: Any = None) -> Any:
        """Send `body` as JSON."""
        content = None if body is None else json.dumps(body).encode()
        return self._ask("POST", path, content, {"Content-Type": "application/json"})

    def post_frames(self, path: str, frames: bytes) -> Any:
        """Send signed frames, one behind the other (a CBOR sequence, RFC 8742)."""
        return self._ask("POST", path, frames, {"Content-Type": "application/cbor-seq"})

    def _ask(
        self,
        method: Literal["GET", "POST"],
        path: str,
        content: bytes | None,
        headers: dict[str, str],
    ) -> Any:
        url = self._url or _configured(self.settings)
        token = read_token(self.settings.operator_token)
        headers = {"Authorization": f"Bearer {token}", **headers}
        try:
            connection = _connect(self.settings, url)
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


def operator_api(config: Path, url: str) -> OperatorApi:
    """Return the API of the backend that a config file describes. Raises ConfigError."""
    return OperatorApi(load_settings(config), url)


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
    """Return the address of the API that the config describes. Raises CannotStart."""
    api = settings.backend.api
    if not api.port:
        raise CannotStart("api.port is 0, a free one: say which with --api URL")
    host = _EVERYWHERE.get(api.host, api.host)
    scheme = "https" if api.cert else "http"
    return f"{scheme}://[{host}]:{api.port}" if ":" in host else f"{scheme}://{host}:{api.port}"


def _connect(settings: Settings, url: str) -> http.client.HTTPConnection:
    """Return a connection that is not open yet. Raises CannotStart.

    The certificate of an HTTPS server is checked against the community's CA and the system's.
    """
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
