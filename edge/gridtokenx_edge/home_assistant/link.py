"""The connection to Home Assistant's broker.

It stores nothing. Only the newest reading of a meter is ever sent, and what could not be sent at
its time is not sent later. What is retained at the broker of meters that have gone is cleared.
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
from gridtokenx_edge.config.edge_config import EdgeConfig, HomeAssistantConfig, Paths
from gridtokenx_edge.home_assistant.discovery import (
    GATEWAY_EVERY_S,
    METER_SENSORS,
    OFFLINE,
    ONLINE,
    ORIGIN,
    GatewayTopics,
    gateway_configs,
    gateway_message,
    node_name,
    sensor_configs,
    stale_after_s,
    state_message,
)
from gridtokenx_edge.home_assistant.names import meter_names
from gridtokenx_edge.home_assistant.obsolete import obsolete_topics
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.polling.stats import BusStats, MeterStats
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.uplink.broker_faults import BrokerFault
from gridtokenx_edge.uplink.mqtt import (
    Broker,
    MqttConnection,
    MqttError,
    PublicationDeniedError,
    Will,
)
from gridtokenx_edge.uplink.uplink import Uplink
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
# What is retained comes at once after the subscription. Home Assistant then needs a moment to
# forget what is cleared.
_RETAINED_S = 1.0
_MOST_RETAINED = 5000


class PublishedGateway(Protocol):
    """The parts of the gateway that Home Assistant is told about."""

    @property
    def config(self) -> EdgeConfig: ...
    @property
    def version(self) -> str: ...
    @property
    def uplink(self) -> Uplink: ...
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
        self._device = device_text(gateway.outbox.device)
        site = gateway.config.site
        self._names = GatewayTopics(
            prefix=config.prefix,
            node=node_name(config.node, site.community, site.name),
            name=f"Gateway {site.name or site.community}",
            version=gateway.version,
        )
        self._shown: dict[str, Reading] = {}
        self._described: dict[str, set[str]] = {}
        self._retained: dict[str, bytes] = {}
        self._told_gateway: dict[str, str | int] = {}
        self._gateway_due_s = 0.0
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
                await self._clear_obsolete(connection)
                await self._show(connection, backoff)
                await connection.publish_retained(self._names.availability, OFFLINE)
                await connection.disconnect()
            except (MqttError, PublicationDeniedError) as error:
                self._faults.warn("house_broker_lost", reason=str(error))
                await self._pause(backoff.next_s())
            finally:
                connection.close()

    def _connection(self) -> MqttConnection:
        will = Will(self._names.availability, OFFLINE)
        client = f"gridtokenx-{self._device}"
        return MqttConnection(self._broker, client, will, _MOST_IN_FLIGHT, self._on_message)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if ORIGIN.encode() in payload and len(self._retained) < _MOST_RETAINED:
            self._retained[topic] = payload

    def _meters(self) -> dict[str, MeterStats]:
        return {
            name: meter
            for bus in self._gateway.bus_stats.values()
            for name, meter in bus.meters.items()
        }

    async def _clear_obsolete(self, connection: MqttConnection) -> None:
        """Clear what is retained of meters that have gone and under topics of older versions.

        Raises MqttError. A broker that lets us read nothing keeps what it has.
        """
        self._retained.clear()
        try:
            for topic in self._names.discovery:
                await connection.subscribe(topic)
        except MqttError as error:
            if error.fault is not BrokerFault.NOT_AUTHORISED or connection.lost.done():
                raise
        await self._pause(_RETAINED_S)
        for topic in self._names.discovery:
            await connection.unsubscribe(topic)
        meters = set(self._meters())
        topics = obsolete_topics(self._retained, self._names, self._device, meters)
        for topic in topics:
            await connection.publish_retained(topic, b"")
        if topics:
            self._log.info("house_topics_cleared", topics=len(topics))
            await self._pause(_RETAINED_S)
        self._retained.clear()

    def _report_connected(self) -> None:
        self._log.info("house_broker_connected", host=self._broker.host, port=self._broker.port)

    async def _show(self, connection: MqttConnection, backoff: Backoff) -> None:
        """Publish the meters until `stop`. Raises MqttError when the connection is lost."""
        self._described.clear()
        self._gateway_due_s = 0.0
        for topic, config in gateway_configs(self._names).items():
            await connection.publish_retained(topic, config)
        steady_at_s = time.monotonic() + _STEADY_S
        while not self._stopped.is_set():
            if time.monotonic() >= steady_at_s:
                backoff.reset()
                self._faults.over("house_broker_lost")
            meters = self._meters()
            for meter in meters.values():
                await self._show_meter(connection, meter)
            for gone in self._described.keys() - meters.keys():
                await self._forget(connection, gone)
            self._show_gateway(connection)
            await self._pause(_LOOK_EVERY_S)
            if connection.lost.done():
                raise connection.lost.result()

    def _show_gateway(self, connection: MqttConnection) -> None:
        uplink, now_s = self._gateway.uplink, time.monotonic()
        state = gateway_message(
            is_connected=uplink.is_connected,
            unacked=uplink.unacked,
            version=self._gateway.version,
            trouble=uplink.trouble.reason if uplink.trouble else "",
        )
        if state == self._told_gateway and now_s < self._gateway_due_s:
            return
        self._told_gateway, self._gateway_due_s = state, now_s + GATEWAY_EVERY_S
        connection.publish(self._names.gateway_state, msgspec.json.encode(state), 0)

    async def _forget(self, connection: MqttConnection, meter: str) -> None:
        """Clear the topics of a meter that was taken out of the config."""
        for sensor in METER_SENSORS:
            await connection.publish_retained(self._names.config(meter, sensor), b"")
        del self._described[meter]
        self._shown.pop(meter, None)

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
        config, model = meter.config, meter.model
        names = meter_names(config.id, config.profile, model.maker, model.name)
        configs = sensor_configs(self._names, config, names, every_s, present)
        for sensor in METER_SENSORS:
            topic = self._names.config(config.id, sensor)
            # A value that the meter no longer has is cleared.
            await connection.publish_retained(topic, configs.get(topic, b""))
        self._described[meter.config.id] = present

    async def _pause(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopped.wait()


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
