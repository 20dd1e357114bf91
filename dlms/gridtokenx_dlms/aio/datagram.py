"""The wrapper over UDP (IEC 62056-47; Green Book 7.3): one message a datagram, at both ends.

Nothing repeats a datagram that was lost: a request that is said twice may be done twice, and under
keys its invocation counter would be a replay. Silence is an error, and whoever asked begins anew.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import msgspec

from gridtokenx_dlms.aio.client_transport import Timing
from gridtokenx_dlms.aio.server import IDLE_S, PROMPT, Conduct
from gridtokenx_dlms.errors import LinkError, MalformedError
from gridtokenx_dlms.hdlc.station import Associate, Conversation
from gridtokenx_dlms.wrapper import HEADER_BYTES, WrapperMessage, parse_datagram
from gridtokenx_dlms.xdlms.notification import DATA_NOTIFICATION_TAG

LONGEST_MESSAGE = 65_507 - HEADER_BYTES
"""What a datagram over IPv4 holds."""
_WAITING = 64
_MAX_CONVERSATIONS = 8
_OPEN_TIMEOUT_S = 5.0

Address = tuple[Any, ...]
"""Host and port as the system gives them; four numbers and names with IPv6."""


class Datagrams(asyncio.DatagramProtocol):
    """The datagrams that came to a socket and were not read yet.

    Where nobody reads, new ones are dropped.
    """

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[tuple[bytes, Address] | LinkError] = asyncio.Queue(_WAITING)
        self._transport: asyncio.DatagramTransport | None = None
        self.dropped = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._put((data, addr))

    def error_received(self, exc: Exception) -> None:
        code = exc.errno if isinstance(exc, OSError) else None
        self._put(LinkError(os.strerror(code) if code else str(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._put(LinkError("the socket is closed"))

    def _put(self, arrived: tuple[bytes, Address] | LinkError) -> None:
        try:
            self._arrived.put_nowait(arrived)
        except asyncio.QueueFull:
            self.dropped += 1

    @property
    def port(self) -> int:
        assert self._transport
        return int(self._transport.get_extra_info("sockname")[1])

    async def receive(self) -> tuple[bytes, Address]:
        """Return a datagram and who sent it. Raises LinkError for what the network says instead."""
        arrived = await self._arrived.get()
        if isinstance(arrived, LinkError):
            raise arrived
        return arrived

    def send(self, datagram: bytes, address: Address | None = None) -> None:
        """Send a datagram to the connected end, or to an address.

        Raises LinkError once it is closed.
        """
        assert self._transport
        if self._transport.is_closing():
            raise LinkError("the socket is closed")
        self._transport.sendto(datagram, address)

    def close(self) -> None:
        assert self._transport
        self._transport.close()


async def connect(host: str, port: int) -> Datagrams:
    """Return a socket that only hears this end. Raises LinkError."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_OPEN_TIMEOUT_S):
            _, datagrams = await loop.create_datagram_endpoint(Datagrams, remote_addr=(host, port))
    except OSError as error:
        raise LinkError(f"{host}:{port}: {error.strerror or 'no answer'}") from None
    except UnicodeError:
        raise LinkError(f"{host}:{port}: this is no host name") from None
    return datagrams


async def listen(host: str, port: int) -> Datagrams:
    """Return a socket that hears whoever sends to this port (IPv4); "" is every interface.

    Raises OSError.
    """
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        near.setblocking(False)
        near.bind((host, port))
        loop = asyncio.get_running_loop()
        _, datagrams = await loop.create_datagram_endpoint(Datagrams, sock=near)
    except BaseException:
        near.close()
        raise
    return datagrams


class UdpTransport:
    """A client's messages in datagrams. `unasked` is called with what the meter pushes meanwhile.

    After an error the socket is of no use, as with TCP: a late reply could come in the place of
    another. A new socket has another port, so that none finds it.
    """

    def __init__(
        self,
        datagrams: Datagrams,
        client: int,
        server: int,
        timing: Timing | None = None,
        unasked: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._datagrams = datagrams
        self._client = client
        self._server = server
        self._timing = timing or Timing()
        self._unasked = unasked
        self._is_broken = False

    async def open(self) -> None:
        """Do nothing: datagrams need no connection."""

    async def exchange(self, message: bytes) -> bytes:
        """Return the reply to a message.

        Raises LinkError, MalformedError, ValueError (it is too long).
        """
        if self._is_broken:
            raise LinkError("the exchange before this one has failed")
        if len(message) > LONGEST_MESSAGE:
            raise ValueError(f"expected at most {LONGEST_MESSAGE} bytes, got {len(message)}")
        self._is_broken = True
        timing = self._timing
        wait_s = min(timing.reply_s * (1 + timing.retries), timing.exchange_s)
        try:
            async with asyncio.timeout(wait_s):
                self._datagrams.send(
                    WrapperMessage(
                        source=self._client, destination=self._server, message=message
                    ).to_bytes()
                )
                reply = await self._reply()
        except TimeoutError:
            raise LinkError(f"no reply within {wait_s * 1000:.0f} ms") from None
        self._is_broken = False
        return reply

    async def _reply(self) -> bytes:
        while True:
            datagram, _ = await self._datagrams.receive()
            wrapped = parse_datagram(datagram)
            ports = wrapped.source, wrapped.destination
            is_pushed = wrapped.message[:1] == bytes((DATA_NOTIFICATION_TAG,))
            if ports == (self._server, self._client) and not is_pushed:
                return wrapped.message
            self._unasked(wrapped.message)

    async def close(self) -> None:
        self._datagrams.close()


class _Known(msgspec.Struct):
    conversation: Conversation
    heard_at_s: float


class UdpServer:
    """Answers for a meter on a UDP port until it is cancelled.

    A client is known by its address and the wrapper's ports. UDP tells no end, so whoever has been
    silent for `idle_s` is forgotten; more than eight clients at once get no answer.
    """

    def __init__(
        self,
        datagrams: Datagrams,
        associate: Associate,
        conduct: Callable[[], Conduct] = lambda: PROMPT,
        idle_s: float = IDLE_S,
    ) -> None:
        self._datagrams = datagrams
        self._associate = associate
        self._conduct = conduct
        self._idle_s = idle_s
        self._known: dict[tuple[Address, int, int], _Known] = {}

    async def run(self) -> None:
        """Close the socket at its end."""
        try:
            while True:
                # What the network says of one client's address concerns no other.
                with suppress(LinkError, MalformedError):
                    await self._answer(*await self._datagrams.receive())
        finally:
            self._datagrams.close()
            for known in self._known.values():
                known.conversation.close()

    async def _answer(self, datagram: bytes, address: Address) -> None:
        asked = parse_datagram(datagram)
        conversation = self._conversation(address, asked)
        conduct = self._conduct()
        if conversation is None or conduct.is_silent:
            return
        reply = conversation.handle(asked.message)
        if 0 < len(reply) <= LONGEST_MESSAGE:
            await asyncio.sleep(conduct.delay_s)
            wrapped = WrapperMessage(
                source=asked.destination, destination=asked.source, message=reply
            )
            self._datagrams.send(wrapped.to_bytes(), address)

    def _conversation(self, address: Address, asked: WrapperMessage) -> Conversation | None:
        now_s = time.monotonic()
        self._forget(now_s - self._idle_s)
        key = address, asked.source, asked.destination
        if known := self._known.get(key):
            known.heard_at_s = now_s
            return known.conversation
        if len(self._known) >= _MAX_CONVERSATIONS:
            return None
        conversation = self._associate(asked.source, asked.destination)
        if conversation is not None:
            self._known[key] = _Known(conversation, now_s)
        return conversation

    def _forget(self, before_s: float) -> None:
        for key in [key for key, known in self._known.items() if known.heard_at_s < before_s]:
            self._known.pop(key).conversation.close()
