"""One MQTT connection on the event loop: paho's client without its threads.

MQTT 5 is tried first, because its brokers say why they end a connection or drop a message. Brokers
that do not speak it are asked again in 3.1.1. A connection is used once. What paho would keep for
the next connection is not wanted: after a reconnection the window decides what is sent again.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from gridtokenx_edge.uplink.broker_faults import (
    UNSUPPORTED_VERSION,
    BrokerFault,
    disconnect_fault,
    is_denied,
    refusal_fault,
    socket_fault,
)

_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5.0
# Name lookup has time-outs of its own, which add up, and TLS may stall, too.
_OPEN_TIMEOUT_S = 30.0
_HOUSEKEEPING_S = 5.0


class MqttError(Exception):
    """There is no connection, or no longer. The text is one line.

    `is_other_version` is true where the broker may not speak this version of MQTT.
    """

    def __init__(self, text: str, fault: BrokerFault, *, is_other_version: bool = False) -> None:
        super().__init__(text)
        self.fault = fault
        self.is_other_version = is_other_version


class PublicationDeniedError(Exception):
    """The broker lets us stay, but drops what we publish on this topic."""


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to connect.

    Without `tls` it is plain text, without `username` there is no login.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str = ""
    password: str = ""


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes, retained, when this client vanishes."""

    topic: str
    payload: bytes


class MqttConnection:
    """A connection to a broker with a clean session, MQTT 5 or 3.1.1.

    `on_puback` is told the reason code of each publication that nobody waits for: always 0 in
    3.1.1.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will: Will | None,
        max_inflight: int,
        on_message: Callable[[str, bytes], None],
        on_puback: Callable[[int], None] = lambda _code: None,
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._will = will
        self._max_inflight = max_inflight
        self._on_message = on_message
        self._on_puback = on_puback
        self._loop = asyncio.get_running_loop()
        self._acks: dict[int | None, asyncio.Future[None]] = {}
        self._housekeeping: asyncio.TimerHandle | None = None
        self._start(paho.MQTTv5)

    def _start(self, version: MQTTProtocolVersion) -> None:
        """Prepare a first or second attempt to connect."""
        self._socket: Any = None
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._socket_error: Exception | None = None
        self.lost: asyncio.Future[MqttError] = self._loop.create_future()
        """It gets the reason when the connection ends."""
        self._client = self._make_client(version)

    def _make_client(self, version: MQTTProtocolVersion) -> paho.Client:
        is_clean = None if version is paho.MQTTv5 else True  # 5 says so when it connects
        client = paho.Client(
            CallbackAPIVersion.VERSION2, self._client_id, clean_session=is_clean, protocol=version
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages = self._max_inflight
        if self._will:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        if self._broker.tls:
            client.tls_set_context(self._broker.tls)
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password or None)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        client.on_publish = self._published
        client.on_log = self._logged
        client.on_socket_close = self._socket_closes
        client.on_socket_register_write = self._wants_write
        client.on_socket_unregister_write = self._has_written
        return client

    async def open(self) -> None:
        """Connect. Raises MqttError."""
        try:
            await self._open()
        except MqttError as error:
            if not error.is_other_version:
                raise
            self._release()
            self._start(paho.MQTTv311)
            await self._open()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                await _in_thread(self._connect)
        except (OSError, ValueError) as error:
            raise self._error(*socket_fault(error)) from None
        self._socket = self._client.socket()
        if self._socket is None:
            raise self._error(BrokerFault.CLOSED, "the connection ended")
        self._loop.add_reader(self._socket, self._read)
        self._update_writer()
        self._keep_house()
        try:
            await self._await(self._accepted)
        except MqttError as error:  # some brokers do not even answer what they do not know
            is_5 = self._client.protocol == paho.MQTTv5
            if error.fault is not BrokerFault.SILENT or not is_5:
                raise
            raise MqttError(str(error), error.fault, is_other_version=True) from None

    async def subscribe(self, topic: str) -> None:
        """Subscribe, and wait for the broker's consent. Raises MqttError."""
        code, mid = self._client.subscribe(topic, qos=1)
        await self._acked(code, mid)

    async def unsubscribe(self, topic: str) -> None:
        """End a subscription. Raises MqttError."""
        code, mid = self._client.unsubscribe(topic)
        await self._acked(code, mid)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Queue a message. Raises MqttError if the connection is gone."""
        info = self._client.publish(topic, payload, qos)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._failed(info.rc)

    async def publish_retained(self, topic: str, payload: bytes) -> None:
        """Publish a state, and wait for the broker's PUBACK.

        Raises MqttError, and PublicationDeniedError where the broker says that it drops it.
        """
        info = self._client.publish(topic, payload, qos=1, retain=True)
        await self._acked(info.rc, info.mid)

    async def disconnect(self) -> None:
        """End the session in good order, so that the will is not published."""
        self._client.disconnect()
        await asyncio.wait([self.lost], timeout=_CONNECT_TIMEOUT_S)

    def close(self) -> None:
        """Close the socket. This is safe at any time, and the broker publishes the will."""
        self._release()
        self._end(self._error(BrokerFault.CLOSED, "closed"))

    def _release(self) -> None:
        if self._housekeeping:
            self._housekeeping.cancel()
        # paho has no call for this. As paho runs no loop of its own here, this closes the socket
        # and calls nobody.
        self._client._sock_close()

    @property
    def _where(self) -> str:
        return f"broker {self._broker.host}:{self._broker.port}"

    def _error(self, fault: BrokerFault, reason: str, *, other: bool = False) -> MqttError:
        return MqttError(f"{self._where}: {reason}", fault, is_other_version=other)

    def _failed(self, code: MQTTErrorCode) -> MqttError:
        return self._error(BrokerFault.CLOSED, paho.error_string(code))

    def _connect(self) -> None:
        self._client.connect(self._broker.host, self._broker.port, _KEEPALIVE_S)

    async def _acked(self, code: MQTTErrorCode, mid: int | None) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._failed(code)
        ack = self._acks.setdefault(mid, self._loop.create_future())
        try:
            await self._await(ack)
        finally:
            del self._acks[mid]

    async def _await(self, ack: asyncio.Future[None]) -> None:
        either: list[asyncio.Future[Any]] = [ack, self.lost]
        await asyncio.wait(either, timeout=_CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if ack.done():
            ack.result()
        elif self.lost.done():
            raise self.lost.result()
        else:
            reason = f"no answer within {_CONNECT_TIMEOUT_S:g} s"
            raise self._error(BrokerFault.SILENT, reason)

    def _end(self, error: MqttError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)

    # These are paho's callbacks. During `connect` they may come from its thread, later from the
    # loop.

    def _connected(self, client: Any, _data: Any, _flags: Any, code: Any, more: Any) -> None:
        if client is not self._client or self._accepted.done():
            return
        if code.is_failure:
            is_other = code.value == UNSUPPORTED_VERSION and client.protocol == paho.MQTTv5
            error = self._error(refusal_fault(code.value), str(code), other=is_other)
            self._accepted.set_exception(error)
            return
        # MQTT 5.0, 3.2.2.3.3: more may not be on its way to the broker. paho leaves that to us, and
        # takes the limit only before it connects.
        allowed = getattr(more, "ReceiveMaximum", self._max_inflight)
        client._max_inflight_messages = min(self._max_inflight, allowed)
        self._accepted.set_result(None)

    def _disconnected(self, client: Any, _data: Any, flags: Any, code: Any, _more: Any) -> None:
        if client is not self._client:
            return
        if flags.is_disconnect_packet_from_server:
            error = self._error(*disconnect_fault(code.value))
        elif self._socket_error:
            error = self._error(*socket_fault(self._socket_error))
        else:
            # Before it has answered, an old broker may just not know MQTT 5.
            is_other = not self._accepted.done() and client.protocol == paho.MQTTv5
            reason = "the broker closed the connection"
            error = self._error(BrokerFault.CLOSED, reason, other=is_other)
        self._loop.call_soon_threadsafe(self._lose, client, error)

    def _lose(self, client: Any, error: MqttError) -> None:
        if client is self._client:
            self._end(error)

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload))

    def _subscribed(self, _client: Any, _data: Any, mid: int, codes: Any, _more: Any) -> None:
        if ack := self._acks.get(mid):
            if any(code.is_failure for code in codes):
                reason = "refused the subscription"
                ack.set_exception(self._error(BrokerFault.NOT_AUTHORISED, reason))
            else:
                ack.set_result(None)

    def _unsubscribed(self, _client: Any, _data: Any, mid: int, _codes: Any, _more: Any) -> None:
        ack = self._acks.get(mid)
        if ack and not ack.done():
            ack.set_result(None)

    def _published(self, _client: Any, _data: Any, mid: int, code: Any, _more: Any) -> None:
        ack = self._acks.get(mid)
        if ack is None:
            self._on_puback(code.value)
        elif not ack.done():
            if is_denied(code.value):
                ack.set_exception(PublicationDeniedError(f"{self._where}: {code}"))
            else:
                ack.set_result(None)

    def _logged(self, client: Any, _data: Any, level: int, _text: str) -> None:
        # paho logs an error of the socket while it handles it, and tells nobody else what it was.
        error = sys.exception()
        if level == paho.MQTT_LOG_ERR and client is self._client and isinstance(error, OSError):
            self._socket_error = error

    def _socket_closes(self, _client: Any, _data: Any, closing: Any) -> None:
        if self._socket is not None:
            self._loop.remove_reader(closing)
            self._loop.remove_writer(closing)
            self._socket = None

    def _wants_write(self, _client: Any, _data: Any, _socket: Any) -> None:
        self._loop.call_soon_threadsafe(self._update_writer)

    def _has_written(self, _client: Any, _data: Any, _socket: Any) -> None:
        self._loop.call_soon_threadsafe(self._update_writer)

    def _update_writer(self) -> None:
        if self._socket is None:
            return
        if self._client.want_write():
            self._loop.add_writer(self._socket, self._client.loop_write)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        self._client.loop_read()
        # TLS may hold decrypted bytes that no selector reports.
        while self._socket is not None and self._broker.tls and self._socket.pending():
            self._client.loop_read()

    def _keep_house(self) -> None:
        self._client.loop_misc()
        self._housekeeping = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house)


async def _in_thread(work: Callable[[], None]) -> None:
    """Run what blocks (name lookup, TCP, TLS) in a thread that does not delay the exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if done.cancelled():
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as caught:
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name="mqtt-connect", daemon=True).start()
    await done
