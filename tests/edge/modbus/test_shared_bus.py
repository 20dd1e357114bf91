"""Several meters on one bus: whose requests follow whose, and which limits are whose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.faults import MeterSilent
from gridtokenx_wire.clock import ClockConfig, make_clock

CLOCK = make_clock(ClockConfig())
ENERGIES, POWER, SERIAL = "04 00 48 00 04", "04 00 0c 00 02", "03 fc 00 00 02"
SDM120 = {
    bytes.fromhex(ENERGIES): "04 08 3f 80 00 00 40 00 00 00",
    bytes.fromhex(POWER): "04 04 00 00 00 00",
    bytes.fromhex(SERIAL): "03 04 00 00 00 01",
}


@asynccontextmanager
async def sdm120s(
    rtu_server: Any, rtu: Callable[[str], bytes], *configs: MeterConfig
) -> AsyncIterator[tuple[Line, list[RegisterReader], list[tuple[int, bytes, float]]]]:
    """A bus of these meters, each of which takes 3 ms to answer; and who was asked what when."""
    asked: list[tuple[int, bytes, float]] = []

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        asked.append((request[0], request[1:6], CLOCK.now_ms()))
        return [(0.003, rtu(f"{request[0]:02x}" + SDM120[request[1:6]]))]

    async with rtu_server(answer) as server:
        bus = TcpBus(name="x", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        profile = load_profile("eastron_sdm120")
        yield line, [RegisterReader(line, config, profile, CLOCK) for config in configs], asked
        line.close()


async def test_the_requests_of_a_reading_follow_each_other_on_a_busy_bus(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    configs = [
        MeterConfig(id="EASTRON-1", profile="eastron_sdm120", address=at) for at in range(1, 5)
    ]
    async with sdm120s(rtu_server, rtu, *configs) as (_, readers, asked):
        for reader in readers:
            await reader.contact()
        asked.clear()
        rounds = 5

        async def poll(reader: RegisterReader) -> list[int]:
            return [(await reader.poll()).time_ms for _ in range(rounds)]

        times = await asyncio.gather(*(poll(reader) for reader in readers))
    assert len(asked) == 2 * rounds * len(readers)
    for first, second in zip(asked[::2], asked[1::2], strict=True):
        assert first[0] == second[0], "one turn for both"
        assert (first[1], second[1]) == (bytes.fromhex(ENERGIES), bytes.fromhex(POWER))
    for address, readings_ms in enumerate(times, start=1):
        asked_ms = [at_ms for unit, what, at_ms in asked if unit == address][::2]
        for reading_ms, at_ms in zip(readings_ms, asked_ms, strict=True):
            assert 0 <= at_ms - reading_ms <= 20, "timed when it was asked for, after the queue"


async def test_a_meter_that_rests_between_its_requests_goes_first_after_it(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    """Others have the line meanwhile; then at most the one that has it comes before.

    Of requests that take 3 ms, nine fit into a rest of 30 ms, and six meters with two each would
    stand before it in the queue.
    """
    resting = MeterConfig(id="EASTRON-1", profile="eastron_sdm120", address=1, gap_ms=30)
    busy = [MeterConfig(id="EASTRON-1", profile="eastron_sdm120", address=at) for at in range(2, 8)]
    async with sdm120s(rtu_server, rtu, resting, *busy) as (_, readers, asked):
        for reader in readers:
            await reader.contact()
        asked.clear()
        is_over = asyncio.Event()

        async def keep_busy(reader: RegisterReader) -> None:
            while not is_over.is_set():
                await reader.poll()

        others = [asyncio.create_task(keep_busy(reader)) for reader in readers[1:]]
        for _ in range(3):
            await readers[0].poll()
        is_over.set()
        await asyncio.gather(*others)
    mine = [at for at, (unit, _, _) in enumerate(asked) if unit == 1]
    for first, second in zip(mine[::2], mine[1::2], strict=True):
        between_ms = asked[second][2] - asked[first][2]
        assert between_ms >= 30, "its rest"
        assert {unit for unit, _, _ in asked[first + 1 : second]}, "others had the line"
        assert second - first <= 13, "nine fit into its rest; in the queue it would be twenty"


async def test_two_models_on_one_bus_each_have_their_own_limits(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    """An SDM630 is asked for 24 registers at once, an SDM120 never for more than it allows."""
    counts: dict[int, set[int]] = {1: set(), 2: set()}

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        unit, count = request[0], int.from_bytes(request[4:6], "big")
        counts[unit].add(count)
        if request[1] == 3:
            return [(0, rtu(f"{unit:02x} 03 04 00 00 00 {unit:02x}"))]
        return [(0, rtu(f"{unit:02x} 04 {2 * count:02x}" + "00" * 2 * count))]

    async with rtu_server(answer) as server:
        bus = TcpBus(name="x", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        readers = [
            RegisterReader(
                line,
                MeterConfig(id=f"EASTRON-{at}", profile=model, address=at),
                load_profile(model),
                CLOCK,
            )
            for at, model in ((1, "eastron_sdm630"), (2, "eastron_sdm120"))
        ]
        for _ in range(2):
            readings = await asyncio.gather(*(reader.poll() for reader in readers))
            assert [reading.meter for reading in readings] == ["EASTRON-1", "EASTRON-2"]
        line.close()
    assert counts == {1: {2, 24}, 2: {2, 4}}


async def test_a_meters_own_time_out_and_retries_replace_the_buss(
    rtu_server: Any, rtu: Callable[[str], bytes]
) -> None:
    async with rtu_server(lambda _: []) as server:
        bus = TcpBus(
            name="x",
            host="127.0.0.1",
            meter=[],
            port=server.port,
            rtu_over_tcp=True,
            timeout_ms=5000,
        )
        more = {"timeout_ms": 40, "retries": 3}
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        configs = [
            MeterConfig(id="EASTRON-1", profile="eastron_sdm120", address=1, **more),
            MeterConfig(id="EASTRON-2", profile="eastron_sdm120", address=2),
        ]
        reader = RegisterReader(line, configs[0], load_profile("eastron_sdm120"), CLOCK)
        with pytest.raises(MeterSilent, match="no reply within 40 ms"):
            await reader.poll()
        assert [line.retries_of(config) for config in configs] == [3, bus.retries]
        line.close()
