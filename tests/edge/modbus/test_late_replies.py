"""Whatever comes late, lost, garbled or twice: no value is ever taken for another's."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.faults import BusFault, LineDown
from gridtokenx_wire.clock import ClockConfig, make_clock

CLOCK = make_clock(ClockConfig())
TIMEOUT_MS = 12
Frame = Callable[[str], bytes]

# Three requests of the same shape for other registers, and a fourth for the serial number.
MODEL = "carlo_gavazzi_em24_rs485"
IMPORT, EXPORT, POWER, SERIAL = 0x3E, 0x5C, 0x28, 0x1300


class MutteringMeters:
    """Meters that answer in order, as all do, but when and how they like.

    Each value tells whose it is and which register it stands for.
    """

    def __init__(self, seed: int, rtu: Frame) -> None:
        self.entropy = random.Random(seed)
        self.rtu = rtu
        self.free_at_s: dict[int, float] = {}
        self.late = 0

    def answer(self, request: bytes) -> list[tuple[float, bytes]]:
        now_s = asyncio.get_running_loop().time()
        unit, address = request[0], int.from_bytes(request[2:4], "big")
        fate = self.entropy.choices(
            ["good", "late", "lost", "garbled", "cut", "refused", "noisy", "echoed"],
            [60, 15, 4, 4, 3, 3, 4, 4],
        )[0]
        delay_s = self.entropy.uniform(0.5, 4) * TIMEOUT_MS / 1000 if fate == "late" else 0.0
        self.late += fate == "late"
        self.free_at_s[unit] = max(self.free_at_s.get(unit, 0.0), now_s + delay_s)
        wait_s = self.free_at_s[unit] - now_s
        frame = self.frame(unit, request[1], address, int.from_bytes(request[4:6], "big"))
        match fate:
            case "lost":
                return []
            case "garbled":
                frame = frame[:4] + bytes([frame[4] ^ 0x40]) + frame[5:]
            case "cut":
                frame = frame[:-1]
            case "refused":
                frame = self.rtu(f"{unit:02x} {request[1] | 0x80:02x} 06")
            case "noisy":
                frame = self.entropy.randbytes(5) + frame
            case "echoed":
                frame = request + frame
        return [(wait_s, frame)]

    def frame(self, unit: int, fc: int, address: int, count: int) -> bytes:
        raw = 10 * value_of(unit, address)  # 0.1 kWh or 0.1 W, the low word first
        data = (raw & 0xFFFF).to_bytes(2, "big") + (raw >> 16).to_bytes(2, "big")
        if address == SERIAL:
            data = f"K{unit}".encode()
        data = data.ljust(2 * count, b"\0")[: 2 * count]
        return self.rtu(f"{unit:02x} {fc:02x} {2 * count:02x}" + data.hex())


def value_of(unit: int, address: int) -> int:
    return 1000 * unit + address


@pytest.mark.parametrize("seed", range(2))
async def test_readings_are_right_or_none_whatever_the_meters_mutter(
    rtu_server: Any, rtu: Frame, seed: int
) -> None:
    meters = MutteringMeters(seed, rtu)
    good: list[int] = []
    async with rtu_server(meters.answer) as server:
        bus = TcpBus(
            name="x",
            host="127.0.0.1",
            meter=[],
            port=server.port,
            rtu_over_tcp=True,
            timeout_ms=TIMEOUT_MS,
        )
        line = Line(bus, FaultLog(start_logging()))
        keeper = asyncio.create_task(line.keep_up())

        async def poll(unit: int) -> None:
            config = MeterConfig(id=f"CARLO-GAVAZZI-K{unit}", profile=MODEL, address=unit)
            reader = RegisterReader(line, config, load_profile(MODEL), CLOCK)
            for _ in range(40):
                await line.until_up()
                with contextlib.suppress(BusFault):
                    reading = await reader.poll()
                    seen = (reading.import_uwh, reading.export_uwh, reading.power_w)
                    energies = [value_of(unit, at) * 10**9 for at in (IMPORT, EXPORT)]
                    assert seen == (*energies, value_of(unit, POWER))
                    good.append(unit)

        await asyncio.gather(*(poll(unit) for unit in range(1, 7)))
        keeper.cancel()
        await asyncio.wait([keeper])
    assert meters.late > 50
    assert len(good) >= 12, "some have got through"


async def test_a_request_that_is_cancelled_is_owed_its_reply(rtu_server: Any, rtu: Frame) -> None:
    """Whoever asks next does not get the answer to what somebody gave up."""
    replies = iter([(0.03, "01 04 04 00 01 00 00"), (0.0, "01 04 04 00 02 00 00")])

    def answer(_: bytes) -> list[tuple[float, bytes]]:
        delay_s, text = next(replies)
        return [(delay_s, rtu(text))]

    async with rtu_server(answer) as server:
        bus = TcpBus(
            name="x", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True, timeout_ms=60
        )
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await line.read(1, Block(fc=4, address=0x3E, count=2))
        assert await line.read(1, Block(fc=4, address=0x5C, count=2)) == [2, 0]
        line.close()


async def test_a_late_refusal_is_not_taken_for_the_resyncs(rtu_server: Any, rtu: Frame) -> None:
    """All exception replies to one function code look alike.

    The meter refuses the lost request after its time; the request that is to bring the line in
    step has the same function code, and its own reply comes after that.
    """
    script = {
        "energies": iter(["good", "late refusal", "good", "good"]),
        "identity": iter(["good", "behind a refusal", "good", "good"]),
    }
    energies, identity = rtu("01 03 50 00 00 08"), rtu("01 03 89 00 00 02")
    good = {
        energies: rtu("01 03 10 00 00 00 00 00 00 12 d6 00 00 00 00 00 00 00 07"),
        identity: rtu("01 03 04 00 00 04 d2"),
        rtu("01 03 89 60 00 02"): rtu("01 03 04 42 32 33 20"),
        rtu("01 03 5b 14 00 02"): rtu("01 03 04 00 00 00 64"),
    }
    refusal = rtu("01 83 06")

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        name = {energies: "energies", identity: "identity"}.get(request, "")
        what = next(script[name], "good") if name else "good"
        if what == "late refusal":
            return []
        if what == "behind a refusal":
            return [(0.0, refusal), (0.01, good[request])]
        return [(0.0 if name else 0.03, good[request])]  # the power takes its time

    async with rtu_server(answer) as server:
        bus = TcpBus(
            name="x", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True, timeout_ms=80
        )
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        reader = RegisterReader(
            line,
            MeterConfig(id="ABB-1234", profile="abb_b23", address=1),
            load_profile("abb_b23"),
            CLOCK,
        )
        first = await reader.poll()
        with pytest.raises(BusFault):
            await reader.poll()
        again = await reader.poll()
        assert (again.import_uwh, again.power_w) == (first.import_uwh, first.power_w)
        line.close()


async def test_a_second_connection_owes_what_the_first_did(
    rtu_server: Any, rtu: Frame, wait_until: Any
) -> None:
    """A serial device server hands late bytes to whoever is connected then."""
    asked: list[bytes] = []

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        asked.append(request)
        return []

    async with rtu_server(answer) as server:
        bus = TcpBus(
            name="x",
            host="127.0.0.1",
            meter=[],
            port=server.port,
            rtu_over_tcp=True,
            timeout_ms=5000,
        )
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        reading = asyncio.create_task(line.read(1, Block(fc=4, address=0x3E, count=2)))
        await wait_until(lambda: asked)
        await line.connect()
        with pytest.raises(LineDown):
            await reading
        owed = line.late_replies.of(1, asyncio.get_running_loop().time())
        assert owed
        assert owed.blocks == (Block(fc=4, address=0x3E, count=2),)
        line.close()
