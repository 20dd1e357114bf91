"""The wrapper over UDP: one message a datagram, at both ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from gridtokenx_dlms import data
from gridtokenx_dlms.aio.client_transport import Timing
from gridtokenx_dlms.aio.datagram import LONGEST_MESSAGE, UdpServer, UdpTransport, connect, listen
from gridtokenx_dlms.aio.server import Conduct
from gridtokenx_dlms.errors import LinkError, MalformedError
from gridtokenx_dlms.wrapper import WrapperMessage
from gridtokenx_dlms.xdlms.notification import DataNotification

QUICK = Timing(reply_s=0.1, retries=1, exchange_s=2.0)
PATIENT = Timing(reply_s=2.0)
HOST = "127.0.0.1"


class Echo:
    def __init__(self) -> None:
        self.is_closed = False

    def handle(self, message: bytes) -> bytes:
        return b"=" + message

    def close(self) -> None:
        self.is_closed = True


class Meter:
    """Echoes for wrapper port 1, and counts who has ever talked to it."""

    def __init__(self) -> None:
        self.met: list[Echo] = []

    def associate(self, client: int, server: int) -> Echo | None:
        if (client, server) != (16, 1):
            return None
        self.met.append(Echo())
        return self.met[-1]


@asynccontextmanager
async def served(
    meter: Meter, conduct: Callable[[], Conduct] = Conduct, idle_s: float = 5.0
) -> AsyncIterator[int]:
    datagrams = await listen(HOST, 0)
    running = asyncio.create_task(UdpServer(datagrams, meter.associate, conduct, idle_s).run())
    try:
        yield datagrams.port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        datagrams.close()  # for a task that had no time to begin


@asynccontextmanager
async def client(
    port: int, server: int = 1, timing: Timing = PATIENT, unasked: list[bytes] | None = None
) -> AsyncIterator[UdpTransport]:
    pushed = unasked if unasked is not None else []
    transport = UdpTransport(await connect(HOST, port), 16, server, timing, pushed.append)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


async def test_messages_of_all_lengths_come_back_in_datagrams() -> None:
    meter = Meter()
    async with served(meter) as port, client(port) as transport:
        for size in (0, 1, 100, LONGEST_MESSAGE - 1):
            assert await transport.exchange(b"x" * size) == b"=" + b"x" * size
    assert len(meter.met) == 1, "one conversation for one client"
    assert meter.met[0].is_closed


async def test_a_message_that_no_datagram_holds_is_the_callers_mistake() -> None:
    async with served(Meter()) as port, client(port) as transport:
        with pytest.raises(ValueError, match="expected at most 65499 bytes"):
            await transport.exchange(bytes(LONGEST_MESSAGE + 1))


@pytest.mark.parametrize(
    ("server", "conduct"),
    [
        pytest.param(9, Conduct(), id="nobody has the wrapper's port"),
        pytest.param(1, Conduct(is_silent=True), id="the meter is silent"),
        pytest.param(1, Conduct(delay_s=1.0), id="the meter is late"),
    ],
)
async def test_silence_is_an_error_in_time_and_nothing_is_said_twice(
    server: int, conduct: Conduct
) -> None:
    async with served(Meter(), lambda: conduct) as port, client(port, server, QUICK) as transport:
        started_s = time.monotonic()
        with pytest.raises(LinkError, match="no reply within 200 ms"):
            await transport.exchange(b"?")
        assert time.monotonic() - started_s < 1
        with pytest.raises(LinkError, match="the exchange before this one has failed"):
            await transport.exchange(b"?")


async def test_a_port_on_which_nobody_listens_is_told_as_the_system_tells_it() -> None:
    async with served(Meter()) as port:
        pass
    async with client(port) as transport:
        with pytest.raises(LinkError, match="refused"):
            await transport.exchange(b"?")
    with pytest.raises(LinkError, match="the socket is closed"):
        await UdpTransport(transport._datagrams, 16, 1).exchange(b"?")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 64 + ".invalid"])
async def test_what_is_no_host_is_one_line(host: str) -> None:
    with pytest.raises(LinkError, match=f"{host}:4059: "):
        await connect(host, 4059)


@pytest.mark.parametrize("datagram", [b"", b"\x00\x01", bytes.fromhex("0002001000010001ff")])
async def test_what_is_no_wrapper_message_is_dropped_by_a_server(datagram: bytes) -> None:
    async with served(Meter()) as port, client(port) as transport:
        transport._datagrams.send(datagram)
        assert await transport.exchange(b"still there?") == b"=still there?"


async def test_what_is_no_wrapper_message_is_malformed_to_a_client() -> None:
    meter = await listen(HOST, 0)
    async with client(meter.port) as transport:
        asking = asyncio.create_task(transport.exchange(b"?"))
        _, address = await meter.receive()
        meter.send(b"\x00\x01 not a message", address)
        with pytest.raises(MalformedError):
            await asking
    meter.close()


async def test_what_is_pushed_before_the_reply_is_passed_on() -> None:
    notice = DataNotification(1, None, data.unsigned(7)).to_bytes()
    meter = await listen(HOST, 0)
    pushed: list[bytes] = []
    async with client(meter.port, unasked=pushed) as transport:
        asking = asyncio.create_task(transport.exchange(b"?"))
        asked, address = await meter.receive()
        assert asked == WrapperMessage(source=16, destination=1, message=b"?").to_bytes()
        for message in (notice, b"=?"):
            meter.send(
                WrapperMessage(source=1, destination=16, message=message).to_bytes(), address
            )
        assert await asking == b"=?"
        assert pushed == [notice]
    meter.close()


async def test_whoever_was_silent_is_forgotten_to_make_room_for_others() -> None:
    meter = Meter()
    async with served(meter, idle_s=0.3) as port:
        for _ in range(8):
            async with client(port) as transport:
                await transport.exchange(b"?")
        async with client(port, timing=QUICK) as one_more:
            with pytest.raises(LinkError, match="no reply"):
                await one_more.exchange(b"?")
        async with client(port) as after:
            while len(meter.met) < 9:
                with suppress(LinkError):
                    await UdpTransport(after._datagrams, 16, 1, QUICK).exchange(b"?")
        assert [echo.is_closed for echo in meter.met] == [True] * 8 + [False]
    assert meter.met[8].is_closed
