"""Hostile requests to the API: each is answered with a problem, and nothing is journaled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on
from tests.backend.village import NAME, START_MS, Resident, Village

from gridtokenx_wire.order import Standing

HUGE = 10**30
ANNA = Resident("anna").wallet
STEP: dict[str, Any] = {
    "month": "2026-04",
    "status": "provisional",
    "revision": 1,
    "from_ms": 0,
    "to_ms": 10,
    "documents": [],
}
SERIES = {"source": "a" * 64, "name": "f", "format": "csv"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="served")
async def _served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    path: Path = tmp_path_factory.mktemp("hostile") / "journal.db"
    async with journal_at(path) as journal, api_on(journal, Village()) as api:
        yield api


def assert_problem(response: httpx.Response, status: int) -> None:
    body = response.json()
    assert (response.status_code, body["status"]) == (status, status), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert body["detail"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/clearings/main/{2**63 - 1}", 404),
        (f"/v1/clearings/main/{HUGE}", 404),
        ("/v1/clearings/main/-1", 404),
        (f"/v1/clearings/main/{'9' * 5000}", 404),
        (f"/v1/clearings?before_ms={HUGE}", 400),
        ("/v1/trades?limit=100000", 400),
        ("/v1/meters/ABB-1%00/intervals?from_ms=0&to_ms=900000", 404),
        ("/v1/meters/..%2f..%2fetc/intervals?from_ms=0&to_ms=900000", 404),
        (f"/v1/meters/ABB-1/intervals?from_ms=0&to_ms={HUGE}", 400),
        (f"/v1/statements/{ANNA}/..%2F..%2Fetc.pdf", 404),
        (f"/v1/statements/{ANNA}/....pdf", 404),
        (f"/v1/statements/{ANNA}/2026-05.json?revision={HUGE}", 404),
        ("/v1/statements/nobody/2026-05.pdf", 404),
        ("/v1/book?zone=%00", 404),
        (f"/v1/certificates?after={'x' * 300}", 404),
    ],
)
async def test_what_is_not_there_is_a_problem_even_for_the_operator(
    served: Api, path: str, status: int
) -> None:
    assert_problem(await served.ask(path), status)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/v1/operator/withdrawals/{HUGE}/confirm", {"reference": "x"}, 404),
        (f"/v1/operator/withdrawals/-{HUGE}/refuse", {"reason": "x"}, 404),
        ("/v1/operator/deposits", {"wallet": ANNA, "amount_grx": "1", "reference": "\ud800"}, 400),
        ("/v1/operator/certificates", {"month": "9999-12"}, 400),
        ("/v1/operator/certificates", {"month": "٢٠٢٦-05"}, 400),
        ("/v1/periods", STEP | {"month": "../../etc"}, 400),
        ("/v1/periods", STEP | {"month": "2026-13"}, 400),
        ("/v1/periods", STEP | {"to_ms": HUGE}, 409),
        ("/v1/periods", STEP | {"revision": HUGE}, 409),
        ("/v1/periods", STEP | {"documents": [["x", "y"]]}, 400),
        ("/v1/operator/market", {"action": "halt", "reason": "x", "zone": "\0"}, 404),
        ("/v1/operator/market", "[" * 100_000, 400),
        (
            "/v1/operator/grid-data",
            SERIES | {"series": [["ABB-1", "received", 900_000 * HUGE, [1], "4"]]},
            400,
        ),
        (
            "/v1/operator/grid-data",
            SERIES | {"series": [["ABB-1", "received", 0, [HUGE], "4"]]},
            400,
        ),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_not_journaled(
    served: Api, path: str, body: Any, status: int
) -> None:
    before = served.state()
    content = body if isinstance(body, str) else json.dumps(body)
    assert_problem(await served.post(path, content.encode(), TOKEN), status)
    assert served.state() == before


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("curve", [[(HUGE, "1")], [(5, "1")] * 200, [(-HUGE, "1")]])
async def test_a_curve_beyond_a_day_is_refused(served: Api, curve: list[tuple[int, str]]) -> None:
    before = served.state()
    standing = Standing(
        **served.anna._head("s", START_MS, NAME), side="buy", price_grx_per_kwh="1", curve=curve
    )
    assert_problem(await served.tell("/v1/standing-orders", served.anna, standing), 400)
    assert served.state() == before
