"""A client's messages over HDLC or the wrapper, with time-outs and repetitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Protocol, TypeVar

import msgspec

from gridtokenx_dlms.aio.line import ByteLine
from gridtokenx_dlms.errors import LinkError, MalformedError
from gridtokenx_dlms.hdlc.client_link import ClientLink, LinkState
from gridtokenx_dlms.hdlc.events import (
    Busy,
    Connected,
    Disconnected,
    LinkEvent,
    Message,
    Unnumbered,
)
from gridtokenx_dlms.wrapper import WrapperMessage, WrapperReader

T = TypeVar("T")
# The LLC bytes before a message in HDLC: destination, source (command or response), quality.
LLC_REQUEST, LLC_RESPONSE = bytes.fromhex("E6E600"), bytes.fromhex("E6E700")


class Timing(msgspec.Struct, frozen=True):
    """`reply_s` is for the first byte of a reply, `gap_s` between two bytes of one.

    A request is repeated `retries` times; `exchange_s` bounds it in all, however alive the meter
    is. A busy meter is asked again after `busy_s`.
    """

    reply_s: float = 2.0
    gap_s: float = 0.2
    exchange_s: float = 60.0
    busy_s: float = 0.3
    retries: int = 2


class Transport(Protocol):
    """Carries a message to the meter and its reply back. Raises LinkError."""

    async def open(self) -> None: ...

    async def exchange(self, message: bytes) -> bytes: ...

    async def close(self) -> None: ...


async def run(exchange: Generator[bytes, bytes, T], transport: Transport) -> T:
    """Drives a service of `ClientAssociation` over a transport; gives what it returns."""
    try:
        request = next(exchange)
        while True:
            request = exchange.send(await transport.exchange(request))
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        exchange.close()


class HdlcTransport:
    """HDLC over any line. `unasked` is called with what the meter pushes meanwhile."""

    def __init__(
        self,
        line: ByteLine,
        link: ClientLink,
        timing: Timing | None = None,
        unasked: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._line = line
        self._link = link
        self._timing = timing or Timing()
        self._unasked = unasked

    async def open(self) -> None:
        """Connects the link (SNRM, UA). Raises LinkError."""
        self._link.connect()
        await self._until(Connected)

    async def exchange(self, message: bytes) -> bytes:
        """The reply to a message. Raises LinkError, MalformedError."""
        self._link.send(LLC_REQUEST + message)
        reply = await self._until(Message)
        assert isinstance(reply, Message)
        if reply.message[:3] != LLC_RESPONSE:
            raise MalformedError("expected the LLC bytes of a response")
        return reply.message[3:]

    async def close(self) -> None:
        """Says goodbye where anyone listens, and closes the line."""
        try:
            if self._link.state is LinkState.OPEN:
                self._link.disconnect()
                with suppress(LinkError):
                    await self._until(Disconnected)
        finally:
            self._line.close()

    async def _until(self, wanted: type[LinkEvent]) -> LinkEvent:
        """Carries frames until the wanted event comes, repeating what is not answered."""
        deadline_s = time.monotonic() + self._timing.exchange_s
        failures = 0
        while True:
            await self._line.write(self._link.data_to_send())
            found, heard = await self._listen(wanted, deadline_s)
            if found is not None:
                return found
            if time.monotonic() >= deadline_s:
                raise LinkError(f"no reply within {self._timing.exchange_s:g} s")
            failures = 0 if heard else failures + 1
            if failures > self._timing.retries:
                raise LinkError(f"no reply within {self._timing.reply_s * 1000:.0f} ms")
            if not heard:
                self._link.repeat()

    async def _listen(
        self, wanted: type[LinkEvent], deadline_s: float
    ) -> tuple[LinkEvent | None, bool]:
        """Reads until the turn is ours again: the event, and whether the meter said anything."""
        wait_s = self._timing.reply_s
        heard = False
        while True:
            left_s = min(wait_s, deadline_s - time.monotonic())
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    events = list(self._link.receive(await self._line.read()))
            except TimeoutError:
                events = list(self._link.silence())
                if not events:
                    return None, heard and self._link.has_data_to_send
            wait_s = self._timing.gap_s
            for event in events:
                heard = True
                match event:
                    case Unnumbered():
                        self._unasked(event.message)
                        wait_s = self._timing.reply_s
                    case Busy():
                        await asyncio.sleep(self._timing.busy_s)
                        self._link.poll()
                    case Disconnected() if wanted is not Disconnected:
                        raise LinkError("the meter has closed the link (DM)")
                    case _ if isinstance(event, wanted):
                        return event, True
            if self._link.has_data_to_send:
                return None, True


class WrapperTransport:
    """The wrapper over a TCP connection. Messages to other ports are passed to `unasked`."""

    def __init__(
        self,
        line: ByteLine,
        client: int,
        server: int,
        timing: Timing | None = None,
        unasked: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._line = line
        self._client = client
        self._server = server
        self._timing = timing or Timing()
        self._unasked = unasked
        self._reader = WrapperReader()

    async def open(self) -> None:
        """The connection is all there is to open."""

    async def exchange(self, message: bytes) -> bytes:
        """The reply to a message. TCP repeats by itself. Raises LinkError, MalformedError."""
        wrapped = WrapperMessage(self._client, self._server, message)
        try:
            async with asyncio.timeout(self._timing.exchange_s):
                await self._line.write(wrapped.to_bytes())
                while True:
                    reply = None
                    for received in self._reader.feed(await self._line.read()):
                        if (received.source, received.destination) == (self._server, self._client):
                            reply = received.message
                        else:
                            self._unasked(received.message)
                    if reply is not None:
                        return reply
        except TimeoutError:
            raise LinkError(f"no reply within {self._timing.exchange_s:g} s") from None

    async def close(self) -> None:
        self._line.close()
