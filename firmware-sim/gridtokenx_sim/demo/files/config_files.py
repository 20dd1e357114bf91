"""The config files of the demo's programs, as TOML, from the town's plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.files.meter_secrets import Secrets, names_of, secret_file
from gridtokenx_sim.demo.files.toml_text import toml_text
from gridtokenx_sim.demo.periods import Periods
from gridtokenx_wire.clock import ClockConfig

_OPENING_GRX = "1000"
_HOST = "127.0.0.1"
_PUBLIC_CLIENT, _MANAGEMENT_CLIENT = 16, 1


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports at which the parts listen on 127.0.0.1."""

    broker: int
    api: int
    modbus: int
    dlms: int

    @property
    def api_url(self) -> str:
        return f"http://{_HOST}:{self.api}"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's id and key, as `gridtokenx-edge key` prints them."""

    device: str
    public_key: str


class Identities(msgspec.Struct, frozen=True, kw_only=True):
    """Public keys: the backend's, gateways' by name, wallets by member."""

    ack_key: str
    gateways: dict[str, Device]
    wallets: dict[str, str]


def sim_toml(folder: Folder, ports: Ports, clock: ClockConfig, secrets: Secrets) -> str:
    site = {
        "latitude": town.LATITUDE,
        "longitude": town.LONGITUDE,
        "seed": town.SEED,
        "start": town.START.isoformat(),
    }
    buses = [
        {
            "name": bus.name,
            **_sim_line(folder, ports, bus),
            "meter": [
                _sim_meter(member.meter) | _sim_clients(secrets.get(member.name, {}))
                for member in bus.members
            ],
        }
        for bus in town.BUSES
    ]
    return toml_text({"site": site, "clock": _clock(clock), "bus": buses})


def _sim_line(folder: Folder, ports: Ports, bus: town.Bus) -> dict[str, Any]:
    if not bus.baud:
        return {"kind": _sim_kind(bus, "tcp"), **_server(ports, bus)}
    line = {
        "kind": _sim_kind(bus, "serial"),
        "link": _from_configs(folder.lines / bus.name),
        "baud": bus.baud,
        "paced": True,
    }
    return line | ({"opening": bus.opening} if bus.is_dlms else {})


def _sim_kind(bus: town.Bus, wire: str) -> str:
    return f"dlms_{wire}" if bus.is_dlms else wire


def _server(ports: Ports, bus: town.Bus) -> dict[str, Any]:
    return {"host": _HOST, "port": ports.dlms if bus.is_dlms else ports.modbus}


def _sim_clients(secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return who may read a DLMS meter: everybody its name, the gateway everything."""
    if not secrets:
        return {}
    terms = {"mechanism": "low"}
    if "password" not in secrets:
        terms = {"mechanism": "gmac", "protection": "authenticated_encrypted"}
    gateway = {"address": _MANAGEMENT_CLIENT, **terms, **secrets}
    return {"client": [{"address": _PUBLIC_CLIENT, "reads": "identity"}, gateway]}


def _sim_meter(meter: town.MeterPlan) -> dict[str, Any]:
    return {
        "model": meter.model,
        "address": meter.address,
        "serial": meter.serial,
        "solar_kwp": meter.solar_kwp,
        "annual_load_kwh": meter.annual_load_kwh,
        "import_kwh": meter.import_kwh,
        "export_kwh": meter.export_kwh,
    }


def edge_toml(
    gateway: town.Gateway,
    folder: Folder,
    ports: Ports,
    clock: ClockConfig,
    periods: Periods,
    ack_key: str,
) -> str:
    return toml_text(
        {
            "site": {"community": town.COMMUNITY, "name": gateway.site},
            "device": {
                "key": _from_configs(folder.keys / f"{gateway.name}.device.key"),
                "outbox": _from_configs(folder.outbox(gateway.name)),
            },
            "backend": {"ack_key": ack_key},
            "broker": {"host": _HOST, "port": ports.broker, "insecure": True},
            "uplink": {"ack_timeout_s": 3.0},
            "clock": _clock(clock),
            **{
                kind: [
                    {
                        "name": bus.name,
                        **_edge_line(folder, ports, bus),
                        "meter": [_edge_meter(folder, periods, member) for member in bus.members],
                    }
                    for bus in gateway.buses
                    if bus.is_dlms == (kind == "dlms")
                ]
                for kind in ("bus", "dlms")
            },
        }
    )


def _edge_line(folder: Folder, ports: Ports, bus: town.Bus) -> dict[str, Any]:
    if not bus.baud:
        return {"kind": "tcp", **_server(ports, bus)}
    line = {"kind": "serial", "port": str(folder.lines / bus.name), "baud": bus.baud}
    return line | ({"opening": "mode_e"} if bus.opening == "mode_e" else {})


def _edge_meter(folder: Folder, periods: Periods, member: town.Member) -> dict[str, Any]:
    meter = member.meter
    fields = {"id": meter.id, "profile": meter.model, "poll_every_s": periods.poll_s}
    if not meter.is_dlms:
        return fields | {"address": meter.address}
    secrets = {name: _from_configs(secret_file(folder, member, name)) for name in names_of(meter)}
    return fields | {"physical_address": meter.address} | secrets


def backend_toml(folder: Folder, ports: Ports, clock: ClockConfig) -> str:
    return toml_text(
        {
            "backend": {
                "community": "community.toml",
                "data": _from_configs(folder.journal.parent),
                "verify_workers": 1,
            },
            "broker": {"host": _HOST, "port": ports.broker, "insecure": True},
            "api": {"host": _HOST, "port": ports.api},
            "clock": _clock(clock),
        }
    )


def community_toml(identities: Identities, periods: Periods) -> str:
    return toml_text(
        {
            "community": {"name": town.COMMUNITY},
            "market": {
                "fee_bps": town.FEE_BPS,
                "tick_s": periods.tick_s,
                "order_window_s": periods.order_window_s,
            },
            "interval": {"grace_s": periods.grace_s},
            "member": [
                {
                    "name": member.name,
                    "wallet": identities.wallets[member.name],
                    "opening_grx": _OPENING_GRX,
                }
                for member in town.MEMBERS
            ],
            "device": [
                {
                    "public_key": identities.gateways[gateway.name].public_key,
                    "site": gateway.site,
                }
                for gateway in town.GATEWAYS
            ],
            "meter": [
                {
                    "id": member.meter.id,
                    "device": identities.gateways[gateway.name].device,
                    "owner": member.name,
                    "max_power_kw": member.meter.max_power_kw,
                    "resolution_kwh": member.meter.resolution_kwh,
                    "max_production_ratio": town.MAX_PRODUCTION_RATIO,
                }
                for gateway in town.GATEWAYS
                for bus in gateway.buses
                for member in bus.members
            ],
        }
    )


def _from_configs(path: Path) -> str:
    """Return a path in the demo's folder as its configs name it, so that the folder can
    be moved.
    """
    return f"../{path.parent.name}/{path.name}"


def _clock(clock: ClockConfig) -> dict[str, Any]:
    return dict(msgspec.to_builtins(clock))
