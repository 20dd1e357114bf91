"""The messages for Home Assistant: its MQTT discovery, and the states of meters and gateway.

This module is pure. Fields are as https://www.home-assistant.io/integrations/mqtt/ and
.../sensor.mqtt/ have them. No topic names the gateway's key: a gateway gets a new one after a
revocation, and Home Assistant must find the same sensors under the same topics then.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gridtokenx_edge.home_assistant.names import MeterNames, slug
from gridtokenx_edge.polling.driver import MeterSettings
from gridtokenx_wire.reading import Reading, ReadingFlag

ONLINE, OFFLINE = b"online", b"offline"
ORIGIN = "GridTokenX"
_ENERGY = {
    "device_class": "energy",
    "state_class": "total_increasing",
    "unit_of_measurement": "kWh",
    "suggested_display_precision": 3,
}
_POWER = {"device_class": "power", "state_class": "measurement", "unit_of_measurement": "W"}
METER_SENSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "import_kwh": ("Import", _ENERGY),
    "export_kwh": ("Export", _ENERGY),
    "power_w": ("Power", _POWER),
}
_DIAGNOSTIC = {"entity_category": "diagnostic"}
_GATEWAY_SENSORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "broker": (
        "binary_sensor",
        "Community's broker",
        {"device_class": "connectivity", "payload_on": "on", "payload_off": "off"},
    ),
    "unacked": ("sensor", "Frames without an ack", {"state_class": "measurement"}),
    "version": ("sensor", "Version", {}),
    "trouble": ("sensor", "Trouble", {}),
}
GATEWAY_EVERY_S = 30.0
# A value counts as unavailable after so many polls without one, and some seconds.
_POLLS_BEFORE_STALE = 3
_STALE_AFTER_S = 30
_LONGEST_STATE = 255


class GatewayTopics(msgspec.Struct, frozen=True, kw_only=True):
    """The topics and the device of one gateway.

    `prefix` is where Home Assistant looks, `node` names the gateway at the house's broker, and
    `name` is for people.
    """

    prefix: str
    node: str
    name: str
    version: str

    @property
    def id(self) -> str:
        """The identifier of the gateway as a device."""
        return f"gridtokenx_gateway_{self.node}"

    @property
    def availability(self) -> str:
        """The topic that tells whether the gateway is there.

        It is retained, and the broker publishes "offline" when the gateway vanishes.
        """
        return f"gridtokenx/{self.node}/availability"

    @property
    def gateway_state(self) -> str:
        return f"gridtokenx/{self.node}/gateway"

    def state(self, meter: str) -> str:
        """Return the topic of a meter's values.

        They are not retained: an old value must never look fresh to whoever subscribes later.
        """
        return f"gridtokenx/meters/{slug(meter)}/state"

    def config(self, meter: str, sensor: str) -> str:
        return f"{self.prefix}/sensor/gridtokenx_{slug(meter)}/{sensor}/config"

    def gateway_config(self, sensor: str) -> str:
        kind, _, _ = _GATEWAY_SENSORS[sensor]
        return f"{self.prefix}/{kind}/{self.id}/{sensor}/config"

    def wanted(self, meters: set[str]) -> set[str]:
        """Return every topic of discovery that this gateway may have, with these meters."""
        found = {self.gateway_config(sensor) for sensor in _GATEWAY_SENSORS}
        return found | {self.config(meter, sensor) for meter in meters for sensor in METER_SENSORS}

    @property
    def discovery(self) -> list[str]:
        """The topics to subscribe to, to learn what is retained of discovery."""
        return [f"{self.prefix}/{kind}/+/+/config" for kind in ("sensor", "binary_sensor")]


def node_name(chosen: str, community: str, site: str) -> str:
    """Return what a gateway is called in topics: what the config says, or community and site."""
    return chosen or re.sub(r"[^A-Za-z0-9_-]+", "-", f"{community}-{site}").strip("-")[:64]


def state_message(reading: Reading) -> dict[str, str | int]:
    """Return the values that a reading has. Energy is exact decimal text in kWh."""
    flags = ReadingFlag(reading.flags)
    values: dict[str, str | int] = {}
    if ReadingFlag.NO_IMPORT not in flags:
        values["import_kwh"] = _kwh(reading.import_uwh)
    if ReadingFlag.NO_EXPORT not in flags:
        values["export_kwh"] = _kwh(reading.export_uwh)
    if ReadingFlag.NO_POWER not in flags:
        values["power_w"] = reading.power_w
    return values


def gateway_message(
    *, is_connected: bool, unacked: int, version: str, trouble: str
) -> dict[str, str | int]:
    """Return the state of the gateway itself. A state of Home Assistant has 255 letters at most."""
    return {
        "broker": "on" if is_connected else "off",
        "unacked": unacked,
        "version": version,
        "trouble": trouble[:_LONGEST_STATE] or "none",
    }


def stale_after_s(real_every_s: float) -> int:
    """Return the real seconds after which a value is no longer shown, at this pace of polling."""
    return round(_POLLS_BEFORE_STALE * real_every_s) + _STALE_AFTER_S


def sensor_configs(
    topics: GatewayTopics,
    meter: MeterSettings,
    names: MeterNames,
    real_every_s: float,
    present: set[str],
) -> dict[str, bytes]:
    """Return the retained configs by topic, one for each value that the meter has."""
    device: dict[str, str | list[str]] = {
        "identifiers": [f"gridtokenx_{slug(meter.id)}"],
        "name": names.name,
        "model": names.model,
        "serial_number": names.serial,
        "via_device": topics.id,
    }
    if names.maker:
        device["manufacturer"] = names.maker
    configs = {}
    for sensor, (name, kind) in METER_SENSORS.items():
        if sensor in present:
            configs[topics.config(meter.id, sensor)] = _config(
                topics,
                device,
                {
                    "name": name,
                    "unique_id": f"gridtokenx_{slug(meter.id)}_{sensor}",
                    "state_topic": topics.state(meter.id),
                    "value_template": f"{{{{ value_json.{sensor} }}}}",
                    "expire_after": stale_after_s(real_every_s),
                    **kind,
                },
            )
    return configs


def gateway_configs(topics: GatewayTopics) -> dict[str, bytes]:
    """Return the retained configs of the gateway itself by topic."""
    device: dict[str, str | list[str]] = {
        "identifiers": [topics.id],
        "name": topics.name,
        "manufacturer": ORIGIN,
        "model": "Gateway",
        "sw_version": topics.version,
    }
    return {
        topics.gateway_config(sensor): _config(
            topics,
            device,
            {
                "name": name,
                "unique_id": f"{topics.id}_{sensor}",
                "state_topic": topics.gateway_state,
                "value_template": f"{{{{ value_json.{sensor} }}}}",
                "expire_after": round(4 * GATEWAY_EVERY_S),
                **_DIAGNOSTIC,
                **kind,
            },
        )
        for sensor, (_, name, kind) in _GATEWAY_SENSORS.items()
    }


def _config(
    topics: GatewayTopics, device: dict[str, str | list[str]], fields: dict[str, Any]
) -> bytes:
    return msgspec.json.encode(
        {
            **fields,
            "availability_topic": topics.availability,
            "payload_available": ONLINE.decode(),
            "payload_not_available": OFFLINE.decode(),
            "device": device,
            "origin": {"name": ORIGIN, "sw_version": topics.version},
        }
    )


def _kwh(uwh: int) -> str:
    return f"{uwh // 10**9}.{uwh % 10**9:09d}"
