"""What everyone may read, and what only the operator may read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on, problem
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, reading

from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal
from gridtokenx_wire.reading import Reading, ReadingFlag


@pytest.fixture(name="journal")
async def _journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with journal_at(tmp_path / "journal.db") as journal:
        yield journal


@asynccontextmanager
async def reported(journal: SqliteJournal, village: Village) -> AsyncIterator[Api]:
    """Send two frames of the north gateway: four readings, two of them refused; 20 GRID minted."""
    async with api_on(journal, village) as api:
        north = village.north
        await api.send(north.next([reading("ABB-1", START_MS - 2 * HOUR_MS)]))
        await api.send(
            north.next(
                [
                    reading("ABB-2", START_MS - 1000, KWH),
                    reading("ABB-1", START_MS - 1000, 500 * KWH),
                    Reading(
                        meter="ABB-1",
                        time_ms=START_MS,
                        import_uwh=7,
                        export_uwh=20 * KWH,
                        power_w=0,
                        flags=ReadingFlag.NO_POWER,
                    ),
                ]
            )
        )
        yield api


@pytest.fixture(name="api")
async def _api(journal: SqliteJournal, village: Village) -> AsyncIterator[Api]:
    async with reported(journal, village) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="untouched")
async def _untouched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """The same for all tests that change nothing."""
    path = tmp_path_factory.mktemp("untouched") / "journal.db"
    async with journal_at(path) as journal, reported(journal, Village()) as api:
        yield api


unchanging = pytest.mark.asyncio(loop_scope="module")


# --- public -------------------------------------------------------------------------------------


@unchanging
async def test_health_says_how_it_stands(untouched: Api) -> None:
    assert (await untouched.get("/v1/health")).json() == {
        "status": "ok",
        "detail": "",
        "degraded": [],
        "community": "lane",
        "time_ms": START_MS,
        "time_zone": "UTC",
        "journal_seq": 3,
        "oracle": "running",
        "broker": "disconnected",
        "overdue_clearings": 0,
        "verification": {"status": "off", "checked": 0, "entries": 1},
    }


async def test_the_summary_counts(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "5", "0.2")
    await api.order(api.ben, "b", "buy", "5", "0.2")
    assert (await api.get("/v1/summary")).json() == {
        "time_ms": START_MS,
        "frames": 2,
        "readings_accepted": 2,
        "readings_rejected": 2,
        "readings_quarantined": 0,
        "refused": {"unbound_meter": 1, "implausible_jump": 1},
        "quality_permille": 500,
        "minted_uwh": 20 * KWH,
        "minted_grid": "20.000000000",
        "orders": 2,
        "trades": 1,
        "settlements": 1,
        "journal_seq": 5,
    }


async def test_the_book_shows_the_best_50_prices_of_each_side(api: Api) -> None:
    for n in range(1, 53):
        await api.order(api.ben, f"b{n}", "buy", "0.001", f"0.{n:03}")
        await api.order(api.anna, f"a{n}", "sell", "0.001", f"1.{n:03}")
    await api.order(api.cleo, "c", "buy", "0.002", "0.052")
    body = (await api.get("/v1/book")).json()
    bids, asks = ([level["price_grx_per_kwh"] for level in body[side]] for side in ("bids", "asks"))
    assert bids == [f"0.{n:03}000" for n in range(52, 2, -1)]
    assert asks == [f"1.{n:03}000" for n in range(1, 51)]
    assert body["bids"][0]["quantity_kwh"] == "0.003000000"


async def test_trades_are_shown_newest_first_up_to_a_limit(api: Api) -> None:
    await api.order(api.anna, "a", "sell", "5", "0.2")
    for n in range(4):
        await api.order(api.ben, f"b{n}", "buy", "1", "0.2")
    shown = (await api.get("/v1/trades?limit=3")).json()["trades"]
    assert [trade["journal_seq"] for trade in shown] == [8, 7, 6]
    assert len((await api.get("/v1/trades")).json()["trades"]) == 4


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1.5", "", "9" * 30])
@unchanging
async def test_a_limit_has_bounds(untouched: Api, limit: str) -> None:
    problem(await untouched.get(f"/v1/trades?limit={limit}"), 400, "bad_request")


@pytest.mark.parametrize("kind", ["balances", "orders"])
@pytest.mark.parametrize("wallet", ["nobody", "issuer:GRX", "community:fees", "%00", "%ff%fe"])
@unchanging
async def test_a_wallet_of_nobody_is_not_found(untouched: Api, kind: str, wallet: str) -> None:
    problem(await untouched.get(f"/v1/{kind}/{wallet}"), 404, "unknown_wallet")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/balances/", 404, "not_found"),
        ("GET", "/v1/balances/a/b", 404, "not_found"),
        ("POST", "/v1/book", 405, "method_not_allowed"),
        ("GET", "/v1/oracle/pause", 405, "method_not_allowed"),
        ("DELETE", "/v1/orders", 405, "method_not_allowed"),
        ("PUT", "/metrics", 405, "method_not_allowed"),
    ],
)
@unchanging
async def test_what_is_not_there_is_a_problem_too(
    untouched: Api, method: str, path: str, status: int, reason: str
) -> None:
    problem(await untouched.client.request(method, path), status, reason)


DEVICE_VERBS = ("approve", "release", "revoke", "frames")


@unchanging
async def test_openapi_describes_every_door(untouched: Api) -> None:
    document = (await untouched.get("/schema/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {
        *(
            ("GET", f"/v1/{what}")
            for what in ("health", "summary", "book", "trades", "zones", "ca")
        ),
        ("GET", "/metrics"),
        *(("GET", f"/v1/{what}/{{wallet}}") for what in ("balances", "orders")),
        *(("POST", f"/v1/{what}") for what in ("orders", "amendments", "cancellations")),
        *(("POST", f"/v1/{what}") for what in ("standing-orders", "withdrawals")),
        *(("GET", f"/v1/clearings{of}") for of in ("", "/{zone}/{interval_ms}")),
        *(("GET", f"/v1/meters/{{meter}}/{what}") for what in ("readings", "intervals")),
        ("GET", "/v1/statements/{wallet}/{document}"),
        ("GET", "/v1/reports/{document}"),
        *((method, "/v1/periods") for method in ("GET", "POST")),
        ("GET", "/v1/certificates"),
        *((method, "/v1/operator/clock") for method in ("GET", "POST")),
        *(("GET", "/v1/operator/held"), ("POST", "/v1/operator/held/{meter}")),
        *(("POST", f"/v1/certificates/{what}") for what in ("transfers", "retirements")),
        *(("POST", f"/v1/enrolments{of}") for of in ("", "/rotation")),
        *((method, "/v1/tokens") for method in ("GET", "POST")),
        ("POST", "/v1/tokens/{token}/withdraw"),
        ("GET", "/v1/devices"),
        *(("POST", f"/v1/devices/{{device}}/{verb}") for verb in DEVICE_VERBS),
        *(("POST", f"/v1/oracle/{action}") for action in ("pause", "resume")),
        *(("GET", f"/v1/operator/{what}") for what in ("allocations", "withdrawals")),
        *(
            ("POST", f"/v1/operator/{what}")
            for what in ("market", "deposits", "corrections", "certificates", "grid-data")
        ),
        *(
            ("POST", f"/v1/operator/withdrawals/{{number}}/{verb}")
            for verb in ("confirm", "refuse")
        ),
    }
    # No value that only the server has is a parameter.
    names = {
        parameter["name"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
    }
    assert names == {
        *("wallet", "meter", "limit", "token", "device", "zone", "number"),
        *("document", "revision", "from_ms", "to_ms", "interval_ms", "before_ms", "after", "month"),
    }


CLOSED = ("no_room", "for_others", "late_request", "unread_answer", "bad_request")


@unchanging
async def test_metrics_say_what_the_summary_says(untouched: Api) -> None:
    response = await untouched.ask("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples == {
        ("gridtokenx_http_connections",): 0,
        **{("gridtokenx_http_connections_closed_total", why): 0 for why in CLOSED},
        ("gridtokenx_readings_total", "accepted"): 2,
        ("gridtokenx_readings_total", "unbound_meter"): 1,
        ("gridtokenx_readings_total", "implausible_jump"): 1,
        ("gridtokenx_frames_total",): 2,
        ("gridtokenx_minted_uwh_total",): 20 * KWH,
        ("gridtokenx_journal_entries_total",): 3,
        ("gridtokenx_quality_permille",): 500,
        **{(f"gridtokenx_{name}_total",): 0 for name in ("readings_thinned", "orders", "trades")},
        ("gridtokenx_readings_improbable_total",): 0,
        **{(f"gridtokenx_{name}",): 0 for name in ("held_meters", "held_uwh")},
        **{(f"gridtokenx_{name}",): 0 for name in ("oracle_paused", "journal_degraded")},
        **{(f"gridtokenx_{name}",): 0 for name in ("broker_connected", "open_orders")},
        ("gridtokenx_overdue_clearings",): 0,
        ("gridtokenx_verified_entries",): 0,
        **{("gridtokenx_devices", status): 0 for status in ("pending", "revoked", "held")},
        ("gridtokenx_devices", "active"): 2,
        ("gridtokenx_device_last_heard_seconds", untouched.village.north.name): START_MS / 1000,
        ("gridtokenx_device_last_heard_seconds", untouched.village.south.name): 0,
        **{("gridtokenx_degraded", part): 0 for part in DegradedPart},
    }


# --- the operator's -----------------------------------------------------------------------------

OPERATORS = [
    ("GET", "/v1/devices"),
    ("GET", "/v1/meters/ABB-1/readings"),
    ("GET", "/v1/meters/nothing/readings"),
    ("POST", "/v1/devices/nothing/frames"),
    ("POST", "/v1/oracle/pause"),
    ("POST", "/v1/oracle/resume"),
    ("GET", "/v1/operator/clock"),
    ("POST", "/v1/operator/clock"),
    ("GET", "/v1/operator/held"),
    ("POST", "/v1/operator/held/ABB-1"),
]


STRANGERS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"bearer {TOKEN}",
    f"Basic {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN} ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    "Bearer tökén",
]


@pytest.mark.parametrize(("method", "path"), OPERATORS)
@unchanging
async def test_only_the_operator_gets_in(untouched: Api, method: str, path: str) -> None:
    before = untouched.state()
    for header in STRANGERS:
        headers = {} if header is None else {"Authorization": header.encode()}
        response = await untouched.client.request(
            method, path, headers=headers, content=b'{"reason": "because"}'
        )
        problem(response, 401, "unauthorized")
    assert untouched.state() == before


@unchanging
async def test_devices_show_where_their_chains_stand(untouched: Api) -> None:
    north, south = (await untouched.ask("/v1/devices")).json()
    assert north == {
        "device": untouched.village.north.name,
        "site": "",
        "status": "active",
        "chain": untouched.village.north.chain.hex(),
        "next_seq": 2,
        "readings_accepted": 2,
        "readings_rejected": 2,
        "readings_quarantined": 0,
        "readings_thinned": 0,
        "quality_permille": 500,
        "last_heard_ms": START_MS,
    } | {"origin": "config", "follows": "", "retire_ms": 0, "why": ""}
    assert (south["chain"], south["next_seq"], south["quality_permille"]) == ("", 0, 1000)


def _view(time_ms: int, imported: str, exported: str, verdict: str, seq: int) -> dict[str, Any]:
    return {
        "time_ms": time_ms,
        "import_kwh": imported,
        "export_kwh": exported,
        "power_w": 0,
        "verdict": verdict,
        "journal_seq": seq,
    }


async def test_readings_of_a_meter_are_shown_newest_first_with_their_verdicts(api: Api) -> None:
    await api.send(api.village.south.next([reading("ABB-2", START_MS)]))
    await api.send(api.village.north.next([reading("ABB-9", START_MS)]))
    newest = _view(START_MS, "0.000000007", "20.000000000", "accepted", 3) | {"power_w": None}
    jump = _view(START_MS - 1000, "0.000000000", "500.000000000", "implausible_jump", 3)
    first = _view(START_MS - 2 * HOUR_MS, "0.000000000", "0.000000000", "accepted", 2)
    body = (await api.ask("/v1/meters/ABB-1/readings")).json()
    assert body == {
        "meter": "ABB-1",
        "readings": [newest, jump, first],
        "refused_frames": [],
    }
    body = (await api.ask("/v1/meters/ABB-1/readings?limit=2")).json()
    assert body["readings"] == [newest, jump]


@unchanging
async def test_a_meter_without_readings_has_none(untouched: Api) -> None:
    body = (await untouched.ask("/v1/meters/ABB-2/readings")).json()
    assert body == {"meter": "ABB-2", "readings": [], "refused_frames": []}


@pytest.mark.parametrize("meter", ["ABB-9", "a%2Fb", "%00"])
@unchanging
async def test_a_meter_of_nobody_is_not_found(untouched: Api, meter: str) -> None:
    response = await untouched.ask(f"/v1/meters/{meter}/readings")
    assert response.status_code == 404
    assert response.json()["reason"] in ("unknown_meter", "not_found")


async def test_the_oracle_is_paused_and_resumed_with_a_reason(api: Api) -> None:
    for door, oracle in (("pause", "paused"), ("resume", "running")):
        response = await api.post(f"/v1/oracle/{door}", b'{"reason": "works"}', TOKEN)
        assert response.status_code == 200
        assert response.json()["oracle"] == oracle
        assert (await api.get("/v1/health")).json()["oracle"] == oracle


DEEP = b'{"reason": ' + b"[" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no reason"),
        pytest.param(b'{"reason": ""}', id="an empty one"),
        pytest.param(b'{"reason": 5}', id="a number"),
        pytest.param(b'{"reason": "x", "more": 1}', id="more than that"),
        pytest.param(b'{"reason": "' + b"x" * 501 + b'"}', id="a long one"),
        pytest.param(b'{"reason": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"\xff": "x"}', id="a key that is not UTF-8"),
        pytest.param(b"\xff\xfe", id="bytes"),
        pytest.param(DEEP, id="deep in its place"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"x":' * 50_000, id="deep and unknown"),
        pytest.param(b'{"reason": "\\ud800"}', id="half a surrogate"),
        pytest.param(b"null", id="null"),
    ],
)
@unchanging
async def test_a_pause_without_a_reason_is_refused(untouched: Api, body: bytes) -> None:
    before = untouched.state()
    problem(await untouched.post("/v1/oracle/pause", body, TOKEN), 400, "bad_request")
    assert untouched.state() == before
