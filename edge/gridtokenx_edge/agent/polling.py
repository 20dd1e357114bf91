"""All buses of a site: a line and a poller for each meter, started, stopped and exchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from gridtokenx_edge.agent.reload import plan_buses
from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.meters.plan import plan_blocks
from gridtokenx_edge.meters.profile import Profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.poller import MeterPoller
from gridtokenx_edge.modbus.readers import Readers, load_any
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.stats import BusStats, LineCounter, MeterCounter, MeterStats
from gridtokenx_edge.polling.task_supervisor import TaskSupervisor, cancel
from gridtokenx_edge.progress import Progress
from gridtokenx_wire.clock import Clock

# A loop may be late by so much before it hangs, beyond what its requests may take.
_PATIENCE_S = 60.0
# Besides its blocks, a poll may have to find its place again and ask who the meter is.
_OTHER_REQUESTS = 3
# A SunSpec unit is walked from model to model, at three possible places.
_SUNSPEC_REQUESTS = 60


class _Meter(msgspec.Struct):
    counter: MeterCounter
    task: asyncio.Task[None]


class _Bus(msgspec.Struct):
    line: Line
    readers: Readers
    task: asyncio.Task[None]
    meters: dict[str, _Meter]


class Polling:
    """The pollers of all buses. `tallies` has what they count, in the config's order."""

    def __init__(
        self,
        sink: ReadingSink,
        clock: Clock,
        log: Logger,
        progress: Progress,
        crew: TaskSupervisor,
        is_synchronised: Callable[[], bool] = lambda: True,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._log = log
        self._progress = progress
        self._supervisor = crew
        self._is_synchronised = is_synchronised
        self._config: Sequence[BusConfig] = ()
        self._buses: dict[str, _Bus] = {}
        self.tallies: dict[str, BusStats] = {}

    async def apply(self, config: Sequence[BusConfig], grace_s: float) -> None:
        """Brings what runs in line with `config`; what did not change is not touched.

        A poll under way may end within `grace_s`, so that its reading is not lost; the next
        poller of that meter begins at a later grid point, so that none is taken twice.
        """
        change = plan_buses(self._config, config)
        known = {meter.id for bus in self._config for meter in bus.meter}
        self._config = config
        await asyncio.gather(*(self._stop_meter(*at, grace_s) for at in change.stop_meters))
        await asyncio.gather(*(self._stop_bus(name) for name in change.stop_buses))
        for bus in config:
            if bus.name in change.start_buses:
                self._start_bus(bus)
            for meter in bus.meter:
                if (bus.name, meter.id) in change.start_meters:
                    self._start_meter(bus, meter, is_new=meter.id not in known)
        self._order_tallies()

    async def stop(self, grace_s: float) -> None:
        """Ends all polls."""
        await self.apply((), grace_s)

    def _start_bus(self, bus: BusConfig) -> None:
        tally = BusStats(bus)
        loop = f"line {bus.name}"
        beat = self._progress.expect(loop, _PATIENCE_S + 4 * bus.timeout_ms / 1000)
        line = Line(bus, FaultLog(self._log), LineCounter(tally, beat))
        tally.is_up = lambda: line.is_up
        self.tallies[bus.name] = tally
        self._buses[bus.name] = _Bus(
            line,
            Readers(line, self._clock, self._is_synchronised),
            self._supervisor.spawn(line.keep_up(), loop),
            {},
        )

    async def _stop_bus(self, name: str) -> None:
        await cancel(self._buses.pop(name).task)
        self._progress.forget(f"line {name}")
        del self.tallies[name]

    def _start_meter(self, bus: BusConfig, meter: MeterConfig, *, is_new: bool) -> None:
        running = self._buses[bus.name]
        loop = f"meter {meter.id}"
        beat = self._progress.expect(loop, poll_bound_s(bus))
        reader = running.readers.make(meter)
        tally = MeterStats(meter, clock_drift_ms=lambda: reader.clock_drift_ms)
        self.tallies[bus.name].meters[meter.id] = tally
        counter = MeterCounter(tally, self._sink, beat)
        poller = MeterPoller(running.line, meter, reader, counter, self._clock, self._log, counter)
        running.meters[meter.id] = _Meter(
            counter, self._supervisor.spawn(poller.run(is_new=is_new), loop)
        )

    async def _stop_meter(self, bus: str, meter: str, grace_s: float) -> None:
        running = self._buses[bus].meters.pop(meter)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await running.counter.idle.wait()
        await cancel(running.task)
        self._progress.forget(f"meter {meter}")
        del self.tallies[bus].meters[meter]

    def _order_tallies(self) -> None:
        ordered = {bus.name: self.tallies[bus.name] for bus in self._config}
        for bus in self._config:
            meters = ordered[bus.name].meters
            ordered[bus.name].config = bus
            ordered[bus.name].meters = {meter.id: meters[meter.id] for meter in bus.meter}
        self.tallies = ordered


def poll_bound_s(bus: BusConfig) -> float:
    """How long a poll may take at most, in seconds: every meter of the bus comes before it, and
    each of their requests waits in vain as often as it may; meters that are silent also wait until
    their share of the bus allows. Longer than that is a hang."""
    longest_s = 0.0
    for meter in bus.meter:
        profile = load_any(meter.profile)
        requests, gap_ms = _SUNSPEC_REQUESTS, 0
        if isinstance(profile, Profile):
            requests = len(plan_blocks(profile, set(), bridge=False)) + _OTHER_REQUESTS
            gap_ms = profile.min_gap_ms
        timeout_ms = bus.timeout_ms if meter.timeout_ms is None else meter.timeout_ms
        retries = bus.retries if meter.retries is None else meter.retries
        longest_s += requests * (1 + retries) * (timeout_ms + gap_ms) / 1000
    return _PATIENCE_S + longest_s * 100 / bus.silent_share_percent
