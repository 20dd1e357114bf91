"""What the types of `[[dlms]]` cannot say: ranges, secrets, and how it fits its profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush, DlmsSerial
from gridtokenx_edge.config.dlms_secrets import TITLE_DIGITS, wanted_secrets
from gridtokenx_edge.config.edge_config import EdgeConfig, SerialBus
from gridtokenx_edge.config.host_names import is_host_name
from gridtokenx_edge.meters.dlms import DlmsProfile, dlms_names, load_dlms
from gridtokenx_wire.frame import MAX_METER_ID

Finding = tuple[str, str]
_SERIAL = re.compile(r"[A-Za-z0-9._/-]+")
_TITLE = re.compile(rf"[0-9A-Fa-f]{{{TITLE_DIGITS}}}")
_NAMED = re.compile(r"(env|credential):.+|[^:]+")
_BAUD_RATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_LONGEST_POLL_S = 24 * 3600
# The oracle takes nothing that is older than seven days, unless its config says otherwise.
_LONGEST_REPAIR_H = 24 * 365


def check_dlms(config: EdgeConfig) -> Iterator[Finding]:
    """Yield every mistake in `[[dlms]]` that can be seen without touching a meter or a secret."""
    names = {bus.name: f"bus[{at}].name" for at, bus in enumerate(config.bus)}
    ports = {
        bus.port: f"bus[{at}].port"
        for at, bus in enumerate(config.bus)
        if isinstance(bus, SerialBus)
    }
    meters = {
        meter.id: f"bus[{at}].meter[{number}].id"
        for at, bus in enumerate(config.bus)
        for number, meter in enumerate(bus.meter)
    }
    for position, bus in enumerate(config.dlms):
        at = f"dlms[{position}]"
        key = f"{at}.name"
        yield from _repeated(bus.name, key, first=names.setdefault(bus.name, key))
        if isinstance(bus, DlmsSerial | DlmsPush):
            key = f"{at}.port"
            yield from _repeated(bus.port, key, first=ports.setdefault(bus.port, key))
        yield from _check_bus(bus, at)
        for number, meter in enumerate(bus.meter):
            here = f"{at}.meter[{number}]"
            key = f"{here}.id"
            yield from _repeated(meter.id, key, first=meters.setdefault(meter.id, key))
            yield from _check_meter(meter, bus, here)


def _repeated(value: str, at: str, *, first: str) -> Iterator[Finding]:
    """Yield a finding unless the key `at` is the first one that has this value."""
    if at != first:
        yield at, f"expected another than {value!r}, which {first} has"


def _check_bus(bus: DlmsBus, at: str) -> Iterator[Finding]:
    if not bus.name:
        yield f"{at}.name", "expected a name"
    if not bus.meter:
        yield f"{at}.meter", "expected at least one [[dlms.meter]]"
    if not isinstance(bus, DlmsPush):
        if not 100 <= bus.timeout_ms <= 60_000:
            yield f"{at}.timeout_ms", f"expected 100 to 60000, got {bus.timeout_ms}"
        if not 0 <= bus.retries <= 5:
            yield f"{at}.retries", f"expected 0 to 5, got {bus.retries}"
    if isinstance(bus, DlmsSerial | DlmsPush):
        yield from _check_port(bus, at)
        return
    if not is_host_name(bus.host):
        yield f"{at}.host", "expected a host name or address"
    if not 1 <= bus.port <= 65_535:
        yield f"{at}.port", f"expected 1 to 65535, got {bus.port}"


def _check_port(bus: DlmsSerial | DlmsPush, at: str) -> Iterator[Finding]:
    if not bus.port:
        yield f"{at}.port", 'expected a serial port such as "/dev/ttyUSB0"'
    if isinstance(bus, DlmsPush):
        try:
            _ = bus.network_port
        except ValueError as error:
            yield f"{at}.port", str(error)
    if bus.baud is not None and bus.baud not in _BAUD_RATES:
        yield f"{at}.baud", f"expected one of {', '.join(map(str, _BAUD_RATES))}"
    if isinstance(bus, DlmsSerial) and len(bus.meter) > 1 and _opens_in_mode_e(bus):
        yield f"{at}.meter", "expected one meter on a line that is opened in mode E"


def _opens_in_mode_e(bus: DlmsSerial) -> bool:
    if bus.opening:
        return bus.opening == "mode_e"
    known = [meter.profile for meter in bus.meter if meter.profile in dlms_names()]
    return any(load_dlms(name).link.opening == "mode_e" for name in known)


def _check_meter(meter: DlmsMeter, bus: DlmsBus, at: str) -> Iterator[Finding]:
    if not 0.1 <= meter.poll_every_s <= _LONGEST_POLL_S:
        expected = f"expected 0.1 to {_LONGEST_POLL_S}, got {meter.poll_every_s:g}"
        yield f"{at}.poll_every_s", expected
    if not 0 <= meter.repair_hours <= _LONGEST_REPAIR_H:
        yield f"{at}.repair_hours", f"expected 0 to {_LONGEST_REPAIR_H}"
    if meter.system_title and not _TITLE.fullmatch(meter.system_title):
        yield f"{at}.system_title", f"expected {TITLE_DIGITS} hexadecimal digits"
    if meter.zone and not _is_zone(meter.zone):
        yield f"{at}.zone", f'expected a zone such as "Europe/Vienna", got {meter.zone!r}'
    yield from _check_addresses(meter, at)
    if meter.profile not in dlms_names():
        known = ", ".join(dlms_names())
        yield f"{at}.profile", f"expected one of {known}, got {meter.profile!r}"
        return
    profile = load_dlms(meter.profile)
    yield from _check_with_profile(meter, profile, bus, at)


def _check_addresses(meter: DlmsMeter, at: str) -> Iterator[Finding]:
    ranges = (("client", 1, 127), ("logical_device", 0, 16_383), ("physical_address", 0, 16_383))
    for name, lowest, highest in ranges:
        value = getattr(meter, name)
        if value is not None and not lowest <= value <= highest:
            yield f"{at}.{name}", f"expected {lowest} to {highest}, got {value}"


def _check_with_profile(
    meter: DlmsMeter, profile: DlmsProfile, bus: DlmsBus, at: str
) -> Iterator[Finding]:
    if isinstance(bus, DlmsPush) != (profile.transports == ("push",)) and not (
        isinstance(bus, DlmsPush) and profile.push
    ):
        yield f"{at}.profile", f"expected a model for this kind of line, not {profile.name}"
    if isinstance(bus, DlmsPush) and not meter.protection and _is_unproven(profile):
        yield f"{at}.protection", _UNPROVEN
    serial = meter.id.removeprefix(f"{profile.maker}-")
    if serial == meter.id or not _SERIAL.fullmatch(serial) or len(meter.id) > MAX_METER_ID:
        yield f"{at}.id", f'expected "{profile.maker}-" and its name, got {meter.id!r}'
    wanted = wanted_secrets(meter, profile, bus)
    for name in ("password", "encryption_key", "authentication_key"):
        value = getattr(meter, name)
        if not value and name in wanted:
            yield f"{at}.{name}", "expected where the secret is: a file, env:NAME, credential:NAME"
        elif value and not _NAMED.fullmatch(value):
            yield f"{at}.{name}", "expected a file, env:NAME or credential:NAME"


def _is_unproven(profile: DlmsProfile) -> bool:
    """Return whether this model encrypts what it sends without proving who sent it."""
    return profile.push_protection == "encrypted"


_UNPROVEN = (
    'expected "encrypted", to take messages that nothing proves to be the meter\'s, as this model'
    ' mostly sends them, or "authenticated_encrypted"'
)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
