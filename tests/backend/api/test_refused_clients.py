"""What a running server answers to clients that it refuses, and what it says of them in its log."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port, wait_for
from tests.backend.running import write_configs
from tests.backend.village import NAME, Village

from gridtokenx_backend.api.early_answers import MAX_FIELDS, MAX_HEAD_BYTES
from gridtokenx_backend.api.rate_limit import MAX_WRONG, MAX_WRONG_CREDENTIALS
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.enrolment.preparation import initialise

GET = b"GET /v1/health HTTP/1.1\r\nHost: lane\r\n"
POST = b"POST /v1/orders HTTP/1.1\r\nHost: lane\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
SECURITY = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def started(folder: Path, api: str = "") -> Iterator[BackendProcess]:
    """Run a backend that has a CA, with more keys in the section of its API."""
    config = write_configs(folder, Village().document, free_port())
    config.write_text(config.read_text() + api)
    initialise(load_settings(config), NAME, [])
    with BackendProcess(folder, config) as process:
        assert isinstance(process, BackendProcess)
        process.ready(60)
        yield process
    assert "Traceback" not in process.stderr.read_text()


@pytest.fixture(scope="module", name="backend")
def _backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendProcess]:
    yield from started(tmp_path_factory.mktemp("refused"))


@pytest.fixture(scope="module", name="behind_proxy")
def _behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendProcess]:
    more = 'trusted_proxies = ["127.0.0.0/8"]\npublic_metrics = true\n'
    yield from started(tmp_path_factory.mktemp("proxied"), more)


@pytest.fixture(name="client")
def _client(backend: BackendProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=backend.ready()["api"]) as client:
        yield client


def bearer(token: str, forwarded_for: str = "") -> dict[str, str]:
    more = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    return {"Authorization": f"Bearer {token}"} | more


def until_closed(backend: BackendProcess, request: bytes) -> bytes:
    """Return all that the server sends until it closes the connection, which it does by itself."""
    url = httpx.URL(backend.ready()["api"])
    with socket.create_connection((url.host, url.port or 0), timeout=4) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65_536):
            answer += data
        return answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(GET + b"a: b\r\n" * MAX_FIELDS + b"\r\n", 431, id="too many fields"),
        pytest.param(GET + b"a: " + b"b" * MAX_HEAD_BYTES, 431, id="an endless field"),
        pytest.param(GET + b"a" * MAX_HEAD_BYTES, 431, id="an endless name"),
        pytest.param(b"GET /" + b"b" * MAX_HEAD_BYTES, 414, id="an endless target"),
        pytest.param(b"\r\n" * MAX_HEAD_BYTES, 431, id="empty lines"),
        pytest.param(POST + b"Content-Length: 5000\r\n\r\n", 413, id="a long body"),
        pytest.param(
            POST + CHUNKED + b"1\r\na\r\n" * 9000, 413, id="a long body in the smallest chunks"
        ),
        pytest.param(
            POST + CHUNKED + b"1\r\na\r\n0\r\n" + b"a: b\r\n" * 200, 431, id="endless trailers"
        ),
        pytest.param(GET + b"Content-Length: 9000000\r\n\r\n", 200, id="a body nobody asked for"),
        pytest.param(b"\0\0\0\0", 400, id="no HTTP"),
    ],
)
def test_who_sends_too_much_is_answered_and_hung_up_on(
    backend: BackendProcess, request_bytes: bytes, status: int
) -> None:
    head, _, body = until_closed(backend, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert fields["connection"] == "close"
    assert fields.items() >= SECURITY.items()
    assert "server" not in fields
    if status != 200:
        assert fields["content-type"] == "application/problem+json"
        assert json.loads(body)["status"] == status


def test_what_is_just_within_the_limits_is_answered(backend: BackendProcess) -> None:
    fields = b"a: b\r\n" * (MAX_FIELDS - 2) + b"Connection: close\r\n\r\n"
    assert until_closed(backend, GET + fields).startswith(b"HTTP/1.1 200 ")
    rest = MAX_HEAD_BYTES - len(GET) - len(b"a: \r\nConnection: close\r\n\r\n")
    long = b"a: " + b"b" * rest + b"\r\nConnection: close\r\n\r\n"
    assert until_closed(backend, GET + long).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/health", 200),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/book", 405),
        ("POST", "/v1/orders", 400),
        ("GET", "/v1/devices", 401),
        ("GET", "/metrics", 401),
        ("GET", "/schema/openapi.json", 200),
    ],
)
def test_every_answer_has_the_headers_of_an_api_and_no_banner(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert dict(response.headers).items() >= SECURITY.items()
    assert "server" not in response.headers


def test_metrics_are_for_who_has_the_token_unless_the_config_says_otherwise(
    backend: BackendProcess, behind_proxy: BackendProcess, client: httpx.Client
) -> None:
    for shown in ("Bearer", f"Bearer {'x' * 43}", backend.metrics_token()):
        headers = {"Authorization": shown}
        assert client.get("/metrics", headers=headers).status_code == 401
    for token in (backend.metrics_token(), backend.operator_token()):
        assert "gridtokenx_orders_total" in client.get("/metrics", headers=bearer(token)).text
    wrong = client.get("/v1/devices", headers=bearer(backend.metrics_token()))
    assert wrong.status_code == 401
    assert httpx.get(f"{behind_proxy.ready()['api']}/metrics").status_code == 200


def wrong_credentials(backend: BackendProcess, about: str) -> list[dict[str, Any]]:
    lines = map(json.loads, backend.stderr.read_text().splitlines())
    return [
        line for line in lines if (line["event"], line.get("about")) == ("wrong credentials", about)
    ]


def test_who_tries_tokens_is_told_to_wait_and_is_in_the_log_and_the_operator_is_let_in(
    backend: BackendProcess, client: httpx.Client
) -> None:
    answers = [client.get("/v1/devices", headers=bearer("x" * 43)) for _ in range(300)]
    statuses = [each.status_code for each in answers]
    assert statuses[0] == 401
    assert statuses.count(429) >= 300 - MAX_WRONG_CREDENTIALS
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["reason"] == "too_many_wrong_credentials"
    assert len(wrong_credentials(backend, "127.0.0.1")) == 1
    made_up = client.get("/v1/devices", headers=bearer("x" * 43, "198.51.100.7"))
    assert made_up.status_code == 429, "nobody made this up: it was believed"
    right = client.get("/v1/devices", headers=bearer(backend.operator_token()))
    assert right.status_code == 200


def test_guesses_are_counted_by_the_address_that_a_named_proxy_has_seen(
    backend: BackendProcess, behind_proxy: BackendProcess
) -> None:
    def guess(process: BackendProcess, seen: str) -> int:
        headers = {"X-Forwarded-For": seen}
        url = f"{process.ready()['api']}/v1/enrolments"
        return httpx.post(url, content=b"{}", headers=headers).status_code

    for number in range(MAX_WRONG):
        assert guess(backend, f"198.51.100.{number}") == 400
        assert guess(behind_proxy, f"198.51.100.{number}, 203.0.113.9") == 400
    assert guess(backend, "192.0.2.1") == 429
    assert guess(behind_proxy, "192.0.2.1, 203.0.113.9") == 429
    assert guess(behind_proxy, "192.0.2.1") == 400
    wait_for(
        lambda: '"about": "203.0.113.9"' in behind_proxy.stderr.read_text(), "a line of the log"
    )


def test_the_api_listens_on_an_address_of_ipv6_as_well(tmp_path: Path) -> None:
    for backend in started(tmp_path, 'host = "::1"\n'):
        api = backend.ready()["api"]
        assert api.startswith("http://[::1]:")
        assert httpx.get(f"{api}/v1/health").status_code == 200
        for _ in range(3):
            assert httpx.get(f"{api}/v1/devices", headers=bearer("x" * 43)).status_code == 401
        assert len(wrong_credentials(backend, "::1")) == 1
