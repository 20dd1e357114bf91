"""What a gateway missed is read from the meter's load profile, before anything newer goes out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import structlog
from tests.edge.dlms.dlms_gateway import (
    HOUR_MS,
    START_MS,
    Gateway,
    Times,
    WaitUntil,
    outage,
    tcp_bus,
)
from tests.edge.dlms.dlms_meter import METER, PERIOD_MS, TestedMeter

from gridtokenx_dlms.aio.server import Conduct
from gridtokenx_edge.agent.stored_readings import stored_readings
from gridtokenx_edge.config.dlms_config import DlmsMeter
from gridtokenx_edge.dlms.gap_repair import Gap, GapRepair, chunks, find_gap, fitting
from gridtokenx_edge.dlms.last_readings import LastReading, LastReadings
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.meters.load_profile import Capture
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.reading import Reading, ReadingFlag


def reading_at(time_ms: int, uwh: int = 0) -> Reading:
    return Reading(meter=METER, time_ms=time_ms, import_uwh=uwh, export_uwh=0)


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "is_gap"),
    [
        pytest.param(None, 10 * HOUR_MS, False, id="never read before"),
        pytest.param(0, 30_000, False, id="a missed poll or two"),
        pytest.param(0, 60_000, False, id="a minute"),
        pytest.param(0, 60_001, True, id="more"),
        pytest.param(0, 5 * HOUR_MS, True, id="hours"),
    ],
)
def test_a_gap_is_more_than_a_few_missed_polls(
    before_ms: int | None, after_ms: int, is_gap: bool
) -> None:
    before = (
        None if before_ms is None else LastReading(time_ms=before_ms, import_uwh=0, export_uwh=0)
    )
    assert (find_gap(before, reading_at(after_ms), 10_000) is not None) is is_gap


@pytest.mark.parametrize(
    ("gap_ms", "limit_ms", "expected"),
    [
        pytest.param((1, 899_999), HOUR_MS, [], id="no end of an interval in it"),
        pytest.param((0, 900_001), HOUR_MS, [(900_000, 900_000)], id="one"),
        pytest.param((0, 900_000), HOUR_MS, [], id="the live reading is at that end itself"),
        pytest.param(
            (10, 4_000_000), 2 * HOUR_MS, [(900_000, 1_800_000), (2_700_000, 3_600_000)], id="two"
        ),
        pytest.param((0, 10_000_000), 1_500_000, [(9_000_000, 9_900_000)], id="only the newest"),
    ],
)
def test_a_gap_is_asked_for_in_chunks_oldest_first(
    gap_ms: tuple[int, int], limit_ms: int, expected: list[tuple[int, int]]
) -> None:
    gap = Gap(LastReading(time_ms=gap_ms[0], import_uwh=0, export_uwh=0), reading_at(gap_ms[1]))
    assert list(chunks(gap, PERIOD_MS, 2, limit_ms)) == expected


async def test_an_outage_of_hours_leaves_complete_and_exact_intervals(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with (
        meter.on_tcp() as port,
        await outage(tmp_path, port, clock, wait_until, 40) as gateway,
    ):
        await wait_until(lambda: gateway.told("gap_repaired"))
        await wait_until(lambda: gateway.sealer.held == 0)
        readings = await gateway.readings()
    times = [reading.time_ms for reading in readings]
    assert times == sorted(set(times))  # the oracle takes them one after the other
    filled = [reading for reading in readings if reading.flags & ReadingFlag.BACKFILLED]
    first_ms = START_MS - START_MS % PERIOD_MS + PERIOD_MS
    assert [reading.time_ms for reading in filled] == [
        first_ms + number * PERIOD_MS for number in range(160)
    ]
    # 3,600 W and 360 W for a quarter of an hour, to the µWh.
    for earlier, later in itertools.pairwise(filled):
        assert later.import_uwh - earlier.import_uwh == 900 * 10**6
        assert later.export_uwh - earlier.export_uwh == 90 * 10**6
    assert gateway.told("gap_repaired")[0]["readings"] == 160
    # Two days in chunks of one, not at once and not row by row.
    assert len([request for request in meter.requests if request.startswith("rows")]) == 2


async def test_live_readings_wait_for_the_repair_and_are_not_lost(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with (
        meter.on_tcp() as port,
        await outage(tmp_path, port, clock, wait_until, 30) as gateway,
    ):
        await wait_until(lambda: gateway.told("gap_repaired"))
        await wait_until(lambda: gateway.sealer.held == 0)
        readings = await gateway.readings()
    last_filled = max(n for n, one in enumerate(readings) if one.flags)
    after = readings[last_filled + 1 :]
    # The reading that found the gap is there, although it was older than the rows' arrival: the
    # last rows that were asked for are those before it.
    asked = [request for request in meter.requests if request.startswith("rows")]
    assert int(asked[-1].split()[-1]) == (after[0].time_ms - 1) // 10 * 10  # hundredths


async def test_a_second_outage_during_the_repair_costs_nothing(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with (
        meter.on_tcp() as port,
        await outage(tmp_path, port, clock, wait_until, 72) as gateway,
    ):
        meter.conduct = Conduct(delay_s=0.05)  # three chunks take long enough to be in time
        await wait_until(lambda: any(request.startswith("rows") for request in meter.requests))
        await gateway.kill()
        await gateway.outbox.close()
        async with Gateway(tmp_path, tcp_bus(port), clock) as restarted:
            await wait_until(lambda: restarted.told("gap_repaired"))
            await wait_until(lambda: restarted.sealer.held == 0)
            readings = await restarted.readings()
    filled = [one.time_ms for one in readings if one.flags & ReadingFlag.BACKFILLED]
    assert len(filled) == 288
    assert {b - a for a, b in itertools.pairwise(filled)} == {PERIOD_MS}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda meter: setattr(meter, "ahead_ms", 200_000), "off by 200 s", id="clock"),
        pytest.param(lambda meter: meter.drop_profile(), "undefined", id="no load profile"),
    ],
)
async def test_a_gap_that_cannot_be_repaired_is_told_and_holds_nothing_up(
    spoil: Callable[[TestedMeter], None],
    reason: str,
    tmp_path: Path,
    wait_until: WaitUntil,
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    spoil(meter)
    async with (
        meter.on_tcp() as port,
        await outage(tmp_path, port, clock, wait_until, 3) as gateway,
    ):
        await wait_until(lambda: gateway.told("gap_not_repaired"))
        await wait_until(lambda: gateway.sealer.sealed >= 2)
        assert reason in gateway.told("gap_not_repaired")[0]["reason"]


async def test_repair_can_be_turned_off(tmp_path: Path, wait_until: WaitUntil) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with (
        meter.on_tcp() as port,
        await outage(tmp_path, port, clock, wait_until, 3, repair_hours=0) as gateway,
    ):
        await wait_until(lambda: gateway.sealer.sealed >= 2)
    assert not [request for request in meter.requests if request.startswith("rows")]


async def test_rows_that_the_meter_calls_invalid_are_no_evidence(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    meter.row_status = lambda at_ms: 0x04 if at_ms // PERIOD_MS % 4 == 0 else 0x08
    async with (
        meter.on_tcp() as port,
        await outage(tmp_path, port, clock, wait_until, 10) as gateway,
    ):
        await wait_until(lambda: gateway.told("gap_repaired"))
        assert gateway.told("gap_repaired")[0]["readings"] == 30


def test_rows_fit_between_two_readings_or_are_left_out(tmp_path: Path) -> None:
    meter = DlmsMeter(
        id=METER, profile="iskraemeco_am550", authentication="none", protection="none"
    )
    access = access_of(meter, DlmsFiles(folder=tmp_path, state=tmp_path))
    rows = [
        Capture(time_ms=900, import_uwh=10, export_uwh=1),  # before the last reading
        Capture(time_ms=1000, import_uwh=10, export_uwh=1),  # at its very time
        Capture(time_ms=1100, import_uwh=9, export_uwh=1),  # below it: the meter's clock is off
        Capture(time_ms=1200, import_uwh=11, export_uwh=1),
        Capture(time_ms=1300, import_uwh=11, export_uwh=1),
        Capture(time_ms=1300, import_uwh=12, export_uwh=1),  # the same time twice, as in autumn
        Capture(time_ms=1400, import_uwh=21, export_uwh=1),  # beyond the live one
        Capture(time_ms=2000, import_uwh=20, export_uwh=1),  # at its very time
    ]
    found = fitting(
        rows,
        access,
        LastReading(time_ms=1000, import_uwh=10, export_uwh=1),
        Reading(meter=METER, time_ms=2000, import_uwh=20, export_uwh=2),
    )
    assert [(one.time_ms, one.import_uwh) for one in found] == [(1200, 11), (1300, 11)]


class SlowReader:
    """A reader whose meter says, when it is let, that its load profile has no registers."""

    clock_drift_ms = 0

    def __init__(self) -> None:
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def columns(self) -> None:
        self.asked.set()
        await self.answers.wait()


class Kept(list[Reading]):
    """A sink that keeps the readings."""

    add = list.append

    def begin(self) -> None: ...

    def end(self) -> None: ...


async def test_readings_that_come_during_a_repair_do_not_ask_for_another(tmp_path: Path) -> None:
    meter = DlmsMeter(
        id=METER, profile="iskraemeco_am550", authentication="none", protection="none"
    )
    access = access_of(meter, DlmsFiles(folder=tmp_path, state=tmp_path))
    reader, sink = SlowReader(), Kept()
    last = LastReading(time_ms=START_MS, import_uwh=0, export_uwh=0)
    log = structlog.get_logger()
    repair = GapRepair(reader, access, sink, last, log)  # type: ignore[arg-type]
    running = asyncio.create_task(repair.run())
    first_ms = START_MS + HOUR_MS
    repair.add(reading_at(first_ms))
    await reader.asked.wait()
    repair.add(reading_at(first_ms + 1000))
    reader.answers.set()
    done, _ = await asyncio.wait([running], timeout=0.2)
    assert not done, "the repair goes on waiting for the next gap"
    assert [one.time_ms for one in sink] == [first_ms, first_ms + 1000]
    running.cancel()


async def test_the_last_reading_is_known_after_a_crash_from_the_outbox(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with meter.on_tcp() as port:
        async with Gateway(tmp_path, tcp_bus(port), clock) as gateway:
            await wait_until(lambda: gateway.sealer.sealed >= 3)
            await gateway.kill()
            last = (await gateway.readings())[-1]
        (tmp_path / "dlms.marks").write_bytes(
            msgspec.json.encode(
                {
                    METER: LastReading(time_ms=START_MS - HOUR_MS, import_uwh=1, export_uwh=1),
                    "X-1": LastReading(time_ms=5, import_uwh=1, export_uwh=1),
                }
            )
        )
        outbox = Outbox(tmp_path / "outbox.db", gateway.key)
        await outbox.open()
        last_readings = LastReadings(tmp_path / "dlms.marks", structlog.get_logger())
        await last_readings.follow(
            {METER, "X-1"}, lambda: stored_readings(outbox, gateway.key.public_key())
        )
        await outbox.close()
    assert last_readings.last(METER) == LastReading(
        time_ms=last.time_ms, import_uwh=last.import_uwh, export_uwh=last.export_uwh
    )
    assert last_readings.last("X-1") == LastReading(time_ms=5, import_uwh=1, export_uwh=1)
