"""Polling a bus of meters for ever, with one of them in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gridtokenx_edge.config.edge_config import MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.driver import PolledMeter
from gridtokenx_edge.polling.poller import MeterPoller
from gridtokenx_sim.config.faults import Crc, ExceptionReply, Silence, Slow
from gridtokenx_wire.clock import Clock, ClockConfig, make_clock
from gridtokenx_wire.reading import Reading

EVERY_MS = 250


class Sink:
    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.begun = 0
        self.open = 0

    def begin(self) -> None:
        self.begun += 1
        self.open += 1

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)

    def end(self) -> None:
        self.open -= 1

    def of(self, meter_id: str) -> list[Reading]:
        return [reading for reading in self.readings if reading.meter == meter_id]


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Bus:
    """A simulated bus that is being polled."""

    def __init__(self, running: Any, timeout_ms: int, clock: Clock, ids: dict[str, str]) -> None:
        self.running = running
        self.sink = Sink()
        self.log = Log()
        self.clock = clock
        self.line: Line | None = None
        self._bus = running.buses[0]
        self._timeout_ms = timeout_ms
        self._ids = ids

    async def poll(self) -> None:
        bus: SerialBus | TcpBus
        if self._bus.kind == "serial":
            port = str(self._bus.path)
            bus = SerialBus(name="roof", port=port, meter=[], timeout_ms=self._timeout_ms)
        else:
            port, host = self._bus.port, self._bus.host
            bus = TcpBus(name="hall", host=host, meter=[], port=port, timeout_ms=self._timeout_ms)
        line = self.line = Line(bus, FaultLog(cast(Any, self.log)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(line.keep_up())
            for meter in self._bus.meters:
                tasks.create_task(self._poller(line, meter).run())

    def _poller(self, line: Line, meter: Any) -> MeterPoller:
        meter_id = self._ids.get(meter.id, meter.id)
        config = MeterConfig(
            id=meter_id, profile=meter.model, address=meter.address, poll_every_s=EVERY_MS / 1000
        )
        reader = RegisterReader(line, config, load_profile(meter.model), self.clock)
        polled = PolledMeter(
            line=line,
            reader=reader,
            sink=self.sink,
            address=config.address,
            retries=line.retries_of(config),
        )
        return MeterPoller(config, polled, self.clock, cast(Any, self.log))

    def silent_s(self) -> float:
        """How long the line was held by meters that were never read."""
        assert self.line
        alive = {int(reading.meter[-2:]) for reading in self.sink.readings}
        return sum(
            spent_s
            for address, spent_s in self.line.silent_meters.spent_s.items()
            if address not in alive
        )

    def last_ms(self) -> int:
        return max((reading.time_ms for reading in self.sink.readings), default=0)


@asynccontextmanager
async def polled(
    meters: Any,
    *configs: Any,
    kind: str = "serial",
    timeout_ms: int = 100,
    ids: dict[str, str] | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Bus]:
    clock = clock or make_clock(ClockConfig())
    async with meters.serve(getattr(meters, kind)(*configs)) as running:
        bus = Bus(running, timeout_ms, clock, ids or {})
        task = asyncio.create_task(bus.poll())
        try:
            yield bus
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()):
                raise error
    assert bus.sink.open == 0, "every poll that began has ended"


def two(meters: Any) -> tuple[Any, Any]:
    return meters.meter("eastron_sdm630", 1), meters.meter("eastron_sdm120", 2)


async def test_readings_come_at_grid_points_with_little_jitter(
    meters: Any, wait_until: Any
) -> None:
    async with polled(meters, *two(meters)) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 8)
    for meter_id in ("EASTRON-1001", "EASTRON-1002"):
        times = [reading.time_ms for reading in bus.sink.of(meter_id)]
        assert all(time_ms % EVERY_MS < 150 for time_ms in times), times
        points = [time_ms // EVERY_MS for time_ms in times]
        assert points == list(range(points[0], points[0] + len(points))), "none is left out"


async def test_a_scaled_clock_sets_the_pace(meters: Any, wait_until: Any) -> None:
    fast = make_clock(ClockConfig(source="scaled", speed=2.5))
    async with polled(meters, two(meters)[0], clock=fast) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 10)
    times = [reading.time_ms for reading in bus.sink.readings]
    assert all(time_ms % EVERY_MS < 200 for time_ms in times)
    assert times[9] - times[0] < 9.5 * EVERY_MS


@pytest.mark.parametrize("fault", [Silence(), Crc(), ExceptionReply(code=4)])
async def test_a_dead_meter_backs_off_and_the_others_keep_their_pace(
    meters: Any, wait_until: Any, fault: Any
) -> None:
    async with polled(meters, *two(meters)) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 4)
        dead = bus.running.meter("EASTRON-1001")
        dead.inject(fault)
        since = len(bus.sink.of("EASTRON-1002"))
        await wait_until(lambda: len(bus.sink.of("EASTRON-1002")) >= since + 10)
        alive = [reading.time_ms for reading in bus.sink.of("EASTRON-1002")][since:]
        points = [time_ms // EVERY_MS for time_ms in alive]
        assert len(points) - len(set(points)) == 0
        assert points[-1] - points[0] <= len(points) + 1, "at most one was squeezed out"
        late = [time_ms % EVERY_MS for time_ms in alive]
        assert sorted(late)[len(late) // 2] < 100, "most polls meet no dead meter at all"
        assert bus.log.named("meter_failed")[0]["meter"] == "EASTRON-1001"
        asked = bus.sink.begun
        dead.clear_faults()
        await wait_until(lambda: bus.log.named("meter_back"), 30)
        assert bus.log.named("meter_back")[0]["meter"] == "EASTRON-1001"
        assert asked


async def test_a_single_lost_reply_costs_no_reading(meters: Any, wait_until: Any) -> None:
    async with polled(meters, two(meters)[0], timeout_ms=60) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 2)
        bus.running.meter("EASTRON-1001").inject(Crc(every=5))
        await wait_until(lambda: len(bus.sink.readings) >= 8)
    points = [reading.time_ms // EVERY_MS for reading in bus.sink.readings]
    assert len(points) == len(set(points))
    assert points[-1] - points[0] <= len(points) + 1
    assert not bus.log.named("meter_back"), "a retry is no failure"


async def test_a_stranger_is_not_read_and_the_others_are(meters: Any, wait_until: Any) -> None:
    ids = {"EASTRON-1001": "EASTRON-7"}
    async with polled(meters, *two(meters), ids=ids) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 6)
    assert {reading.meter for reading in bus.sink.readings} == {"EASTRON-1002"}
    (fault,) = bus.log.named("meter_strange")
    assert fault == {
        "meter": "EASTRON-7",
        "bus": "roof",
        "reason": "expected EASTRON-7, but the meter says it is EASTRON-1001",
    }


@pytest.mark.parametrize("kind", ["serial", "tcp"])
async def test_a_line_that_is_pulled_out_and_put_back_goes_on_without_stale_values(
    meters: Any, wait_until: Any, kind: str
) -> None:
    async with polled(meters, *two(meters), kind=kind) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 4)
        await bus.running.buses[0].unplug()
        await wait_until(lambda: bus.log.named("line_down"))
        out_ms, count = bus.clock.now_ms(), len(bus.sink.readings)
        await asyncio.sleep(2 * EVERY_MS / 1000)
        assert len(bus.sink.readings) == count
        assert bus.last_ms() <= out_ms
        back_ms = bus.clock.now_ms()
        await bus.running.buses[0].replug()
        await wait_until(lambda: len(bus.sink.readings) >= count + 4, 30)
        for reading in bus.sink.readings[count:]:
            assert reading.time_ms >= back_ms
            truth = bus.running.meter(reading.meter).registers(reading.time_ms)
            assert abs(reading.import_uwh - truth.import_uwh) <= 10**6
    assert not bus.log.named("meter_failed"), "the meters are not to blame"


async def test_a_bus_that_cannot_keep_up_skips_points_and_says_so(
    meters: Any, wait_until: Any
) -> None:
    async with polled(meters, two(meters)[0], timeout_ms=2000) as bus:
        await wait_until(lambda: bus.sink.readings)
        bus.running.meter("EASTRON-1001").inject(Slow(delay_ms=400))
        await wait_until(lambda: bus.log.named("polls_missed"))
        since = len(bus.sink.readings)
        await wait_until(lambda: len(bus.sink.readings) >= since + 3)
    times = [reading.time_ms for reading in bus.sink.readings[since:]]
    assert all(time_ms % EVERY_MS < 100 for time_ms in times), "on the grid, never in a burst"


async def test_a_clock_that_is_set_back_does_not_stop_the_polls(
    meters: Any, wait_until: Any
) -> None:
    class Stepping:
        offset_ms = 0

        def now_ms(self) -> int:
            return make_clock(ClockConfig()).now_ms() + self.offset_ms

        def real_seconds(self, duration_ms: int) -> float:
            return duration_ms / 1000

    clock = Stepping()
    async with polled(meters, two(meters)[0], clock=clock) as bus:
        await wait_until(lambda: bus.sink.readings)
        clock.offset_ms = -3_600_000
        count = len(bus.sink.readings)
        await wait_until(lambda: len(bus.sink.readings) >= count + 3, 5)
        clock.offset_ms = 0
        count = len(bus.sink.readings)
        await wait_until(lambda: len(bus.sink.readings) >= count + 3, 5)


@pytest.mark.parametrize("dead", [1, 3])
async def test_dead_meters_cost_at_most_their_declared_share_of_the_bus(
    meters: Any, wait_until: Any, dead: int
) -> None:
    """Fifteen live meters, and up to three that were never there: in any span of time the dead
    ones together hold the line for a tenth of it, and one time-out more."""
    live = [meters.meter("eastron_sdm630", at) for at in range(1, 16)]
    gone = [meters.meter("eastron_sdm630", at, fault=[{"kind": "silence"}]) for at in (31, 32, 33)]
    async with polled(meters, *live, *gone[:dead], timeout_ms=60) as bus:
        await wait_until(lambda: len(bus.log.named("meter_failed")) >= dead)
        began_s, before_s = asyncio.get_running_loop().time(), bus.silent_s()
        since = len(bus.sink.readings)
        await wait_until(lambda: bus.silent_s() > before_s)
        await asyncio.sleep(1)
        elapsed_s = asyncio.get_running_loop().time() - began_s
        assert bus.silent_s() - before_s <= 0.1 * elapsed_s + 0.07
        rounds = elapsed_s * 1000 / EVERY_MS
        assert len(bus.sink.readings) - since >= 15 * (rounds - 2) * 0.8


async def test_silent_meters_all_come_back_when_their_fuse_is_put_in(
    meters: Any, wait_until: Any
) -> None:
    """Where no meter answers, none has to wait for the others' share."""
    silence = [{"kind": "silence"}]
    all_dead = [meters.meter("eastron_sdm630", at, fault=silence) for at in range(1, 7)]
    async with polled(meters, *all_dead, timeout_ms=60) as bus:
        await wait_until(lambda: len({f["meter"] for f in bus.log.named("meter_failed")}) == 6)
        for meter in bus.running.meters:
            meter.clear_faults()
        await wait_until(lambda: len({r.meter for r in bus.sink.readings}) == 6, 10)


async def test_a_meter_that_has_become_slow_is_read_at_the_first_retry(
    meters: Any, wait_until: Any
) -> None:
    async with polled(meters, two(meters)[0], timeout_ms=400) as bus:
        await wait_until(lambda: len(bus.sink.readings) >= 3)
        bus.running.meter("EASTRON-1001").inject(Slow(delay_ms=150))
        since = len(bus.sink.readings)
        await wait_until(lambda: len(bus.sink.readings) >= since + 4)
    assert not bus.log.named("meter_failed")
