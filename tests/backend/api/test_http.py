"""Hostile HTTP at a real socket: the answer is a 4xx or a closed connection, never a traceback."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.running import write_configs
from tests.backend.village import Village

JSON = b"Content-Type: application/json\r\n"
POST = b"POST /v1/orders HTTP/1.1\r\nHost: lane\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", name="api")
def _api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.URL]:
    """The address of a backend that all these tests ask; its log must be free of tracebacks."""
    folder = tmp_path_factory.mktemp("http")
    config = write_configs(folder, Village().document, free_port())
    with BackendProcess(folder, config) as backend:
        assert isinstance(backend, BackendProcess)
        yield httpx.URL(backend.ready(60)["api"])
    assert "Traceback" not in _log(backend)
    assert "Exception" not in _log(backend)


def _log(backend: BackendProcess) -> str:
    path: Path = backend.stderr
    return path.read_text()


def talk(api: httpx.URL, request: bytes, *, answered: bool) -> bytes:
    """Return the answer, or what the server sends if the request is not complete."""
    where = urlsplit(str(api))
    address = (where.hostname or "", where.port or 0)
    with socket.create_connection(address, timeout=10) as connection:
        answer = b""
        with suppress(ConnectionResetError, BrokenPipeError):  # the server does not read all of it
            connection.sendall(request)
        if not answered:
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while not is_whole(answer) and (data := connection.recv(65_536)):
                answer += data
        return answer


def is_whole(answer: bytes) -> bool:
    """Return whether an answer has all the content that its header announces."""
    head, end, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end and length and len(content) >= int(length[1]))


def body(content: bytes, path: bytes = b"/v1/orders", more: bytes = b"") -> bytes:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: lane\r\nConnection: close\r\n" + more
    return head + b"Content-Length: " + str(len(content)).encode() + b"\r\n\r\n" + content


def get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: lane\r\n" + more + b"\r\n"


def chunks(size: int, count: int) -> bytes:
    chunk = f"{size:x}".encode() + b"\r\n" + b"a" * size + b"\r\n"
    return POST + CHUNKED + chunk * count + b"0\r\n\r\n"


REQUESTS: list[tuple[str, bytes, tuple[int, ...]]] = [
    ("an empty body", body(b""), (400,)),
    ("bytes", body(b"\xff\xfe\x00" * 100), (400,)),
    ("a body at the limit", body(b"a" * 4096), (400,)),
    ("a body a byte beyond", body(b"a" * 4097), (400,)),
    ("a body far beyond", body(b"a" * 1_000_000), (413,)),
    ("a body in small chunks", chunks(10, 100), (400,)),
    ("a body beyond in chunks", chunks(1000, 1000), (413,)),
    ("a length that lies", POST + b"Content-Length: 99\r\n\r\nabc", ()),
    ("a length of a million that lies", POST + b"Content-Length: 1000000\r\n\r\nabc", (413,)),
    ("a length that is none", POST + b"Content-Length: many\r\n\r\n", (400,)),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n", (400,)),
    ("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", (400,)),
    ("a chunk that is none", POST + CHUNKED + b"zz\r\n", (400,)),
    ("JSON", body(b'{"kind":"order"}', more=JSON), (400,)),
    ("deep JSON", body(b"[" * 4000, more=JSON), (400,)),
    ("deep JSON at the operator's door", body(b"[" * 9000, b"/v1/oracle/pause", JSON), (401,)),
    ("no HTTP", b"hello\r\n\r\n", (400,)),
    ("noise", bytes(range(256)) * 20, (400,)),
    ("TLS", bytes.fromhex("16030100c8010000c40303") + bytes(190), (400,)),
    ("a version that is not", b"GET /v1/health HTTP/9.9\r\nHost: lane\r\n\r\n", (400, 505)),
    ("a method that is not", b"STEAL /v1/orders HTTP/1.1\r\nHost: lane\r\n\r\n", (400, 405)),
    ("a wrong method", b"PATCH /v1/orders HTTP/1.1\r\nHost: lane\r\n\r\n", (405,)),
    (
        "a path that is not UTF-8",
        get(b"/v1/balances/\xff\xfe"),
        (400, 404),
    ),
    ("an escaped path", get(b"/v1/balances/%ff%fe%00"), (404,)),
    ("a path upwards", get(b"/v1/../../etc/passwd"), (404,)),
    ("a long path", get(b"/v1/balances/" + b"a" * 60_000), (414,)),
    ("a query of bytes", get(b"/v1/trades?limit=\xff"), (400,)),
    (
        "many queries",
        get(b"/v1/trades?" + b"limit=1&" * 3000),
        (200,),
    ),
    (
        "too many queries",
        get(b"/v1/trades?" + b"limit=1&" * 5000),
        (414,),
    ),
    (
        "a long header",
        b"GET /v1/book HTTP/1.1\r\nA: " + b"a" * 500_000 + b"\r\n\r\n",
        (431,),
    ),
    ("no host", b"GET /v1/book HTTP/1.1\r\n\r\n", (200, 400)),
    (
        "an upgrade",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        (400, 404, 426),
    ),
    ("nothing", b"", ()),
    ("half a line", b"GET /v1/hea", ()),
]


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [pytest.param(sent, statuses, id=name) for name, sent, statuses in REQUESTS],
)
def test_a_hostile_request_is_refused_and_the_next_is_served(
    api: httpx.URL, request_bytes: bytes, statuses: tuple[int, ...]
) -> None:
    answer = talk(api, request_bytes, answered=bool(statuses))
    if statuses:
        status, *_ = answer.partition(b"\r\n")[0].split(b" ")[1:] or [b"0"]
        assert int(status) in statuses, answer[:300]
    else:
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:300]
    assert b'"status":"ok"' in talk(api, get(b"/v1/health"), answered=True)


def test_a_connection_is_kept_after_a_refusal(api: httpx.URL) -> None:
    with httpx.Client(base_url=api) as client:
        for _ in range(3):
            response = client.post("/v1/orders", content=b"no order")
            assert response.status_code == 400
            assert response.headers["content-type"] == "application/problem+json"
        assert client.get("/v1/book").json() == {"bids": [], "asks": []}


def test_head_and_options_are_no_errors(api: httpx.URL) -> None:
    assert httpx.options(api.join("/v1/book")).status_code in (204, 405)
    assert httpx.head(api.join("/v1/book")).status_code in (200, 405)
