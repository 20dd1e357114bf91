"""The uplink sends frames and takes acks: it joins outbox, window and MQTT connection."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.edge_config import EdgeConfig, Paths
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.store.outbox_schema import StoredFrame
from gridtokenx_edge.uplink.ack_file import open_by_any, read_acks, waiting_acks
from gridtokenx_edge.uplink.mqtt import Broker, MqttConnection, MqttError, Will
from gridtokenx_edge.uplink.window import AckEffect, Window
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.errors import ConfigError, WireError
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.topics import acks_topic, frames_topic, status_topic

_RECONNECT_BASE_S = 1.0
_RECONNECT_CAP_S = 60.0
# A connection that lasted so long was a good one. Only after a good one the next fault is a new
# one.
_STEADY_S = 10.0
# So many frames are in memory at a time on their way to the broker.
_READ_AHEAD = 16
# This is the longest wait. After it the loop comes round, which shows that it is not stuck.
_LONGEST_WAIT_S = 15.0


class UplinkCounts(msgspec.Struct, kw_only=True):
    """What happened since the start, for the log and the status page."""

    sent: int = 0
    acked: int = 0
    resent: int = 0
    verdicts: Counter[str] = msgspec.field(default_factory=Counter)


class Uplink:
    """Sends what the outbox holds until every frame is acked."""

    def __init__(
        self,
        config: EdgeConfig,
        paths: Paths,
        outbox: Outbox,
        clock: Clock,
        version: str,
        log: Logger,
        beat: Beat = no_beat,
    ) -> None:
        self._beat = beat
        self._outbox = outbox
        self._clock = clock
        self._version = version
        self._log = log
        self._faults = FaultLog(log)
        self._qos = config.broker.qos
        self._broker = Broker(
            host=config.broker.host, port=config.broker.port, tls=_tls(config, paths)
        )
        self._ack_keys = [Ed25519PublicKey.from_public_bytes(key) for key in config.backend.ack_key]
        self._max_unacked = config.uplink.max_unacked_frames
        self._window = Window(self._max_unacked, config.uplink.ack_timeout_s, random.random)
        self._device = device_text(outbox.device)
        self._frames_topic = frames_topic(config.site.community, self._device)
        self._acks_topic = acks_topic(config.site.community, self._device)
        self._status_topic = status_topic(config.site.community, self._device)
        self._wake = asyncio.Event()
        self._is_stopping = False
        self.drained = asyncio.Event()
        """It is set once every frame that the outbox then held was acked."""
        self._highest_sent = 0
        self._ack_file = waiting_acks(paths.outbox)
        self.counts = UplinkCounts()
        self.is_connected = False
        self._connected_at_s = 0.0
        self.acked_at_s: float | None = None
        """When the last valid ack came, in monotonic seconds."""

    def sealed(self, head: int) -> None:
        """Note that the outbox holds frames up to `head` - 1."""
        self._window.sealed(head)
        self._wake.set()

    def stop(self) -> None:
        """End `run` soon. What may be sent is sent first, and the status says offline."""
        self._is_stopping = True
        self._wake.set()

    @property
    def unacked(self) -> int:
        return self._window.head - self._window.base

    async def run(self) -> None:
        """Connect, send and reconnect until `stop`."""
        await self._until_open()
        self._window.restore(self._outbox.oldest_seq, self._outbox.next_seq)
        self._highest_sent = self._outbox.oldest_seq
        self._look_if_drained()
        backoff = Backoff(_RECONNECT_BASE_S, _RECONNECT_CAP_S, random.random)
        while not self._is_stopping:
            self._beat()
            await self._take_ack_file()
            connection = self._connection()
            try:
                await connection.open()
                await connection.subscribe(self._acks_topic)
                await connection.publish_retained(self._status_topic, self._birth())
                self._report_connected()
                await self._serve(connection)
                await connection.publish_retained(self._status_topic, _OFFLINE)
                await connection.disconnect()
            except MqttError as error:
                if self._was_steady():
                    backoff.reset()
                    self._faults.over("broker_lost")
                self._faults.warn("broker_lost", reason=str(error), unacked=self.unacked)
                await self._pause(backoff.next_s())
            finally:
                self.is_connected = False
                self._window.closed()
                connection.close()

    async def _until_open(self) -> None:
        while not self._outbox.opened.is_set() and not self._is_stopping:
            self._beat()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_WAIT_S):
                    await self._outbox.opened.wait()

    def _connection(self) -> MqttConnection:
        will = Will(self._status_topic, _OFFLINE)
        return MqttConnection(self._broker, self._device, will, self._max_unacked, self._on_message)

    def _was_steady(self) -> bool:
        """Return whether the lost connection was good: it lasted, or an ack came over it."""
        has_acked = self.acked_at_s is not None and self.acked_at_s >= self._connected_at_s
        lasted = time.monotonic() - self._connected_at_s >= _STEADY_S
        return self.is_connected and (has_acked or lasted)

    def _birth(self) -> bytes:
        return msgspec.json.encode(
            {
                "state": "online",
                "device": self._device,
                "version": self._version,
                "time_ms": self._clock.now_ms(),
            }
        )

    def _report_connected(self) -> None:
        self.is_connected = True
        self._connected_at_s = time.monotonic()
        self._log.info(
            "broker_connected", host=self._broker.host, port=self._broker.port, unacked=self.unacked
        )

    async def _serve(self, connection: MqttConnection) -> None:
        """Send on a working connection until `stop`. Raises MqttError when it is lost."""
        self._window.opened()
        while True:
            self._beat()
            self._wake.clear()
            if self._window.expire(time.monotonic()):
                self._faults.warn("ack_overdue", seq=self._window.base, unacked=self.unacked)
            await self._send(connection)
            await self._discard()
            self._look_if_drained()
            if self._is_stopping:
                return
            await self._wait(connection)

    def _look_if_drained(self) -> None:
        if not self.unacked:
            self.drained.set()

    async def _wait(self, connection: MqttConnection) -> None:
        """Wait until there is something to do."""
        deadline_s = self._window.deadline_s
        timeout_s = _LONGEST_WAIT_S
        if deadline_s is not None:
            timeout_s = min(timeout_s, max(0.0, deadline_s - time.monotonic()))
        wake = asyncio.ensure_future(self._wake.wait())
        either: list[asyncio.Future[Any]] = [wake, connection.lost]
        try:
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wake.cancel()
        if connection.lost.done():
            raise MqttError(f"the connection ended: {connection.lost.result()}")

    async def _send(self, connection: MqttConnection) -> None:
        """Send what there is room for now. When acks come meanwhile, there is room for more."""
        for _ in range(0, self._window.room, _READ_AHEAD):
            if not (count := min(_READ_AHEAD, self._window.room)):
                return
            if not (frames := await self._frames(self._window.sent, count)):
                self._window.await_ack(time.monotonic())
                return
            for frame in frames:
                # An ack may have come while the disk was read, or a summary has taken the frame's
                # place.
                if self._window.sending(frame.first_seq, frame.seq, time.monotonic()):
                    connection.publish(self._frames_topic, frame.message, self._qos)
                    self.counts.sent += 1
                    self.counts.resent += frame.seq < self._highest_sent
                    self._highest_sent = max(self._highest_sent, frame.seq + 1)

    async def _frames(self, first_seq: int, count: int) -> list[StoredFrame]:
        """Read frames from the disk. What cannot be read now is sent after the ack's time-out."""
        try:
            return await self._outbox.frames(first_seq, count)
        except (OutboxUnavailableError, OutboxRefusedError) as fault:
            self._faults.error("outbox_unreadable", reason=str(fault))
            return []

    async def _discard(self) -> None:
        try:
            await self._outbox.discard_below(self._window.base)
        except (OutboxUnavailableError, OutboxRefusedError) as fault:
            self._faults.error("outbox_unavailable", reason=str(fault))
        self._window.discarded(self._outbox.oldest_seq)

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not beyond `stop`."""
        until_s = time.monotonic() + wait_s
        while not self._is_stopping and (left_s := until_s - time.monotonic()) > 0:
            self._beat()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _LONGEST_WAIT_S)):
                    await self._wake.wait()

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic != self._acks_topic:
            return
        try:
            ack = open_by_any(payload, self._ack_keys)
        except WireError as error:
            self._faults.warn("ack_ignored", reason=str(error))
            return
        if ack.device != self._outbox.device or ack.chain != self._outbox.chain:
            self._faults.warn("ack_ignored", reason="expected an ack for this device and chain")
            return
        self.acked_at_s = time.monotonic()
        self._apply(ack)
        self._wake.set()

    async def _take_ack_file(self) -> None:
        """Take the acks of an ack file, which `outbox acked` has put beside the outbox."""
        path, outbox = self._ack_file, self._outbox
        if not path.exists():
            return
        try:
            acks = read_acks(path, self._ack_keys, outbox.device, outbox.chain)
            path.unlink()
        except (WireError, OSError) as error:
            self._faults.warn("carried_acks_ignored", reason=str(error))
            return
        for ack in acks:
            self._apply(ack)
        self._log.info("carried_acks_taken", next_seq=acks[-1].next_seq, unacked=self.unacked)
        await self._discard()

    def _apply(self, ack: Ack) -> None:
        window = self._window
        before = window.base
        effect = window.acked(ack.next_seq, time.monotonic())
        match effect:
            case AckEffect.PROGRESS:
                self.counts.acked += window.base - before
                for fault in ("ack_overdue", "backend_ahead", "backend_behind"):
                    self._faults.over(fault)
            case AckEffect.BEYOND_HEAD:
                self._faults.error(
                    "backend_ahead",
                    reason="expected an ack of this outbox; was an old copy put back?",
                    backend_next_seq=ack.next_seq,
                    outbox_next_seq=window.head,
                )
            case AckEffect.FORGOTTEN:
                self._faults.error(
                    "backend_behind",
                    reason="expected an ack of frames still kept; was the backend put back?",
                    backend_next_seq=ack.next_seq,
                    outbox_oldest_seq=window.oldest,
                )
            case AckEffect.WENT_BACK:
                self._faults.warn("frames_lost", seq=ack.next_seq)
        self._report_verdicts(ack)

    def _report_verdicts(self, ack: Ack) -> None:
        for verdict in ack.verdicts:
            label = verdict.reason.label
            self.counts.verdicts[label] += 1
            self._faults.warn("reading_refused", label, reason=label, seq=verdict.seq)


_OFFLINE = b'{"state":"offline"}'


def _tls(config: EdgeConfig, paths: Paths) -> ssl.SSLContext | None:
    """Return the settings for TLS 1.2 or later.

    The broker is checked against `ca`, and the gateway shows its own `cert`.
    """
    if config.broker.insecure:
        return None
    try:
        context = ssl.create_default_context(cafile=str(paths.broker_ca))
        context.load_cert_chain(paths.broker_cert, paths.broker_key)
    except OSError as error:  # ssl.SSLError is an OSError
        reason = error.strerror or str(error)
        raise ConfigError([f"broker: ca, cert or key cannot be used: {reason}"]) from None
    return context
