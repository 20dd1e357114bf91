"""Signed instructions over HTTP: what is carried out, what is refused, and retries."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.backend.parts import journal_at
from tests.backend.serving import Api, api_on, problem
from tests.backend.village import HOUR_MS, KWH, START_MS, Resident, Village, reading

from gridtokenx_wire.order import MAX_JWS_BYTES


@asynccontextmanager
async def funded(folder: Path, village: Village) -> AsyncIterator[Api]:
    async with journal_at(folder / "journal.db") as journal, api_on(journal, village) as api:
        north = village.north
        await api.send(north.next([reading("ABB-1", START_MS - 2 * HOUR_MS)]))
        await api.send(north.next([reading("ABB-1", START_MS, 20 * KWH)]))
        yield api


@pytest.fixture(name="api")
async def _api(tmp_path: Path, village: Village) -> AsyncIterator[Api]:
    """Anna has 20 GRID; everybody has 1000 GRX."""
    async with funded(tmp_path, village) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="untouched")
async def _untouched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """The same for all refusals, because they change nothing."""
    async with funded(tmp_path_factory.mktemp("untouched"), Village()) as api:
        yield api


async def balances(api: Api, who: Resident) -> dict[str, str]:
    found: dict[str, str] = (await api.get(f"/v1/balances/{who.wallet}")).json()
    return found


# --- carried out --------------------------------------------------------------------------------


async def test_an_order_that_rests_is_in_the_book_and_in_escrow(api: Api) -> None:
    response = await api.order(api.anna, "a", "sell", "5", "0.25")
    assert response.status_code == 201
    assert response.json() == {
        "order": "a",
        "status": "resting",
        "filled_kwh": "0.000000000",
        "remaining_kwh": "5.000000000",
        "trades": [],
        "journal_seq": 4,
    }
    assert (await api.get("/v1/book")).json() == {
        "bids": [],
        "asks": [{"price_grx_per_kwh": "0.250000", "quantity_kwh": "5.000000000"}],
    }
    assert (await balances(api, api.anna)) == {
        "wallet": api.anna.wallet,
        "grid": "20.000000000",
        "grid_held": "5.000000000",
        "grx": "1000.000000",
        "grx_held": "0.000000",
        "rec": "0",
        "grid_bought": "0.000000000",
        "grid_owed": "0.000000000",
        "grid_pending": "0.000000000",
    }


async def test_an_order_that_trades_is_settled_in_the_answer(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "5", "0.2")
    body = (await api.order(api.ben, "b", "buy", "7", "0.3")).json()
    trade = {
        "price_grx_per_kwh": "0.200000",
        "quantity_kwh": "5.000000000",
        "gross_grx": "1.000000",
        "fee_grx": "0.005000",
        "buyer": api.ben.wallet,
        "seller": api.anna.wallet,
        "journal_seq": 5,
        "time_ms": START_MS,
        "net_grx": "0.995000",
        "wheeling_grx": "0.000000",
        "loss_grx": "0.000000",
        "buyer_zone": "main",
        "seller_zone": "main",
        "segment": "realtime",
        "rent_grx": "0.000000",
    }
    assert (body["status"], body["trades"]) == ("partly_filled", [trade])
    assert (await api.get("/v1/trades")).json() == {"trades": [trade]}
    ben = await balances(api, api.ben)
    assert (ben["grid"], ben["grx"], ben["grx_held"]) == ("5.000000000", "999.000000", "0.600000")
    assert (await balances(api, api.anna))["grx"] == "1000.995000"


async def test_a_cancellation_gives_back_what_was_left(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "5", "0.25")
    response = await api.tell("/v1/cancellations", api.anna, api.anna.cancel("c", "a"))
    assert response.status_code == 200
    assert response.json() == {
        "order": "a",
        "status": "cancelled",
        "remaining_kwh": "5.000000000",
        "journal_seq": 5,
    }
    assert (await balances(api, api.anna))["grid_held"] == "0.000000000"


async def test_open_and_standing_orders_of_a_wallet_are_shown(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "5", "0.25")
    standing = api.anna.standing("s", "sell", "0.3", "1")
    response = await api.tell("/v1/standing-orders", api.anna, standing)
    assert response.status_code == 200
    assert response.json() == {
        "side": "sell",
        "active": True,
        "cancelled_orders": 0,
        "journal_seq": 5,
    }
    assert (await api.get(f"/v1/orders/{api.anna.wallet}")).json() == {
        "orders": [
            {
                "order": "a",
                "side": "sell",
                "price_grx_per_kwh": "0.250000",
                "quantity_kwh": "5.000000000",
                "remaining_kwh": "5.000000000",
                "standing": False,
                "expires_ms": 0,
                "segment": "realtime",
            }
        ],
        "standing": [
            {
                "side": "sell",
                "price_grx_per_kwh": "0.300000",
                "keep_kwh": "1.000000000",
                "segment": "realtime",
                "curve": [],
                "paused": False,
            }
        ],
    }


# --- refused ------------------------------------------------------------------------------------

Body = Callable[[Api], bytes]


def _signed(*order: Any, by: str = "anna", **more: Any) -> Body:
    def make(api: Api) -> bytes:
        who = {"anna": api.anna, "ben": api.ben}.get(by, Resident(by))
        return who.sign(who.order(*order, **more))

    return make


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _jws(header: bytes, payload: bytes, signature: bytes = bytes(64)) -> Body:
    return lambda _: b".".join(map(_encode, (header, payload, signature)))


def _payload(**changed: Any) -> Body:
    """Return an order's JWS with a changed payload; its signature is not checked yet."""

    def make(api: Api) -> bytes:
        _, payload, signature = api.anna.sign(api.anna.order("a", "sell", "1", "0.2")).split(b".")
        said = json.loads(base64.urlsafe_b64decode(payload + b"=="))
        said = {key: value for key, value in (said | changed).items() if value is not None}
        return b".".join((_encode(HEADER), _encode(json.dumps(said).encode()), signature))

    return make


HEADER = b'{"alg":"Ed25519"}'
DEEP = b"[" * 1200
REFUSED: list[tuple[str, Body, int, str]] = [
    ("nothing", lambda _: b"", 400, "malformed"),
    ("JSON", lambda _: b'{"side": "sell"}', 400, "malformed"),
    ("no UTF-8", lambda _: b"\xff\xfe.\xff.\xff", 400, "malformed"),
    ("two parts", lambda _: b"a.b", 400, "malformed"),
    ("four parts", lambda _: b"a.b.c.d", 400, "malformed"),
    ("padded", lambda api: _signed("a", "sell", "1", "1")(api) + b"==", 400, "malformed"),
    ("another algorithm", _jws(b'{"alg":"none"}', b"{}"), 400, "malformed"),
    ("the older algorithm", _jws(b'{"alg":"EdDSA"}', b"{}"), 400, "malformed"),
    ("a payload that is not UTF-8", _jws(HEADER, b'{"kind":"\xff"}'), 400, "malformed"),
    ("a deep payload", _jws(HEADER, DEEP), 400, "malformed"),
    ("a deep header", _jws(DEEP, b"{}"), 400, "malformed"),
    ("a deep member", _jws(HEADER, b'{"kind":"order","v":' + DEEP), 400, "malformed"),
    ("an unknown key", _payload(leverage=3), 400, "malformed"),
    ("no kind", _payload(kind=None), 400, "malformed"),
    ("another kind", _payload(kind="gift"), 400, "malformed"),
    ("no side", _payload(side=None), 400, "malformed"),
    ("another side", _payload(side="borrow"), 400, "malformed"),
    ("a number as quantity", _payload(quantity_kwh=1), 400, "malformed"),
    ("a segment that is not", _payload(segment="daily"), 400, "malformed"),
    ("another version", _payload(v=2), 400, "malformed"),
    ("an id with a colon", _payload(id="a:b"), 400, "malformed"),
    ("a long id", _payload(id="a" * 65), 400, "malformed"),
    ("a wallet that is none", _payload(wallet="anna"), 400, "malformed"),
    ("a wallet of small order", _payload(wallet="1" * 32), 400, "malformed"),
    ("a time below zero", _payload(issued_ms=-1), 400, "malformed"),
    ("a reserved id", _signed("standing-1", "sell", "1", "0.2"), 400, "malformed"),
    ("a changed amount", _payload(quantity_kwh="2"), 401, "bad_signature"),
    ("no signature at all", lambda api: _signature(api, bytes(64)), 401, "bad_signature"),
    ("another's signature", lambda api: _signature(api, _of(api.ben)), 401, "bad_signature"),
    ("another community", _signed("a", "sell", "1", "0.2", community="b"), 400, "wrong_community"),
    ("a stranger", _signed("a", "sell", "1", "0.2", by="dora"), 404, "unknown_wallet"),
    (
        "yesterday's",
        _signed("a", "sell", "1", "0.2", issued_ms=START_MS - HOUR_MS - 1),
        400,
        "outside_window",
    ),
    (
        "tomorrow's",
        _signed("a", "sell", "1", "0.2", issued_ms=START_MS + 60_001),
        400,
        "outside_window",
    ),
    ("no quantity", _signed("a", "sell", "0", "0.2"), 400, "bad_quantity"),
    ("a negative quantity", _signed("a", "sell", "-1", "0.2"), 400, "bad_quantity"),
    ("an over-precise quantity", _signed("a", "sell", "0.0000000001", "1"), 400, "bad_quantity"),
    ("half a lot", _signed("a", "sell", "0.0005", "0.2"), 400, "bad_quantity"),
    ("no price", _signed("a", "sell", "1", "0"), 400, "bad_price"),
    ("a negative price", _signed("a", "sell", "1", "-0.2"), 400, "bad_price"),
    ("an over-precise price", _signed("a", "sell", "1", "0.0000001"), 400, "bad_price"),
    ("more energy than there is", _signed("a", "sell", "21", "1"), 409, "insufficient_balance"),
    (
        "more money than there is",
        _signed("a", "buy", "5", "999", by="ben"),
        409,
        "insufficient_balance",
    ),
]


def _of(who: Resident) -> bytes:
    return who.key.sign(b"something else")


def _signature(api: Api, signature: bytes) -> bytes:
    head, payload, _ = api.anna.sign(api.anna.order("a", "sell", "1", "0.2")).split(b".")
    return b".".join((head, payload, _encode(signature)))


@pytest.mark.parametrize(
    ("make", "status", "reason"), [pytest.param(*case, id=name) for name, *case in REFUSED]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_refused_order_is_a_problem_document_and_changes_nothing(
    untouched: Api, make: Body, status: int, reason: str
) -> None:
    before = untouched.state()
    detail = problem(await untouched.post("/v1/orders", make(untouched)), status, reason)
    assert detail
    assert len(detail) < 300
    assert untouched.state() == before


async def test_a_used_id_with_other_content_is_refused(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "1", "0.2")
    before = api.state()
    problem(await api.order(api.anna, "a", "sell", "2", "0.2"), 409, "id_reused")
    assert api.state() == before


async def test_an_order_that_does_not_rest_cannot_be_cancelled(api: Api) -> None:
    cancel = api.anna.cancel("c", "never placed")
    problem(await api.tell("/v1/cancellations", api.anna, cancel), 404, "unknown_order")


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/cancellations", "/v1/standing-orders"])
async def test_an_instruction_at_the_wrong_door_is_refused(api: Api, path: str) -> None:
    doors = {
        "/v1/orders": api.anna.order("a", "sell", "1", "0.2"),
        "/v1/cancellations": api.anna.cancel("a", "b"),
        "/v1/standing-orders": api.anna.standing("a", "sell", "0.2"),
    }
    before = api.state()
    for door, instruction in doors.items():
        if door != path:
            detail = problem(await api.tell(path, api.anna, instruction), 400, "malformed")
            assert "expected an instruction of kind" in detail
    assert api.state() == before


@pytest.mark.parametrize(
    ("size", "status"), [(MAX_JWS_BYTES, 400), (MAX_JWS_BYTES + 1, 400), (10**6, 413)]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_large_body_is_refused(untouched: Api, size: int, status: int) -> None:
    response = await untouched.post("/v1/orders", b"a" * size)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_full_memory_of_ids_asks_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtokenx_backend.core.orders.instructions.MAX_REMEMBERED", 0)
    response = await api.order(api.anna, "a", "sell", "1", "0.2")
    problem(response, 429, "busy")
    assert response.headers["retry-after"] == "1"


# --- again --------------------------------------------------------------------------------------


async def test_a_retry_is_answered_as_before_whatever_happened_since(api: Api) -> None:
    order = api.anna.sign(api.anna.order("a", "sell", "5", "0.2"))
    first = await api.post("/v1/orders", order)
    await api.order(api.ben, "b", "buy", "5", "0.2")
    before = api.state()
    again = await api.post("/v1/orders", order)
    assert (again.status_code, again.json()) == (201, first.json())
    assert api.state() == before


async def test_every_kind_of_instruction_is_answered_as_before(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "5", "0.2")
    for path, instruction in (
        ("/v1/cancellations", api.anna.cancel("c", "a")),
        ("/v1/standing-orders", api.anna.standing("s", "sell", "0.2")),
    ):
        first = await api.tell(path, api.anna, instruction)
        again = await api.tell(path, api.anna, instruction)
        assert (again.status_code, again.json()) == (first.status_code, first.json())


async def test_the_same_order_many_times_at_once_is_one(api: Api) -> None:
    order = api.anna.sign(api.anna.order("a", "sell", "5", "0.2"))
    responses = await asyncio.gather(*(api.post("/v1/orders", order) for _ in range(10)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.text for response in responses}) == 1
    assert (await balances(api, api.anna))["grid_held"] == "5.000000000"


async def test_a_retry_after_a_restart_is_answered_as_before(
    tmp_path: Path, village: Village
) -> None:
    order = village.ben.sign(village.ben.order("b", "buy", "5", "0.2"))
    answers = []
    for _ in range(2):
        async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, village) as api:
            answers.append((await api.post("/v1/orders", order)).json())
    assert answers[0] == answers[1]
    assert answers[0]["status"] == "resting"
