"""The config files of the demo's programs, as TOML, from the town's plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.folder import Folder
from gridtokenx_sim.demo.pace import Pace
from gridtokenx_sim.demo.toml_text import toml_text
from gridtokenx_wire.clock import ClockConfig

_OPENING_GRX = "1000"
_HOST = "127.0.0.1"


class Ports(msgspec.Struct, frozen=True):
    """Where the parts listen on 127.0.0.1."""

    broker: int
    api: int
    meters: int

    @property
    def api_url(self) -> str:
        return f"http://{_HOST}:{self.api}"


class Device(msgspec.Struct, frozen=True):
    """A gateway's id and key, as `gridtokenx-edge key` prints them."""

    device: str
    public_key: str


class Identities(msgspec.Struct, frozen=True):
    """Public keys only: the backend's, gateways' by name, wallets by member."""

    ack_key: str
    gateways: dict[str, Device]
    wallets: dict[str, str]


def sim_toml(folder: Folder, ports: Ports, clock: ClockConfig) -> str:
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
            "meter": [_sim_meter(member.meter) for member in bus.members],
        }
        for bus in town.BUSES
    ]
    return toml_text({"site": site, "clock": _clock(clock), "bus": buses})


def _sim_line(folder: Folder, ports: Ports, bus: town.Bus) -> dict[str, Any]:
    if not bus.baud:
        return {"kind": "tcp", "host": _HOST, "port": ports.meters}
    return {
        "kind": "serial",
        "link": _from_configs(folder.lines / bus.name),
        "baud": bus.baud,
        "paced": True,
    }


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
    pace: Pace,
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
            "bus": [
                {
                    "name": bus.name,
                    **_edge_line(folder, ports, bus),
                    "meter": [
                        {
                            "id": member.meter.id,
                            "profile": member.meter.model,
                            "address": member.meter.address,
                            "poll_every_s": pace.poll_s,
                        }
                        for member in bus.members
                    ],
                }
                for bus in gateway.buses
            ],
        }
    )


def _edge_line(folder: Folder, ports: Ports, bus: town.Bus) -> dict[str, Any]:
    if not bus.baud:
        return {"kind": "tcp", "host": _HOST, "port": ports.meters}
    return {"kind": "serial", "port": str(folder.lines / bus.name), "baud": bus.baud}


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


def community_toml(identities: Identities, pace: Pace) -> str:
    return toml_text(
        {
            "community": {"name": town.COMMUNITY},
            "market": {
                "fee_bps": town.FEE_BPS,
                "tick_s": pace.tick_s,
                "order_window_s": pace.order_window_s,
            },
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
    """A path in the demo's folder as its configs name it, so that the folder can be moved."""
    return f"../{path.parent.name}/{path.name}"


def _clock(clock: ClockConfig) -> dict[str, Any]:
    return dict(msgspec.to_builtins(clock))
