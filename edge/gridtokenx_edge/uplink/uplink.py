"""The uplink sends frames and takes acks: it joins outbox, window and MQTT connection."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import time
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.config.edge_config import EdgeConfig, Paths
from gridtokenx_edge.log import Logger
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.store.outbox_schema import StoredFrame
from gridtokenx_edge.uplink.ack_intake import AckIntake, UplinkCounts
from gridtokenx_edge.uplink.broker_faults import BrokerFault
from gridtokenx_edge.uplink.fault_report import FaultReport
from gridtokenx_edge.uplink.mqtt import (
    Broker,
    MqttConnection,
    MqttError,
    PublicationDeniedError,
)
from gridtokenx_edge.uplink.presence import Presence
from gridtokenx_edge.uplink.reconnect import Reconnect
from gridtokenx_edge.uplink.troubles import Trouble
from gridtokenx_edge.uplink.window import Window
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.topics import acks_topic, frames_topic, status_topic

# So many frames are in memory at a time on their way to the broker.
_READ_AHEAD = 16
# This is the longest wait. After it the loop comes round, which shows that it is not stuck.
_LONGEST_WAIT_S = 15.0


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
        self._log = log
        self._qos = config.broker.qos
        self._longest_retry_s = config.broker.longest_retry_s
        self._broker = Broker(
            host=config.broker.host, port=config.broker.port, tls=_tls(config, paths)
        )
        self._max_unacked = config.uplink.max_unacked_frames
        self._window = Window(self._max_unacked, config.uplink.ack_timeout_s, random.random)
        self._report = FaultReport(log, self._window)
        keys = [Ed25519PublicKey.from_public_bytes(key) for key in config.backend.ack_key]
        self._acks = AckIntake(outbox, paths.outbox, keys, self._window, self._report)
        self._device = device_text(outbox.device)
        self._frames_topic = frames_topic(config.site.community, self._device)
        self._acks_topic = acks_topic(config.site.community, self._device)
        self._presence = Presence(
            status_topic(config.site.community, self._device),
            self._device,
            version,
            secrets.token_hex(4),
        )
        self._wake = asyncio.Event()
        self._is_stopping = False
        self.drained = asyncio.Event()
        """It is set once every frame that the outbox then held was acked."""
        self._highest_sent = 0
        self.is_connected = False
        self._connected_at_s = 0.0

    def sealed(self, head: int) -> None:
        """Note that the outbox holds frames up to `head` - 1."""
        self._window.sealed(head)
        self._wake.set()

    def stop(self) -> None:
        """End `run` soon. What may be sent is sent first, and the status says offline."""
        self._is_stopping = True
        self._wake.set()

    def go_on_from(self, former: Uplink) -> None:
        """Count on from an uplink of the same outbox that this one replaces."""
        self._acks.counts = former.counts
        self._acks.acked_at_s = former.acked_at_s

    @property
    def counts(self) -> UplinkCounts:
        """What happened since the start."""
        return self._acks.counts

    @property
    def acked_at_s(self) -> float | None:
        """When the last valid ack came, in monotonic seconds."""
        return self._acks.acked_at_s

    @property
    def unacked(self) -> int:
        return self._window.head - self._window.base

    @property
    def trouble(self) -> Trouble | None:
        """What keeps readings from being acked, as far as it is known."""
        return self._report.trouble

    @property
    def state(self) -> Trouble | None:
        """What the backend says of this gateway, where it does not take its frames."""
        return self._report.standing.trouble

    @property
    def silence(self) -> Trouble:
        """Why no ack has come, as far as the broker tells."""
        return self._report.troubles.silence()

    async def run(self) -> None:
        """Connect, send and reconnect until `stop`."""
        await self._until_open()
        self._window.restore(self._outbox.oldest_seq, self._outbox.next_seq)
        self._highest_sent = self._outbox.oldest_seq
        self._look_if_drained()
        reconnect = Reconnect(self._longest_retry_s, random.random)
        while not self._is_stopping:
            self._beat()
            await self._acks.take_file()
            await self._discard()
            connection = self._connection()
            try:
                await connection.open()
                self._acks.connected()
                await connection.subscribe(self._acks_topic)
                self._say_hello(connection)
                await self._look_for_rival(connection)
                await self._say(connection, self._presence.birth(self._clock.now_ms()))
                self._report_connected()
                await self._serve(connection)
                await self._say(connection, self._presence.farewell)
                await connection.disconnect()
            except MqttError as error:
                await self._acks.work()  # what came before the end counts
                self._presence.ended(was_connected=self.is_connected)
                self._report.standing.disconnected()
                fault = self._report.lost(error, self._lasted_s)
                await self._pause(reconnect.wait_s(fault, self._lasted_s))
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
        return MqttConnection(
            self._broker,
            self._device,
            self._presence.will,
            self._max_unacked,
            self._on_message,
            self._report.published,
        )

    async def _say(self, connection: MqttConnection, status: bytes) -> None:
        """Publish our status. Frames are sent even where the broker drops it. Raises MqttError."""
        try:
            await connection.publish_retained(self._presence.topic, status)
        except PublicationDeniedError as error:
            self._report.status_denied(error)

    def _say_hello(self, connection: MqttConnection) -> None:
        """Tell the backend which acks this gateway takes. Raises MqttError."""
        connection.publish(self._frames_topic, self._outbox.hello(), self._qos)

    @property
    def _lasted_s(self) -> float:
        """For how long there has been a connection; 0 where there is none."""
        return time.monotonic() - self._connected_at_s if self.is_connected else 0.0

    async def _look_for_rival(self, connection: MqttConnection) -> None:
        """Ask for the retained status. It comes before ours is published. Raises MqttError."""
        if not self._presence.is_asked:
            return
        self._presence.asked()
        try:
            await connection.subscribe(self._presence.topic)
        except MqttError as error:
            if error.fault is not BrokerFault.NOT_AUTHORISED or connection.lost.done():
                raise

    def _report_connected(self) -> None:
        self.is_connected = True
        self._connected_at_s = time.monotonic()
        self._presence.connected()
        self._log.info(
            "broker_connected", host=self._broker.host, port=self._broker.port, unacked=self.unacked
        )

    async def _serve(self, connection: MqttConnection) -> None:
        """Send on a working connection until `stop`. Raises MqttError when it is lost."""
        self._window.opened()
        while True:
            self._beat()
            self._wake.clear()
            self._report.troubles.lasted(self._lasted_s)
            await self._take_acks(connection)
            if self._window.expire(time.monotonic()):
                self._report.overdue()
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
        deadline_s = self._window.wake_s
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
            raise connection.lost.result()

    async def _send(self, connection: MqttConnection) -> None:
        """Send what there is room for now. When acks come meanwhile, there is room for more."""
        for _ in range(0, self._window.room, _READ_AHEAD):
            await self._take_acks(connection)
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

    async def _take_acks(self, connection: MqttConnection) -> None:
        if await self._acks.work():
            self._say_hello(connection)

    async def _frames(self, first_seq: int, count: int) -> list[StoredFrame]:
        """Read frames from the disk. What cannot be read now is sent after the ack's time-out."""
        try:
            return await self._outbox.frames(first_seq, count)
        except (OutboxUnavailableError, OutboxRefusedError) as fault:
            self._report.faults.error("outbox_unreadable", reason=str(fault))
            return []

    async def _discard(self) -> None:
        try:
            await self._outbox.discard_below(self._acks.covered)
        except (OutboxUnavailableError, OutboxRefusedError) as fault:
            self._report.faults.error("outbox_unavailable", reason=str(fault))
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
        if topic == self._presence.topic and self._presence.is_rival(payload):
            self._report.rival()
        if topic != self._acks_topic:
            return
        self._acks.take_message(payload)
        self._wake.set()


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
