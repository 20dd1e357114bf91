"""One Modbus line: faults told apart, connections kept."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_edge.config.edge_config import SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import LineDown, MeterGarbled, MeterSilent

BLOCK = Block(fc=4, address=0x0034, count=2)
ASKED = "01 04 00 34 00 02"
GOOD = "01 04 04 44 9a 52 25"
Frame = Callable[[str], bytes]


@asynccontextmanager
async def connected(port: int, **more: Any) -> AsyncIterator[Line]:
    fields = {"rtu_over_tcp": True, "timeout_ms": 200} | more
    line = Line(
        TcpBus(name="bench", host="127.0.0.1", meter=[], port=port, **fields),
        FaultLog(start_logging()),
    )
    await line.connect()
    try:
        yield line
    finally:
        line.close()


async def test_a_block_is_read(rtu_server: Any, rtu: Frame) -> None:
    async with rtu_server(lambda _: [(0, rtu(GOOD))]) as server, connected(server.port) as line:
        assert await line.read(1, BLOCK) == [0x449A, 0x5225]
        assert server.requests == [rtu(ASKED)]


async def test_a_reply_may_come_in_pieces(rtu_server: Any, rtu: Frame) -> None:
    reply = rtu(GOOD)
    parts = [(0.004 * at, reply[at : at + 1]) for at in range(len(reply))]
    async with rtu_server(lambda _: parts) as server, connected(server.port) as line:
        assert await line.read(1, BLOCK) == [0x449A, 0x5225]


@pytest.mark.parametrize(
    ("reply", "fault", "text"),
    [
        ("", MeterSilent, "no reply within 200 ms"),
        ("01 84 02", MeterRefused, "exception 2 .illegal data address"),
        ("01 84 0b", MeterRefused, "exception 11 .gateway target"),
        ("01 84 63", MeterRefused, "exception 99 .unknown"),
        ("02 04 04 44 9a 52 25", MeterSilent, "heard a reply of address 2"),
        ("01 04 02 44 9a", MeterGarbled, "2 registers with function code 4, got 1"),
        (
            "01 04 08 44 9a 52 25 00 00 00 00",
            MeterGarbled,
            "2 registers with function code 4, got 4",
        ),
        ("01 03 04 44 9a 52 25", MeterGarbled, "got 2 with function code 3"),
    ],
)
async def test_what_is_no_answer_is_a_fault_with_a_name(
    rtu_server: Any, rtu: Frame, reply: str, fault: type[Exception], text: str
) -> None:
    answer = [(0, rtu(reply))] if reply else []
    async with rtu_server(lambda _: answer) as server, connected(server.port) as line:
        with pytest.raises(fault, match=text):
            await line.read(1, BLOCK)


@pytest.mark.parametrize(
    "noise",
    [
        bytes.fromhex("01 04 04 44 9a 52 25 00 00"),  # a wrong checksum
        bytes.fromhex("ff ff ff ff ff ff ff ff ff"),
        bytes.fromhex("00"),
        bytes(300),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_noise_is_silence_and_the_next_reply_counts(
    rtu_server: Any, rtu: Frame, noise: bytes
) -> None:
    replies = iter([noise, rtu(GOOD), rtu(GOOD)])
    async with (
        rtu_server(lambda _: [(0, next(replies))]) as server,
        connected(server.port) as line,
    ):
        with pytest.raises(MeterSilent, match="no reply within 200 ms; heard"):
            await line.read(1, BLOCK)
        assert await line.read(1, BLOCK) == [0x449A, 0x5225]


async def test_a_reply_with_another_requests_number_is_dropped_on_modbus_tcp(
    rtu_server: Any,
) -> None:
    def answer(request: bytes) -> list[tuple[float, bytes]]:
        body = bytes.fromhex("01 04 04 44 9a 52 25")
        stale = bytes([request[0], request[1] ^ 0xFF, 0, 0, 0, len(body)]) + body
        return [(0, stale)]

    async with rtu_server(answer) as server, connected(server.port, rtu_over_tcp=False) as line:
        assert line.is_numbered
        with pytest.raises(MeterSilent):
            await line.read(1, BLOCK)


async def test_a_connection_that_ends_is_known_before_the_timeout(
    rtu_server: Any, wait_until: Any
) -> None:
    async with (
        rtu_server(lambda _: []) as server,
        connected(server.port, timeout_ms=30_000) as line,
    ):
        reading = asyncio.create_task(line.read(1, BLOCK))
        await wait_until(lambda: server.requests)
        await server.__aexit__()
        with pytest.raises(LineDown):
            await asyncio.wait_for(reading, 5)
        with pytest.raises(LineDown):
            await line.read(1, BLOCK)


async def test_a_line_without_any_reply_is_opened_anew(rtu_server: Any) -> None:
    async with (
        rtu_server(lambda _: []) as server,
        connected(server.port, timeout_ms=10) as line,
    ):
        for _ in range(8):
            with pytest.raises(MeterSilent):
                await line.read(1, BLOCK)
        with pytest.raises(LineDown):
            await line.read(1, BLOCK)


async def test_a_line_is_kept_up(rtu_server: Any, rtu: Frame, wait_until: Any) -> None:
    async with rtu_server(lambda _: [(0, rtu(GOOD))]) as server:
        bus = TcpBus(name="bench", host="127.0.0.1", meter=[], port=server.port, rtu_over_tcp=True)
        line = Line(bus, FaultLog(start_logging()))
        keeper = asyncio.create_task(line.keep_up())
        await line.until_up()
        assert line.generation == 1
        assert await line.read(1, BLOCK)
        for writer in server._writers:
            writer.close()
        await wait_until(lambda: line.generation == 2 and line.is_up)
        assert await line.read(1, BLOCK)
        keeper.cancel()
        await asyncio.wait([keeper])
        assert not line.is_up


async def test_a_line_has_one_user_at_a_time_in_the_order_of_asking(rtu_server: Any) -> None:
    async with rtu_server(lambda _: []) as server, connected(server.port) as line:
        order = []

        async def use(name: int) -> None:
            async with line.hold():
                order.append(name)
                await asyncio.sleep(0)
                order.append(name)

        await asyncio.gather(*(use(name) for name in range(4)))
        assert order == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("port", "expected"),
    [("nowhere", "found none .is the adapter plugged in"), ("folder", "cannot be opened|allowed")],
)
async def test_a_port_that_cannot_be_opened_says_why(
    tmp_path: Path, port: str, expected: str
) -> None:
    (tmp_path / "folder").mkdir()
    line = Line(
        SerialBus(name="roof", port=str(tmp_path / port), meter=[]), FaultLog(start_logging())
    )
    with pytest.raises(LineDown, match=expected):
        await line.connect()


async def test_a_port_in_use_says_so() -> None:
    near, far = os.openpty()
    bus = SerialBus(name="roof", port=os.ttyname(far), meter=[])
    first, second = (Line(bus, FaultLog(start_logging())) for _ in range(2))
    await first.connect()
    with pytest.raises(LineDown, match="another program uses it"):
        await second.connect()
    first.close()
    os.close(near)
    os.close(far)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "connection refused"),
        ("meter..lan", "this is no host name"),
        ("meter.invalid", "."),  # what the resolver says
    ],
)
async def test_a_host_that_does_not_answer_says_so(host: str, why: str) -> None:
    line = Line(TcpBus(name="hall", host=host, meter=[], port=1), FaultLog(start_logging()))
    with pytest.raises(LineDown, match=rf"expected a Modbus server at {host}:1, found.*\({why}"):
        await line.connect()


async def test_frames_on_a_serial_line_keep_their_distance() -> None:
    """3.5 characters of 10 bits at 1200 baud are 29 ms."""
    near, far = pty.openpty()
    line = Line(
        SerialBus(name="roof", port=os.ttyname(far), meter=[], baud=1200), FaultLog(start_logging())
    )
    await line.connect()
    loop = asyncio.get_running_loop()
    heard: list[float] = []

    def answer() -> None:
        os.read(near, 64)
        heard.append(loop.time())
        os.write(near, bytes.fromhex("01 84 02 c2 c1"))

    loop.add_reader(near, answer)
    for _ in range(3):
        with pytest.raises(MeterRefused):
            await line.read(1, BLOCK)
    loop.remove_reader(near)
    line.close()
    os.close(near)
    os.close(far)
    assert all(later - before >= 0.029 for before, later in pairwise(heard))
