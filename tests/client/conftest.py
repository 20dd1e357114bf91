"""A real HTTP server on a free port that checks every signature, and can be told to fail."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.order import open_instruction

COMMUNITY = "sonnenweg"
TIME_MS = 1_782_036_000_000
DROP = "drop the connection"
DROP_LATE = "carry it out, then drop the connection"

Json = dict[str, Any]
Fault = str | tuple[int, str, bytes]


class Community:
    """What the server knows: the requests it had, the orders it took, the faults to come."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.orders: dict[str, Json] = {}
        self.standing: dict[str, Json] = {}
        self.faults: deque[Fault] = deque()
        self.url = ""

    def get(self, path: str) -> tuple[int, Any]:
        health = {"status": "ok", "community": COMMUNITY, "time_ms": TIME_MS}
        health |= {"journal_seq": 7, "oracle": "running", "broker": "connected"}
        wallet = path.rpartition("/")[2]
        answers = {
            "/v1/health": health,
            f"/v1/balances/{wallet}": balance(wallet),
            f"/v1/orders/{wallet}": {
                "orders": [open_order(order) for order in self.orders.values()],
                "standing": list(self.standing.values()),
            },
        }
        if path in answers:
            return 200, answers[path]
        return 404, problem("not_found", "Not Found", 404)

    def post(self, path: str, body: bytes) -> tuple[int, Json]:
        try:
            instruction = msgspec.to_builtins(open_instruction(body))
        except WireError as error:
            return 401, problem("bad_signature", str(error), 401)
        if (instruction["community"], instruction["issued_ms"]) != (COMMUNITY, TIME_MS):
            return 400, problem("outside_window", "expected the community and its time", 400)
        take = {
            "/v1/orders": self._place,
            "/v1/cancellations": self._cancel,
            "/v1/standing-orders": self._stand,
        }
        return take[path](instruction)

    def _place(self, order: Json) -> tuple[int, Json]:
        if order["quantity_kwh"] == "99":
            return 409, problem("insufficient_balance", "expected at most 1.5 GRID", 409)
        known = self.orders.setdefault(order["id"], order)
        if known != order:
            return 409, problem("id_reused", "expected a new id for new content", 409)
        trade = {"price_grx_per_kwh": "0.250000", "quantity_kwh": "0.500000000"}
        trade |= {"gross_grx": "0.125000", "fee_grx": "0.000625", "buyer": "b", "seller": "s"}
        trades = [trade | {"journal_seq": 8, "time_ms": TIME_MS}]
        return 201, {
            "order": order["id"],
            "status": "partly_filled",
            "filled_kwh": "0.500000000",
            "remaining_kwh": "1.000000000",
            "trades": trades,
            "journal_seq": 8,
        }

    def _cancel(self, cancel: Json) -> tuple[int, Json]:
        if self.orders.pop(cancel["order"], None) is None:
            return 404, problem("unknown_order", "expected the id of an open order", 404)
        answer = {"order": cancel["order"], "status": "cancelled"}
        return 200, answer | {"remaining_kwh": "1.000000000", "journal_seq": 9}

    def _stand(self, standing: Json) -> tuple[int, Json]:
        side = standing["side"]
        self.standing.pop(side, None)
        if standing["active"]:
            members = ("side", "price_grx_per_kwh", "keep_kwh")
            self.standing[side] = {name: standing[name] for name in members}
        answer = {"side": side, "active": standing["active"]}
        return 200, answer | {"cancelled_orders": 0, "journal_seq": 10}


def balance(wallet: str) -> Json:
    amounts = {"grid": "4.500000000", "grid_held": "1.000000000", "rec": "0.000000000"}
    return amounts | {"wallet": wallet, "grx": "9.5", "grx_held": "0"}


def open_order(order: Json) -> Json:
    members = ("side", "price_grx_per_kwh", "quantity_kwh")
    shown = {name: order[name] for name in members}
    return shown | {"order": order["id"], "remaining_kwh": "1.0", "standing": False}


def problem(reason: str, detail: str, status: int) -> Json:
    return {"title": "Refused", "detail": detail, "status": status, "reason": reason}


def handler_of(community: Community) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(lambda: community.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            community.headers.append(dict(self.headers))
            self._respond(lambda: community.post(self.path, body), body.decode())

        def _respond(self, answer: Callable[[], tuple[int, Any]], body: str = "") -> None:
            community.requests.append((f"{self.command} {self.path}", body))
            fault = community.faults.popleft() if community.faults else None
            if fault == DROP_LATE:
                answer()
            if isinstance(fault, str):
                self.close_connection = True
                return
            if fault is not None:
                self._send(*fault)
                return
            status, content = answer()
            kind = "application/json" if status < 400 else "application/problem+json"
            self._send(status, kind, json.dumps(content).encode())

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_args: object) -> None:  # noqa: A002
            """Say nothing."""

    return Handler


@pytest.fixture
def community() -> Iterator[Community]:
    known = Community()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(known)) as server:
        known.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield known
        server.shutdown()
        thread.join()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "anna.key"
    Wallet.create(file)
    return file


@pytest.fixture
def wallet() -> Wallet:
    return Wallet(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
