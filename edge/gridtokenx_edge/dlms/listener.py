"""Receives what meters send by themselves: data notifications on a serial port, a TCP or a UDP
port.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from gridtokenx_dlms.aio.datagram import Address, listen
from gridtokenx_dlms.aio.line import SerialLine, StreamLine
from gridtokenx_dlms.aio.server import TcpListener
from gridtokenx_dlms.errors import DlmsError, LinkError, MalformedError, SecurityError
from gridtokenx_dlms.security import Protection, ReplayGuard, unprotect
from gridtokenx_dlms.wrapper import WrapperReader, parse_datagram
from gridtokenx_dlms.xdlms.ciphered_message import is_ciphered, parse_ciphered
from gridtokenx_dlms.xdlms.general_block import BlockAssembler
from gridtokenx_dlms.xdlms.notification import parse_data_notification
from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.dlms_config import UDP, DlmsMeter, DlmsPush
from gridtokenx_edge.dlms.meter_access import DlmsFiles, MeterAccess, usable_access
from gridtokenx_edge.dlms.pushed_frames import EvenLine, PushedFrames
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.meters.dlms_push import Pushed, contents_text, decode_push
from gridtokenx_edge.meters.foreign_bytes import recognise
from gridtokenx_edge.meters.pushed_clock import PushedClock
from gridtokenx_edge.meters.site_reading import Quantities, site_reading
from gridtokenx_edge.polling.clock_report import ClockReport
from gridtokenx_edge.polling.faults import BusFault, MeterGarbled, ValueMissing
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading, ReadingFlag

_RETRY_BASE_S = 0.5
_RETRY_CAP_S = 30.0
_SILENCE_S = 600.0
_KEEP_NEWEST_EVERY_S = 60.0
_REGISTERS_WITHIN_S = 2 * 3600.0
_SENDERS = 16
# So many of the bytes that make no message are shown.
_SHOWN = 32


class PushedMeter:
    """One meter's messages: deciphered with its keys, decoded by its template, and thinned out."""

    def __init__(
        self, access: MeterAccess, clock: Clock, is_synchronised: Callable[[], bool] = lambda: True
    ) -> None:
        self.id = access.meter.id
        self._access = access
        self._clock = clock
        self._is_synchronised = is_synchronised
        self._guard = ReplayGuard(access.counters.newest_received() if access.counters else -1)
        self._kept_at_s = time.monotonic()
        self._last_slot = -1
        self._meter_clock = PushedClock()
        self.failed: Callable[[BusFault], None] = lambda _fault: None
        """What is told of each message that was of no use."""
        self.lacks_registers: str = ""
        """What the last message held, where it was not the import register."""
        self._read_at_s = float("-inf")

    @property
    def clock_drift_ms(self) -> int | None:
        """How far the meter's clock is ahead of the gateway's; None where it is not known."""
        return self._meter_clock.ahead_ms

    def open(self, message: bytes) -> bytes:
        """Return the plain message. Raises DlmsError, above all where the message is another
        meter's.
        """
        access = self._access
        if not is_ciphered(message):
            if access.protection is not Protection.NONE:
                raise SecurityError("expected a ciphered message, got one in the open")
            return message
        if access.keys is None:
            raise SecurityError(
                "expected a message in the open, got a ciphered one: give protection and"
                " encryption_key (the grid operator has the key)"
            )
        ciphered = parse_ciphered(message)
        opened = unprotect(ciphered.protected, access.keys, ciphered.title)
        if opened.protection.value & access.protection.value != access.protection.value:
            raise SecurityError(f"expected a message {access.protection.name.lower()}")
        if opened.protection is Protection.ENCRYPTED and access.meter.protection != "encrypted":
            raise SecurityError(
                "expected a message that proves its sender; the config's"
                ' protection = "encrypted" takes those that do not'
            )
        parse_data_notification(opened.plaintext)  # without a tag, only its shape proves the key
        self._guard.check(opened.counter)
        self._keep_newest_received()
        return opened.plaintext

    def reading(self, message: bytes) -> Reading | None:
        """Return a reading, or None where the message has no registers or comes too soon after the
        last one.

        Raises DlmsError.
        """
        notification = parse_data_notification(message)
        near_ms = None
        if self._is_synchronised():
            near_ms = self._meter_clock.expected_ms(self._clock.now_ms())
        pushed = decode_push(notification, self._access.profile, self._access.zone, near_ms)
        if pushed.meter not in (None, self.id):
            raise MalformedError(f"expected {self.id}, but the meter says it is {pushed.meter}")
        self.lacks_registers = ""
        if pushed.import_uwh is None:
            self.lacks_registers = contents_text(notification)
            return None
        self._read_at_s = time.monotonic()
        time_ms, flags = self._stamp(pushed)
        slot = time_ms // self._access.meter.every_ms
        if slot == self._last_slot:
            return None
        self._last_slot = slot
        if pushed.meter is None:
            flags |= ReadingFlag.CONFIGURED_ID
        said = Quantities(
            import_uwh=pushed.import_uwh, export_uwh=pushed.export_uwh, power_w=pushed.power_w
        )
        invert = self._access.meter.invert
        return site_reading(self.id, said, time_ms=time_ms, invert=invert, flags=flags)

    @property
    def waits_for_registers(self) -> bool:
        """Whether no message with registers has come for so long that it is not normal. Some
        meters send power every few seconds, and registers once an hour.
        """
        return time.monotonic() - self._read_at_s > _REGISTERS_WITHIN_S

    def _stamp(self, pushed: Pushed) -> tuple[int, ReadingFlag]:
        now_ms = self._clock.now_ms()
        if pushed.time_ms is None:
            return now_ms, ReadingFlag(0)
        if not self._is_synchronised():
            # What the clock was ahead when both could be compared, it still is.
            ahead_ms = self._meter_clock.ahead_ms or 0
            return pushed.time_ms - ahead_ms, ReadingFlag.METER_TIME
        if not self._meter_clock.is_of_now(pushed.time_ms, now_ms):
            apart_s = (self._meter_clock.expected_ms(now_ms) - pushed.time_ms) / 1000
            raise MalformedError(
                f"expected values of now, got some of {apart_s:.0f} s ago: kept back, or the"
                " meter's clock was set back, which the next message tells"
            )
        return now_ms, ReadingFlag(0)

    def _keep_newest_received(self) -> None:
        now_s = time.monotonic()
        if self._access.counters and now_s - self._kept_at_s >= _KEEP_NEWEST_EVERY_S:
            self._kept_at_s = now_s
            self._access.counters.keep_newest_received(self._guard.newest)


class Listener:
    """A bus on which meters send by themselves. It receives what they send."""

    def __init__(
        self,
        config: DlmsPush,
        files: DlmsFiles,
        clock: Clock,
        log: Logger,
        is_synchronised: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._files = files
        self._clock = clock
        self._is_synchronised = is_synchronised
        self._meters: dict[str, tuple[PushedMeter, ReadingSink]] = {}
        self._clocks: dict[str, ClockReport] = {}
        self._log = log
        self._faults = FaultLog(log)
        self._not_understood = ""
        """What the bytes look like that make no message, once that was told."""
        self._lacking: set[str] = set()
        """The meters whose messages without registers were told."""
        self.port = 0
        """The TCP port, once it listens."""
        self.is_up = False

    def open_meter(self, meter: DlmsMeter, sink: ReadingSink) -> PushedMeter:
        """Take the messages of this meter from now on. Raises MeterUnusableError."""
        access = usable_access(meter, self._files, is_pushed=True)
        pushed = PushedMeter(access, self._clock, self._is_synchronised)
        self._meters[meter.id] = pushed, sink
        self._clocks[meter.id] = ClockReport(self._log, meter=meter.id, bus=self._config.name)
        return pushed

    async def close_meter(self, meter: str) -> None:
        """Take no more messages of this meter."""
        self._meters.pop(meter, None)
        self._clocks.pop(meter, None)
        self._lacking.discard(meter)

    async def run(self) -> None:
        """Listen until cancelled. A line that goes down is opened again."""
        backoff = Backoff(_RETRY_BASE_S, _RETRY_CAP_S, random.random)
        while True:
            try:
                await self._listen(backoff)
            except (LinkError, OSError) as error:
                self._faults.error(
                    "line_down", self._config.name, bus=self._config.name, reason=str(error)
                )
            await asyncio.sleep(backoff.next_s())

    async def _listen(self, backoff: Backoff) -> None:
        port = self._config.network_port
        if port is None:
            await self._listen_on_port(backoff)
        elif self._config.port.startswith(UDP):
            await self._listen_on_udp(port)
        else:
            await self._listen_on_tcp(port)

    async def _listen_on_udp(self, port: int) -> None:
        datagrams = await listen("", port)
        self.port = datagrams.port
        self.is_up = True
        senders: dict[Address, BlockAssembler] = {}
        try:
            while True:
                datagram, address = await datagrams.receive()
                blocks = senders.pop(address, None) or BlockAssembler()
                senders[address] = blocks  # the one that was silent longest makes room
                if len(senders) > _SENDERS:
                    del senders[next(iter(senders))]
                try:
                    message = parse_datagram(datagram).message
                except DlmsError:
                    self._tell_foreign(datagram)
                else:
                    self._block_received(blocks, message)
        finally:
            self.is_up = False
            datagrams.close()

    async def _listen_on_tcp(self, port: int) -> None:
        listener = TcpListener(self._talk, "", port, makes_room=True)
        await listener.start()
        self.port = listener.port
        self.is_up = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_up = False
            await listener.stop()

    async def _talk(self, line: StreamLine) -> None:
        reader, blocks = WrapperReader(), BlockAssembler()
        while True:
            async with asyncio.timeout(_SILENCE_S):
                data = await line.read()
            try:
                for wrapped in reader.feed(data):
                    self._block_received(blocks, wrapped.message)
            except MalformedError:
                self._tell_foreign(data)
                raise

    async def _listen_on_port(self, backoff: Backoff) -> None:
        config = self._config
        kind = EvenLine if config.parity == "E" else SerialLine
        line = kind(config.port, config.baud)
        frames, blocks = PushedFrames(), BlockAssembler()
        self.is_up = True
        try:
            while True:
                data = await line.read()
                backoff.reset()
                self._faults.over("line_down", self._config.name)
                for message in frames.feed(data):
                    self._block_received(blocks, message)
                if foreign := frames.foreign():
                    self._tell_foreign(foreign)
        finally:
            self.is_up = False
            line.close()

    def _block_received(self, blocks: BlockAssembler, message: bytes) -> None:
        """Take a part of a message: some meters cut what they send into general blocks."""
        self._not_understood = ""
        try:
            whole = blocks.receive(message)
        except DlmsError as error:
            self._refuse(str(error))
        else:
            if whole is not None:
                self.received(whole)

    def received(self, message: bytes) -> None:
        """Take a message of one of the meters: of the one whose keys and name fit."""
        reason = "expected a meter of this line"
        for meter, sink in self._meters.values():
            try:
                reading = meter.reading(meter.open(message))
            except DlmsError as error:
                reason = f"{meter.id}: {error}"
                continue
            self._faults.over("push_refused", self._config.name)
            self._clocks[meter.id].tell(meter.clock_drift_ms)
            if reading:
                sink.add(reading)
            elif meter.lacks_registers:
                self._tell_lack(meter)
            return
        self._refuse(reason)
        if len(self._meters) == 1:  # nobody else can have meant it
            for meter, _ in self._meters.values():
                meter.failed(MeterGarbled(reason))

    def _tell_lack(self, meter: PushedMeter) -> None:
        """Tell once what a meter's messages hold instead of the registers of its profile."""
        if meter.id not in self._lacking:
            self._lacking.add(meter.id)
            self._log.info(
                "push_without_registers",
                meter=meter.id,
                bus=self._config.name,
                holds=meter.lacks_registers,
            )
        if meter.waits_for_registers:
            meter.failed(
                ValueMissing(
                    "messages come, but none with the import register of the profile: they hold"
                    f" {meter.lacks_registers}; right profile? some send it once an hour only"
                )
            )

    def _tell_foreign(self, data: bytes) -> None:
        """Tell what bytes look like that make no message: in the log once, in the status always."""
        seen = recognise(data)
        if seen.what != self._not_understood:
            self._not_understood = seen.what
            heard = data[:_SHOWN].hex(" ")
            self._log.warning(
                "push_not_understood",
                bus=self._config.name,
                what=seen.what,
                do=seen.do,
                heard=heard,
            )
        for meter, _ in self._meters.values():
            meter.failed(MeterGarbled(str(seen)))

    def _refuse(self, reason: str) -> None:
        self._faults.warn("push_refused", self._config.name, bus=self._config.name, reason=reason)
