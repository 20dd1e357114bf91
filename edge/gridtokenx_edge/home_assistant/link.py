"""The connection to Home Assistant's broker.

It stores nothing. Only the newest reading of a meter is ever sent, and what could not be sent at
its time is not sent later.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from contextlib import suppress
from typing import Protocol

import msgspec

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.credentials import is_credential
from gridtokenx_edge.config.edge_config import HomeAssistantConfig, Paths
from gridtokenx_edge.home_assistant.discovery import (
    OFFLINE,
    ONLINE,
    GatewayTopics,
    sensor_configs,
    stale_after_s,
    state_message,
)
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.polling.stats import BusStats, MeterStats
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.uplink.mqtt import Broker, MqttConnection, MqttError, Will
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.keys import device_text, read_secret
from gridtokenx_wire.reading import Reading

_LOOK_EVERY_S = 1.0
_RECONNECT_BASE_S = 1.0
_RECONNECT_CAP_S = 60.0
# A connection that lasted so long was a good one. Only after a good one the next fault is a new
# one.
_STEADY_S = 10.0
_MOST_IN_FLIGHT = 20


class PublishedGateway(Protocol):
    """The parts of the gateway that Home Assistant is told about."""

    @property
    def version(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def bus_stats(self) -> dict[str, BusStats]: ...


class HomeAssistantLink:
    """Publishes each meter's newest reading until `stop`."""

    def __init__(
        self, config: HomeAssistantConfig, paths: Paths, gateway: PublishedGateway, log: Logger
    ) -> None:
        """Raises ConfigError, KeyFileError where a file cannot be used."""
        self._gateway = gateway
        self._faults = FaultLog(log)
        self._log = log
        self._broker = _broker(config, paths)
        device = device_text(gateway.outbox.device)
        self._names = GatewayTopics(prefix=config.prefix, device=device, version=gateway.version)
        self._shown: dict[str, Reading] = {}
        self._described: dict[str, set[str]] = {}
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        backoff = Backoff(_RECONNECT_BASE_S, _RECONNECT_CAP_S, random.random)
        while not self._stopped.is_set():
            connection = self._connection()
            try:
                await connection.open()
                await connection.publish_retained(self._names.availability, ONLINE)
                self._report_connected()
                await self._show(connection, backoff)
                await connection.publish_retained(self._names.availability, OFFLINE)
                await connection.disconnect()
            except MqttError as error:
                self._faults.warn("house_broker_lost", reason=str(error))
                await self._pause(backoff.next_s())
            finally:
                connection.close()

    def _connection(self) -> MqttConnection:
        will = Will(self._names.availability, OFFLINE)
        client = f"gridtokenx-{self._names.device}"
        return MqttConnection(self._broker, client, will, _MOST_IN_FLIGHT, _ignore)

    def _report_connected(self) -> None:
        self._log.info("house_broker_connected", host=self._broker.host, port=self._broker.port)

    async def _show(self, connection: MqttConnection, backoff: Backoff) -> None:
        """Publish the meters until `stop`. Raises MqttError when the connection is lost."""
        self._described.clear()
        steady_at_s = time.monotonic() + _STEADY_S
        while not self._stopped.is_set():
            if time.monotonic() >= steady_at_s:
                backoff.reset()
                self._faults.over("house_broker_lost")
            for bus in self._gateway.bus_stats.values():
                for meter in bus.meters.values():
                    await self._show_meter(connection, meter)
            await self._pause(_LOOK_EVERY_S)
            if connection.lost.done():
                raise connection.lost.result()

    async def _show_meter(self, connection: MqttConnection, meter: MeterStats) -> None:
        reading, name = meter.last, meter.config.id
        if reading is None or self._shown.get(name) is reading:
            return
        self._shown[name] = reading
        clock = self._gateway.clock
        age_s = clock.real_seconds(clock.now_ms() - reading.time_ms)
        if age_s > stale_after_s(clock.real_seconds(meter.config.every_ms)):
            return  # it was taken while this broker was away, and would look fresh
        values = state_message(reading)
        if self._described.get(name, set()) != values.keys():
            await self._describe(connection, meter, set(values))
        connection.publish(self._names.state(name), msgspec.json.encode(values), 0)

    async def _describe(
        self, connection: MqttConnection, meter: MeterStats, present: set[str]
    ) -> None:
        every_s = self._gateway.clock.real_seconds(meter.config.every_ms)
        configs = sensor_configs(self._names, meter.config, meter.model.maker, every_s, present)
        for topic, config in configs.items():
            await connection.publish_retained(topic, config)
        self._described[meter.config.id] = present

    async def _pause(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopped.wait()


def _ignore(_topic: str, _payload: bytes) -> None:
    """Take no message: nothing is subscribed to, as Home Assistant reads and does not command."""


def _broker(config: HomeAssistantConfig, paths: Paths) -> Broker:
    password = ""
    if config.password_file:
        is_handed_over = is_credential(config.password_file)
        content = read_secret(paths.home_assistant_password, is_credential=is_handed_over)
        password = content.decode(errors="replace").strip()
    return Broker(
        host=config.host,
        port=config.port,
        tls=_tls(config, paths),
        username=config.username,
        password=password,
    )


def _tls(config: HomeAssistantConfig, paths: Paths) -> ssl.SSLContext | None:
    """Return TLS settings that check the broker against `ca`, or what this machine trusts."""
    if config.insecure:
        return None
    try:
        return ssl.create_default_context(
            cafile=str(paths.home_assistant_ca) if config.ca else None
        )
    except OSError as error:  # ssl.SSLError is an OSError
        reason = error.strerror or str(error)
        raise ConfigError([f"home_assistant: ca cannot be used: {reason}"]) from None
