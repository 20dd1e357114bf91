"""What a real wire does to a gateway: noise, echoes, ports that go and come, second masters."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from gridtokenx_edge.config.edge_config import SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import LineDown, MeterSilent

BLOCK = Block(fc=4, address=0x0034, count=2)
GOOD = "01 04 04 44 9a 52 25"
WORDS = [0x449A, 0x5225]
Frame = Callable[[str], bytes]


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Adapter:
    """A pseudo-terminal behind a link, with a meter at its far end: `answer` makes its bytes."""

    def __init__(self, link: Path, answer: Callable[[bytes], bytes]) -> None:
        self.link = link
        self.answer = answer
        self.near = self.far = -1

    def plug(self) -> None:
        self.near, self.far = os.openpty()
        tty.setraw(self.far)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.far))
        asyncio.get_running_loop().add_reader(self.near, self._read)

    def unplug(self) -> None:
        asyncio.get_running_loop().remove_reader(self.near)
        self.link.unlink()
        os.close(self.near)
        os.close(self.far)
        self.near = -1

    def _read(self) -> None:
        if reply := self.answer(os.read(self.near, 256)):
            os.write(self.near, reply)


@contextmanager
def adapter(folder: Path, answer: Callable[[bytes], bytes]) -> Iterator[Adapter]:
    made = Adapter(folder / "tty", answer)
    made.plug()
    try:
        yield made
    finally:
        if made.near >= 0:
            made.unplug()


@asynccontextmanager
async def on(port: Path, log: Log | None = None, **more: Any) -> AsyncIterator[Line]:
    fields = {"timeout_ms": 80, **more}
    line = Line(
        SerialBus(name="roof", port=str(port), meter=[], **fields),
        FaultLog(cast(Any, log or Log())),
    )
    await line.connect()
    try:
        yield line
    finally:
        line.close()


async def end(keeper: asyncio.Task[None], server: asyncio.Server) -> None:
    keeper.cancel()
    await asyncio.wait([keeper])
    server.close()
    for _ in range(5):  # a connection may just be on its way in, and has to be closed too
        await asyncio.sleep(0)


async def test_bytes_thrown_away_while_the_loop_was_told_of_them_are_no_end(
    tmp_path: Path, rtu: Frame
) -> None:
    with adapter(tmp_path, lambda _: rtu(GOOD)) as wire:
        async with on(wire.link) as line:
            loop = asyncio.get_running_loop()
            for _ in range(20):
                os.write(wire.near, b"\0")
                loop.call_soon(line._stream.discard)  # before the loop's own reader
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert line.is_up
            assert await line.read(1, BLOCK) == WORDS


async def test_garbage_between_frames_is_thrown_away(tmp_path: Path, rtu: Frame) -> None:
    with adapter(tmp_path, lambda _: rtu(GOOD)) as wire:
        async with on(wire.link) as line:
            for garbage in (b"\0", rtu("01 04 04 00 00 00 00"), os.urandom(3000)):
                os.write(wire.near, garbage)
                assert await line.read(1, BLOCK) == WORDS


@pytest.mark.parametrize("before", ["", "00 00 ff"])
async def test_an_adapter_that_echoes_is_told_once_and_read(
    tmp_path: Path, rtu: Frame, before: str
) -> None:
    log = Log()
    answer = bytes.fromhex(before) + rtu(GOOD)
    with adapter(tmp_path, lambda request: request + answer) as wire:
        async with on(wire.link, log) as line:
            for _ in range(3):
                assert await line.read(1, BLOCK) == WORDS
    assert len(log.named("line_echoes")) == 1


async def test_nothing_but_the_echo_is_silence_that_says_so(tmp_path: Path) -> None:
    with adapter(tmp_path, lambda request: request) as wire:
        async with on(wire.link) as line:
            with pytest.raises(MeterSilent, match="heard only the echo of the request"):
                await line.read(1, BLOCK)


@pytest.mark.parametrize("count", range(1, 9))
async def test_a_reply_that_is_cut_off_anywhere_is_silence_that_says_so(
    tmp_path: Path, rtu: Frame, count: int
) -> None:
    replies = iter([rtu(GOOD)[:count], rtu(GOOD)])
    with adapter(tmp_path, lambda _: next(replies)) as wire:
        async with on(wire.link, timeout_ms=20) as line:
            with pytest.raises(MeterSilent, match=f"heard (only )?{count} bytes"):
                await line.read(1, BLOCK)
            assert await line.read(1, BLOCK, 1.0) == WORDS


def babble(fd: int) -> None:
    with suppress(BlockingIOError):
        os.write(fd, bytes(64))


async def test_a_line_that_is_never_quiet_names_its_reason(tmp_path: Path) -> None:
    """Without it, waiting for silence would stop the polls for ever."""
    with adapter(tmp_path, lambda _: b"") as wire:
        async with on(wire.link) as line:
            os.set_blocking(wire.near, False)
            loop = asyncio.get_running_loop()
            loop.add_writer(wire.near, babble, wire.near)
            await asyncio.sleep(0.005)
            with pytest.raises(MeterSilent, match=r"never quiet .noise, or another master"):
                await asyncio.wait_for(line.read(1, BLOCK), 5)
            loop.remove_writer(wire.near)


async def test_a_port_that_vanishes_ends_a_request_at_once_and_comes_back(
    tmp_path: Path, rtu: Frame, wait_until: Any
) -> None:
    asked: list[bytes] = []

    def hear(request: bytes) -> bytes:
        asked.append(request)
        return b""

    log = Log()
    with adapter(tmp_path, hear) as wire:
        bus = SerialBus(name="roof", port=str(wire.link), meter=[], timeout_ms=30_000)
        line = Line(bus, FaultLog(cast(Any, log)))
        keeper = asyncio.create_task(line.keep_up())
        await line.until_up()
        reading = asyncio.create_task(line.read(1, BLOCK))
        await wait_until(lambda: asked)
        wire.unplug()
        with pytest.raises(LineDown, match="the port has gone"):
            await asyncio.wait_for(reading, 2)
        await wait_until(lambda: log.named("line_down"))
        wire.answer = lambda _: rtu(GOOD)
        wire.plug()
        await asyncio.wait_for(line.until_up(), 5)
        assert await line.read(1, BLOCK, 1.0) == WORDS
        assert line.generation == 2
        keeper.cancel()
        await asyncio.wait([keeper])


@pytest.mark.parametrize("parity", ["E", "O"])
async def test_a_parity_that_a_port_does_not_take_is_one_clear_line(
    tmp_path: Path, rtu: Frame, parity: Any
) -> None:
    """The C library refuses parity on a pseudo-terminal when it is asked a second time."""
    with adapter(tmp_path, lambda _: rtu(GOOD)) as wire:
        faults = []
        for _ in range(3):
            try:
                async with on(wire.link, parity=parity) as line:
                    assert await line.read(1, BLOCK) == WORDS
            except LineDown as fault:
                faults.append(str(fault))
        assert faults, "it was refused"
        assert all(f"does not take 9600 baud, parity {parity}, 1 stop" in text for text in faults)


async def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LineDown, match=r"expected a serial port at .*, found a file"):
        async with on(tmp_path / "file"):
            pass


async def test_a_server_that_is_no_modbus_is_named(wait_until: Any) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    log = Log()
    line = Line(
        TcpBus(name="hall", host="127.0.0.1", meter=[], port=port), FaultLog(cast(Any, log))
    )
    keeper = asyncio.create_task(line.keep_up())
    await wait_until(lambda: log.named("line_down"))
    assert "expected Modbus TCP, got 53 53 48 2d" in log.named("line_down")[0]["reason"]
    await end(keeper, server)


async def test_a_server_that_hangs_up_at_once_is_tried_at_growing_intervals(
    wait_until: Any,
) -> None:
    """Device servers take one client and close the door on the second."""
    calls = []

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(asyncio.get_running_loop().time())
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    log = Log()
    port = server.sockets[0].getsockname()[1]
    line = Line(
        TcpBus(name="hall", host="127.0.0.1", meter=[], port=port), FaultLog(cast(Any, log))
    )
    keeper = asyncio.create_task(line.keep_up())
    await wait_until(lambda: len(calls) >= 3)
    assert calls[1] - calls[0] >= 0.25, "half a second, less jitter"
    assert calls[2] - calls[1] >= 0.5
    assert log.named("line_down")[0]["reason"] == "the connection was closed"
    await end(keeper, server)
