"""A driver of one's own, made of nothing but the face in polling/driver.py: it is polled, fails,
recovers, is counted and reloaded by the neutral parts. docs/developer.md tells how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.edge.polling.surroundings import surroundings

from gridtokenx_edge.polling.buses import Buses
from gridtokenx_edge.polling.driver import (
    BusFacts,
    MeterModel,
    MeterUnusableError,
    PolledMeter,
    Surroundings,
)
from gridtokenx_edge.polling.faults import LineDown, MeterSilent, MeterStrange
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.silent_meter_budget import SilentMeterBudget
from gridtokenx_edge.polling.task_supervisor import TaskSupervisor
from gridtokenx_edge.polling.watch import LineWatch
from gridtokenx_edge.progress import Progress
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import Reading

CLOCK = make_clock(ClockConfig())


# --- the config of the drums: a line of meters that are beaten on a drum ------------------------


class DrumMeter(msgspec.Struct, frozen=True):
    id: str
    beat: int
    poll_every_s: float = 0.1
    profile: str = "bongo"
    sends: bool = False
    secret: str = "known"

    @property
    def every_ms(self) -> int:
        return round(self.poll_every_s * 1000)


class DrumBus(msgspec.Struct, frozen=True):
    name: str
    meter: Sequence[DrumMeter]
    loudness: int = 1
    on_demand: bool = False


# --- the driver ---------------------------------------------------------------------------------


class World:
    """What the drums meet; the tests change it."""

    def __init__(self) -> None:
        self.fault: dict[str, Exception] = {}
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.may_prepare = asyncio.Event()
        self.may_prepare.set()
        self.events: list[str] = []
        self.sinks: dict[str, ReadingSink] = {}
        self.stored: list[Reading] = []


class DrumReader:
    clock_drift_ms = None

    def __init__(self, world: World, meter: DrumMeter, line: DrumLine) -> None:
        self._world, self._meter, self._line = world, meter, line
        self.forgotten = 0

    def forget_identity(self) -> None:
        self.forgotten += 1

    async def contact(self) -> None:
        if fault := self._world.fault.get(self._meter.id):
            self._line.watch.asked(0.01)
            if self._line.silent_meters:
                self._line.silent_meters.held(self._meter.beat, 0.01)
            raise fault

    async def poll(self) -> Reading:
        await self.contact()
        self._line.watch.asked(0.01, self._meter.beat)
        return Reading(meter=self._meter.id, time_ms=CLOCK.now_ms(), import_uwh=5, export_uwh=3)


class DrumLine:
    """A line and, at the same time, its bus."""

    def __init__(self, world: World, config: DrumBus, watch: LineWatch) -> None:
        self.name = config.name
        self.opens_on_demand = config.on_demand
        self.silent_meters = None if config.on_demand else SilentMeterBudget(50)
        self.watch = watch
        self._world = world

    @property
    def is_up(self) -> bool:
        return self._world.is_up.is_set()

    async def until_up(self) -> None:
        await self._world.is_up.wait()

    async def run(self) -> None:
        self._world.events.append(f"open {self.name}")
        try:
            while True:
                self.watch.turned()
                await asyncio.sleep(0.01)
        finally:
            self._world.events.append(f"close {self.name}")

    def open_meter(self, meter: DrumMeter, sink: ReadingSink) -> PolledMeter | None:
        if meter.secret != "known":
            raise MeterUnusableError("secret: expected one that is known")
        self._world.events.append(f"open {meter.id}")
        self._world.sinks[meter.id] = sink
        if meter.sends:
            return None
        reader = DrumReader(self._world, meter, self)
        return PolledMeter(line=self, reader=reader, sink=sink, address=meter.beat)

    async def close_meter(self, meter: str) -> None:
        self._world.events.append(f"close {meter}")


class DrumDriver:
    def __init__(self, world: World, around: Surroundings) -> None:
        self._world, self._around = world, around

    def facts(self, bus: DrumBus) -> BusFacts:
        models = {meter.id: MeterModel(address=meter.beat, maker="DRUM") for meter in bus.meter}
        return BusFacts(
            line=bus.loudness,
            where=f"drum at {bus.loudness}",
            models=models,
            poll_bound_s=60,
            turn_bound_s=30,
        )

    async def prepare(self, buses: Sequence[DrumBus]) -> None:
        self._world.events.append(f"prepare {len(buses)}")
        await self._world.may_prepare.wait()

    def open_bus(self, bus: DrumBus, watch: LineWatch) -> DrumLine:
        return DrumLine(self._world, bus, watch)

    def stored(self, readings: Sequence[Reading]) -> None:
        self._world.stored += readings

    def close(self) -> None:
        self._world.events.append("close the driver")


# --- what is around it ---------------------------------------------------------------------------


class Sink:
    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.open = 0

    def begin(self) -> None:
        self.open += 1

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)

    def end(self) -> None:
        self.open -= 1

    def count(self, meter: str) -> int:
        return sum(reading.meter == meter for reading in self.readings)


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Site:
    """The neutral parts with the drums' driver in their table."""

    def __init__(self) -> None:
        self.world, self.sink, self.log, self.progress = World(), Sink(), Log(), Progress()
        supervisor = TaskSupervisor(lambda fault: pytest.fail(repr(fault)))
        self.buses = Buses(
            {"drums": lambda around: DrumDriver(self.world, around)},
            surroundings(CLOCK, self.log),
            self.sink,
            self.progress,
            supervisor,
        )

    async def apply(self, *buses: DrumBus, grace_s: float = 1) -> None:
        self.world.events.clear()
        await self.buses.apply({"drums": buses}, grace_s)


@asynccontextmanager
async def site(*buses: DrumBus) -> AsyncIterator[Site]:
    running = Site()
    await running.apply(*buses)
    try:
        yield running
    finally:
        await running.buses.stop(1)
        running.buses.close()
    assert running.sink.open == 0, "every poll that began has ended"
    assert running.progress.hanging() == {}


LEFT, RIGHT = DrumMeter("D-1", 1), DrumMeter("D-2", 2)


async def test_its_meters_are_polled_at_grid_points_and_counted(wait_until: Any) -> None:
    async with site(DrumBus("band", [LEFT, RIGHT])) as band:
        await wait_until(lambda: band.sink.count("D-1") >= 3 and band.sink.count("D-2") >= 3)
        stats = band.buses.stats["band"]
        assert (stats.where, stats.is_up()) == ("drum at 1", True)
        assert list(stats.meters) == ["D-1", "D-2"]
        left = stats.meters["D-1"]
        assert left.last is not None
        assert (left.model.maker, left.model.address) == ("DRUM", 1)
        assert left.readings == left.answers == band.sink.count("D-1")
        assert stats.requests == len(band.sink.readings)
        points = [reading.time_ms // 100 for reading in band.sink.readings]
        assert len(points) == 2 * len(set(points)), "both at the same grid points"


@pytest.mark.parametrize("on_demand", [False, True])
async def test_a_meter_that_fails_backs_off_and_comes_back(
    wait_until: Any, *, on_demand: bool
) -> None:
    async with site(DrumBus("band", [LEFT, RIGHT], on_demand=on_demand)) as band:
        await wait_until(lambda: band.sink.readings)
        band.world.fault["D-1"] = MeterSilent("no beat")
        left = band.buses.stats["band"].meters["D-1"]
        await wait_until(lambda: left.errors["meter_silent"] >= 2)
        assert left.error == "no beat"
        assert band.log.named("meter_failed")[0] == {
            "meter": "D-1", "bus": "band", "reason": "no beat", "failed_polls": 1,
        }  # fmt: skip
        before = band.sink.count("D-2")
        await wait_until(lambda: band.sink.count("D-2") >= before + 3)
        band.world.fault.clear()
        await wait_until(lambda: band.log.named("meter_back"))
        await wait_until(lambda: not left.error)


async def test_a_stranger_is_not_read_and_is_counted_under_its_kind(wait_until: Any) -> None:
    async with site() as band:
        band.world.fault["D-1"] = MeterStrange.of_id("D-1", "D-9")
        await band.apply(DrumBus("band", [LEFT]))
        await wait_until(lambda: band.log.named("meter_strange"))
        left = band.buses.stats["band"].meters["D-1"]
        assert dict(left.errors) == {"meter_strange": 1}
        assert left.error == "expected D-1, but the meter says it is D-9"
        assert not band.sink.readings


@pytest.mark.parametrize(
    ("on_demand", "kinds"),
    [
        pytest.param(False, {}, id="the bus keeps the line up, and its meters wait for it"),
        pytest.param(True, {"line_down"}, id="the contact finds out, and its poll has failed"),
    ],
)
async def test_a_line_that_is_down_is_told_by_who_opens_it(
    wait_until: Any, kinds: set[str], *, on_demand: bool
) -> None:
    async with site(DrumBus("band", [LEFT], on_demand=on_demand)) as band:
        await wait_until(lambda: band.sink.readings)
        band.world.is_up.clear()
        band.world.fault["D-1"] = LineDown("torn")
        left = band.buses.stats["band"].meters["D-1"]
        if on_demand:
            await wait_until(lambda: left.errors)
        else:
            await asyncio.sleep(0.3)
        assert left.errors.keys() == set(kinds)
        assert [fields["reason"] for fields in band.log.named("line_down")] == ["torn"] * len(kinds)
        band.world.fault.clear()
        band.world.is_up.set()
        count = band.sink.count("D-1")
        await wait_until(lambda: band.sink.count("D-1") > count)


async def test_a_reload_touches_only_what_has_changed(wait_until: Any) -> None:
    async with site(DrumBus("band", [LEFT, RIGHT])) as band:
        await wait_until(lambda: band.sink.count("D-1") and band.sink.count("D-2"))
        kept = band.buses.stats["band"].meters["D-1"]
        await band.apply(DrumBus("band", [DrumMeter("D-2", 7), LEFT]))
        assert band.world.events == ["close D-2", "prepare 1", "open D-2"]
        stats = band.buses.stats["band"]
        assert list(stats.meters) == ["D-2", "D-1"], "in the config's order"
        assert stats.meters["D-1"] is kept
        count = band.sink.count("D-2")
        await wait_until(lambda: band.sink.count("D-2") > count)
        assert stats.meters["D-2"].model.address == 7

        await band.apply(DrumBus("band", [DrumMeter("D-2", 7), LEFT], loudness=2))
        await wait_until(lambda: "open band" in band.world.events)
        closed = ["close D-1", "close D-2"]
        assert sorted(band.world.events[:2]) == closed
        assert band.world.events[2:4] == ["close band", "prepare 1"]
        assert sorted(band.world.events[4:]) == ["open D-1", "open D-2", "open band"]
        assert band.buses.stats["band"].where == "drum at 2"

        await band.apply()
        assert sorted(band.world.events[:2]) == closed
        assert band.world.events[2:] == ["close band", "prepare 0"]
        assert band.buses.stats == {}


async def test_a_meter_that_sends_by_itself_is_counted_by_the_same_statistics() -> None:
    async with site(DrumBus("band", [DrumMeter("D-3", 3, sends=True)])) as band:
        band.world.sinks["D-3"].add(Reading(meter="D-3", time_ms=1, import_uwh=5, export_uwh=3))
        (meter,) = band.buses.stats["band"].meters.values()
        assert (meter.readings, meter.last) == (
            1,
            Reading(meter="D-3", time_ms=1, import_uwh=5, export_uwh=3),
        )
        assert band.sink.count("D-3") == 1


async def test_a_meter_whose_config_cannot_be_used_is_told_of_and_the_others_are_read(
    wait_until: Any,
) -> None:
    lost = DrumMeter("D-4", 4, secret="")
    async with site(DrumBus("band", [lost, LEFT])) as band:
        await wait_until(lambda: band.sink.count("D-1"))
        assert band.log.named("meter_unreadable") == [
            {"meter": "D-4", "reason": "secret: expected one that is known"}
        ]
        assert list(band.buses.stats["band"].meters) == ["D-4", "D-1"]


async def test_the_driver_learns_what_is_stored_and_when_all_is_done() -> None:
    async with site(DrumBus("band", [LEFT])) as band:
        reading = Reading(meter="D-1", time_ms=1, import_uwh=5, export_uwh=3)
        band.buses.stored([reading])
        assert band.world.stored == [reading]
    assert band.world.events[-1] == "close the driver"


async def test_a_reload_that_is_cancelled_midway_leaves_nothing_that_cannot_be_stopped(
    wait_until: Any,
) -> None:
    async with site(DrumBus("band", [LEFT])) as band:
        await wait_until(lambda: band.sink.readings)
        band.world.may_prepare.clear()
        louder = DrumBus("band", [LEFT, RIGHT], loudness=2)
        reload = asyncio.create_task(band.apply(louder, DrumBus("choir", [DrumMeter("D-3", 3)])))
        await wait_until(lambda: "prepare 2" in band.world.events)
        reload.cancel()
        await asyncio.wait([reload])
        band.world.may_prepare.set()
        await band.buses.stop(1)
    assert band.buses.stats == {}
