"""The operator looks at the server's clock, and says that it is right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.backend.parts import StandingClock, journal_at
from tests.backend.serving import TOKEN, Api, api_on, problem
from tests.backend.village import HOUR_MS, START_MS, Village

PATH = "/v1/operator/clock"


@pytest.fixture(name="api")
async def _api(tmp_path: Path, village: Village) -> AsyncIterator[Api]:
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, village) as api:
        yield api


async def test_a_clock_that_is_moved_on_purpose_is_shown_without_witnesses(api: Api) -> None:
    assert (await api.ask(PATH)).json() == {
        "time_ms": START_MS,
        "journal_ms": START_MS,
        "synchronised": None,
        "doubt": "",
        "detail": "",
        "gateways": [],
    }


async def test_the_operators_word_sets_the_time_back(api: Api) -> None:
    clock = api.backend.clock
    assert isinstance(clock, StandingClock)
    body = {"time_ms": START_MS, "reason": "by the radio"}
    answer = await api.post(PATH, json.dumps(body).encode(), TOKEN)
    assert answer.json() == {"from_ms": START_MS, "to_ms": START_MS, "journal_seq": 2}
    clock.at_ms = START_MS - HOUR_MS
    body["time_ms"] = clock.at_ms
    answer = await api.post(PATH, json.dumps(body).encode(), TOKEN)
    assert answer.json()["to_ms"] == START_MS - HOUR_MS
    assert api.writer.community.at_ms == START_MS - HOUR_MS


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"time_ms": START_MS + HOUR_MS}, 409, "other_time"),
        ({"reason": ""}, 400, "bad_request"),
        ({"reason": "a\nsecond line"}, 400, "bad_request"),
        ({"reason": "x" * 501}, 400, "bad_request"),
    ],
)
async def test_a_word_that_cannot_be_taken_changes_nothing(
    api: Api, change: dict[str, Any], status: int, reason: str
) -> None:
    before = api.state()
    body = {"time_ms": START_MS, "reason": "by the radio"} | change
    problem(await api.post(PATH, json.dumps(body).encode(), TOKEN), status, reason)
    assert api.state() == before


async def test_only_the_operator_sees_and_confirms_the_clock(api: Api) -> None:
    problem(await api.get(PATH), 401, "unauthorized")
    problem(await api.post(PATH, b"{}"), 401, "unauthorized")
