"""A meter at the far end of a real pseudo-terminal, and what can go wrong between."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gridtokenx_dlms.aio.client_transport import HdlcTransport, Timing
from gridtokenx_dlms.aio.line import SerialLine
from gridtokenx_dlms.aio.server import Conduct, Device, HdlcServer
from gridtokenx_dlms.errors import LinkError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.hdlc.station import Station
from gridtokenx_dlms.mode_e import OPENING_BAUD, Identification

QUICK = Timing(reply_s=0.15, gap_s=0.03, exchange_s=5.0, busy_s=0.01, retries=3)


class Echo:
    """Answers each message with an equals sign before it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def handle(self, message: bytes) -> bytes:
        self.asked.append(message)
        return b"=" + message

    def close(self) -> None:
        pass


class FarEnd:
    """The meter's end: the pseudo-terminal's master, with damage on the way to the client."""

    def __init__(self) -> None:
        self._near, self.far = os.openpty()
        tty.setraw(self.far)
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self.far)
        self.damage: Callable[[bytes], bytes] = lambda data: data
        self.has_echo = False
        self.bauds: list[int] = []
        self.at_300 = asyncio.Event()

    async def read(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = os.read(self._near, 4096)
            except BlockingIOError:
                ready = asyncio.Event()
                loop.add_reader(self._near, ready.set)
                try:
                    await ready.wait()
                finally:
                    loop.remove_reader(self._near)
            except OSError:
                raise LinkError("the line went down") from None
            else:
                if self.has_echo:
                    os.write(self._near, data)
                return data

    async def write(self, data: bytes) -> None:
        os.write(self._near, self.damage(data))

    async def drain(self, count: int) -> None:
        pass

    def set_baud(self, baud: int) -> None:
        self.bauds.append(baud)
        if baud == OPENING_BAUD:
            self.at_300.set()
        else:
            self.at_300.clear()

    def close(self) -> None:
        for fd in (self._near, self.far):
            with suppress(OSError):
                os.close(fd)


class Bench:
    """A client, a line, and a meter that echoes; `conduct` is how it behaves."""

    def __init__(
        self, far: FarEnd, parameters: LinkParameters, opening: Identification | None
    ) -> None:
        self.far = far
        self.echo = Echo()
        self.conduct = Conduct()
        self.pushed: list[bytes] = []
        self.station = Station(17, self._associate, parameters)
        self.server = HdlcServer(
            far,
            [
                Device(
                    station=self.station, conduct=lambda: self.conduct, opening=opening, name="1234"
                )
            ],
            idle_s=5,
        )
        self.line = SerialLine(far.path)
        link = ClientLink(HdlcAddress.client(16), HdlcAddress.server(1, 17), parameters)
        self.transport = HdlcTransport(self.line, link, QUICK, self.pushed.append)

    def _associate(self, client: int, server: int) -> Echo | None:
        return self.echo if (client, server) == (16, 1) else None


@pytest.fixture
def bench() -> Callable[..., Any]:
    """Return a maker of benches: `async with bench() as b:` has the meter running."""

    @asynccontextmanager
    async def run(
        parameters: LinkParameters | None = None, opening: Identification | None = None
    ) -> AsyncIterator[Bench]:
        far = FarEnd()
        found = Bench(
            far,
            parameters
            or LinkParameters(
                transmit_length=64, receive_length=64, transmit_window=1, receive_window=1
            ),
            opening,
        )
        task = asyncio.create_task(found.server.run())
        try:
            yield found
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, LinkError):
                await task
            found.line.close()
            far.close()

    return run
