"""Money, corrections and certificates over HTTP: who may do it, and how mistakes are answered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on, problem
from tests.backend.village import START_MS, Village

from gridtokenx_wire.order import RecRetire, RecTransfer, Withdraw

OPERATED = {
    "/v1/operator/deposits": {"wallet": "w", "amount_grx": "1", "reference": "r"},
    "/v1/operator/withdrawals/1/confirm": {"reference": "r"},
    "/v1/operator/withdrawals/1/refuse": {"reason": "r"},
    "/v1/operator/corrections": {
        "meter": "ABB-9",
        "from_ms": 0,
        "to_ms": 900_000,
        "import_kwh": "0",
        "export_kwh": "0",
        "reason": "r",
    },
    "/v1/operator/certificates": {"month": "2026-04"},
}


@pytest.fixture(name="api")
async def _api(tmp_path: Path) -> AsyncIterator[Api]:
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, Village()) as api:
        yield api


async def order(api: Api, path: str, body: Any, token: str = TOKEN) -> Any:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return await api.client.post(path, content=content, headers=headers)


def head(api: Api, name: str) -> dict[str, Any]:
    return api.anna._head(name, START_MS, "lane")


NO_COMMANDS = [b"", b"{}", b"[1]", b"{", b"\xff", b"[" * 5000, b'{"more":1}']
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/operator/deposits", {}, 404, "unknown_wallet"),
    ("/v1/operator/deposits", {"amount_grx": "much"}, 400, "bad_amount"),
    ("/v1/operator/deposits", {"amount_grx": "0.0000001"}, 400, "bad_amount"),
    ("/v1/operator/withdrawals/1/confirm", {}, 404, "unknown_withdrawal"),
    ("/v1/operator/withdrawals/1/confirm", {"reference": ""}, 400, "bad_text"),
    ("/v1/operator/withdrawals/1/refuse", {}, 404, "unknown_withdrawal"),
    ("/v1/operator/corrections", {}, 404, "unknown_meter"),
    ("/v1/operator/corrections", {"meter": "ABB-1"}, 400, "bad_span"),
    ("/v1/operator/corrections", {"import_kwh": "some"}, 400, "bad_amount"),
    ("/v1/operator/certificates", {"month": "May"}, 400, "month_not_over"),
    ("/v1/operator/certificates", {"month": "9999-12"}, 400, "month_not_over"),
]


async def test_only_the_operator_orders_and_sees_who_wants_money(api: Api) -> None:
    for path, body in OPERATED.items():
        problem(await order(api, path, body, "guess"), 401, "unauthorized")
    problem(await api.ask("/v1/operator/withdrawals", "guess"), 401, "unauthorized")


async def test_what_is_no_command_is_refused(api: Api) -> None:
    before = api.state()
    for path in OPERATED:
        for body in NO_COMMANDS:
            problem(await order(api, path, body), 400, "bad_request")
    assert api.state() == before


async def test_a_command_that_cannot_be_carried_out_says_why(api: Api) -> None:
    before = api.state()
    for path, change, status, reason in REFUSED:
        response = await order(api, path, OPERATED[path] | change)
        detail = problem(response, status, reason)
        assert re.match(r"(\w+: )?expected ", detail), detail
    assert api.state() == before


async def test_a_number_beyond_all_withdrawals_is_none(api: Api) -> None:
    for number in (2**63, 2**64, -1, 10**40):
        path = f"/v1/operator/withdrawals/{number}/confirm"
        response = await order(api, path, {"reference": "r"})
        assert response.status_code in (400, 404)
        assert response.headers["content-type"] == "application/problem+json"


async def test_nothing_to_issue_is_no_entry(api: Api) -> None:
    response = await order(api, "/v1/operator/certificates", {"month": "2026-04"})
    assert response.json() == {"month": "2026-04", "certificates": [], "journal_seq": 0}
    assert (await api.get("/v1/certificates")).json() == {"certificates": [], "next": ""}


async def test_certificates_after_none_are_refused(api: Api) -> None:
    response = await api.get("/v1/certificates?after=lane-2026-06-ABB-1-1")
    problem(response, 404, "unknown_certificate")


async def test_an_instruction_goes_to_its_address(api: Api) -> None:
    paths = {
        "/v1/withdrawals": Withdraw(**head(api, "w"), amount_grx="1", reference="r"),
        "/v1/certificates/transfers": RecTransfer(**head(api, "t"), serial="s", to="w"),
        "/v1/certificates/retirements": RecRetire(**head(api, "r"), serial="s", beneficiary="b"),
    }
    for path in paths:
        for other, instruction in paths.items():
            response = await api.tell(path, api.anna, instruction)
            if path != other:
                problem(response, 400, "malformed")
            elif path == "/v1/withdrawals":
                assert response.json()["status"] == "asked"
            else:
                problem(response, 404, "unknown_certificate")


async def test_a_deposit_told_again_is_answered_as_before(api: Api) -> None:
    body = {"wallet": api.anna.wallet, "amount_grx": "5", "reference": "r"}
    first = await order(api, "/v1/operator/deposits", body)
    again = await order(api, "/v1/operator/deposits", body)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    balance = (await api.get(f"/v1/balances/{api.anna.wallet}")).json()
    assert (balance["grx"], balance["rec"]) == ("1005.000000", "0")
    assert (balance["grid_bought"], balance["grid_owed"]) == ("0.000000000", "0.000000000")
