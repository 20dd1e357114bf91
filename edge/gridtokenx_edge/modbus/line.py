"""One Modbus line, serial or TCP: it carries one request at a time, tells its faults apart, and is
kept connected.

It neither repeats requests nor decides which meter is asked. Its callers do, because they know what
a failure costs the other meters.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus
from gridtokenx_edge.log import FaultLog
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.byte_stream import ByteStream, open_serial, open_tcp
from gridtokenx_edge.modbus.codec import Answer, MbapCodec, NotModbus, Refusal, RtuCodec, Words
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.late_replies import LateReplies
from gridtokenx_edge.modbus.line_lock import LineLock
from gridtokenx_edge.polling.faults import LineDown, MeterGarbled, MeterSilent
from gridtokenx_edge.polling.silent_meter_budget import SilentMeterBudget
from gridtokenx_edge.polling.watch import NOBODY, LineWatch

_CONNECT_TIMEOUT_S = 3.0
_RECONNECT_BASE_S = 0.5
_RECONNECT_CAP_S = 30.0
# While a line is up, the loop that keeps it connected comes round this often.
_ROUND_S = 15.0
# After so many requests in a row without a reply the line is opened anew, because USB adapters and
# device servers sometimes stop working until then.
_SILENT_BEFORE_REOPEN = 8
# Modbus over Serial Line V1.02, 2.5.1.1: frames stand 3.5 characters apart, above 19,200 baud
# 1.75 ms.
_SILENCE_CHARACTERS = 3.5
_FAST_BAUD = 19_200
_FAST_SILENCE_S = 0.00175
_START_AND_DATA_BITS = 9
# A request has 8 bytes, a reply 5 beside its registers.
_FRAME_BYTES = 13


class Line:
    """A line that one caller at a time holds."""

    def __init__(
        self,
        config: BusConfig,
        faults: FaultLog,
        watch: LineWatch = NOBODY,
        on_bytes: Callable[[bool, bytes], None] | None = None,
    ) -> None:
        """`on_bytes` gets the bytes as they pass, and whether they are sent."""
        self.name = config.name
        self.timeout_s = config.timeout_ms / 1000
        self.retries = config.retries
        self.is_numbered = not isinstance(config, SerialBus) and not config.rtu_over_tcp
        """Whether replies carry their request's number (MBAP), so that a late one is known."""
        self.generation = 0
        """Counts connections: after a new one, meters may have been exchanged."""
        self.opens_on_demand = False
        self.silent_meters = SilentMeterBudget(config.silent_share_percent)
        self.late_replies = LateReplies()
        """The replies that may still come; none where replies are numbered."""
        self.round_trip_s = 0.0
        """From the last request to its answer."""
        self._config = config
        self._faults = faults
        self._watch = watch
        self._on_bytes = on_bytes
        self._lock = LineLock()
        self._stream: ByteStream | None = None
        self._codec: RtuCodec | MbapCodec = RtuCodec()
        self._answer: asyncio.Future[Answer | None] | None = None
        self._is_up = asyncio.Event()
        self._is_down = asyncio.Event()
        self._is_down.set()
        self._why_down = ""
        self._silent = 0
        self._has_answered = False
        self._last_byte_at_s = 0.0
        self._is_echo_told = False
        self._is_serial = isinstance(config, SerialBus)
        self._byte_s, self._silence_s = _pace(config)

    @asynccontextmanager
    async def hold(self, *, is_urgent: bool = False) -> AsyncIterator[None]:
        """Have the line for oneself. Callers get it in the order of asking, the urgent ones
        first.
        """
        async with self._lock.hold(is_urgent=is_urgent):
            yield

    async def connect(self) -> None:
        """Open the port or the connection. Raises LineDown with the reason."""
        self.close()
        config = self._config
        if isinstance(config, SerialBus):
            self._stream = ByteStream(open_serial(config), self._received, self._lost)
        else:
            self._stream = ByteStream(
                await open_tcp(config, _CONNECT_TIMEOUT_S), self._received, self._lost
            )
        self._codec = MbapCodec() if self.is_numbered else RtuCodec()
        self._silent = 0
        self._has_answered = False
        self._why_down = ""
        self.generation += 1
        self._is_down.clear()
        self._is_up.set()

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream:
            stream.close()
        self._is_up.clear()
        self._is_down.set()
        if self._answer and not self._answer.done():
            self._answer.set_exception(LineDown(self._why_down or "the line was closed"))

    async def keep_up(self) -> None:
        """Connect again with growing waits whenever the line goes down, until cancelled."""
        backoff = Backoff(_RECONNECT_BASE_S, _RECONNECT_CAP_S, random.random)
        try:
            while True:
                self._watch.turned()
                try:
                    await self.connect()
                except LineDown as fault:
                    self._faults.error("line_down", self.name, bus=self.name, reason=str(fault))
                    await asyncio.sleep(backoff.next_s())
                    continue
                await self._until_down()
                if self._has_answered or not self._why_down:
                    backoff.reset()
                    self._faults.over("line_down", self.name)
                    continue
                self._faults.error("line_down", self.name, bus=self.name, reason=self._why_down)
                await asyncio.sleep(backoff.next_s())
        finally:
            self.close()

    async def _until_down(self) -> None:
        while not self._is_down.is_set():
            self._watch.turned()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ROUND_S):
                    await self._is_down.wait()

    @property
    def is_up(self) -> bool:
        return self._is_up.is_set()

    async def until_up(self) -> None:
        await self._is_up.wait()

    def retries_of(self, meter: MeterConfig) -> int:
        """Return how often a request without a valid reply is repeated: the meter's own number, or
        the bus's.
        """
        return self.retries if meter.retries is None else meter.retries

    def wire_s(self, block: Block) -> float:
        """Return how long the bytes of a request for `block` and of its reply are on the line, in
        seconds.
        """
        return (_FRAME_BYTES + 2 * block.count) * self._byte_s

    async def read(self, address: int, block: Block, timeout_s: float | None = None) -> list[int]:
        """Return the registers of a block from the meter at `address`. Hold the line while calling
        it.

        Waits for `timeout_s`, or as long as the bus's config says. Raises BusFault. After
        MeterSilent or MeterGarbled, and if it is cancelled, a late reply may still come: it is
        owed.
        """
        self._require_stream()
        if timeout_s is None:
            timeout_s = self.timeout_s
            await self._settle(address)
        await self._silence()
        answer = await self._exchange(address, block, timeout_s)
        if answer is None:
            self._raise_silence(block, timeout_s)
        elif isinstance(answer, Words):
            return answer.words
        raise MeterRefused(answer.code)

    def _require_stream(self) -> ByteStream:
        if self._stream is None:
            raise LineDown(self._why_down or "the line is down")
        return self._stream

    async def _exchange(self, address: int, block: Block, timeout_s: float) -> Answer | None:
        """Return the answer to one request, or None if none comes in time."""
        stream = self._require_stream()
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer | None] = loop.create_future()
        self._answer = waiting
        giving_up = loop.call_later(timeout_s, _give_up, waiting)
        asked_at_s = time.monotonic()
        if not self.is_numbered:
            self.late_replies.asked(address, block, asked_at_s)
        answer: Answer | None = None
        request = self._codec.ask(address, block)
        if self._on_bytes:
            self._on_bytes(True, request)
        stream.write(request)
        try:
            answer = await waiting
        finally:
            giving_up.cancel()
            self._answer = None
            spent_s = time.monotonic() - asked_at_s
            self.silent_meters.held(address, spent_s)
            self._watch.asked(spent_s, None if answer is None else address)
        if answer:
            self._silent = 0
            self._has_answered = True
            self.round_trip_s = spent_s
            if not self.is_numbered:
                self.late_replies.answered(address, is_refusal=isinstance(answer, Refusal))
            self._tell_echo()
        return answer

    def _raise_silence(self, block: Block, timeout_s: float) -> NoReturn:
        """Raise the fault that a request without an answer means."""
        instead = self._codec.give_up()
        self._last_byte_at_s = time.monotonic()
        self._silent += 1
        if self._silent >= _SILENT_BEFORE_REOPEN or instead.is_out_of_step:
            self.close()
        if instead.is_reply:
            fc, count = block.shape
            raise MeterGarbled(
                f"expected {count} registers with function code {fc}, got {instead.text}"
            )
        what = f"; heard {instead.text}" if instead.text else ""
        raise MeterSilent(f"no reply within {timeout_s * 1000:.0f} ms{what}")

    def _received(self, data: bytes) -> None:
        self._last_byte_at_s = time.monotonic()
        if self._on_bytes:
            self._on_bytes(False, data)
        try:
            answer = self._codec.feed(data)
        except NotModbus as fault:
            self._go_down(str(fault))
            return
        if answer and self._answer and not self._answer.done():
            self._answer.set_result(answer)

    def _lost(self) -> None:
        self._go_down("the port has gone" if self._is_serial else "the connection was closed")

    def _go_down(self, why: str) -> None:
        """Close the line, because nothing more will come. A request under way fails at once."""
        self._why_down = why
        self.close()

    async def _settle(self, address: int) -> None:
        """Wait until a late reply of this meter has passed. Callers that can wait without holding
        the line do so before.
        """
        if owed := self.late_replies.of(address, time.monotonic()):
            await asyncio.sleep(owed.asked_at_s + self.timeout_s - time.monotonic())

    async def _silence(self) -> None:
        """Wait until the line has been quiet for as long as frames must be apart."""
        until_s = time.monotonic() + self.timeout_s
        while True:
            now_s = time.monotonic()
            if self._require_stream().discard():
                self._last_byte_at_s = now_s
            wait_s = self._last_byte_at_s + self._silence_s - now_s
            if wait_s <= 0:
                return
            if now_s > until_s:
                raise MeterSilent("the line is never quiet (noise, or another master on it?)")
            await asyncio.sleep(wait_s)

    def _tell_echo(self) -> None:
        if self._codec.is_echoed and not self._is_echo_told:
            self._is_echo_told = True
            self._faults.info("line_echoes", bus=self.name, hint="requests come back; dropped")


def _give_up(waiting: asyncio.Future[Answer | None]) -> None:
    with suppress(asyncio.InvalidStateError):
        waiting.set_result(None)


def _pace(config: BusConfig) -> tuple[float, float]:
    """Return how many seconds a byte takes on the line and how many frames must be apart; 0
    on TCP.
    """
    if not isinstance(config, SerialBus):
        return 0.0, 0.0
    bits = _START_AND_DATA_BITS + (config.parity != "N") + config.stop_bits
    byte_s = bits / config.baud
    silence_s = _FAST_SILENCE_S if config.baud > _FAST_BAUD else _SILENCE_CHARACTERS * byte_s
    return byte_s, silence_s
