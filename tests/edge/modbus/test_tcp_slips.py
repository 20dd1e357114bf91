"""Modbus TCP servers with the slips of real ones: wrong numbers, the other framing, busy."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.edge.commissioning.scan.scanning import scanned_with_short_waits

from gridtokenx_edge.commissioning.check.tcp_framing import why_silent
from gridtokenx_edge.commissioning.scan.target import TcpTarget
from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.codec import crc16
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.faults import BusFault, LineDown, MeterSilent
from gridtokenx_wire.clock import ClockConfig, make_clock

CLOCK = make_clock(ClockConfig())
VOLTS = Block(fc=4, address=0, count=2)
REGISTERS = {
    (4, 0x48): 40482.83,
    (4, 0x4A): 12.5,
    (4, 0x34): 345.0,
    **{(4, at): 230.0 for at in (0, 2, 4)},
    **{(4, at): 0.5 for at in (6, 8, 10)},
    **{(4, at): 115.0 for at in (12, 14, 16)},
    (4, 0x46): 50.0,
}
WORDS = {
    (fc, at + half): word
    for (fc, at), value in REGISTERS.items()
    for half, word in enumerate(struct.unpack(">2H", struct.pack(">f", value)))
} | {(3, 0xFC00): 0x00BC, (3, 0xFC01): 0x614E}


class Server:
    """An SDM630 behind a TCP port. `numbering` changes what its replies are numbered with, and
    `refuses` says with which exception the request of that place is answered."""

    def __init__(self) -> None:
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.requests = 0
        self.is_rtu = False
        self.always_one = False
        self.behind: Callable[[int], bool] = lambda _connection: False
        self.refuses: Callable[[int], int] = lambda _request: 0

    def answer(self, pdu: bytes) -> bytes:
        function, start, count = struct.unpack(">BHH", pdu)
        self.requests += 1
        if code := self.refuses(self.requests):
            return bytes((function | 0x80, code))
        words = [WORDS.get((function, at), 0) for at in range(start, start + count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *words)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await (self._rtu if self.is_rtu else self._mbap)(reader, writer)

    async def _rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = b""
        while data := await reader.read(256):
            received = (received + data)[-8:]
            if len(received) == 8 and crc16(received[:6]) == received[6:]:
                reply = received[:1] + self.answer(received[1:6])
                writer.write(reply + crc16(reply))
                received = b""

    async def _mbap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_behind, before = self.behind(self.connections), b""
        while True:
            number, _, length = struct.unpack(">3H", await reader.readexactly(6))
            body = await reader.readexactly(length)
            reply = body[:1] + self.answer(body[1:])
            told = 1 if self.always_one else number
            message = struct.pack(">3H", told, 0, len(reply)) + reply
            if is_behind:
                message, before = before, message
            writer.write(message)


@asynccontextmanager
async def serving(timeout_ms: int = 150, **how: Any) -> AsyncIterator[tuple[Server, TcpBus]]:
    meter = Server()
    for name, value in how.items():
        setattr(meter, name, value)
    server = await asyncio.start_server(meter.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield (
            meter,
            TcpBus(name="hall", host="127.0.0.1", meter=[], port=port, timeout_ms=timeout_ms),
        )
    finally:
        server.close()
        await closed(meter.writers)


async def closed(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def up(bus: TcpBus) -> AsyncIterator[Line]:
    """A line that is kept connected, as the agent does it."""
    line = Line(bus, FaultLog(start_logging()))
    keeping = asyncio.create_task(line.keep_up())
    await line.until_up()
    try:
        yield line
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def reader_of(line: Line) -> RegisterReader:
    config = MeterConfig(id="EASTRON-12345678", profile="eastron_sdm630", address=1)
    return RegisterReader(line, config, load_profile("eastron_sdm630"), CLOCK)


async def faults_until_a_reading(line: Line, reader: RegisterReader) -> list[BusFault]:
    faults: list[BusFault] = []
    async with asyncio.timeout(20):
        while True:
            try:
                reading = await reader.poll()
            except BusFault as fault:
                faults.append(fault)
                await line.until_up()
            else:
                assert reading.import_uwh == 40_482_828 * 10**6
                return faults


async def test_a_server_that_lost_its_step_is_named_and_connected_anew_at_once() -> None:
    async with serving(behind=lambda connection: connection == 1) as (server, bus), up(bus) as line:
        faults = await faults_until_a_reading(line, reader_of(line))
    assert len(faults) <= 3, faults
    assert server.connections == 2
    named = [str(fault) for fault in faults if "replies with number 1 to request 2" in str(fault)]
    assert named, faults
    assert "a step behind" in named[0]


async def test_a_server_that_numbers_every_reply_alike_is_named() -> None:
    async with serving(always_one=True) as (server, bus), up(bus) as line:
        async with line.hold():
            assert await line.read(1, VOLTS) == [0x4366, 0]
            with pytest.raises(MeterSilent, match="replies with number 1 to request 2") as caught:
                await line.read(1, VOLTS)
        assert "a step behind" in str(caught.value)
        await line.until_up()
        async with line.hold():
            await line.read(1, VOLTS)
    assert server.connections == 2


async def test_a_number_that_never_was_ours_is_named_too() -> None:
    async with serving(always_one=True) as (_, bus), up(bus) as line, line.hold():
        await line.read(1, VOLTS)
        line._codec._number = 6  # type: ignore[union-attr]
        with pytest.raises(MeterSilent, match="does not repeat the request's number"):
            await line.read(1, VOLTS)


async def test_a_single_late_reply_is_waited_for_as_before() -> None:
    """The right reply behind one of an earlier request is taken, on the same connection."""
    async with serving() as (server, bus), up(bus) as line:
        async with line.hold():
            await line.read(1, VOLTS)
            line._received(struct.pack(">3H", 1, 0, 3) + b"\x01\x84\x02")
            await line.read(1, VOLTS)
        assert (server.connections, line.generation) == (1, 1)


@pytest.mark.parametrize("is_rtu", [True, False])
async def test_the_other_framing_is_found_by_check_and_scan(is_rtu: bool) -> None:
    async with serving(is_rtu=is_rtu) as (_, bus):
        wrong = TcpBus(
            name="hall",
            host=bus.host,
            port=bus.port,
            meter=[],
            rtu_over_tcp=not is_rtu,
            timeout_ms=150,
        )
        meter = MeterConfig(id="EASTRON-12345678", profile="eastron_sdm630", address=1)
        hint = await why_silent(wrong, [meter], ["no reply within 150 ms"])
        assert hint == f"it answers with rtu_over_tcp = {str(is_rtu).lower()}: set it so"
        target = TcpTarget(bus.host, bus.port, rtu_over_tcp=not is_rtu)
        report, _ = await scanned_with_short_waits(target, first=(1,))
        assert report.target == TcpTarget(bus.host, bus.port, rtu_over_tcp=is_rtu)
        assert report.meters[0].id == "EASTRON-12345678"
        assert f"answers with rtu_over_tcp = {str(is_rtu).lower()} only" in report.notices


async def test_where_nobody_answers_in_any_framing_nothing_is_claimed() -> None:
    async with serving(is_rtu=True) as (server, bus):
        server.answer = lambda _pdu: b""  # type: ignore[method-assign]
        meter = MeterConfig(id="EASTRON-1", profile="eastron_sdm630", address=1)
        assert await why_silent(bus, [meter], []) == ""


async def test_check_tells_of_numbers_that_do_not_fit() -> None:
    bus = TcpBus(name="hall", host="127.0.0.1", port=1, meter=[])
    heard = "no reply within 150 ms; heard replies with number 1 to request 2: the server is behind"
    assert (await why_silent(bus, [], [heard])).startswith("replies with number 1 to request 2")


async def test_rtu_frames_from_a_server_of_modbus_tcp_are_named() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(bytes.fromhex("010404449a5225") + crc16(bytes.fromhex("010404449a5225")))

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = TcpBus(name="hall", host="127.0.0.1", port=port, meter=[], timeout_ms=300)
    line = Line(bus, FaultLog(start_logging()))
    try:
        await line.connect()
        async with line.hold():
            with pytest.raises(LineDown, match="got RTU frames: set rtu_over_tcp = true"):
                await line.read(1, VOLTS)
    finally:
        line.close()
        server.close()
        await closed(writers)


# --- busy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [5, 6])
async def test_a_meter_that_is_busy_two_times_of_three_loses_no_reading(code: int) -> None:
    async with (
        serving(2000, refuses=lambda request: code if request % 3 else 0) as (_, bus),
        up(bus) as line,
    ):
        reader = reader_of(line)
        for _ in range(4):
            faults = await faults_until_a_reading(line, reader)
            assert not any(isinstance(fault, MeterRefused) for fault in faults)


async def test_a_meter_that_is_always_busy_is_asked_a_few_times_and_others_have_the_line() -> None:
    async with serving(2000, refuses=lambda _request: 6) as (server, bus), up(bus) as line:
        with pytest.raises(MeterRefused, match=r"exception 6 \(device busy\)"):
            await reader_of(line).poll()
        assert server.requests == 4


@pytest.mark.parametrize("code", [1, 2, 4])
async def test_other_refusals_are_not_asked_again(code: int) -> None:
    async with serving(2000, refuses=lambda _request: code) as (server, bus), up(bus) as line:
        with pytest.raises(MeterRefused):
            await reader_of(line).poll()
        assert server.requests == 1
