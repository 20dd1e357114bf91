"""Meters on TCP: the wrapper, HDLC through a device server, and bounds on who connects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gridtokenx_dlms import data
from gridtokenx_dlms.aio.client_transport import HdlcTransport, Timing, WrapperTransport
from gridtokenx_dlms.aio.line import StreamLine
from gridtokenx_dlms.aio.server import (
    MAX_CONNECTIONS,
    Conduct,
    Device,
    TcpListener,
    talk_hdlc,
    talk_wrapper,
)
from gridtokenx_dlms.errors import LinkError, MalformedError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.hdlc.station import Station
from gridtokenx_dlms.wrapper import WrapperMessage
from gridtokenx_dlms.xdlms.notification import DataNotification

QUICK = Timing(reply_s=0.1, gap_s=0.05, exchange_s=2.0, busy_s=0.01, retries=1)
HOST = "127.0.0.1"


class Echo:
    def handle(self, message: bytes) -> bytes:
        return b"=" + message

    def close(self) -> None:
        pass


def associate(client: int, server: int) -> Echo | None:
    return Echo() if (client, server) in {(16, 1), (1, 1)} else None


@asynccontextmanager
async def wrapped(
    conduct: Callable[[], Conduct] = Conduct, idle_s: float = 5.0
) -> AsyncIterator[int]:
    listener = TcpListener(lambda line: talk_wrapper(line, associate, conduct, idle_s), HOST)
    await listener.start()
    try:
        yield listener.port
    finally:
        await listener.stop()


async def test_messages_of_all_lengths_come_back_through_the_wrapper() -> None:
    async with wrapped() as port:
        transport = WrapperTransport(await StreamLine.connect(HOST, port), 16, 1, QUICK)
        await transport.open()
        for size in (0, 1, 100, 60_000):
            assert await transport.exchange(b"x" * size) == b"=" + b"x" * size
        await transport.close()


async def test_two_clients_talk_at_once_on_one_connection() -> None:
    async with wrapped() as port:
        line = await StreamLine.connect(HOST, port)
        asked = [
            WrapperMessage(source=16, destination=1, message=b"a"),
            WrapperMessage(source=1, destination=1, message=b"b"),
        ]
        await line.write(b"".join(message.to_bytes() for message in asked))
        answers = [
            WrapperMessage(source=1, destination=16, message=b"=a"),
            WrapperMessage(source=1, destination=1, message=b"=b"),
        ]
        whole = b"".join(message.to_bytes() for message in answers)
        received = b""
        async with asyncio.timeout(2):
            while len(received) < len(whole):
                received += await line.read()
        assert received == whole
        line.close()


async def test_an_unknown_port_gets_no_answer_and_a_failed_connection_is_not_used_again() -> None:
    async with wrapped() as port:
        transport = WrapperTransport(await StreamLine.connect(HOST, port), 16, 9, QUICK)
        with pytest.raises(LinkError, match="no reply within 200 ms"):
            await transport.exchange(b"?")
        with pytest.raises(LinkError, match="failed before"):
            await transport.exchange(b"?")
        await transport.close()


async def test_a_meter_that_drips_is_given_up() -> None:
    async def drip(line: StreamLine) -> None:
        while True:
            await line.write(b"\x00")
            await asyncio.sleep(0.05)

    listener = TcpListener(drip, HOST)
    await listener.start()
    transport = WrapperTransport(await StreamLine.connect(HOST, listener.port), 16, 1, QUICK)
    started_s = time.monotonic()
    with pytest.raises((LinkError, MalformedError)):
        await transport.exchange(b"?")
    assert time.monotonic() - started_s < 3
    await transport.close()
    await listener.stop()


async def test_what_is_pushed_before_the_reply_is_passed_on() -> None:
    notice = DataNotification(1, None, data.unsigned(7)).to_bytes()

    async def pushing(line: StreamLine) -> None:
        await line.read()
        for message in (notice, b"=?"):
            await line.write(WrapperMessage(source=1, destination=16, message=message).to_bytes())
        await line.read()

    listener = TcpListener(pushing, HOST)
    await listener.start()
    pushed: list[bytes] = []
    line = await StreamLine.connect(HOST, listener.port)
    transport = WrapperTransport(line, 16, 1, QUICK, pushed.append)
    assert await transport.exchange(b"?") == b"=?"
    assert pushed == [notice]
    await transport.close()
    await listener.stop()


async def test_a_connection_that_ends_is_an_error_and_one_that_is_refused_too() -> None:
    async with wrapped() as port:
        transport = WrapperTransport(await StreamLine.connect(HOST, port), 16, 1, QUICK)
    with pytest.raises(LinkError, match="the connection ended"):
        await transport.exchange(b"?")
    await transport.close()
    with pytest.raises(LinkError, match=f"{HOST}:{port}: .*refused"):
        await StreamLine.connect(HOST, port)


async def test_another_version_of_the_wrapper_ends_the_connection() -> None:
    async with wrapped() as port:
        line = await StreamLine.connect(HOST, port)
        await line.write(bytes.fromhex("0002001000010001ff"))
        with pytest.raises(LinkError, match="the connection ended"):
            async with asyncio.timeout(2):
                await line.read()
        line.close()


async def test_an_idle_connection_is_closed() -> None:
    async with wrapped(idle_s=0.1) as port:
        line = await StreamLine.connect(HOST, port)
        with pytest.raises(LinkError, match="the connection ended"):
            async with asyncio.timeout(2):
                await line.read()
        line.close()


async def test_only_so_many_connections_are_held() -> None:
    async with wrapped() as port:
        lines = [await StreamLine.connect(HOST, port) for _ in range(MAX_CONNECTIONS)]
        for line in lines:  # answered, so they are all accepted
            await line.write(WrapperMessage(source=16, destination=1, message=b"?").to_bytes())
            assert await line.read()
        one_more = await StreamLine.connect(HOST, port)
        with pytest.raises(LinkError, match="the connection ended"):
            async with asyncio.timeout(2):
                await one_more.read()
        for line in (*lines, one_more):
            line.close()


async def test_the_connection_that_was_silent_longest_makes_room() -> None:
    message = WrapperMessage(source=16, destination=1, message=b"?").to_bytes()
    listener = TcpListener(
        lambda line: talk_wrapper(line, associate, Conduct, 5.0), HOST, makes_room=True
    )
    await listener.start()
    lines = [await StreamLine.connect(HOST, listener.port) for _ in range(MAX_CONNECTIONS)]
    for line in (*lines[1:], lines[0]):  # the second is the one that was heard first of all
        await line.write(message)
        assert await line.read()
    one_more = await StreamLine.connect(HOST, listener.port)
    await one_more.write(message)
    async with asyncio.timeout(2):
        assert await one_more.read()
        with pytest.raises(LinkError, match="the connection ended"):
            await lines[1].read()
    await lines[0].write(message)
    assert await lines[0].read()
    for line in (*lines, one_more):
        line.close()
    await listener.stop()


@pytest.mark.parametrize("size", [2, 4])
async def test_hdlc_passes_through_a_device_server(size: int) -> None:
    stations = [Device(station=Station(address, associate)) for address in (17, 18)]
    listener = TcpListener(lambda line: talk_hdlc(line, stations), HOST)
    await listener.start()
    for address in (17, 18):
        link = ClientLink(HdlcAddress.client(16), HdlcAddress.server(1, address, size))
        line = await StreamLine.connect(HOST, listener.port)
        transport = HdlcTransport(line, link, QUICK)
        await transport.open()
        assert await transport.exchange(b"z" * 500) == b"=" + b"z" * 500
        await transport.close()
    await listener.stop()
