"""Reading SunSpec meters and inverters: simulated ones on lines, and dumps of real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.edge.meters.sunspec_dumps import (
    KOSTAL,
    SMA_AT_NIGHT,
    SOLAREDGE,
    changed,
    read,
    registers,
)

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.readers import Readers
from gridtokenx_edge.modbus.sunspec_reader import SunSpecReader
from gridtokenx_edge.polling.faults import MeterGarbled, MeterSilent, MeterStrange, ValueMissing
from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.config.faults import ExceptionReply, Silence, Undefined
from gridtokenx_sim.config.sim_config import SimConfig, Site
from gridtokenx_sim.simulation import serve
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import ReadingFlag

CLOCK = make_clock(ClockConfig())
MIDNIGHT = datetime(2026, 6, 21, tzinfo=UTC)
_SITE = Site(latitude=48.2, longitude=16.37, start=MIDNIGHT)
_HOUR_MS = 3_600_000


@asynccontextmanager
async def line_to(bus: BusConfig) -> AsyncIterator[Line]:
    line = Line(bus, FaultLog(start_logging()))
    await line.connect()
    try:
        yield line
    finally:
        line.close()


def sunspec(readers: Readers, meter: str, profile: str, address: int, **more: Any) -> SunSpecReader:
    reader = readers.make(MeterConfig(id=meter, profile=profile, address=address, **more))
    assert isinstance(reader, SunSpecReader)
    return reader


# --- simulated ----------------------------------------------------------------------------------


@asynccontextmanager
async def simulated(
    meters: Any, model: str, kind: str = "serial", **more: Any
) -> AsyncIterator[tuple[SunSpecReader, Any, HandClock]]:
    """A reader and the simulated meter that it reads, alone on a bus, on a summer's noon."""
    clock = HandClock(round(MIDNIGHT.timestamp() * 1000) + 11 * _HOUR_MS)
    bus = getattr(meters, kind)(meters.meter(model, 1, **more))
    async with serve(SimConfig(_SITE, (bus,)), clock) as running:
        (served,) = running.buses
        (meter,) = running.meters
        edge_bus: BusConfig = (
            SerialBus(name="roof", port=str(served.path), meter=[], timeout_ms=300)
            if served.kind == "serial"
            else TcpBus(name="hall", host=served.host, meter=[], port=served.port, timeout_ms=300)
        )
        async with line_to(edge_bus) as line:
            profile = model.removesuffix("_float")
            yield sunspec(Readers(line, CLOCK), meter.id, profile, 1), meter, clock


@pytest.mark.parametrize("base", [0, 40_000, 50_000])
@pytest.mark.parametrize(
    ("model", "kind"), [("sunspec_meter", "serial"), ("sunspec_meter_float", "tcp")]
)
async def test_a_meters_reading_agrees_with_its_own_registers(
    meters: Any, model: str, kind: str, base: int
) -> None:
    async with simulated(meters, model, kind, solar_kwp=1000, sunspec_base=base) as (
        reader,
        meter,
        clock,
    ):
        for _ in range(3):
            truth = meter.registers()
            reading = await reader.poll()
            assert reading.meter == meter.id == "SUN-SIM-1001"
            assert abs(truth.import_uwh - reading.import_uwh) < 10**6
            assert abs(truth.export_uwh - reading.export_uwh) < 10**6
            assert abs(1000 * reading.power_w - truth.power_mw) <= 1000
            assert reading.flags == 0
            clock.advance(4 * _HOUR_MS)


@pytest.mark.parametrize("model", ["sunspec_inverter", "sunspec_inverter_float"])
async def test_an_inverter_counts_what_it_feeds_in_and_has_no_import(
    meters: Any, model: str
) -> None:
    panels = {"solar_kwp": 6000, "annual_load_kwh": 0, "import_kwh": 0}
    async with simulated(meters, model, "tcp", **panels) as (reader, meter, _):
        truth = meter.registers()
        reading = await reader.poll()
        assert reading.flags == ReadingFlag.NO_IMPORT
        assert reading.import_uwh == 0
        assert abs(truth.export_uwh - reading.export_uwh) < 10**7
        assert reading.power_w < -1000
        assert abs(1000 * reading.power_w - truth.power_mw) <= 1000
        values = await reader.values(("voltage_l1", "current_l1", "frequency"))
        assert list(values) == ["current_l1", "voltage_l1", "frequency"]
        assert 220_000 < (values["voltage_l1"] or 0) < 240_000
        assert 2_000 < (values["current_l1"] or 0) < 20_000
        assert 49_900 < (values["frequency"] or 0) < 50_100


async def test_an_inverter_that_sleeps_but_counts_is_read_without_power(meters: Any) -> None:
    panels = {"solar_kwp": 6000, "annual_load_kwh": 0, "import_kwh": 0}
    async with simulated(meters, "sunspec_inverter", **panels) as (reader, meter, clock):
        clock.advance(12 * _HOUR_MS)
        assert meter.registers().power_mw == 0
        reading = await reader.poll()
        assert reading.flags == ReadingFlag.NO_IMPORT | ReadingFlag.NO_POWER
        assert reading.power_w == 0


async def test_an_inverter_that_shows_nothing_is_a_value_missing_until_it_wakes(
    meters: Any,
) -> None:
    async with simulated(meters, "sunspec_inverter", import_kwh=0) as (reader, meter, _):
        meter.inject(Undefined())
        with pytest.raises(ValueMissing, match="may be asleep"):
            await reader.poll()
        meter.clear_faults()
        assert (await reader.poll()).export_uwh


async def test_a_register_that_held_a_value_does_not_fall_back_to_none(meters: Any) -> None:
    async with simulated(meters, "sunspec_meter", solar_kwp=0, export_kwh=0) as (reader, meter, _):
        reading = await reader.poll()
        assert reading.flags == ReadingFlag.NO_EXPORT  # a zero is not accumulated
        meter.inject(Undefined())
        with pytest.raises(ValueMissing):
            await reader.poll()


@pytest.mark.parametrize("code", [4, 6, 11])
async def test_exceptions_of_an_inverter_asleep_are_told_and_end(meters: Any, code: int) -> None:
    async with simulated(meters, "sunspec_inverter", "tcp") as (reader, meter, _):
        meter.inject(ExceptionReply(code=code))
        with pytest.raises(MeterRefused):
            await reader.poll()
        meter.clear_faults()
        await reader.poll()


# --- dumps --------------------------------------------------------------------------------------


class Unit:
    """The registers of a dump behind an RTU server, and what was asked of them."""

    def __init__(self, words: Mapping[int, int], frame: Callable[[str], bytes]) -> None:
        self.words = dict(words)
        self.silent: set[int] = set()
        self.late_s: dict[int, float] = {}
        self.asked: list[tuple[int, int]] = []
        self._frame = frame

    def answer(self, request: bytes) -> list[tuple[float, bytes]]:
        address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        self.asked.append((address, count))
        if address in self.silent:
            return []
        words = read(self.words, address, count)
        if words is None:
            return [(0.0, self._frame(f"{request[0]:02x} 83 02"))]
        data = b"".join(word.to_bytes(2, "big") for word in words).hex()
        reply = self._frame(f"{request[0]:02x} 03 {2 * count:02x} {data}")
        return [(self.late_s.pop(address, 0.0), reply)]


@asynccontextmanager
async def unit_of(
    rtu_server: Any, rtu: Callable[[str], bytes], words: Mapping[int, int]
) -> AsyncIterator[tuple[Unit, Readers]]:
    unit = Unit(words, rtu)
    async with rtu_server(unit.answer) as server:
        bus = TcpBus(
            name="dump",
            host="127.0.0.1",
            meter=[],
            port=server.port,
            rtu_over_tcp=True,
            timeout_ms=200,
        )
        async with line_to(bus) as line:
            yield unit, Readers(line, CLOCK)


async def test_an_inverter_and_its_two_meters_stand_behind_one_address(
    rtu_server: Any, rtu: Any
) -> None:
    async with unit_of(rtu_server, rtu, registers(SOLAREDGE)) as (unit, readers):
        inverter = sunspec(readers, "SOLAREDGE-731A2B70", "sunspec_inverter", 1)
        unnamed = sunspec(readers, "SOLAREDGE-GRID", "sunspec_meter", 1)
        named = sunspec(readers, "SOLAREDGE-AB12", "sunspec_meter", 1, instance=2)
        await asyncio.gather(*(reader.contact() for reader in (inverter, unnamed, named)))
        walk = [*unit.asked]
        assert len(walk) == 1 + 7 + 3  # the marker, six models and the end, three nameplates
        readings = [await reader.poll() for reader in (inverter, unnamed, named)]
        assert unit.asked[len(walk) :] == [(40_069, 27), (40_188, 55), (40_362, 55)]
    assert [reading.power_w for reading in readings] == [-509, 91, 91]  # SolarEdge: + is export
    assert [reading.flags for reading in readings] == [
        ReadingFlag.NO_IMPORT,
        ReadingFlag.CONFIGURED_ID,
        0,
    ]
    assert readings[1].import_uwh == 18_090_016 * 10**6


@pytest.mark.parametrize(
    ("dump", "name", "profile", "instance", "reason"),
    [
        (
            SOLAREDGE,
            "SOLAREDGE-AB12",
            "sunspec_meter",
            3,
            "expected meter 3 .* it has 2",
        ),
        (SOLAREDGE, "ABB-1", "sunspec_meter", 1, "expected ABB-1, but its maker is SOLAREDGE"),
        (SMA_AT_NIGHT, "SMA-1", "sunspec_inverter", 1, "expected SMA-1, but .* SMA-3005067415"),
        (SMA_AT_NIGHT, "SMA-1", "sunspec_meter", 1, "expected meter 1 of this unit, it has 0"),
        (KOSTAL, "KOSTAL-93558WFJ00073", "sunspec_meter", 1, "KOSTAL-93558WFJ00073-METER"),
        ("1234 5678", "SMA-1", "sunspec_meter", 1, "expected SunSpec at register 40000, 50000"),
        (
            "5375 6E53 0001 0041 [40052] 3132 [40068] 0001 0065 0032 [40121] FFFF 0000",
            "AB-12",
            "sunspec_inverter",
            1,
            "expected a maker in the common model, found none",
        ),
        (
            "5375 6E53 0001 0041 4142 [40052] 3132 [40068] 0001 0065 0010 [40087] FFFF 0000",
            "AB-12",
            "sunspec_inverter",
            1,
            "expected more of model 101 than 16 registers",
        ),
        (
            "5375 6E53 0001 0041 4142 [40052] 3132 [40068] 0001 0007",
            "AB-12",
            "sunspec_meter",
            1,
            r"it has 0 \(expected a model at register 40069, which was refused\)",
        ),
    ],
)
async def test_what_is_not_the_configured_meter_is_strange_and_says_what_it_is(
    rtu_server: Any, rtu: Any, dump: str, name: str, profile: str, instance: int, reason: str
) -> None:
    async with unit_of(rtu_server, rtu, registers(dump)) as (_, readers):
        reader = sunspec(readers, name, profile, 1, instance=instance)
        with pytest.raises(MeterStrange, match=reason):
            await reader.contact()


async def test_kostals_counter_that_runs_downwards_is_read_upwards(
    rtu_server: Any, rtu: Any
) -> None:
    async with unit_of(rtu_server, rtu, registers(KOSTAL)) as (_, readers):
        reading = await sunspec(readers, "KOSTAL-93558WFJ00073-METER", "sunspec_meter", 1).poll()
    assert (reading.import_uwh, reading.export_uwh) == (6_789 * 10**6, 4_711 * 10**6)


async def test_registers_that_have_moved_are_found_again(rtu_server: Any, rtu: Any) -> None:
    async with unit_of(rtu_server, rtu, registers(SOLAREDGE)) as (unit, readers):
        reader = sunspec(readers, "SOLAREDGE-AB12", "sunspec_meter", 1, instance=2)
        before = await reader.poll()
        # The first meter was taken away: the second one stands in its place, and is the first.
        moved = {place - 174: word for place, word in unit.words.items() if place >= 40_295}
        unit.words = {place: unit.words[place] for place in range(40_000, 40_121)} | moved
        with pytest.raises(MeterGarbled, match="expected model 203 at register 40362"):
            await read_past_the_end(reader, unit)
        with pytest.raises(MeterStrange, match="expected meter 2 of this unit, it has 1"):
            await reader.poll()
        first = sunspec(readers, "SOLAREDGE-AB12", "sunspec_meter", 1)
        assert (await first.poll()).import_uwh == before.import_uwh


async def read_past_the_end(reader: SunSpecReader, unit: Unit) -> None:
    """A device answers zeros where there is nothing any more."""
    unit.words |= dict.fromkeys(range(40297, 40500), 0)
    await reader.poll()


async def test_a_bad_scale_factor_is_a_clear_fault(rtu_server: Any, rtu: Any) -> None:
    words = changed(registers(SOLAREDGE), 40_188 + 22, [0x8000])
    async with unit_of(rtu_server, rtu, words) as (_, readers):
        with pytest.raises(ValueMissing, match="active power: its scale factor is not implemented"):
            await sunspec(readers, "SOLAREDGE-GRID", "sunspec_meter", 1).poll()


async def test_registers_that_vanish_at_night_are_a_missing_value(
    rtu_server: Any, rtu: Any
) -> None:
    async with unit_of(rtu_server, rtu, registers(SMA_AT_NIGHT)) as (unit, readers):
        reader = sunspec(readers, "SMA-3005067415", "sunspec_inverter", 126)
        assert (await reader.poll()).export_uwh == 29_479_140 * 10**6
        day, unit.words = unit.words, {}
        reader.forget_identity()
        with pytest.raises(ValueMissing, match="an inverter asleep shows nothing"):
            await reader.poll()
        unit.words = day
        await reader.poll()


async def test_a_late_reply_is_not_taken_for_another_instances(rtu_server: Any, rtu: Any) -> None:
    other = changed(registers(SOLAREDGE), 40_362 + 46, [0x0000, 0x1000])
    async with unit_of(rtu_server, rtu, other) as (unit, readers):
        first = sunspec(readers, "SOLAREDGE-GRID", "sunspec_meter", 1)
        second = sunspec(readers, "SOLAREDGE-AB12", "sunspec_meter", 1, instance=2)
        truth = [(await first.poll()).import_uwh, (await second.poll()).import_uwh]
        assert truth[0] != truth[1]
        unit.late_s[40_188] = 0.25
        with pytest.raises(MeterSilent):
            await first.poll()
        assert (await second.poll()).import_uwh == truth[1]
        assert (await first.poll()).import_uwh == truth[0]


async def test_a_silent_unit_is_silent_and_not_strange(meters: Any) -> None:
    async with simulated(meters, "sunspec_inverter") as (reader, meter, _):
        meter.inject(Silence())
        with pytest.raises(MeterSilent):
            await reader.contact()


# --- the agent ----------------------------------------------------------------------------------


async def test_the_agent_reads_signs_and_sends_a_sunspec_meter_and_an_inverter(
    meters: Any, site: Any, backend: Any, ack_key: str, broker: Any, wait_until: Any
) -> None:
    roof = meters.serial(meters.meter("sunspec_meter", 1, serial="77", solar_kwp=5000))
    hall = meters.tcp(meters.meter("sunspec_inverter", 126, serial="88", import_kwh=0))
    async with meters.serve(roof, hall) as running:
        site.write(running, ack_key, broker.port)
        site.start()
        await wait_until(
            lambda: {r.meter for r in backend.readings} == {"SUN-SIM-77", "SUN-SIM-88"}
        )
        inverter = next(r for r in backend.readings if r.meter == "SUN-SIM-88")
        assert inverter.flags & ReadingFlag.NO_IMPORT
        running.meter("SUN-SIM-88").inject(Silence())
        await wait_until(lambda: site.events("meter_failed"))
        seen = len(backend.readings)
        await wait_until(lambda: len(backend.readings) > seen + 3)
        running.meter("SUN-SIM-88").clear_faults()
        await wait_until(lambda: site.events("meter_back"))
    (failed,) = site.events("meter_failed")
    assert failed["meter"] == "SUN-SIM-88"
    assert not site.events("meter_strange")
