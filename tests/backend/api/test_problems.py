"""A refused request is told which field is wrong and what was expected, at every route."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on
from tests.backend.village import Village

from gridtokenx_backend.api.openapi.bodies import EXAMPLES
from gridtokenx_backend.api.openapi.document import operations

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
VAGUE = ("Validation failed", "Not Found", "Bad Request", "Method Not Allowed", "Expected `")
METHODS = ("get", "head", "post", "put", "patch", "delete", "trace")
TEXTS = ["", " ", "a\nb", "\x1b[2J", "\x9b1m", "\u202eevil", "\x7f", "x" * 501]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="served")
async def _served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    path = tmp_path_factory.mktemp("problems") / "journal.db"
    async with journal_at(path) as journal, api_on(journal, Village()) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="routes")
async def _routes(served: Api) -> list[tuple[str, str, dict[str, Any]]]:
    return list(operations((await served.get("/schema/openapi.json")).json()))


async def refused(
    served: Api, method: str, path: str, content: bytes = b"", kind: str = "application/json"
) -> dict[str, Any]:
    """Return the problem document for a request that nobody can carry out."""
    given = path.replace("{interval_ms}", "1").replace("{number}", "1")
    headers = OPERATOR | {"Content-Type": kind}
    answer = await served.client.request(method, given, content=content, headers=headers)
    assert 400 <= answer.status_code < 500, (method, given, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["detail"], (method, given)
    assert not any(words in problem["detail"] for words in VAGUE), problem
    return problem


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b"[" * 9000])
async def test_a_body_that_is_none_is_told_at_every_route(
    served: Api, routes: list[tuple[str, str, dict[str, Any]]], content: bytes
) -> None:
    for path, method, operation in routes:
        if operation["operationId"] in EXAMPLES and not path.startswith("/v1/enrolments"):
            problem = await refused(served, method, path, content)
            assert problem["status"] == 400, path
            assert "expected" in problem["detail"], path


async def test_a_wrong_missing_or_unknown_field_is_named_at_every_route(
    served: Api, routes: list[tuple[str, str, dict[str, Any]]]
) -> None:
    for path, method, operation in routes:
        body = EXAMPLES.get(operation["operationId"])
        if body is None or path.startswith("/v1/enrolments"):
            continue
        content = operation["requestBody"]["content"]["application/json"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        document = (await served.get("/schema/openapi.json")).json()
        required = document["components"]["schemas"][name].get("required", [])
        for field in body:
            wrong = await refused(served, method, path, json.dumps(body | {field: {}}).encode())
            assert wrong["field"] == field, (path, wrong)
            if field in required:
                less = {key: value for key, value in body.items() if key != field}
                missing = await refused(served, method, path, json.dumps(less).encode())
                assert (missing["field"], missing["status"]) == (field, 400), path
        unknown = await refused(served, method, path, json.dumps(body | {"more": 1}).encode())
        assert unknown["field"] == "more"
        assert "expected only the fields" in unknown["detail"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/trades?limit=0", "limit"),
        ("/v1/trades?limit=many", "limit"),
        ("/v1/clearings?before_ms=-1", "before_ms"),
        ("/v1/certificates?wallet=" + "x" * 65, "wallet"),
        ("/v1/meters/ABB-1/intervals?from_ms=x", "from_ms"),
        ("/v1/reports/2026-06.json?revision=x", "revision"),
        ("/v1/clearings/main/noon", "interval_ms"),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(served: Api, path: str, field: str) -> None:
    problem = await refused(served, "GET", path)
    assert problem["field"] == field
    assert problem["detail"].startswith(f"{field}: expected")


async def test_an_unknown_path_is_shown_without_what_commands_a_terminal(served: Api) -> None:
    problem = await refused(served, "GET", "/v1/%1b%5b2J%e2%80%ae")
    assert "/schema/openapi.json" in problem["detail"]
    assert problem["detail"].isprintable()


async def test_a_wrong_method_is_told_which_ones_there_are(
    served: Api, routes: list[tuple[str, str, dict[str, Any]]]
) -> None:
    known: dict[str, set[str]] = {}
    for path, method, _ in routes:
        known.setdefault(path, set()).update({method, "head"} if method == "get" else {method})
    for path, methods in known.items():
        for method in METHODS:
            if method not in methods:
                given = path.replace("{interval_ms}", "1").replace("{number}", "1")
                answer = await served.client.request(method, given)
                assert answer.status_code == 405, (method, given)
                allowed = {each.lower() for each in answer.headers["allow"].split(", ")}
                assert allowed == methods | {"options"}


async def test_head_is_get_without_the_content(
    served: Api, routes: list[tuple[str, str, dict[str, Any]]]
) -> None:
    for path in ("/v1/health", "/metrics", "/v1/book", "/v1/balances/nobody", "/v1/devices"):
        got = await served.client.get(path, headers=OPERATOR)
        head = await served.client.head(path, headers=OPERATOR)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-type"] == got.headers["content-type"]


async def test_the_metrics_have_one_charset(served: Api) -> None:
    answer = await served.client.get("/metrics", headers=OPERATOR)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/oracle/pause",
        "/v1/oracle/resume",
        "/v1/operator/market",
        "/v1/operator/clock",
        "/v1/devices/x/revoke",
        "/v1/devices/x/release",
    ],
)
async def test_a_reason_that_commands_a_terminal_is_refused(
    served: Api, path: str, text: str
) -> None:
    before = served.state()
    body = {"reason": text}
    body |= {"action": "halt"} if path.endswith("market") else {}
    body |= {"time_ms": 0} if path.endswith("clock") else {}  # type: ignore[dict-item]
    problem = await refused(served, "POST", path, json.dumps(body).encode())
    assert problem["field"] == "reason"
    assert served.state() == before
