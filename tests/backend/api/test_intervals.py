"""GET /v1/meters/{id}/intervals: who may ask, for what, and what the answer is."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on, problem
from tests.backend.village import HOUR_MS, KWH, NAME, START_MS, Resident, Village, reading

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_wire.read_token import LONGEST_MS, ReadToken, sign_read_token

NOW = START_MS - START_MS % INTERVAL_MS
BEGAN = NOW - 2 * HOUR_MS
PATH = "/v1/meters/ABB-1/intervals"
unchanging = pytest.mark.asyncio(loop_scope="module")


def span(from_ms: int = BEGAN, to_ms: int = NOW + INTERVAL_MS) -> dict[str, Any]:
    return {"from_ms": from_ms, "to_ms": to_ms}


def token(who: Resident, issued_ms: int = START_MS, good_ms: int = 60_000, **other: Any) -> str:
    said = {
        "v": 1,
        "community": NAME,
        "wallet": who.wallet,
        "issued_ms": issued_ms,
        "expires_ms": issued_ms + good_ms,
    }
    return sign_read_token(ReadToken(**(said | other)), who.key)


def bearer(text: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"} | more


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="api")
async def _api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """ABB-1 was read at two boundaries: the hour between is interpolated, the next is open."""
    path = tmp_path_factory.mktemp("intervals") / "journal.db"
    village = Village()
    async with journal_at(path) as journal, api_on(journal, village) as api:
        minutes = [(0, 0), (15, 1), (75, 5), (90, 6), (105, 7), (120, 8), (121, 9)]
        rows = [
            reading("ABB-1", BEGAN + minute * 60_000, n * KWH // 10, n * KWH // 10)
            for minute, n in minutes
        ]
        await api.send(village.north.next(rows))
        yield api


@unchanging
async def test_the_operator_is_told_every_interval_that_has_begun(api: Api) -> None:
    answer = await api.get(PATH, params=span(BEGAN - INTERVAL_MS), headers=bearer(TOKEN))
    told = answer.json()
    assert answer.status_code == 200
    assert (told["meter"], told["from_ms"], told["to_ms"]) == (
        "ABB-1",
        *span(BEGAN - INTERVAL_MS).values(),
    )
    assert [one["quality"] for one in told["intervals"]] == [
        "missing",
        *["measured"] * 1,
        *["interpolated"] * 4,
        *["measured"] * 3,
        "provisional",
    ]
    assert told["missing"] == 1
    assert told["intervals"][0] == {
        "start_ms": BEGAN - INTERVAL_MS,
        "import_kwh": None,
        "export_kwh": None,
        "quality": "missing",
        "revision": 0,
        "start": "2026-05-28T18:00+00:00",
    }
    assert {one["import_kwh"] for one in told["intervals"][1:]} == {"0.100000000"}
    assert told["import_kwh"] == told["export_kwh"] == "0.900000000"


@unchanging
async def test_csv_has_a_line_for_each_interval(api: Api) -> None:
    headers = bearer(TOKEN, Accept="text/csv")
    answer = await api.get(
        PATH, params=span(BEGAN - INTERVAL_MS, BEGAN + INTERVAL_MS), headers=headers
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["meter", "start_ms", "import_kwh", "export_kwh", "quality", "revision", "start"],
        ["ABB-1", str(BEGAN - INTERVAL_MS), "", "", "missing", "0", "2026-05-28T18:00+00:00"],
        [
            "ABB-1",
            str(BEGAN),
            "0.100000000",
            "0.100000000",
            "measured",
            "0",
            "2026-05-28T18:15+00:00",
        ],
    ]


@unchanging
async def test_a_month_is_the_communitys(api: Api) -> None:
    told = (await api.get(PATH, params={"month": "2026-05"}, headers=bearer(TOKEN))).json()
    assert (told["from_ms"], told["to_ms"]) == (1_777_593_600_000, 1_780_272_000_000)
    assert told["import_kwh"] == "0.900000000"
    for wrong, said in (
        ({"month": "May"}, "month: expected a month such as 2026-05"),
        ({"month": "2026-05", "from_ms": "0"}, "expected either from_ms and to_ms or month"),
        ({}, "expected either from_ms and to_ms or month"),
    ):
        refused = await api.get(PATH, params=wrong, headers=bearer(TOKEN))
        assert said in problem(refused, 400, "bad_request")


@unchanging
async def test_a_member_reads_what_is_theirs_and_no_more(api: Api) -> None:
    mine = await api.get(PATH, params=span(), headers=bearer(token(api.anna)))
    assert mine.status_code == 200
    for path in (PATH, "/v1/meters/none/intervals"):
        theirs = await api.get(path, params=span(), headers=bearer(token(api.ben)))
        assert problem(theirs, 404, "unknown_meter") == "expected the id of a meter of yours"


BAD_TOKENS = [
    pytest.param(lambda _: "x", "expected a compact JWS", id="no token"),
    pytest.param(lambda anna: token(anna, community="other"), "the community 'lane'", id="other"),
    pytest.param(lambda anna: token(anna, START_MS + 60_001), "good at", id="of the future"),
    pytest.param(lambda anna: token(anna, START_MS - 60_000), "good at", id="expired"),
    pytest.param(
        lambda anna: token(anna, good_ms=LONGEST_MS + 1), "900000 ms after", id="good for too long"
    ),
    pytest.param(lambda anna: token(anna, good_ms=0), "900000 ms after", id="never good"),
    pytest.param(
        lambda anna: token(anna, wallet=Resident("ben").wallet), "signature by the", id="another's"
    ),
    pytest.param(lambda anna: token(anna, wallet="1"), "wallet: ", id="no wallet"),
    pytest.param(
        lambda anna: anna.sign(anna.cancel("a", "b")).decode(), "typ", id="an instruction"
    ),
]


@unchanging
@pytest.mark.parametrize(("make", "said"), BAD_TOKENS)
async def test_a_token_that_is_not_good_is_refused(api: Api, make: Any, said: str) -> None:
    answer = await api.get(PATH, params=span(), headers=bearer(make(api.anna)))
    assert said in problem(answer, 401, "unauthorized")


@unchanging
async def test_nobody_else_is_told_anything(api: Api) -> None:
    assert "Bearer" in problem(await api.get(PATH, params=span()), 401, "unauthorized")
    answer = await api.get(PATH, params=span(), headers={"Authorization": "Basic YTpi"})
    problem(answer, 401, "unauthorized")


@unchanging
@pytest.mark.parametrize(
    ("from_ms", "to_ms"),
    [
        pytest.param(BEGAN + 1, NOW, id="no bound"),
        pytest.param(BEGAN, NOW + 1, id="ends at none"),
        pytest.param(NOW, NOW, id="empty"),
        pytest.param(NOW, BEGAN, id="backwards"),
        pytest.param(0, 93 * 86_400_000 + INTERVAL_MS, id="too long"),
        pytest.param(-INTERVAL_MS, 0, id="before time"),
        pytest.param("today", NOW, id="no number"),
        pytest.param(0, 2**60, id="the end of time"),
    ],
)
async def test_a_span_that_is_none_is_refused(api: Api, from_ms: Any, to_ms: Any) -> None:
    params = {"from_ms": from_ms, "to_ms": to_ms}
    problem(await api.get(PATH, params=params, headers=bearer(TOKEN)), 400, "bad_request")


@unchanging
async def test_what_has_not_begun_is_no_row(api: Api) -> None:
    params = span(NOW + INTERVAL_MS, NOW + 4 * INTERVAL_MS)
    answer = await api.get(PATH, params=params, headers=bearer(TOKEN))
    assert (answer.json()["intervals"], answer.json()["missing"]) == ([], 0)
