"""`edge.toml`: what the installer of a site sets. Unknown keys are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import PublicKeys


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[site]`: the community is part of the topics, the name is for people."""

    community: str
    name: str = ""


class FormerDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[device.former]]`: an earlier key of this gateway, until its outbox is drained.

    Files, relative to the config file; `cert` and `tls_key` are empty for a plain-text broker.
    """

    key: str
    outbox: str
    cert: str = ""
    tls_key: str = ""


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[device]`: files, relative to the config file."""

    key: str
    outbox: str
    former: list[FormerDevice] = []


class BackendConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[backend]`: only acks signed by one of these keys let a frame be forgotten.

    `url` is the API's, for the gateway's next key.
    """

    ack_key: PublicKeys
    url: str = ""


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[broker]`: MQTT over TLS with files relative to the config file, or `insecure`."""

    host: str
    port: int = 8883
    qos: Literal[0, 1] = 1
    insecure: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""


class UplinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[uplink]`: how frames are cut and how far sending may run ahead of the acks.

    `seal_after_s` is community time, the rest real time.
    """

    max_unacked_frames: int = 64
    ack_timeout_s: float = 10.0
    max_readings_per_frame: int = 100
    seal_after_s: float = 60.0
    max_held_readings: int = 10_000
    hold_unsynchronised_s: float = 600.0


class OutboxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[outbox]`: how much is kept of what no ack covers, and what it is thinned to beyond that.

    A megabyte is 10^6 bytes.
    """

    max_mb: int = 256
    max_age_days: int = 90
    thin_to_s: int = 900


class MeterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[bus.meter]]`. `invert` exchanges import and export and turns the power's sign.

    `instance` chooses among a SunSpec unit's meters or inverters.
    """

    id: str
    profile: str
    address: int
    poll_every_s: float = 10.0
    invert: bool = False
    instance: int = 1

    @property
    def every_ms(self) -> int:
        return round(self.poll_every_s * 1000)


class SerialBus(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="serial", tag_field="kind"
):
    """`[[bus]]` of kind "serial": Modbus RTU on a serial port."""

    name: str
    port: str
    meter: list[MeterConfig]
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    timeout_ms: int = 500
    retries: int = 1


class TcpBus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="tcp", tag_field="kind"):
    """`[[bus]]` of kind "tcp": Modbus TCP, or RTU frames through a serial device server."""

    name: str
    host: str
    meter: list[MeterConfig]
    port: int = 502
    rtu_over_tcp: bool = False
    timeout_ms: int = 1000
    retries: int = 1


BusConfig = SerialBus | TcpBus


class EdgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    site: SiteConfig
    device: DeviceConfig
    backend: BackendConfig
    broker: BrokerConfig
    bus: list[BusConfig] = []
    clock: ClockConfig = ClockConfig()
    uplink: UplinkConfig = UplinkConfig()
    outbox: OutboxConfig = OutboxConfig()


class Paths(msgspec.Struct, frozen=True):
    """The files that a config names, found from where it stands; and those of former keys."""

    key: Path
    outbox: Path
    broker_ca: Path
    broker_cert: Path
    broker_key: Path
    former: tuple[Paths, ...] = ()


def resolve_paths(config: EdgeConfig, file: Path) -> Paths:
    """Relative paths are relative to the folder of the config file."""
    folder = file.resolve().parent
    return Paths(
        folder / config.device.key,
        folder / config.device.outbox,
        folder / config.broker.ca,
        folder / config.broker.cert,
        folder / config.broker.key,
        tuple(
            Paths(
                folder / former.key,
                folder / former.outbox,
                folder / config.broker.ca,
                folder / former.cert,
                folder / former.tls_key,
            )
            for former in config.device.former
        ),
    )
