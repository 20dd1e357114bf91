"""The messages for Home Assistant: its MQTT discovery, and the state of a meter.

This module is pure. Fields are as https://www.home-assistant.io/integrations/mqtt/ and
.../sensor.mqtt/ have them.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gridtokenx_edge.polling.driver import MeterSettings
from gridtokenx_wire.reading import Reading, ReadingFlag

ONLINE, OFFLINE = b"online", b"offline"
_ENERGY = {
    "device_class": "energy",
    "state_class": "total_increasing",
    "unit_of_measurement": "kWh",
    "suggested_display_precision": 3,
}
_POWER = {"device_class": "power", "state_class": "measurement", "unit_of_measurement": "W"}
_SENSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "import_kwh": ("Import", _ENERGY),
    "export_kwh": ("Export", _ENERGY),
    "power_w": ("Power", _POWER),
}
# A value counts as unavailable after so many polls without one, and some seconds.
_POLLS_BEFORE_STALE = 3
_STALE_AFTER_S = 30


class GatewayTopics(msgspec.Struct, frozen=True, kw_only=True):
    """The topics of one gateway.

    `prefix` is where Home Assistant looks, `device` is our device id.
    """

    prefix: str
    device: str
    version: str

    @property
    def availability(self) -> str:
        """The topic that tells whether the gateway is there.

        It is retained, and the broker publishes "offline" when the gateway vanishes.
        """
        return f"gridtokenx/{self.device}/availability"

    def state(self, meter: str) -> str:
        """Return the topic of a meter's values.

        They are not retained: an old value must never look fresh to whoever subscribes later.
        """
        return f"gridtokenx/{self.device}/{_slug(meter)}/state"

    def config(self, meter: str, sensor: str) -> str:
        return f"{self.prefix}/sensor/gridtokenx_{self.device}/{_slug(meter)}_{sensor}/config"


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


def stale_after_s(real_every_s: float) -> int:
    """Return the real seconds after which a value is no longer shown, at this pace of polling."""
    return round(_POLLS_BEFORE_STALE * real_every_s) + _STALE_AFTER_S


def sensor_configs(
    names: GatewayTopics, meter: MeterSettings, maker: str, real_every_s: float, present: set[str]
) -> dict[str, bytes]:
    """Return the retained configs by topic, one for each value that the meter has.

    `maker` is empty if it is not known.
    """
    device: dict[str, str | list[str]] = {
        "identifiers": [f"gridtokenx_{_slug(meter.id)}"],
        "name": meter.id,
        "model": meter.profile,
    }
    if maker:
        device["manufacturer"] = maker
        device["serial_number"] = meter.id.removeprefix(f"{maker}-")
    origin = {"name": "GridTokenX", "sw_version": names.version}
    configs = {}
    for sensor, (name, kind) in _SENSORS.items():
        if sensor in present:
            configs[names.config(meter.id, sensor)] = msgspec.json.encode(
                {
                    "name": name,
                    "unique_id": f"gridtokenx_{_slug(meter.id)}_{sensor}",
                    "state_topic": names.state(meter.id),
                    "value_template": f"{{{{ value_json.{sensor} }}}}",
                    "availability_topic": names.availability,
                    "payload_available": ONLINE.decode(),
                    "payload_not_available": OFFLINE.decode(),
                    "expire_after": stale_after_s(real_every_s),
                    "device": device,
                    "origin": origin,
                    **kind,
                }
            )
    return configs


def _slug(meter: str) -> str:
    """Return the meter's id as ids of discovery have it: letters, digits, - and _ only."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"_{ord(found[0]):x}_", meter)


def _kwh(uwh: int) -> str:
    return f"{uwh // 10**9}.{uwh % 10**9:09d}"
