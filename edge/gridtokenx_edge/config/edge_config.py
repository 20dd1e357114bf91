"""`edge.toml`: what the installer of a site sets. Unknown keys are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_edge.config.credentials import is_credential, secret_path
from gridtokenx_edge.config.dlms_config import DlmsBus
from gridtokenx_edge.meters.profile import is_file
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import PublicKeys


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[site]`: the community, which is part of the topics, and a name for people."""

    community: str
    name: str = ""


class FormerDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[device.former]]`: an earlier key of this gateway, until its outbox is drained.

    File names are relative to the config file. `cert` and `tls_key` are empty for a plain-text
    broker.
    """

    key: str
    outbox: str
    cert: str = ""
    tls_key: str = ""


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[device]`: files, relative to the config file. The key may be a `credential:`."""

    key: str
    outbox: str
    former: list[FormerDevice] = []


class BackendConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[backend]`: the keys that sign acks, and the API.

    Frames are deleted only for acks that one of `ack_key` has signed. `url` is the API's address,
    for the gateway's next key.
    """

    ack_key: PublicKeys
    url: str = ""


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[broker]`: MQTT over TLS with files relative to the config file, or `insecure`.

    `longest_retry_s` is real time: waits before another attempt to connect grow up to it.
    """

    host: str
    port: int = 8883
    qos: Literal[0, 1] = 1
    insecure: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    longest_retry_s: float = 60.0


class UplinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[uplink]`: how frames are cut, and how far sending may run ahead of the acks.

    `seal_after_s` is community time, the rest is real time.
    """

    max_unacked_frames: int = 64
    ack_timeout_s: float = 10.0
    max_readings_per_frame: int = 100
    seal_after_s: float = 60.0
    max_held_readings: int = 10_000
    hold_unsynchronised_s: float = 600.0


class OutboxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[outbox]`: how much is kept of what no ack covers, and to what it is thinned beyond that.

    A megabyte is 10^6 bytes.
    """

    max_mb: int = 256
    max_age_days: int = 90
    thin_to_s: int = 900


class MeterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[bus.meter]]`: a meter. `profile` is a model's name, or a file of the site's own (.toml).

    `invert` exchanges import and export and turns the power's sign. `timeout_ms` and `retries`
    replace those of the bus, `gap_ms` replaces the profile's `min_gap_ms`. `clock_utc_offset_min`
    is how far the meter's own clock is set ahead of UTC. With it, that clock times readings while
    the gateway's own is not synchronised. `instance` chooses among a SunSpec unit's meters or
    inverters.
    """

    id: str
    profile: str
    address: int
    poll_every_s: float = 10.0
    invert: bool = False
    timeout_ms: int | None = None
    retries: int | None = None
    gap_ms: int | None = None
    clock_utc_offset_min: int | None = None
    instance: int = 1

    @property
    def every_ms(self) -> int:
        return round(self.poll_every_s * 1000)


class SerialBus(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag="serial",
    tag_field="kind",
    kw_only=True,
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
    silent_share_percent: int = 10


class TcpBus(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag="tcp",
    tag_field="kind",
    kw_only=True,
):
    """`[[bus]]` of kind "tcp": Modbus TCP, or RTU frames through a serial device server."""

    name: str
    host: str
    meter: list[MeterConfig]
    port: int = 502
    rtu_over_tcp: bool = False
    timeout_ms: int = 1000
    retries: int = 1
    silent_share_percent: int = 10


BusConfig = SerialBus | TcpBus


class StatusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[status]`: a page and metrics for this machine alone. With port 0 there are none."""

    port: int = 0


class HomeAssistantConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[home_assistant]`: the broker of the house itself, never the community's.

    `node` is what topics call this gateway. It is needed where two gateways of one site share the
    broker.
    """

    enabled: bool = False
    host: str = ""
    port: int = 8883
    username: str = ""
    password_file: str = ""
    prefix: str = "homeassistant"
    node: str = ""
    insecure: bool = False
    ca: str = ""


class EdgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    site: SiteConfig
    device: DeviceConfig
    backend: BackendConfig
    broker: BrokerConfig
    bus: list[BusConfig] = []
    dlms: list[DlmsBus] = []
    clock: ClockConfig = ClockConfig()
    uplink: UplinkConfig = UplinkConfig()
    outbox: OutboxConfig = OutboxConfig()
    status: StatusConfig = StatusConfig()
    home_assistant: HomeAssistantConfig = HomeAssistantConfig()


def with_profile_files(config: EdgeConfig, file: Path) -> EdgeConfig:
    """Return the config with the meters' own profile files found from its folder."""
    folder = file.resolve().parent

    def found(meter: MeterConfig) -> MeterConfig:
        if not is_file(meter.profile):
            return meter
        return msgspec.structs.replace(meter, profile=str(folder / meter.profile))

    buses = [
        msgspec.structs.replace(bus, meter=[found(meter) for meter in bus.meter])
        for bus in config.bus
    ]
    return msgspec.structs.replace(config, bus=buses)


def meter_ids(config: EdgeConfig) -> list[str]:
    """Return the meters of all buses, in the config's order."""
    modbus = [meter.id for bus in config.bus for meter in bus.meter]
    return modbus + [meter.id for bus in config.dlms for meter in bus.meter]


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a config names, as whole paths, and those of former keys."""

    key: Path
    outbox: Path
    broker_ca: Path
    broker_cert: Path
    broker_key: Path
    former: tuple[Paths, ...] = ()
    home_assistant_ca: Path = Path()
    home_assistant_password: Path = Path()
    is_key_credential: bool = False
    folder: Path = Path()


def resolve_paths(config: EdgeConfig, file: Path) -> Paths:
    """Return the files of a config as whole paths.

    Relative names are relative to the folder of the config file, credentials to systemd's folder.
    """
    folder = file.resolve().parent
    return Paths(
        key=secret_path(folder, config.device.key),
        outbox=folder / config.device.outbox,
        broker_ca=folder / config.broker.ca,
        broker_cert=secret_path(folder, config.broker.cert),
        broker_key=secret_path(folder, config.broker.key),
        former=tuple(
            Paths(
                key=folder / former.key,
                outbox=folder / former.outbox,
                broker_ca=folder / config.broker.ca,
                broker_cert=folder / former.cert,
                broker_key=folder / former.tls_key,
            )
            for former in config.device.former
        ),
        home_assistant_ca=folder / config.home_assistant.ca,
        home_assistant_password=secret_path(folder, config.home_assistant.password_file),
        is_key_credential=is_credential(config.device.key),
        folder=folder,
    )
