"""Reading one meter: identity, values, and replies that come too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.faults import MeterSilent, MeterStrange, ValueMissing
from gridtokenx_sim.config.faults import Crc, ExceptionReply, Frozen, Silence, Slow, Undefined
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import ReadingFlag

CLOCK = make_clock(ClockConfig())


def bus_of(running_bus: Any, timeout_ms: int = 300) -> BusConfig:
    if running_bus.kind == "serial":
        return SerialBus(
            name=running_bus.name, port=str(running_bus.path), meter=[], timeout_ms=timeout_ms
        )
    return TcpBus(
        name=running_bus.name,
        host=running_bus.host,
        meter=[],
        port=running_bus.port,
        timeout_ms=timeout_ms,
    )


@asynccontextmanager
async def reader_of(
    bus: BusConfig, meter_id: str, model: str, address: int, **more: Any
) -> AsyncIterator[RegisterReader]:
    line = Line(bus, FaultLog(start_logging()))
    await line.connect()
    config = MeterConfig(id=meter_id, profile=model, address=address, **more)
    try:
        yield RegisterReader(line, config, load_profile(model), CLOCK)
    finally:
        line.close()


@asynccontextmanager
async def simulated(
    meters: Any, model: str, *, kind: str = "serial", timeout_ms: int = 300, **more: Any
) -> AsyncIterator[tuple[RegisterReader, Any]]:
    """A reader and the simulated meter that it reads, alone on a bus."""
    config = {key: more.pop(key) for key in ("invert",) if key in more}
    bus = getattr(meters, kind)(meters.meter(model, 1, **more))
    async with meters.serve(bus) as running:
        (meter,) = running.meters
        edge_bus = bus_of(running.buses[0], timeout_ms)
        async with reader_of(edge_bus, meter.id, model, 1, **config) as reader:
            yield reader, meter


@pytest.mark.parametrize(
    ("model", "kind", "step_uwh"),
    [
        ("abb_b23", "serial", 10**7),
        ("carlo_gavazzi_em24_e1", "tcp", 10**8),
        ("carlo_gavazzi_em24_rs485", "serial", 10**8),
        ("carlo_gavazzi_em340", "serial", 10**8),
        ("eastron_sdm120", "serial", 10**6),
        ("eastron_sdm230", "serial", 10**6),
        ("eastron_sdm630", "tcp", 10**6),
        ("eastron_sdm72d_m", "serial", 10**6),
        ("schneider_iem3155", "serial", 10**6),
    ],
)
async def test_a_reading_agrees_with_the_meters_own_registers(
    meters: Any, model: str, kind: str, step_uwh: int
) -> None:
    async with simulated(meters, model, kind=kind) as (reader, meter):
        before = meter.registers()
        reading = await reader.poll()
        after = meter.registers()
    assert reading.meter == meter.id
    assert before.time_ms <= reading.time_ms <= after.time_ms
    assert before.import_uwh - step_uwh <= reading.import_uwh <= after.import_uwh + step_uwh
    assert abs(reading.export_uwh - after.export_uwh) <= step_uwh
    assert abs(reading.power_w - after.power_mw / 1000) <= 1
    assert reading.flags == 0


async def test_an_inverted_meter_has_its_registers_exchanged(meters: Any) -> None:
    async with simulated(meters, "eastron_sdm630", invert=True) as (reader, meter):
        reading = await reader.poll()
        assert reading.export_uwh >= 1234 * 10**9
        assert reading.import_uwh == 567 * 10**9
        assert reading.power_w == pytest.approx(-meter.registers().power_mw / 1000, abs=1)


@pytest.mark.parametrize("model", ["abb_b23", "carlo_gavazzi_em24_rs485"])
async def test_a_meter_without_an_export_register_says_so(meters: Any, model: str) -> None:
    async with simulated(meters, model, has_export=False, export_kwh=0) as (reader, _):
        for _ in range(2):
            reading = await reader.poll()
            assert reading.flags == ReadingFlag.NO_EXPORT
            assert reading.export_uwh == 0


async def test_another_meter_than_the_configured_one_is_not_read(meters: Any) -> None:
    bus = meters.serial(meters.meter("eastron_sdm630", 1, "12345678"))
    async with meters.serve(bus) as running:
        edge_bus = bus_of(running.buses[0])
        async with reader_of(edge_bus, "EASTRON-12345679", "eastron_sdm630", 1) as reader:
            for _ in range(2):
                with pytest.raises(MeterStrange, match="the meter says it is EASTRON-12345678"):
                    await reader.poll()


async def test_another_model_than_the_configured_one_is_not_read(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    replies = {
        rtu("01 03 89 00 00 02"): rtu("01 03 04 00 00 04 d2"),
        rtu("01 03 89 60 00 02"): rtu("01 03 04 43 31 31 20"),  # "C11 "
    }
    async with rtu_server(lambda request: [(0, replies[request])]) as server:
        bus = TcpBus(name="bench", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        async with reader_of(bus, "ABB-1234", "abb_b23", 1) as reader:
            with pytest.raises(MeterStrange, match="type code is 0x43313120"):
                await reader.poll()


async def test_a_meter_that_has_lost_its_serial_number_is_not_read(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    async with rtu_server(lambda _: [(0, rtu("01 03 04 00 00 00 00"))]) as server:
        bus = TcpBus(name="bench", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        async with reader_of(bus, "EASTRON-1", "eastron_sdm120", 1) as reader:
            with pytest.raises(MeterStrange, match="no serial number"):
                await reader.poll()


async def test_the_identity_is_read_again_after_a_reconnection(meters: Any) -> None:
    bus = meters.tcp(meters.meter("eastron_sdm630", 1, "12345678"))
    async with meters.serve(bus) as running:
        running_bus = running.buses[0]
        line = Line(bus_of(running_bus), FaultLog(start_logging()))
        await line.connect()
        config = MeterConfig(id="EASTRON-12345678", profile="eastron_sdm630", address=1)
        reader = RegisterReader(line, config, load_profile("eastron_sdm630"), CLOCK)
        await reader.poll()
        port = running_bus.port
    other = meters.tcp(meters.meter("eastron_sdm630", 1, "99"))
    other = type(other)(name=other.name, meter=other.meter, port=port)
    async with meters.serve(other):
        await line.connect()
        with pytest.raises(MeterStrange, match="EASTRON-99"):
            await reader.poll()
        line.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Silence(), MeterSilent),
        (Crc(), MeterSilent),
        (ExceptionReply(code=6), MeterRefused),
        (Undefined(), ValueMissing),
    ],
)
async def test_a_faulty_meter_gives_no_reading_and_then_is_well_again(
    meters: Any, fault: Any, error: type[Exception]
) -> None:
    async with simulated(meters, "abb_b23", timeout_ms=150) as (reader, meter):
        await reader.poll()
        meter.inject(fault)
        for _ in range(2):
            with pytest.raises(error):
                await reader.poll()
        meter.clear_faults()
        reading = await reader.poll()
        assert reading.import_uwh >= 1234 * 10**9
        assert CLOCK.now_ms() - reading.time_ms < 1000


async def test_an_export_register_that_vanishes_is_no_zero(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    """A meter without export is one thing, one that stops telling it another."""
    energies = iter(["00" * 6 + "12 d6" + "00" * 6 + "00 07"] + ["00" * 6 + "12 d7" + "ff" * 8] * 2)
    answers = {
        rtu("01 03 89 00 00 02"): lambda: "01 03 04 00 00 04 d2",
        rtu("01 03 89 60 00 02"): lambda: "01 03 04 42 32 33 20",
        rtu("01 03 50 00 00 08"): lambda: "01 03 10" + next(energies),
        rtu("01 03 5b 14 00 02"): lambda: "01 03 04 00 00 00 00",
    }
    async with rtu_server(lambda request: [(0, rtu(answers[request]()))]) as server:
        bus = TcpBus(name="bench", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        async with reader_of(bus, "ABB-1234", "abb_b23", 1) as reader:
            assert (await reader.poll()).export_uwh == 7 * 10**7
            for _ in range(2):
                with pytest.raises(ValueMissing, match="export"):
                    await reader.poll()


async def test_a_late_reply_is_never_taken_for_the_next_requests(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    """A meter that is one reply behind, with requests of the same length for other registers.

    Import, export and power of this model are all two registers long: only asking for something
    of another length can show that the line is in step again.
    """
    import_ask, export_ask = rtu("01 04 00 3e 00 02"), rtu("01 04 00 5c 00 02")
    values = {
        rtu("01 03 13 00 00 07"): "01 03 0e 4b 31" + "00" * 12,
        import_ask: "01 04 04 00 0a 00 00",  # 1 kWh
        export_ask: "01 04 04 00 14 00 00",  # 2 kWh
        rtu("01 04 00 28 00 02"): "01 04 04 00 1e 00 00",  # 3 W
    }
    late = iter([0.0, 0.0, 0.16])  # the identity, one import, and then one that comes too late

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        delay_s = next(late, 0.0) if request in (import_ask, export_ask) else 0.0
        return [(delay_s, rtu(values[request]))]

    async with rtu_server(answer) as server:
        bus = TcpBus(
            name="x",
            host="127.0.0.1",
            meter=[],
            port=server.port,
            rtu_over_tcp=True,
            timeout_ms=100,
        )
        meter_id = "CARLO-GAVAZZI-K1"
        async with reader_of(bus, meter_id, "carlo_gavazzi_em24_rs485", 1) as reader:
            await reader.poll()
            with pytest.raises(MeterSilent):
                await reader.poll()
            count = len(server.requests)
            reading = await reader.poll()
            assert (reading.import_uwh, reading.export_uwh) == (10**9, 2 * 10**9)
            assert reading.power_w == 3
            assert len(server.requests[count]) == 8
            assert server.requests[count] == rtu("01 03 13 00 00 07"), "first something else"


async def test_a_very_late_reply_is_passed_over_where_one_of_another_length_is_expected(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    """It comes after the settling time, while something of another length is being asked."""
    energies, identity = rtu("01 04 00 48 00 04"), rtu("01 03 fc 00 00 02")
    power = rtu("01 04 00 0c 00 02")
    good = {
        energies: rtu("01 04 08 3f 80 00 00 40 00 00 00"),
        identity: rtu("01 03 04 00 00 00 01"),
        power: rtu("01 04 04 00 00 00 00"),
    }
    script = iter(["ok", "lost", "late"])

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        if request == energies:
            return [] if next(script, "ok") == "lost" else [(0, good[request])]
        if request == identity and len(server.requests) > 4:
            return [(0.0, good[energies]), (0.02, good[request])]  # the meter is one behind
        return [(0, good[request])]

    async with rtu_server(answer) as server:
        bus = TcpBus(
            name="x", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True, timeout_ms=60
        )
        async with reader_of(bus, "EASTRON-1", "eastron_sdm120", 1) as reader:
            assert (await reader.poll()).import_uwh == 10**9
            with pytest.raises(MeterSilent):
                await reader.poll()
            assert (await reader.poll()).import_uwh == 10**9
            assert len(server.requests) == 7, "the identity showed that the line is in step"


async def test_a_slow_meter_is_read_as_long_as_it_is_in_time(meters: Any) -> None:
    async with simulated(meters, "eastron_sdm630", timeout_ms=400) as (reader, meter):
        meter.inject(Slow(delay_ms=100))
        started_ms = CLOCK.now_ms()
        reading = await reader.poll()
        assert reading.time_ms >= started_ms + 100, "after the identity's reply"
        assert CLOCK.now_ms() >= reading.time_ms + 100, "when it was asked for, not later"


async def test_a_frozen_meter_is_read_anew_each_time(meters: Any) -> None:
    async with simulated(meters, "eastron_sdm630") as (reader, meter):
        meter.inject(Frozen())
        first = await reader.poll()
        second = await reader.poll()
        assert first.import_uwh == second.import_uwh
        assert first.time_ms < second.time_ms


async def test_a_meter_that_wants_a_rest_gets_it_while_others_are_read(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    times: list[tuple[int, float]] = []
    loop = asyncio.get_running_loop()
    answers = {
        bytes.fromhex("03 fc 00 00 02"): "03 04 00 00 00 01",
        bytes.fromhex("04 00 34 00 18"): "04 30" + "00" * 48,
    }

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        times.append((request[0], loop.time()))
        return [(0, rtu(f"{request[0]:02x}" + answers[request[1:6]]))]

    async with rtu_server(answer) as server:
        bus = TcpBus(name="x", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        readers = [
            RegisterReader(
                line,
                MeterConfig(id="EASTRON-1", profile=model, address=at),
                load_profile(model),
                CLOCK,
            )
            for at, model in ((1, "eastron_sdm72d_m"), (2, "eastron_sdm630"))
        ]
        await asyncio.gather(*(reader.poll() for reader in readers))
        line.close()
    resting = [at for address, at in times if address == 1]
    other = [at for address, at in times if address == 2]
    assert resting[1] - resting[0] >= 0.5
    assert other[-1] < resting[1]
