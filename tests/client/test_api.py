"""The API client against a real HTTP server."""

from __future__ import annotations

import socket
from typing import Any, Protocol

import pytest

from gridtokenx_client.api import ATTEMPTS, Api
from gridtokenx_client.problem import ApiProblem, Mistake
from gridtokenx_client.wallet import Wallet

JSON = "application/json"
PROBLEM = "application/problem+json"


class Community(Protocol):
    requests: list[tuple[str, str]]
    headers: list[dict[str, str]]
    orders: dict[str, Any]
    faults: Any
    url: str


class Waits:
    """Stands in for time.sleep, and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def api_of(community: Community, sleep: Waits | None = None, **options: Any) -> Api:
    return Api(community.url, sleep=sleep or Waits(), **options)


def order_for(api: Api, wallet: Wallet) -> str:
    return wallet.order(api.health(), "sell", "1.5", "0.25", ioc=False, id_="a-1")


def test_an_order_is_signed_for_the_communitys_own_time_and_placed(
    community: Community, wallet: Wallet
) -> None:
    with api_of(community) as api:
        placed = api.place(order_for(api, wallet))
    assert (placed.order, placed.status, placed.remaining_kwh) == (
        "a-1",
        "partly_filled",
        "1.000000000",
    )
    assert [trade.gross_grx for trade in placed.trades] == ["0.125000"]
    assert community.headers[0]["Content-Type"] == "application/jose"


@pytest.mark.parametrize(
    "fault",
    [
        "drop the connection",
        "carry it out, then drop the connection",
        (503, PROBLEM, b'{"reason":"unavailable"}'),
        (429, PROBLEM, b'{"reason":"busy"}'),
    ],
    ids=str,
)
def test_a_retry_sends_the_same_text_and_trades_once(
    community: Community, wallet: Wallet, fault: object
) -> None:
    waits = Waits()
    with api_of(community, waits) as api:
        jws = order_for(api, wallet)
        community.faults.extend([fault] * (ATTEMPTS - 1))
        placed = api.place(jws)
    assert placed.status == "partly_filled"
    assert list(community.orders) == ["a-1"]
    assert community.requests[1:] == [("POST /v1/orders", jws)] * ATTEMPTS
    assert len(waits.seconds) == ATTEMPTS - 1


def test_retries_end_and_wait_longer_each_time(community: Community, wallet: Wallet) -> None:
    waits = Waits()
    with api_of(community, waits) as api:
        jws = order_for(api, wallet)
        community.faults.extend(["drop the connection"] * 99)
        with pytest.raises(ApiProblem) as caught:
            api.place(jws)
    assert (caught.value.reason, caught.value.status) == ("unreachable", 0)
    assert community.url in str(caught.value)
    assert len(community.requests) == 1 + ATTEMPTS
    assert waits.seconds == sorted(waits.seconds)
    assert 0.2 <= waits.seconds[0] <= 0.3
    assert sum(waits.seconds) < 10


def test_a_server_that_stays_busy_is_a_problem_with_its_reason(community: Community) -> None:
    community.faults.extend([(503, PROBLEM, b'{"reason":"unavailable","detail":"disk full"}')] * 9)
    with api_of(community) as api, pytest.raises(ApiProblem, match="unavailable: disk full"):
        api.health()
    assert len(community.requests) == ATTEMPTS


def test_a_refusal_is_not_retried(community: Community, wallet: Wallet) -> None:
    with api_of(community) as api:
        jws = wallet.order(api.health(), "sell", "99", "0.25", ioc=False, id_="a-1")
        with pytest.raises(ApiProblem) as caught:
            api.place(jws)
    problem = caught.value
    assert (problem.status, problem.reason) == (409, "insufficient_balance")
    assert str(problem) == "insufficient_balance: expected at most 1.5 GRID"
    assert len(community.requests) == 2


def test_a_changed_instruction_is_refused_by_its_signature(
    community: Community, wallet: Wallet
) -> None:
    with api_of(community) as api:
        head, body, signature = order_for(api, wallet).split(".")
        with pytest.raises(ApiProblem) as caught:
            api.place(f"{head}.{body}.{signature[::-1]}")
    assert caught.value.status in {400, 401}


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b""),
        (200, b"<html>hello</html>"),
        (200, b"[]"),
        (200, b'{"status":"ok"}'),
        (200, b'{"status":"\xff"}'),
        (200, b"[" * 100_000),
        (204, b""),
        (302, b""),
        (404, b"<html>no such page</html>"),
        (500, b""),
        (500, b'{"reason":7}'),
        (502, b'{"title":"Bad gateway"}'),
        (418, b"\xff\xfe"),
    ],
)
def test_an_answer_that_is_not_the_apis_is_one_problem(
    community: Community, status: int, content: bytes
) -> None:
    community.faults.append((status, JSON, content))
    with api_of(community) as api, pytest.raises(ApiProblem) as caught:
        api.health()
    assert (caught.value.reason, caught.value.status) == ("unexpected_answer", status)


def test_what_a_server_says_cannot_steer_the_terminal(community: Community) -> None:
    detail = b'{"reason":"x","detail":"a\\u001b[31m\\r\\nb' + 9_000 * b"!" + b'"}'
    community.faults.append((400, PROBLEM, detail))
    with api_of(community) as api, pytest.raises(ApiProblem) as caught:
        api.health()
    assert str(caught.value).startswith("x: a [31m b!!!")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) == 500


def test_a_newer_apis_members_are_ignored(community: Community) -> None:
    health = b'{"status":"ok","community":"c","time_ms":1,"journal_seq":2,"oracle":"running","z":0}'
    community.faults.append((200, JSON, health))
    with api_of(community) as api:
        assert api.health().community == "c"


def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and never listening
        waits = Waits()
        with (
            Api(f"http://127.0.0.1:{taken.getsockname()[1]}", sleep=waits) as api,
            pytest.raises(ApiProblem, match="unreachable: no answer from http://127"),
        ):
            api.health()
    assert len(waits.seconds) == ATTEMPTS - 1


def test_a_server_that_never_answers_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Api(url, timeout_s=0.05, sleep=Waits()) as api,
            pytest.raises(ApiProblem, match="unreachable"),
        ):
            api.health()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "localhost", "ftp://host", "http://", "http://a b\n"]
)
def test_an_address_that_is_none_is_the_users_mistake(url: str) -> None:
    with pytest.raises(Mistake, match="expected an address such as http://127"):
        Api(url)


@pytest.mark.parametrize(("token", "sent"), [("secret", "Bearer secret"), (None, None)])
def test_only_the_operator_sends_the_operators_token(
    community: Community, token: str | None, sent: str | None
) -> None:
    community.faults.append((401, PROBLEM, b'{"reason":"unauthorized"}'))
    with (
        api_of(community, operator_token=token) as api,
        pytest.raises(ApiProblem, match="unauthorized"),
    ):
        api.pause_oracle("meter exchange")
    assert community.headers[0].get("Authorization") == sent


def test_a_meters_id_cannot_leave_its_place_in_the_path(community: Community) -> None:
    with api_of(community) as api, pytest.raises(ApiProblem, match="not_found"):
        api.readings("../../v1/health?x", limit=5)
    assert community.requests[0][0] == ("GET /v1/meters/..%2F..%2Fv1%2Fhealth%3Fx/readings?limit=5")
