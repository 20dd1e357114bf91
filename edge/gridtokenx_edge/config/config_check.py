"""What a config's types cannot say: ranges, uniqueness, and how its parts fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gridtokenx_edge.config.credentials import is_visible, is_well_named
from gridtokenx_edge.config.edge_config import (
    BrokerConfig,
    BusConfig,
    EdgeConfig,
    HomeAssistantConfig,
    MeterConfig,
    OutboxConfig,
    SerialBus,
    UplinkConfig,
    meter_ids,
    resolve_paths,
    with_profile_files,
)
from gridtokenx_edge.config.host_names import is_host_name
from gridtokenx_edge.meters.profile import is_file, load_profile, profile_names
from gridtokenx_edge.meters.sunspec.profile import sunspec_names
from gridtokenx_wire.config import finding, load_toml
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.frame import MAX_FRAME_BYTES, MAX_METER_ID, MAX_READINGS_PER_FRAME
from gridtokenx_wire.topics import COMMUNITY_RULE, is_community

Finding = tuple[str, str]
"""A key path, and what was expected there."""

_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}")
_NODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SERIAL = re.compile(r"[A-Za-z0-9._/-]+")
_SUNSPEC_ID = re.compile(r"[A-Z0-9]+-[A-Za-z0-9._/-]+")
_MOST_INSTANCES = 100
# In Modbus over Serial Line V1.02, 2.2, devices have 1 to 247. In TCP, 0 and 255 reach the server
# itself.
_SERIAL_ADDRESSES = range(1, 248)
_TCP_ADDRESSES = range(256)
_BAUD_RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_LONGEST_POLL_S = 24 * 3600
# A reading takes 31 bytes in a frame's columns. Everything else, without the meters' ids, takes
# less than 512.
_READING_BYTES = 31
_FRAME_OVERHEAD_BYTES = 512


def load_config(path: Path) -> EdgeConfig:
    """Return the config in `path`, checked.

    Raises ConfigError with one line for each finding.
    """
    config = with_profile_files(load_toml(path, EdgeConfig), path)
    if findings := list(check(config, path)):
        raise ConfigError([finding(path, key, expected) for key, expected in findings])
    return config


def check(config: EdgeConfig, path: Path) -> Iterator[Finding]:
    """Yield every mistake that can be seen without touching a meter or the network."""
    if not is_community(config.site.community):
        yield "site.community", COMMUNITY_RULE
    for name in ("key", "outbox"):
        if not getattr(config.device, name):
            yield f"device.{name}", "expected a file name"
    for name, value in (
        ("device.key", config.device.key),
        ("broker.cert", config.broker.cert),
        ("broker.key", config.broker.key),
        ("home_assistant.password_file", config.home_assistant.password_file),
    ):
        if not is_well_named(value):
            yield name, "expected credential: and a name without /"
    yield from _check_former(config, path)
    yield from _check_broker(config.broker)
    if not config.broker.insecure:
        yield from _check_tls_files(config, path)
    yield from _check_uplink(config.uplink)
    yield from _check_outbox(config.outbox)
    if not 0 <= config.status.port <= 65_535:
        yield "status.port", f"expected 0 (off) to 65535, got {config.status.port}"
    if config.home_assistant.enabled:
        yield from _check_home_assistant(config, path)
    yield from _check_frame_size(config)
    if not config.bus and not config.dlms:
        yield "bus", "expected at least one [[bus]] or [[dlms]]"
    yield from _check_buses(config.bus)
    if config.dlms:
        # It is imported only where it is needed, as a Pi has little memory.
        from gridtokenx_edge.config.dlms_config_check import check_dlms  # noqa: PLC0415

        yield from check_dlms(config)


def _check_former(config: EdgeConfig, path: Path) -> Iterator[Finding]:
    for index, former in enumerate(config.device.former):
        at = f"device.former[{index}]"
        for name in ("key", "outbox"):
            if not getattr(former, name) or getattr(former, name) == getattr(config.device, name):
                yield f"{at}.{name}", "expected a file of its own"
        if config.broker.insecure:
            continue
        files = resolve_paths(config, path).former[index]
        for name, file in (("cert", files.broker_cert), ("tls_key", files.broker_key)):
            if not file.is_file():
                yield f"{at}.{name}", f"expected a file, found none at {file}"


def _check_broker(broker: BrokerConfig) -> Iterator[Finding]:
    if not is_host_name(broker.host):
        yield "broker.host", "expected a host name or address"
    if not 1 <= broker.port <= 65_535:
        yield "broker.port", f"expected 1 to 65535, got {broker.port}"
    if broker.insecure and (broker.ca or broker.cert or broker.key):
        yield "broker.insecure", "expected false where ca, cert or key are set"
    if not 1 <= broker.longest_retry_s <= 3600:
        got = f"{broker.longest_retry_s:g}"
        yield "broker.longest_retry_s", f"expected 1 to 3600, got {got}"


def _check_tls_files(config: EdgeConfig, path: Path) -> Iterator[Finding]:
    paths = resolve_paths(config, path)
    if not config.broker.ca:
        yield "broker", "expected ca, cert and key (TLS), or insecure = true for plain text"
        return
    for name, file in (
        ("ca", paths.broker_ca),
        ("cert", paths.broker_cert),
        ("key", paths.broker_key),
    ):
        if not getattr(config.broker, name):
            yield f"broker.{name}", "expected a file for TLS (ca, cert and key go together)"
        elif is_visible(getattr(config.broker, name)) and not file.is_file():
            yield f"broker.{name}", f"expected a file, found none at {file}"


def _check_home_assistant(config: EdgeConfig, path: Path) -> Iterator[Finding]:
    """Yield what is wrong with Home Assistant's broker, which is not the community's.

    The community's broker would show each member's power to the others.
    """
    home_assistant = config.home_assistant
    if not is_host_name(home_assistant.host):
        yield "home_assistant.host", "expected the name or address of the house's own broker"
    elif (home_assistant.host, home_assistant.port) == (config.broker.host, config.broker.port):
        yield "home_assistant.host", "expected another broker than the community's"
    if not 1 <= home_assistant.port <= 65_535:
        yield "home_assistant.port", f"expected 1 to 65535, got {home_assistant.port}"
    if not _PREFIX.fullmatch(home_assistant.prefix):
        yield "home_assistant.prefix", "expected letters, digits, - or _, with / between them"
    if home_assistant.node and not _NODE.fullmatch(home_assistant.node):
        yield "home_assistant.node", "expected at most 64 letters, digits, - or _"
    if home_assistant.insecure and home_assistant.ca:
        yield "home_assistant.insecure", "expected false where ca is set"
    if home_assistant.password_file and not home_assistant.username:
        yield "home_assistant.username", "expected a name, as there is a password_file"
    yield from _check_home_assistant_files(home_assistant, config, path)


def _check_home_assistant_files(
    home_assistant: HomeAssistantConfig, config: EdgeConfig, path: Path
) -> Iterator[Finding]:
    paths = resolve_paths(config, path)
    for name, file in (
        ("ca", paths.home_assistant_ca),
        ("password_file", paths.home_assistant_password),
    ):
        value = getattr(home_assistant, name)
        if value and is_visible(value) and not file.is_file():
            yield f"home_assistant.{name}", f"expected a file, found none at {file}"


def _check_uplink(uplink: UplinkConfig) -> Iterator[Finding]:
    ranges = (
        ("max_unacked_frames", 1, 10_000),
        ("ack_timeout_s", 0.1, 3600),
        ("max_readings_per_frame", 1, MAX_READINGS_PER_FRAME),
        ("seal_after_s", 0, _LONGEST_POLL_S),
        ("max_held_readings", uplink.max_readings_per_frame, 1_000_000),
        ("hold_unsynchronised_s", 0, 24 * 3600),
    )
    for name, lowest, highest in ranges:
        value = getattr(uplink, name)
        if not lowest <= value <= highest:
            yield f"uplink.{name}", f"expected {lowest} to {highest}, got {value:g}"


def _check_outbox(outbox: OutboxConfig) -> Iterator[Finding]:
    ranges = (
        ("max_mb", 1, 1_000_000),
        ("max_age_days", 1, 36_500),
        ("thin_to_s", 1, 24 * 3600),
    )
    for name, lowest, highest in ranges:
        value = getattr(outbox, name)
        if not lowest <= value <= highest:
            yield f"outbox.{name}", f"expected {lowest} to {highest}, got {value}"


def _check_frame_size(config: EdgeConfig) -> Iterator[Finding]:
    """Yield a finding if a frame with a reading of every meter does not fit in a message."""
    ids = sum(len(meter) + 2 for meter in meter_ids(config))
    most = (MAX_FRAME_BYTES - _FRAME_OVERHEAD_BYTES - ids) // _READING_BYTES
    if config.uplink.max_readings_per_frame > most:
        yield "uplink.max_readings_per_frame", f"expected at most {most} for so many meters"


def _check_buses(buses: list[BusConfig]) -> Iterator[Finding]:
    names: dict[object, str] = {}
    ports: dict[object, str] = {}
    meters: dict[object, str] = {}
    for position, bus in enumerate(buses):
        at = f"bus[{position}]"
        key = f"{at}.name"
        yield from _repeated(bus.name, key, first=names.setdefault(bus.name, key))
        yield from _check_bus(bus, at)
        if isinstance(bus, SerialBus):
            key = f"{at}.port"
            yield from _repeated(bus.port, key, first=ports.setdefault(bus.port, key))
        addresses: dict[object, str] = {}
        units = {meter.address for meter in bus.meter if meter.profile in sunspec_names()}
        for number, meter in enumerate(bus.meter):
            here = f"{at}.meter[{number}]"
            key = f"{here}.id"
            yield from _repeated(meter.id, key, first=meters.setdefault(meter.id, key))
            key = f"{here}.address"
            yield from _repeated(_place(meter), key, first=addresses.setdefault(_place(meter), key))
            if meter.address in units and meter.profile not in sunspec_names():
                yield f"{here}.address", f"expected another than {meter.address}, a SunSpec unit's"
            yield from _check_meter(meter, bus, here)


def _repeated(value: object, at: str, *, first: str) -> Iterator[Finding]:
    """Yield a finding unless the key `at` is the first one that has this value."""
    if at != first:
        yield at, f"expected another than {value!r}, which {first} has"


def _check_bus(bus: BusConfig, at: str) -> Iterator[Finding]:
    if not bus.name:
        yield f"{at}.name", "expected a name"
    if not bus.meter:
        yield f"{at}.meter", "expected at least one [[bus.meter]]"
    yield from _check_waiting(bus, at)
    if not 1 <= bus.silent_share_percent <= 100:
        expected = f"expected 1 to 100, got {bus.silent_share_percent}"
        yield f"{at}.silent_share_percent", expected
    if isinstance(bus, SerialBus):
        if not bus.port:
            yield f"{at}.port", 'expected a serial port such as "/dev/ttyUSB0"'
        if bus.baud not in _BAUD_RATES:
            rates = ", ".join(map(str, _BAUD_RATES))
            yield f"{at}.baud", f"expected one of {rates}, got {bus.baud}"
        return
    if not is_host_name(bus.host):
        yield f"{at}.host", "expected a host name or address"
    if not 1 <= bus.port <= 65_535:
        yield f"{at}.port", f"expected 1 to 65535, got {bus.port}"


def _check_waiting(of: BusConfig | MeterConfig, at: str) -> Iterator[Finding]:
    if of.timeout_ms is not None and not 10 <= of.timeout_ms <= 60_000:
        yield f"{at}.timeout_ms", f"expected 10 to 60000, got {of.timeout_ms}"
    if of.retries is not None and not 0 <= of.retries <= 5:
        yield f"{at}.retries", f"expected 0 to 5, got {of.retries}"


def _check_clock(meter: MeterConfig, at: str) -> Iterator[Finding]:
    offset_min = meter.clock_utc_offset_min
    if offset_min is None:
        return
    if not -720 <= offset_min <= 840:
        yield f"{at}.clock_utc_offset_min", f"expected -720 to 840, got {offset_min}"
    if load_profile(meter.profile).clock is None:
        yield f"{at}.clock_utc_offset_min", f"expected none: {meter.profile} has no readable clock"


def _known_profiles(wrong: str) -> str:
    """Return the models that share a word with a wrong name, as all models do not fit in a line."""
    words = set(wrong.lower().split("_"))
    known = (*profile_names(), *sunspec_names())
    near = [name for name in known if words & set(name.split("_"))]
    return f"one of {', '.join(near)}" if near else "a model of docs/meters.md"


def _check_meter(meter: MeterConfig, bus: BusConfig, at: str) -> Iterator[Finding]:
    addresses = _SERIAL_ADDRESSES if isinstance(bus, SerialBus) else _TCP_ADDRESSES
    if meter.address not in addresses:
        expected = f"expected {addresses[0]} to {addresses[-1]}, got {meter.address}"
        yield f"{at}.address", expected
    if not 0.1 <= meter.poll_every_s <= _LONGEST_POLL_S:
        expected = f"expected 0.1 to {_LONGEST_POLL_S}, got {meter.poll_every_s:g}"
        yield f"{at}.poll_every_s", expected
    yield from _check_waiting(meter, at)
    if meter.gap_ms is not None and not 0 <= meter.gap_ms <= 10_000:
        yield f"{at}.gap_ms", f"expected 0 to 10000, got {meter.gap_ms}"
    if meter.profile in sunspec_names():
        yield from _check_sunspec(meter, at)
        return
    if is_file(meter.profile):
        if wrong := _file_error(meter.profile):
            yield f"{at}.profile", wrong
            return
    elif meter.profile not in profile_names():
        yield f"{at}.profile", f"expected {_known_profiles(meter.profile)}, got {meter.profile!r}"
        return
    if meter.instance != 1:
        yield f"{at}.instance", f"expected 1, or a SunSpec profile, got {meter.instance}"
    yield from _check_clock(meter, at)
    maker = load_profile(meter.profile).maker
    serial = meter.id.removeprefix(f"{maker}-")
    if serial == meter.id or not _SERIAL.fullmatch(serial) or len(meter.id) > MAX_METER_ID:
        yield f"{at}.id", f'expected "{maker}-" and the serial number, got {meter.id!r}'


def _file_error(profile: str) -> str:
    """Return what is wrong with a profile in a file of the site's own, or ""."""
    try:
        load_profile(profile)
    except ConfigError as error:
        return f"expected a profile: {error.lines[0]}"
    return ""


def _check_sunspec(meter: MeterConfig, at: str) -> Iterator[Finding]:
    """Yield a finding where a maker is named: a SunSpec device tells its maker itself."""
    if meter.clock_utc_offset_min is not None:
        yield f"{at}.clock_utc_offset_min", f"expected none: {meter.profile} has no readable clock"
    if not _SUNSPEC_ID.fullmatch(meter.id) or len(meter.id) > MAX_METER_ID:
        yield f"{at}.id", f'expected the maker, "-" and the serial number, got {meter.id!r}'
    if not 1 <= meter.instance <= _MOST_INSTANCES:
        yield f"{at}.instance", f"expected 1 to {_MOST_INSTANCES}, got {meter.instance}"


def _place(meter: MeterConfig) -> int | str:
    """Return what is used once on a bus: an address, or an instance of a SunSpec unit."""
    if meter.profile in sunspec_names():
        return f"{meter.profile} {meter.instance} at {meter.address}"
    return meter.address
