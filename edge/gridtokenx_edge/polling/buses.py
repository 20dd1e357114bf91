"""All buses of a site, whatever their drivers: opened, polled, exchanged at a reload, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from gridtokenx_edge.polling.driver import (
    Bus,
    BusFacts,
    BusSettings,
    Driver,
    MeterSettings,
    MeterUnusableError,
    PolledMeter,
    Surroundings,
)
from gridtokenx_edge.polling.poller import MeterPoller
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.reload_plan import BusOutline, plan_buses
from gridtokenx_edge.polling.stats import BusStats, LineCounter, MeterCounter, MeterStats
from gridtokenx_edge.polling.task_supervisor import TaskSupervisor, cancel
from gridtokenx_edge.progress import Progress
from gridtokenx_wire.reading import Reading

# A meter that is being closed has at least so long to end its association.
_CLOSE_S = 0.3
AnyDriver = Driver[Any, Any]
DriverTable = Mapping[str, Callable[[Surroundings], AnyDriver]]
"""What makes the driver of a section of the config; called when there is a bus for it."""


class _OpenMeter(msgspec.Struct):
    counter: MeterCounter
    task: asyncio.Task[None] | None = None


class _OpenBus(msgspec.Struct, kw_only=True):
    bus: Bus[Any]
    task: asyncio.Task[None]
    facts: BusFacts
    meters: dict[str, _OpenMeter]


class Buses:
    """The buses of a config and the pollers of their meters.

    `stats` has what is counted of each bus, in the config's order.
    """

    def __init__(
        self,
        drivers: DriverTable,
        surroundings: Surroundings,
        sink: ReadingSink,
        progress: Progress,
        supervisor: TaskSupervisor,
    ) -> None:
        self._table = drivers
        self._surroundings = surroundings
        self._sink = sink
        self._progress = progress
        self._supervisor = supervisor
        self._drivers: dict[str, AnyDriver] = {}
        self._outlines: dict[str, BusOutline] = {}
        self._open: dict[str, _OpenBus] = {}
        self.stats: dict[str, BusStats] = {}

    async def apply(self, config: Mapping[str, Sequence[BusSettings]], grace_s: float) -> None:
        """Bring what runs in line with the sections of a config; what did not change goes on.

        A poll under way may end within `grace_s`, so that its reading is not lost; the next
        poller of that meter begins at a later grid point, so that none is taken twice.
        """
        facts = self._facts(config)
        known = {meter for bus in self._outlines.values() for meter in bus.meters}
        outlines = _outlines(config, facts)
        change = plan_buses(self._outlines, outlines)
        self._outlines = outlines
        # What an apply that was cancelled did not come to open is not there to be stopped.
        meters = [(bus, meter) for bus, meter in change.stop_meters if self._is_open(bus, meter)]
        await asyncio.gather(*(self._stop_poller(*at, grace_s) for at in meters))
        await asyncio.gather(*(self._close_meter(*at, grace_s) for at in meters))
        await asyncio.gather(
            *(self._stop_bus(name) for name in change.stop_buses & self._open.keys())
        )
        for section, driver in self._drivers.items():
            buses = config.get(section, ())
            await driver.prepare(buses)
            for bus in buses:
                if bus.name in change.start_buses:
                    self._start_bus(driver, bus, facts[bus.name])
                self._open[bus.name].facts = facts[bus.name]
                for meter in bus.meter:
                    if (bus.name, meter.id) in change.start_meters:
                        self._start_meter(bus, meter, is_new=meter.id not in known)
        self._order_stats(config)

    async def stop(self, grace_s: float) -> None:
        """End all polls and close all buses."""
        await self.apply({}, grace_s)

    def stored(self, readings: Sequence[Reading]) -> None:
        """Tell the drivers that these readings are safe on the disk."""
        for driver in self._drivers.values():
            driver.stored(readings)

    def close(self) -> None:
        """Let the drivers keep what must outlive the agent, once everything is stored."""
        for driver in self._drivers.values():
            driver.close()

    def _is_open(self, bus: str, meter: str) -> bool:
        return bus in self._open and meter in self._open[bus].meters

    def _facts(self, config: Mapping[str, Sequence[BusSettings]]) -> dict[str, BusFacts]:
        """Return what the drivers know of each bus; a driver is made for its first one."""
        found: dict[str, BusFacts] = {}
        for section, buses in config.items():
            if buses and section not in self._drivers:
                self._drivers[section] = self._table[section](self._surroundings)
            found |= {bus.name: self._drivers[section].facts(bus) for bus in buses}
        return found

    def _start_bus(self, driver: AnyDriver, config: BusSettings, facts: BusFacts) -> None:
        stats = BusStats(config.name, facts.where)
        counter = LineCounter(stats)
        loop = f"line {config.name}"
        if facts.turn_bound_s is not None:
            counter.turned = self._progress.expect(loop, facts.turn_bound_s)
        bus = driver.open_bus(config, counter)
        stats.is_up = lambda: bus.is_up
        self.stats[config.name] = stats
        task = self._supervisor.spawn(bus.run(), loop)
        self._open[config.name] = _OpenBus(bus=bus, task=task, facts=facts, meters={})

    async def _stop_bus(self, name: str) -> None:
        await cancel(self._open.pop(name).task)
        self._progress.forget(f"line {name}")
        del self.stats[name]

    def _start_meter(self, bus: BusSettings, config: MeterSettings, *, is_new: bool) -> None:
        opened = self._open[bus.name]
        stats = MeterStats(config=config, model=opened.facts.models[config.id])
        self.stats[bus.name].meters[config.id] = stats
        counter = MeterCounter(stats, self._sink)
        running = opened.meters[config.id] = _OpenMeter(counter)
        clock, log = self._surroundings.clock, self._surroundings.log
        try:
            meter = opened.bus.open_meter(config, counter)
        except MeterUnusableError as error:
            log.error("meter_unreadable", meter=config.id, reason=str(error))
            return
        if not isinstance(meter, PolledMeter):
            if meter:
                meter.failed = counter.failed
                listened = meter
                stats.clock_drift_ms = lambda: listened.clock_drift_ms
            return
        reader = meter.reader
        stats.clock_drift_ms = lambda: reader.clock_drift_ms
        loop = f"meter {config.id}"
        counter.turned = self._progress.expect(loop, opened.facts.poll_bound_s)
        poller = MeterPoller(config, meter, clock, log, counter)
        running.task = self._supervisor.spawn(poller.run(is_new=is_new), loop)

    async def _stop_poller(self, bus: str, meter: str, grace_s: float) -> None:
        running = self._open[bus].meters[meter]
        if running.task:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await running.counter.idle.wait()
            await cancel(running.task)

    async def _close_meter(self, bus: str, meter: str, grace_s: float) -> None:
        opened = self._open[bus]
        del opened.meters[meter]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, _CLOSE_S)):
                await opened.bus.close_meter(meter)
        self._progress.forget(f"meter {meter}")
        del self.stats[bus].meters[meter]

    def _order_stats(self, config: Mapping[str, Sequence[BusSettings]]) -> None:
        buses = [bus for section in config.values() for bus in section]
        self.stats = {bus.name: self.stats[bus.name] for bus in buses}
        for bus in buses:
            meters = self.stats[bus.name].meters
            self.stats[bus.name].meters = {meter.id: meters[meter.id] for meter in bus.meter}


def _outlines(
    config: Mapping[str, Sequence[BusSettings]], facts: Mapping[str, BusFacts]
) -> dict[str, BusOutline]:
    return {
        bus.name: BusOutline(
            (section, facts[bus.name].line), {meter.id: meter for meter in bus.meter}
        )
        for section, buses in config.items()
        for bus in buses
    }
