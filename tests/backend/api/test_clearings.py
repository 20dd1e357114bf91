"""Clearings over HTTP: pages of the list, the document of a zone, and unknown clearings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from tests.backend.parts import StandingClock, journal_at, until
from tests.backend.serving import Api, api_on, problem
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, reading

from gridtokenx_backend.core.model.zones import INTERVAL_MS, interval_of
from gridtokenx_backend.engine.ticks import clear_when_due
from gridtokenx_client.verification.auction_check import check_auction
from gridtokenx_client.verification.clearing_document import Clearing, Clearings

FIRST_MS = interval_of(START_MS)
GRACE_MS = 300_000
INTERVALS = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="cleared")
async def _cleared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """Anna sold 2 of 5 kWh to Ben in the first of five intervals, which were cleared at once."""
    village = Village()
    path: Path = tmp_path_factory.mktemp("cleared") / "journal.db"
    async with journal_at(path) as journal, api_on(journal, village) as api:
        north = village.north
        await api.send(north.next([reading("ABB-1", START_MS - HOUR_MS)]))
        await api.send(north.next([reading("ABB-1", START_MS, 9 * KWH)]))
        for who, side, kwh, price in ((api.anna, "sell", "5", "0.2"), (api.ben, "buy", "2", "0.3")):
            order = who.order(side, side, kwh, price)
            order = msgspec.structs.replace(order, segment="interval")
            posted = await api.tell("/v1/orders", who, order)
            assert posted.json()["status"] == "resting", posted.text
        await clear_up_to(api, FIRST_MS + INTERVALS * INTERVAL_MS + GRACE_MS)
        yield api


async def clear_up_to(api: Api, at_ms: int) -> None:
    """Let the server's task clear everything that is due at `at_ms`."""
    clock = api.writer._clock
    assert isinstance(clock, StandingClock)
    clock.at_ms = at_ms
    task = asyncio.create_task(clear_when_due(api.writer, clock))
    community = api.writer.community
    await until(lambda: community.clear_due_ms > at_ms)
    await until(lambda: api.writer.durable_seq == community.entries)  # the core is ahead of it
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def listed(api: Api, query: str = "") -> Clearings:
    response = await api.get(f"/v1/clearings{query}")
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=Clearings)


@pytest.mark.asyncio(loop_scope="module")
async def test_clearings_are_listed_newest_first_page_by_page(cleared: Api) -> None:
    first = await listed(cleared, "?limit=2")
    assert first.before_ms is not None
    second = await listed(cleared, f"?limit=2&before_ms={first.before_ms}")
    third = await listed(cleared, f"?limit=2&before_ms={second.before_ms}")
    found = [each for page in (first, second, third) for each in page.clearings]
    assert [each.interval_ms for each in found] == [
        FIRST_MS + number * INTERVAL_MS for number in reversed(range(INTERVALS))
    ]
    assert third.before_ms is None
    oldest = found[-1]
    assert (oldest.zone, oldest.orders, oldest.volume_kwh) == ("main", 2, "2.000000000")
    assert oldest.price_grx_per_kwh == "0.200000"
    assert found[0].price_grx_per_kwh is None
    assert [each.orders for each in found[:-1]] == [1, 1, 1, 1]


@pytest.mark.asyncio(loop_scope="module")
async def test_one_zones_clearing_can_be_computed_again(cleared: Api) -> None:
    response = await cleared.get(f"/v1/clearings/main/{FIRST_MS}")
    document = msgspec.json.decode(response.content, type=Clearing)
    assert (document.community, document.zone) == ("lane", "main")
    assert [each for each in check_auction(document) if not each.holds] == []
    assert [trade.quantity_kwh for trade in document.trades] == ["2.000000000"]
    assert {order.wallet for order in document.book} == {cleared.anna.wallet, cleared.ben.wallet}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_clearings_trade_is_in_the_history_with_its_segment(cleared: Api) -> None:
    (trade,) = (await cleared.get("/v1/trades")).json()["trades"]
    assert (trade["segment"], trade["price_grx_per_kwh"]) == ("interval", "0.200000")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path", [f"elsewhere/{FIRST_MS}", f"main/{FIRST_MS + 1}", "main/0", f"main/{2**62}", "main/-5"]
)
async def test_what_was_not_cleared_is_not_found(cleared: Api, path: str) -> None:
    detail = problem(await cleared.get(f"/v1/clearings/{path}"), 404, "unknown_clearing")
    assert "expected a zone and the start of an interval" in detail


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("query", ["?limit=0", "?limit=201", "?before_ms=x", "?before_ms=-1"])
async def test_a_page_that_makes_no_sense_is_a_bad_request(cleared: Api, query: str) -> None:
    response = await cleared.get(f"/v1/clearings{query}")
    assert response.status_code == 400, response.text


@pytest.mark.asyncio(loop_scope="module")
async def test_before_the_first_interval_there_is_none(cleared: Api) -> None:
    for before_ms in (0, 5, 10**12, FIRST_MS):
        assert (await listed(cleared, f"?before_ms={before_ms}")).clearings == []
