"""Meters as servers: HDLC on a serial line (mode E or direct) or over TCP, and the wrapper."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from gridtokenx_dlms.aio.line import ByteLine, StreamLine
from gridtokenx_dlms.errors import LinkError, MalformedError
from gridtokenx_dlms.hdlc.frame import FrameReader, HdlcFrame
from gridtokenx_dlms.hdlc.station import Associate, Conversation, Station
from gridtokenx_dlms.mode_e import (
    BAUD_RATES,
    MAX_IDENTIFICATION,
    OPENING_BAUD,
    Identification,
    parse_option_select,
    parse_request,
    with_parity,
    without_parity,
)
from gridtokenx_dlms.wrapper import WrapperMessage, WrapperReader

IDLE_S = 120.0
MAX_CONNECTIONS = 8
_MAX_CONVERSATIONS = 8
_GAP_S = 0.2
_LINE_END = with_parity(b"\n")


class Conduct(msgspec.Struct, frozen=True, kw_only=True):
    """How a meter behaves at this moment: late by so much, silent, or busy (RNR)."""

    delay_s: float = 0.0
    is_silent: bool = False
    is_busy: bool = False


PROMPT = Conduct()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A physical device on a line. `opening` is what it says of itself in mode E at 300 baud.

    `name` is the device address of a request message that chooses among several.
    """

    station: Station
    conduct: Callable[[], Conduct] = lambda: PROMPT
    opening: Identification | None = None
    name: str = ""


class HdlcServer:
    """Answers for the devices on one line until it is cancelled or the line ends.

    Devices with an `opening` leave the line at 300 baud until a client opens it, and again when
    the last link has ended or nobody has spoken for `idle_s`.
    """

    def __init__(self, line: ByteLine, devices: Sequence[Device], idle_s: float = IDLE_S) -> None:
        self._line = line
        self._devices = tuple(devices)
        self._idle_s = idle_s
        self._has_opening = any(device.opening for device in devices)

    async def run(self) -> None:
        """Answer until the line ends. Raises LinkError then."""
        try:
            while True:
                if self._has_opening:
                    await self._open()
                await self._talk()
                self._close_all()
        finally:
            self._close_all()

    async def notify(self, frame: bytes) -> None:
        """Send a frame that nobody asked for (`Station.notify`). Raises LinkError."""
        await self._line.write(frame)

    def _close_all(self) -> None:
        for device in self._devices:
            device.station.close()

    # --- mode E ---------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Wait at 300 baud until a device has been asked for and HDLC chosen."""
        self._line.set_baud(OPENING_BAUD)
        while True:
            device = self._asked(await self._read_line(None))
            if device is None or device.opening is None or device.conduct().is_silent:
                continue
            await asyncio.sleep(device.conduct().delay_s)
            await self._line.write(with_parity(device.opening.to_bytes()))
            with suppress(TimeoutError, MalformedError):
                chosen = await self._read_line(self._idle_s)
                code = parse_option_select(without_parity(chosen))
                self._line.set_baud(BAUD_RATES[code])
                await self._line.write(chosen)
                return

    def _asked(self, line: bytes) -> Device | None:
        try:
            name = parse_request(without_parity(line[max(0, line.find(b"\xaf")) :]))
        except MalformedError:
            return None
        named = [device for device in self._devices if name in {"", device.name}]
        return named[0] if len(named) == 1 else None

    async def _read_line(self, within_s: float | None) -> bytes:
        """Return the newest characters up to a line's end. Raises TimeoutError."""
        received = bytearray()
        async with asyncio.timeout(within_s):
            while received[-1:] != _LINE_END:
                received += await self._line.read()
                del received[:-MAX_IDENTIFICATION]
        return bytes(received)

    # --- HDLC -----------------------------------------------------------------------------------

    async def _talk(self) -> None:
        """Answer frames until the line goes back to its opening."""
        reader = FrameReader()
        was_connected = False
        while True:
            try:
                async with asyncio.timeout(_GAP_S if reader.is_inside else self._idle_s):
                    received = await self._line.read()
                frames = list(reader.feed(received))
            except TimeoutError:
                if not reader.is_inside:
                    return
                frames = list(reader.flush())
            for frame in frames:
                await self._answer(frame)
            is_connected = any(device.station.is_connected for device in self._devices)
            if self._has_opening and was_connected and not is_connected:
                await self._line.drain(64)
                return
            was_connected = was_connected or is_connected

    async def _answer(self, frame: HdlcFrame) -> None:
        called = [one for one in self._devices if one.station.is_for(frame.destination)]
        if len(called) != 1:
            return  # for nobody here, or for nobody in particular: two would talk at once
        (device,) = called
        conduct = device.conduct()
        if conduct.is_silent:
            return
        device.station.is_busy = conduct.is_busy
        reply = device.station.receive(frame)
        if reply:
            await asyncio.sleep(conduct.delay_s)
            with suppress(TimeoutError):  # nobody empties the line: the reply is lost
                async with asyncio.timeout(self._idle_s):
                    await self._line.write(reply)


class TcpListener:
    """Accepts at most `MAX_CONNECTIONS` connections at once, and runs `talk` for each.

    One more is refused, as meters do it; or, with `makes_room`, the one that was silent longest is
    closed for it, so that nobody keeps others out by saying nothing.
    """

    def __init__(
        self,
        talk: Callable[[StreamLine], Awaitable[None]],
        host: str,
        port: int = 0,
        *,
        makes_room: bool = False,
    ) -> None:
        self._talk = talk
        self._makes_room = makes_room
        self._host = host
        self.port = port
        """The port it listens on; where 0 was asked for, a free one after `start`."""
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], StreamLine] = {}

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, self._host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the connections and listens no more."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    @property
    def is_listening(self) -> bool:
        return self._server is not None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            if not self._makes_room:
                writer.close()
                return
            silent = min(self._tasks, key=lambda task: self._tasks[task].heard_s)
            del self._tasks[silent]
            silent.cancel()
        line = StreamLine(reader, writer)
        task = asyncio.get_running_loop().create_task(self._serve(line))
        self._tasks[task] = line
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)

    async def _serve(self, line: StreamLine) -> None:
        try:
            with suppress(LinkError, TimeoutError, MalformedError):
                await self._talk(line)
        finally:
            line.close()


async def talk_hdlc(line: StreamLine, devices: Sequence[Device], idle_s: float = IDLE_S) -> None:
    """Serve HDLC on a connection until it ends or is idle. Raises LinkError, TimeoutError."""
    server = HdlcServer(line, devices, idle_s)
    try:
        await server._talk()
    finally:
        server._close_all()


async def talk_wrapper(
    line: StreamLine,
    associate: Associate,
    conduct: Callable[[], Conduct] = lambda: PROMPT,
    idle_s: float = IDLE_S,
) -> None:
    """Serve the wrapper on a connection until it ends or is idle.

    Messages for unknown ports are dropped. Raises LinkError, TimeoutError, MalformedError.
    """
    reader = WrapperReader()
    conversations: dict[tuple[int, int], Conversation] = {}
    try:
        while True:
            async with asyncio.timeout(idle_s):
                received = await line.read()
            for wrapped in reader.feed(received):
                ports = wrapped.source, wrapped.destination
                if ports not in conversations and len(conversations) < _MAX_CONVERSATIONS:
                    new = associate(*ports)
                    if new is not None:
                        conversations[ports] = new
                if ports in conversations and not conduct().is_silent:
                    async with asyncio.timeout(idle_s):
                        await _reply(line, wrapped, conversations[ports], conduct())
    finally:
        for conversation in conversations.values():
            conversation.close()


async def _reply(
    line: StreamLine, asked: WrapperMessage, conversation: Conversation, conduct: Conduct
) -> None:
    reply = conversation.handle(asked.message)
    if reply:
        await asyncio.sleep(conduct.delay_s)
        wrapped = WrapperMessage(source=asked.destination, destination=asked.source, message=reply)
        await line.write(wrapped.to_bytes())
