"""What the operator's and the integrator's pages say of the server, compared with the server."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.docs.markdown import DOCS, block, section, table

from gridtokenx_backend.api.app import _HANDLERS
from gridtokenx_backend.api.metrics import _Parts
from gridtokenx_backend.api.open_connections import OpenConnections
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.keys import create_private_key, public_key_text
from gridtokenx_wire.order import Order, open_instruction

OPERATOR = (DOCS / "operator.md").read_text()
INTEGRATOR = (DOCS / "integrator.md").read_text()
ALL = "\n".join(path.read_text() for path in DOCS.glob("*.md"))


def test_every_metric_is_explained() -> None:
    no_journal: Any = None
    backend: Any = SimpleNamespace(
        writer=Writer(Community(), no_journal, SystemClock(), snapshot_every=1),
        mqtt_intake=SimpleNamespace(dropped=Counter()),
        source=SimpleNamespace(connected=True),
        clock=SystemClock(),
        check=SimpleNamespace(checked=0),
        connections=OpenConnections(most=1, most_each=1),
    )
    names = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in _Parts(backend).collect()
    }
    assert {row[0].strip("`") for row in table(section(OPERATOR, "Watch"))} == names
    assert set(re.findall(r"\bgridtokenx_[a-z]+_[a-z_]+\b", ALL)) - set(packages()) <= names


def packages() -> Iterator[str]:
    yield from re.findall(r"\bgridtokenx_(?:wire|edge|backend|client|sim|dlms)\w*", ALL)


def test_every_address_of_the_api_is_listed() -> None:
    served = set()
    for handler in _HANDLERS:
        for path in handler.paths:
            for method in handler.http_methods:
                served.add((str(method), re.sub(r":(str|int)}", "}", path)))
    shown = {(row[0], row[1].strip("`")) for row in table(section(INTEGRATOR, "HTTP API"))}
    assert shown == served


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = (
            b'{"status":"ok","community":"sonnenweg","time_ms":1782036000000,"journal_seq":1,'
            b'"oracle":"running","detail":"","broker":"connected"}'
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def api() -> Iterator[str]:
    """An API that knows the community's time."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_integrators_program_signs_an_order(api: str, tmp_path: Path) -> None:
    program = tmp_path / "sign.py"
    source = block(INTEGRATOR, "python sign")
    assert "http://127.0.0.1:8080" in source
    program.write_text(source.replace("http://127.0.0.1:8080", api))
    key: Ed25519PrivateKey = create_private_key(tmp_path / "ben.key")
    command = [sys.executable, str(program), str(tmp_path / "ben.key"), "buy", "0.01", "0.15"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    order = open_instruction(done.stdout)
    assert isinstance(order, Order)
    assert (order.wallet, order.side) == (public_key_text(key.public_key()), "buy")
    assert (order.quantity_kwh, order.price_grx_per_kwh) == ("0.01", "0.15")
