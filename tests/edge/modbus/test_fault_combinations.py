"""Every pair of faults that the simulator knows, on one bus: what is read is true or not there.

Two of the three meters are of one model, so that their requests and replies look alike, and their
counters lie far apart: a reply taken for another's would show.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from gridtokenx_edge.config.edge_config import MeterConfig, SerialBus
from gridtokenx_edge.log import FaultLog
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.driver import PolledMeter
from gridtokenx_edge.polling.poller import MeterPoller
from gridtokenx_sim.config.amounts import Kwh
from gridtokenx_sim.config.faults import (
    ClockOff,
    Crc,
    Drop,
    ExceptionReply,
    Frozen,
    MeterFault,
    Rollback,
    Silence,
    Slow,
    Undefined,
    kind_of,
)
from gridtokenx_sim.modbus.meter import SimMeter
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import Reading

FAULTS: list[MeterFault] = [
    Silence(),
    Crc(every=2),
    Drop(every=2),
    ExceptionReply(code=4),
    Slow(delay_ms=90),
    Frozen(),
    Rollback(kwh=Kwh(10 * 10**9)),
    ClockOff(seconds=3600),
    Undefined(),
]
MUTE = (Silence, ExceptionReply, Undefined)
"""A meter with one of these gives no reading at all."""
BUSES = 6
EVERY_MS = 150
TIMEOUT_MS = 60
KWH = 10**9
# A counter shows whole Wh, and the reading's time is a little before the meter looked.
TOLERANCE_UWH = 2 * 10**6


class Readings:
    """A sink that knows which reading of a meter is new."""

    def __init__(self) -> None:
        self.of: dict[str, list[Reading]] = {}

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def add(self, reading: Reading) -> None:
        self.of.setdefault(reading.meter, []).append(reading)

    def count(self, meter: SimMeter) -> int:
        return len(self.of.get(meter.id, []))


class Silent:
    """A log for nobody."""

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda *_, **__: None


async def poll(path: str, meters: list[SimMeter], sink: Readings) -> None:
    """The gateway's own pollers on a bus, until cancelled."""
    clock = make_clock(ClockConfig())
    log = cast(Any, Silent())
    line = Line(SerialBus(name="roof", port=path, meter=[], timeout_ms=TIMEOUT_MS), FaultLog(log))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(line.keep_up())
        for meter in meters:
            config = MeterConfig(
                id=meter.id,
                profile=meter.model,
                address=meter.address,
                poll_every_s=EVERY_MS / 1000,
            )
            reader = RegisterReader(line, config, load_profile(meter.model), clock)
            polled = PolledMeter(
                line=line,
                reader=reader,
                sink=sink,
                address=config.address,
                retries=line.retries_of(config),
            )
            tasks.create_task(MeterPoller(config, polled, clock, log).run())


class Span:
    """What a meter truly counted and what it showed while nobody changed its faults."""

    def __init__(self, meter: SimMeter) -> None:
        self._meter = meter
        self._ranges = [(each, each) for each in (meter.registers(), meter.shown())]

    def end(self) -> Span:
        """The meter's counters only rise between two changes, so two looks are the ends."""
        now = (self._meter.registers(), self._meter.shown())
        self._ranges = [(first, last) for (first, _), last in zip(self._ranges, now, strict=True)]
        return self

    def has(self, reading: Reading) -> bool:
        return any(
            _is_between(first.import_uwh, reading.import_uwh, last.import_uwh)
            and _is_between(first.export_uwh, reading.export_uwh, last.export_uwh)
            for first, last in self._ranges
        )

    def __repr__(self) -> str:
        return repr(self._ranges)


def _is_between(first_uwh: int, value_uwh: int, last_uwh: int) -> bool:
    return first_uwh - TOLERANCE_UWH <= value_uwh <= last_uwh + TOLERANCE_UWH


async def try_out(
    faults: dict[SimMeter, list[MeterFault]],
    meters: list[SimMeter],
    sink: Readings,
    until: Callable[..., Any],
) -> None:
    """Puts faults in, watches, takes them away, and waits until every meter is read again."""
    healthy = [meter for meter in meters if not faults.get(meter)]
    before = {meter: sink.count(meter) for meter in meters}
    spans = {meter: [Span(meter)] for meter in meters}
    for meter, of_meter in faults.items():
        for fault in of_meter:
            spans[meter].append(Span(meter))
            meter.inject(fault)
    for meter in meters:
        spans[meter].append(Span(meter))
    await until(lambda: all(sink.count(meter) >= before[meter] + 3 for meter in healthy))
    for meter, of_meter in faults.items():
        if any(isinstance(fault, MUTE) for fault in of_meter):
            # One poll may have been under way when the fault came.
            assert sink.count(meter) <= before[meter] + 1, f"a reading of {meter.id} in spite of it"
    for meter in meters:
        spans[meter][-1].end()
        meter.clear_faults()
        spans[meter].append(Span(meter))
    again = {meter: sink.count(meter) for meter in meters}
    await until(lambda: all(sink.count(meter) > again[meter] for meter in meters))
    for meter in meters:
        spans[meter][-1].end()
        for reading in sink.of[meter.id][before[meter] :]:
            assert any(span.has(reading) for span in spans[meter]), (
                f"{reading} is in none of {spans[meter]}"
            )


@pytest.mark.timeout(180)
async def test_every_pair_of_faults_leaves_the_other_meters_alone_and_no_value_is_wrong(
    meters: Any, wait_until: Any
) -> None:
    apart = [([one], [other]) for one, other in itertools.product(FAULTS, FAULTS)]
    together = [(list(pair), []) for pair in itertools.combinations(FAULTS, 2)]
    cases = iter(apart + together)

    async def until(condition: Callable[[], bool]) -> None:
        await wait_until(condition, 30)

    async def work(bus: Any) -> int:
        """Takes case after case on one bus; returns how many."""
        sink = Readings()
        polling = asyncio.create_task(poll(str(bus.path), bus.meters, sink))
        done = 0
        try:
            await until(lambda: all(sink.count(meter) for meter in bus.meters))
            for first, second in cases:
                faults = dict(zip(bus.meters, (first, second), strict=False))
                try:
                    await try_out(faults, bus.meters, sink, until)
                except (AssertionError, TimeoutError) as failure:
                    names = [[kind_of(fault) for fault in of] for of in (first, second)]
                    raise AssertionError(f"with {names}: {failure}") from failure
                done += 1
        finally:
            polling.cancel()
            with suppress(asyncio.CancelledError):
                await polling
        return done

    buses = [
        meters.serial(
            meters.meter("eastron_sdm120", 1, import_kwh=1000 * KWH),
            meters.meter("eastron_sdm120", 2, import_kwh=2000 * KWH),
            meters.meter("eastron_sdm630", 3, import_kwh=3000 * KWH),
            name=f"bus{number}",
        )
        for number in range(BUSES)
    ]
    for bus in buses:  # serials are the same on every bus, so each is served on its own
        assert len(bus.meter) == 3
    async with asyncio.TaskGroup() as tasks:
        works = [tasks.create_task(serve_alone(meters, bus, work)) for bus in buses]
    assert sum(task.result() for task in works) == len(apart) + len(together)


async def serve_alone(meters: Any, bus: Any, work: Callable[[Any], Any]) -> int:
    async with meters.serve(bus) as running:
        done: int = await work(running.buses[0])
        return done
