"""A gateway was off for two hours: its repair completes the intervals, whenever it arrives.

The gateway is the edge's own code against a simulated DLMS meter; its signed frames go through
the writer, the journal and the series.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.backend.parts import journal_at, submit_each, until, writer_on
from tests.backend.village import (
    KWH,
    START_MS,
    Resident,
    convert_terms,
    frame_input,
    member_terms,
)
from tests.edge.dlms.dlms_gateway import HOUR_MS, Gateway, Times, tcp_bus
from tests.edge.dlms.dlms_meter import METER, PERIOD_MS, TestedMeter

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.core.model.ledger import GRID
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.series.store import open_series
from gridtokenx_wire.frame import open_frame
from gridtokenx_wire.keys import public_key_text
from gridtokenx_wire.reading import Reading, ReadingFlag
from gridtokenx_wire.verdict import Reason

FIRST_BOUND_MS = (START_MS - 3 * HOUR_MS) // PERIOD_MS * PERIOD_MS
QUARTER_UWH = (900 * 10**6, 90 * 10**6)
"""Of 3,600 W in and 360 W out."""


class Recorded:
    """What two gateways of one site have signed, and which readings those are."""

    def __init__(self) -> None:
        self.messages: dict[str, list[bytes]] = {}
        self.keys: dict[str, Any] = {}

    async def keep(self, name: str, gateway: Gateway) -> None:
        self.messages[name] = await gateway.frames()
        self.keys[name] = gateway.key.public_key()

    def readings(self, name: str) -> list[Reading]:
        key = self.keys[name]
        return [one for each in self.messages[name] for one in open_frame(each, key).readings()]


@asynccontextmanager
async def running(folder: Path, port: int, clock: Times, **more: Any) -> AsyncIterator[Gateway]:
    async with Gateway(folder, tcp_bus(port, **more), clock) as gateway:
        yield gateway


async def record(folder: Path) -> Recorded:
    """The first gateway reads, is off for two hours, repairs; a second one reads before that."""
    clock = Times()
    clock.base_ms = FIRST_BOUND_MS + 20_000
    meter = TestedMeter(clock.now_ms)
    recorded = Recorded()
    for name in ("old", "new"):
        (folder / name).mkdir()
    async with meter.on_tcp() as port:
        async with running(folder / "old", port, clock) as old:
            await until(lambda: old.sealer.sealed >= 2)
            await old.kill()
            await recorded.keep("before", old)
        clock.base_ms += 2 * HOUR_MS
        async with running(folder / "new", port, clock, repair_hours=0) as new:
            await until(lambda: new.sealer.sealed >= 2)
            await new.kill()
            await recorded.keep("new", new)
        async with running(folder / "old", port, clock) as old:
            await until(lambda: old.told("gap_repaired"))
            await until(lambda: old.sealer.held == 0)
            await old.kill()
            await recorded.keep("old", old)
    sent = len(recorded.messages["before"])
    assert recorded.messages["old"][:sent] == recorded.messages["before"]
    recorded.messages["old"] = recorded.messages["old"][sent:]
    return recorded


class Site:
    """A community with this one meter, behind a journal."""

    def __init__(self, writer: Writer, series: SeriesKeeper, recorded: Recorded) -> None:
        self.writer = writer
        self.series = series
        self.recorded = recorded
        self.anna = Resident("anna")
        self.accepted: list[Reading] = []

    async def begin(self) -> None:
        keys = {public_key_text(key) for key in self.recorded.keys.values()}
        document = {
            "community": {"name": "lane"},
            "member": [member_terms(self.anna)],
            "device": [{"public_key": key, "site": "Lane 3"} for key in sorted(keys)],
            "meter": [
                {
                    "id": METER,
                    "site": "Lane 3",
                    "owner": "anna",
                    "max_power_kw": "10",
                    "min_interval_s": 0,
                }
            ],
        }
        await self.writer.submit([inputs.configuration_input(convert_terms(document))])

    async def send(self, name: str) -> list[Reason]:
        """Puts a gateway's frames to the core in the order in which it sends them."""
        key = self.recorded.keys[name]
        verdicts = []
        for message in self.recorded.messages[name]:
            frame = open_frame(message, key)
            (committed,) = await submit_each(self.writer, [frame_input(message)])
            result = committed.result
            assert isinstance(result, FrameAccepted), result
            refused = dict(result.verdicts)
            for index, reading in enumerate(frame.readings()):
                verdicts.append(Reason(refused.get(index, Reason.ACCEPTED)))
                if index not in refused:
                    self.accepted.append(reading)
        return verdicts

    async def rows(self) -> list[IntervalEnergy]:
        return await self.series.read(METER, FIRST_BOUND_MS, START_MS + HOUR_MS)

    @property
    def minted_uwh(self) -> int:
        return self.writer.community.ledger.posted(self.anna.wallet, GRID)


@asynccontextmanager
async def site_of(folder: Path, recorded: Recorded) -> AsyncIterator[Site]:
    async with journal_at(folder / "journal.db") as journal, writer_on(journal) as writer:
        store = await open_series(folder / "intervals.db")
        keeper = SeriesKeeper(store, journal, writer)
        following = asyncio.create_task(keeper.run())
        site = Site(writer, keeper, recorded)
        await site.begin()
        try:
            yield site
        finally:
            writer.followers.clear()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await store.close()


@pytest.mark.parametrize(
    ("order", "revision"),
    [
        pytest.param(
            ["before", "old", "new"], 0, id="the repair comes first, as the edge sends it"
        ),
        pytest.param(
            ["before", "new", "old"], 1, id="newer readings of another gateway come first"
        ),
    ],
)
async def test_two_hours_without_a_gateway_end_in_complete_and_measured_intervals(
    order: Sequence[str], revision: int, tmp_path: Path
) -> None:
    recorded = await record(tmp_path)
    backfilled = [one for one in recorded.readings("old") if one.flags & ReadingFlag.BACKFILLED]
    assert len(backfilled) == 8
    async with site_of(tmp_path, recorded) as site:
        verdicts = {name: await site.send(name) for name in order}
        rows = await site.rows()
        accepted = sorted(site.accepted, key=lambda one: one.time_ms)
        first, last = accepted[0], accepted[-1]
        minted_uwh = site.minted_uwh
    assert set(backfilled) <= set(site.accepted)
    assert set(verdicts["before"]) == {Reason.ACCEPTED}
    assert {reason for each in verdicts.values() for reason in each} <= {
        Reason.ACCEPTED,
        Reason.NOT_AFTER_LAST,
    }
    assert [row.interval_ms for row in rows] == [FIRST_BOUND_MS + n * PERIOD_MS for n in range(8)]
    assert {row.quality for row in rows} == {Quality.MEASURED}
    assert {row.revision for row in rows} == {revision}
    for row in rows[1:]:
        assert (row.import_uwh, row.export_uwh) == QUARTER_UWH
    # Since the first reading, and once: the register's own difference.
    assert sum(row.export_uwh for row in rows) == backfilled[-1].export_uwh - first.export_uwh
    assert minted_uwh == last.export_uwh - first.export_uwh
    assert minted_uwh < KWH
