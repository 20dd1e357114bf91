"""The checks of a DLMS meter's config that types cannot make."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_dlms.mode_e import BAUD_RATES
from gridtokenx_sim.config.dlms import (
    ClientConfig,
    DlmsBus,
    DlmsMeterConfig,
    DlmsSerialBus,
    DlmsTcpBus,
)
from gridtokenx_sim.config.faults import WIRE_FAULTS, Busy, kind_of
from gridtokenx_sim.models.dlms import DLMS_MODELS

_MAX_SERIAL = 13
_SERIAL_BAUD_RATES = (*BAUD_RATES.values(), 38_400, 57_600, 115_200)


def bus_contradictions(bus: DlmsBus, path: str) -> Iterator[str]:
    """Yield what is wrong with the bus itself."""
    if isinstance(bus, DlmsSerialBus):
        rates = list(BAUD_RATES.values()) if bus.opening == "mode_e" else _SERIAL_BAUD_RATES
        if bus.baud not in rates:
            known = ", ".join(map(str, rates))
            yield f"{path}.baud: expected one of {known}, got {bus.baud}"
    elif bus.framing == "wrapper" and len(bus.meter) > 1:
        yield f"{path}.meter: expected one meter behind the wrapper, got {len(bus.meter)}"


def meter_contradictions(bus: DlmsBus, meter: DlmsMeterConfig, path: str) -> Iterator[str]:
    """Yield what is wrong with one of its meters."""
    if meter.model not in DLMS_MODELS:
        known = ", ".join(sorted(DLMS_MODELS))
        yield f"{path}.model: expected one of {known}, got {meter.model!r}"
    text = meter.serial
    if not text.isascii() or not text.isalnum() or len(text) > _MAX_SERIAL:
        yield f"{path}.serial: expected at most {_MAX_SERIAL} letters and digits, got {text!r}"
    addresses: set[int] = set()
    for index, client in enumerate(meter.client):
        here = f"{path}.client[{index}]"
        if client.address in addresses:
            yield f"{here}.address: expected a value used only once, got {client.address} again"
        addresses.add(client.address)
        yield from _client(client, here)
    yield from _push(bus, meter, path, addresses)
    for index, fault in enumerate(meter.fault):
        over_tcp = isinstance(bus, DlmsTcpBus)
        is_wrapped = isinstance(bus, DlmsTcpBus) and bus.framing == "wrapper"
        if (over_tcp and isinstance(fault, WIRE_FAULTS)) or (
            is_wrapped and isinstance(fault, Busy)
        ):
            yield (
                f"{path}.fault[{index}].kind: expected a fault that this bus lets through,"
                f" got {kind_of(fault)!r}"
            )


def _client(client: ClientConfig, path: str) -> Iterator[str]:
    if client.mechanism == "low" and not client.password:
        yield f"{path}.password: expected the password of low level security"
    if client.mechanism != "low" and client.password:
        yield f"{path}.password: expected none without low level security"
    if (client.encryption_key is None) != (client.authentication_key is None):
        yield f"{path}: expected encryption_key and authentication_key, or neither"
    elif client.encryption_key is None and (
        client.mechanism == "gmac" or client.protection != "none"
    ):
        yield f"{path}: expected encryption_key and authentication_key for what is asked of it"


def _push(bus: DlmsBus, meter: DlmsMeterConfig, path: str, clients: set[int]) -> Iterator[str]:
    if meter.push is None:
        return
    if meter.push.client not in clients:
        yield f"{path}.push.client: expected the address of one of its clients"
    if isinstance(bus, DlmsTcpBus) and meter.push.port == 0:
        yield f"{path}.push.port: expected the port of a listener"
