"""Energy that is held, over HTTP: who sees what, and what the operator's decision is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on, problem
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, meter_terms, reading

from gridtokenx_backend.engine import held_energy_alert

LIST = "/v1/operator/held"
ONE = "/v1/operator/held/ABB-1"


@pytest_asyncio.fixture(name="api")
async def _api(tmp_path: Path) -> AsyncIterator[Api]:
    """ABB-1 showed zero first, then 3 kWh, then one more."""
    village = Village()
    village.document["meter"] = [
        meter_terms("ABB-1", village.north, village.anna) | {"starts_at_zero": False}
    ]
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, village) as api:
        api.writer.followers.append(held_energy_alert.alert)
        rows = [
            reading("ABB-1", START_MS - (2 - hour) * HOUR_MS, export)
            for hour, export in enumerate((0, 3 * KWH, 4 * KWH))
        ]
        with capture_logs() as logs:
            await api.send(village.north.next(rows))
        (line,) = [each for each in logs if "held" in each["event"]]
        assert (line["meter"], line["surplus_kwh"]) == ("ABB-1", "3.000000000")
        yield api


def decision(**changed: object) -> bytes:
    body = {"decision": "void", "since_entry": 2, "steps": 1, "reason": "seen"}
    return json.dumps(body | changed).encode()


async def test_the_operator_sees_what_is_held_and_a_member_how_much(api: Api) -> None:
    (held,) = (await api.ask(LIST)).json()
    assert (held["meter"], held["since_entry"]) == ("ABB-1", 2)
    assert [(each["reason"], each["surplus_kwh"]) for each in held["steps"]] == [
        ("first_reading", "3.000000000")
    ]
    assert held["later"] == [{"owner": api.anna.wallet, "surplus_kwh": "1.000000000"}]
    balance = (await api.get(f"/v1/balances/{api.anna.wallet}")).json()
    assert (balance["grid"], balance["grid_pending"]) == ("0.000000000", "4.000000000")
    assert (await api.get(LIST)).status_code == 401


@pytest.mark.parametrize(
    ("word", "minted"), [("release", "4.000000000"), ("void", "1.000000000"), ("void_all", "")]
)
async def test_a_decision_mints_what_is_real(api: Api, word: str, minted: str) -> None:
    answer = await api.post(ONE, decision(decision=word), TOKEN)
    expected = [{"owner": api.anna.wallet, "surplus_kwh": minted}] if minted else []
    assert answer.json()["minted"] == expected
    balance = (await api.get(f"/v1/balances/{api.anna.wallet}")).json()
    assert (balance["grid"], balance["grid_pending"]) == (minted or "0.000000000", "0.000000000")
    assert (await api.ask(LIST)).json() == []
    again = await api.post(ONE, decision(decision=word), TOKEN)
    problem(again, 404, "unknown_meter")


async def test_a_decision_on_what_has_changed_since_is_refused(api: Api) -> None:
    answer = await api.post(ONE, decision(steps=2), TOKEN)
    assert "expected what is held of the meter now" in problem(answer, 409, "outdated")


async def test_metrics_count_what_is_held(api: Api) -> None:
    text = (await api.ask("/metrics")).text
    assert "gridtokenx_held_meters 1.0" in text
    assert "gridtokenx_held_uwh 4e+09" in text
