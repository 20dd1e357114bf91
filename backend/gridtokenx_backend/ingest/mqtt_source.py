"""The port `FrameSource`, and the source that takes signed frames from an MQTT broker with paho.

Messages are handed out in batches and acknowledged to the broker (PUBACK) when they are released,
that is after the commit. While too many wait, the socket is not read, so TCP holds the broker back.
If the broker then drops messages, gateways send them again, because no signed ack covers them.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gridtokenx_backend.config.settings import BrokerSection
from gridtokenx_backend.ingest.mqtt_packets import Publication, encode_puback, encode_publish
from gridtokenx_backend.ingest.mqtt_socket import BufferedSocket, open_socket
from gridtokenx_backend.repeat_log import RepeatLog
from gridtokenx_wire.topics import acks_topic, frames_topic

MAX_BATCH = 512
# About 8,000 readings, which keep the core busy for 20 ms; nobody else is answered meanwhile.
_MAX_BATCH_BYTES = 1 << 18
_PAUSE_ABOVE, _PAUSE_ABOVE_BYTES = 8_192, 64 << 20
_FIRST_RETRY_S = 0.2
# A connection that lasted so long was a good one: after it, the first pause is short again.
_STEADY_S = 10.0
_CONNACK_TIMEOUT_S = 10.0
log = structlog.get_logger()


class FrameSource(Protocol):
    """Where frames come from and acks go to: a broker, or a test's stand-in."""

    async def batch(self) -> Sequence[Publication]:
        """Wait for messages, and return at least one, in the order of arrival."""
        ...

    def release(self, messages: Sequence[Publication]) -> None:
        """Tell the source that these messages need not be delivered again."""
        ...

    def send_ack(self, device: str, ack: bytes) -> None:
        """Send a signed ack to a device; it may be lost."""
        ...


class _Client(mqtt.Client):
    """paho's client on a socket that was opened beforehand, outside the event loop."""

    opened: BufferedSocket | None = None

    def _create_socket(self) -> Any:
        assert self.opened is not None
        return self.opened


class MqttSource:
    """The frames of one community. `run` keeps the connection; the rest is the port."""

    def __init__(self, broker: BrokerSection, community: str, tls: ssl.SSLContext | None) -> None:
        self._broker = broker
        self._community = community
        self._tls = tls
        self._inbox: list[Publication] = []
        self._arrived = asyncio.Event()
        self._lost = asyncio.Event()
        self._counted = self._waiting_bytes = 0
        self._paused = False
        self._socket: BufferedSocket | None = None
        self.connected = False
        self._repeats = RepeatLog()
        self._client = self._make_client()

    def _make_client(self) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"gridtokenx-backend-{self._community}",
            clean_session=False,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = False
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_socket_register_write = self._on_register_write
        return client

    async def run(self) -> None:
        """Connect, and connect again after every loss, with growing pauses, until cancelled."""
        retry_s = _FIRST_RETRY_S
        try:
            while True:
                if await self._connect():
                    began_s = time.monotonic()
                    await self._stay_connected()
                    if time.monotonic() - began_s >= _STEADY_S:
                        retry_s = _FIRST_RETRY_S
                    self._warn("lost the broker; connecting again")
                self._drop_connection()
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.5))  # noqa: S311
                retry_s = min(2 * retry_s, self._broker.longest_retry_s)
        finally:
            if self.connected:
                self._client.disconnect()
                self._client.loop_write()
            self._drop_connection()

    async def _connect(self) -> bool:
        broker = self._broker
        try:
            sock = await asyncio.to_thread(open_socket, broker.host, broker.port, self._tls)
        except OSError as error:
            self._warn("no broker; trying again", error=str(error))
            return False
        self._lost.clear()
        self._socket = BufferedSocket(sock, self._lost.set)
        self._client.opened = self._socket
        self._client.connect(broker.host, broker.port, keepalive=30)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)
        return True

    async def _stay_connected(self) -> None:
        """Return when the connection is lost, or was not accepted in time."""
        deadline = asyncio.get_running_loop().time() + _CONNACK_TIMEOUT_S
        while not self._lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), timeout=1)
            if self._client.loop_misc() != mqtt.MQTT_ERR_SUCCESS:
                return
            if not self.connected and asyncio.get_running_loop().time() > deadline:
                return

    def _warn(self, event: str, **fields: str) -> None:
        """Log what goes wrong with the broker, once a minute, however often it does."""
        self._repeats.warn_about(event, f"{self._broker.host}:{self._broker.port}", **fields)

    def _drop_connection(self) -> None:
        self.connected = self._paused = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, *_: Any) -> None:
        if code.is_failure:
            self._warn("the broker refused the connection", reason=str(code))
            self._lost.set()
            return
        self.connected = True
        client.subscribe(frames_topic(self._community, "+"), qos=self._broker.qos)
        log.info("connected to the broker")

    def _on_disconnect(self, *_: Any) -> None:
        self.connected = False
        self._lost.set()

    def _on_register_write(self, client: mqtt.Client, _data: Any, _socket: Any) -> None:
        client.loop_write()  # the buffered socket takes everything at once

    def _readable(self) -> None:
        sock = self._socket
        if sock is None or self._paused:
            return
        try:
            while sock.receive(self._inbox, self._client.loop_read):
                self._count_arrivals()
                if len(self._inbox) > _PAUSE_ABOVE or self._waiting_bytes > _PAUSE_ABOVE_BYTES:
                    self._paused = True
                    break
        except (OSError, ValueError) as error:
            self._warn("the connection to the broker broke", error=str(error))
            self._lost.set()
        if self._inbox:
            self._arrived.set()
        if self._paused or self._lost.is_set():
            asyncio.get_running_loop().remove_reader(sock.fileno())

    def _count_arrivals(self) -> None:
        new = self._inbox[self._counted :]
        self._counted = len(self._inbox)
        self._waiting_bytes += sum(len(message.payload) for message in new)

    async def batch(self) -> Sequence[Publication]:
        await self._arrived.wait()
        size = _batch_size(self._inbox)
        batch, self._inbox = self._inbox[:size], self._inbox[size:]
        self._counted = len(self._inbox)
        self._waiting_bytes -= sum(len(message.payload) for message in batch)
        if not self._inbox:
            self._arrived.clear()
        may_resume = (
            len(self._inbox) < _PAUSE_ABOVE // 2 and self._waiting_bytes < _PAUSE_ABOVE_BYTES // 2
        )
        if self._paused and may_resume and self._socket is not None:
            self._paused = False
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)
            # TLS may hold bytes that are decrypted already; no selector reports them.
            asyncio.get_running_loop().call_soon(self._readable)
        return batch

    def release(self, messages: Sequence[Publication]) -> None:
        if self._socket is not None:  # else the broker delivers them again, as duplicates
            self._socket.send(b"".join(encode_puback(each.mid) for each in messages if each.mid))

    def send_ack(self, device: str, ack: bytes) -> None:
        if self._socket is not None:  # else the gateway misses it and sends its frames again
            self._socket.send(encode_publish(acks_topic(self._community, device), ack))


def _batch_size(inbox: Sequence[Publication]) -> int:
    """Return how many of the first messages make a batch, at least one."""
    size = 0
    for count, message in enumerate(inbox[:MAX_BATCH], start=1):
        size += len(message.payload)
        if size > _MAX_BATCH_BYTES:
            return count
    return min(len(inbox), MAX_BATCH)
