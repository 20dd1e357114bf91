"""A client's messages over HDLC or the wrapper, with time-outs and repetitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Protocol, TypeVar

import msgspec

from gridtokenx_dlms.aio.line import ByteLine
from gridtokenx_dlms.errors import DlmsError, LinkError, MalformedError
from gridtokenx_dlms.hdlc.client_link import ClientLink, LinkState
from gridtokenx_dlms.hdlc.events import (
    Busy,
    Connected,
    Disconnected,
    LinkEvent,
    Message,
    Unnumbered,
)
from gridtokenx_dlms.hdlc.llc import LLC_REQUEST, LLC_RESPONSE, without_llc
from gridtokenx_dlms.wrapper import WrapperMessage, WrapperReader
from gridtokenx_dlms.xdlms.notification import DATA_NOTIFICATION_TAG

T = TypeVar("T")


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """`reply_s` is for the first byte of a reply, `gap_s` between two bytes of one.

    A request is repeated `retries` times (TCP does that itself, and is waited for as long);
    `exchange_s` bounds it in all, however alive the meter is. A busy meter is asked again after
    `busy_s`.
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


async def run_service(
    exchange: Generator[bytes, bytes, T], transport: Transport, within_s: float | None = None
) -> T:
    """Drive a service of `ClientAssociation` over a transport; gives what it returns.

    All its messages together may take `within_s`. Raises LinkError beyond it.
    """
    try:
        async with asyncio.timeout(within_s):
            request = next(exchange)
            while True:
                request = exchange.send(await transport.exchange(request))
    except StopIteration as done:
        result: T = done.value
        return result
    except TimeoutError:
        raise LinkError(f"no whole answer within {within_s:g} s") from None
    finally:
        exchange.close()


class HdlcTransport:
    """HDLC over any line, for a client.

    `unasked` is called with what the meter pushes meanwhile (no LLC).
    """

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
        """Connect the link (SNRM, UA). Raises LinkError."""
        self._link.connect()
        await self._until(Connected)

    async def exchange(self, message: bytes) -> bytes:
        """Return the reply to a message. Raises LinkError, MalformedError."""
        if self._link.state is not LinkState.OPEN:
            raise LinkError("the link is not open")
        self._link.send(LLC_REQUEST + message)
        reply = await self._until(Message)
        assert isinstance(reply, Message)
        if reply.message[:3] != LLC_RESPONSE:
            raise MalformedError("expected the LLC bytes of a response")
        return reply.message[3:]

    async def close(self) -> None:
        """Say goodbye where anyone listens, and closes the line."""
        try:
            if self._link.state is LinkState.OPEN:
                self._link.disconnect()
                with suppress(DlmsError):
                    await self._until(Disconnected)
        finally:
            self._line.close()

    async def _until(self, wanted: type[LinkEvent]) -> LinkEvent:
        """Carry frames until the wanted event comes, repeating what is not answered."""
        deadline_s = time.monotonic() + self._timing.exchange_s
        failures = 0
        while True:
            heard = self._link.heard
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                async with asyncio.timeout(left_s):
                    await self._line.write(self._link.data_to_send())
                    found = await self._listen(wanted)
            except TimeoutError:
                raise LinkError(f"no reply within {self._timing.exchange_s:g} s") from None
            if found is not None:
                return found
            if self._link.has_data_to_send:
                failures = 0  # the meter has spoken, and it is our turn
                continue
            failures = 1 if self._link.heard > heard else failures + 1
            if failures > self._timing.retries:
                raise LinkError(
                    f"no reply within {self._timing.reply_s * 1000:.0f} ms,"
                    f" asked {failures} time{'s' if failures > 1 else ''}"
                )
            self._link.repeat()

    async def _listen(self, wanted: type[LinkEvent]) -> LinkEvent | None:
        """Read until the turn is ours again: the event, or None. Silence ends it as well."""
        silent_at_s = time.monotonic() + self._timing.reply_s
        heard = self._link.heard
        while True:
            until_s = silent_at_s
            if self._link.is_receiving:
                until_s = time.monotonic() + self._timing.gap_s
            try:
                async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                    received = await self._line.read()
            except TimeoutError:
                events, is_silent = list(self._link.silence()), True
            else:
                events, is_silent = list(self._link.receive(received)), False
            for event in events:
                if isinstance(event, Unnumbered):
                    self._unasked(without_llc(event.message))
                elif isinstance(event, wanted):
                    return event
                elif isinstance(event, Disconnected):
                    raise LinkError("the meter has closed the link (DM)")
                elif isinstance(event, Busy):
                    await asyncio.sleep(self._timing.busy_s)
                    self._link.poll()
            if self._link.has_data_to_send:
                return None
            if self._link.heard > heard:  # something else, or late: the meter is at work
                heard = self._link.heard
                silent_at_s = time.monotonic() + self._timing.reply_s
            if time.monotonic() >= silent_at_s and (is_silent or not self._link.is_receiving):
                return None


class WrapperTransport:
    """The wrapper over a TCP connection.

    `unasked` is called with what the meter pushes, and with what comes for other ports.
    """

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
        self._is_broken = False

    async def open(self) -> None:
        """Do nothing: the connection is open already."""

    async def exchange(self, message: bytes) -> bytes:
        """Return the reply to a message. Raises LinkError, MalformedError.

        After an error the connection is of no use: nothing tells a late reply from the next one.
        """
        if self._is_broken:
            raise LinkError("the connection has failed before")
        self._is_broken = True
        wrapped = WrapperMessage(source=self._client, destination=self._server, message=message)
        try:
            async with asyncio.timeout(self._timing.exchange_s):
                await self._line.write(wrapped.to_bytes())
                reply = await self._reply()
        except TimeoutError:
            raise LinkError(f"no reply within {self._timing.exchange_s:g} s") from None
        self._is_broken = False
        return reply

    async def _reply(self) -> bytes:
        wait_s = self._timing.reply_s * (1 + self._timing.retries)
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    received = await self._line.read()
            except TimeoutError:
                raise LinkError(f"no reply within {wait_s * 1000:.0f} ms") from None
            reply = None
            for wrapped in self._reader.feed(received):
                if self._is_ours(wrapped) and reply is None:
                    reply = wrapped.message
                else:
                    self._unasked(wrapped.message)
            if reply is not None:
                return reply

    def _is_ours(self, wrapped: WrapperMessage) -> bool:
        ports = (wrapped.source, wrapped.destination)
        is_pushed = wrapped.message[:1] == bytes((DATA_NOTIFICATION_TAG,))
        return ports == (self._server, self._client) and not is_pushed

    async def close(self) -> None:
        self._line.close()
