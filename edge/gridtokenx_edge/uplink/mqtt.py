"""One MQTT connection on the event loop: paho's client without its threads.

A connection is used once. What paho would keep for the next connection is not wanted: after a
reconnection the window decides what is sent again.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5.0
# Name lookup has time-outs of its own, which add up, and TLS may stall, too.
_OPEN_TIMEOUT_S = 30.0
_HOUSEKEEPING_S = 5.0


class MqttError(Exception):
    """There is no connection, or no longer. The text is one line."""


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
    """A connection to a broker, MQTT 3.1.1 with a clean session."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will: Will | None,
        max_inflight: int,
        on_message: Callable[[str, bytes], None],
    ) -> None:
        self._broker = broker
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._acks: dict[int | None, asyncio.Future[None]] = {}
        self._housekeeping: asyncio.TimerHandle | None = None
        self._socket: Any = None
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """It gets the reason when the connection ends."""
        self._client = self._make_client(client_id, will, max_inflight)

    def _make_client(self, client_id: str, will: Will | None, max_inflight: int) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=True, protocol=paho.MQTTv311
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages = max_inflight
        if will:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        if self._broker.tls:
            client.tls_set_context(self._broker.tls)
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password or None)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_socket_close = self._socket_closes
        client.on_socket_register_write = self._wants_write
        client.on_socket_unregister_write = self._has_written
        return client

    async def open(self) -> None:
        """Connect. Raises MqttError."""
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                await _in_thread(self._connect)
        except (OSError, ValueError) as error:
            raise MqttError(f"{self._where}: {_reason(error)}") from None
        self._socket = self._client.socket()
        if self._socket is None:
            raise MqttError(f"{self._where}: the connection ended")
        self._loop.add_reader(self._socket, self._read)
        self._update_writer()
        self._keep_house()
        await self._await(self._accepted)

    async def subscribe(self, topic: str) -> None:
        """Subscribe, and wait for the broker's consent. Raises MqttError."""
        code, mid = self._client.subscribe(topic, qos=1)
        await self._acked(code, mid)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Queue a message. Raises MqttError if the connection is gone."""
        info = self._client.publish(topic, payload, qos)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise MqttError(f"{self._where}: {paho.error_string(info.rc)}")

    async def publish_retained(self, topic: str, payload: bytes) -> None:
        """Publish a state, and wait for the broker's PUBACK. Raises MqttError."""
        info = self._client.publish(topic, payload, qos=1, retain=True)
        await self._acked(info.rc, info.mid)

    async def disconnect(self) -> None:
        """End the session in good order, so that the will is not published."""
        self._client.disconnect()
        await asyncio.wait([self.lost], timeout=_CONNECT_TIMEOUT_S)

    def close(self) -> None:
        """Close the socket. This is safe at any time, and the broker publishes the will."""
        if self._housekeeping:
            self._housekeeping.cancel()
        # paho has no call for this. As paho runs no loop of its own here, this closes the socket
        # and calls nobody.
        self._client._sock_close()
        self._end("closed")

    @property
    def _where(self) -> str:
        return f"broker {self._broker.host}:{self._broker.port}"

    def _connect(self) -> None:
        self._client.connect(self._broker.host, self._broker.port, _KEEPALIVE_S)

    async def _acked(self, code: MQTTErrorCode, mid: int | None) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise MqttError(f"{self._where}: {paho.error_string(code)}")
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
            raise MqttError(f"{self._where}: {self.lost.result()}")
        else:
            raise MqttError(f"{self._where}: no answer within {_CONNECT_TIMEOUT_S:g} s")

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    # These are paho's callbacks. During `connect` they may come from its thread, later from the
    # loop.

    def _connected(self, _client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if self._accepted.done():
            return
        if code.is_failure:
            self._accepted.set_exception(MqttError(f"{self._where}: {code}"))
        else:
            self._accepted.set_result(None)

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        self._loop.call_soon_threadsafe(self._end, str(code))

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload))

    def _subscribed(self, _client: Any, _data: Any, mid: int, codes: Any, _more: Any) -> None:
        if ack := self._acks.get(mid):
            if any(code.is_failure for code in codes):
                ack.set_exception(MqttError(f"{self._where}: refused the subscription"))
            else:
                ack.set_result(None)

    def _published(self, _client: Any, _data: Any, mid: int, _code: Any, _more: Any) -> None:
        ack = self._acks.get(mid)
        if ack and not ack.done():
            ack.set_result(None)

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


# These are OpenSSL's X509_V_ERR_... numbers, x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_SIGNERS = {2, 18, 19, 20, 21}
_OTHER_NAMES = {62, 64}


def _certificate_reason(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "the broker's certificate has expired (or this machine's clock is wrong)"
    if error.verify_code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet (is this machine's clock set?)"
    if error.verify_code in _OTHER_SIGNERS:
        return "the broker's certificate is not signed by ca"
    if error.verify_code in _OTHER_NAMES:
        return "the broker's certificate is for another name than host"
    return f"the broker's certificate is refused: {error.verify_message}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {_certificate_reason(error)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) or type(error).__name__
