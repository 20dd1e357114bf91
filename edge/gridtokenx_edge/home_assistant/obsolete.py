"""Which retained topics of discovery are to be cleared: those of meters that have gone, and those
whose names had the gateway's key in them, as before 0.3.0. Pure.

Home Assistant takes one config for a unique id. Where an old topic still has it, a new one is
refused ("does not generate unique IDs"), and its sensors stay unavailable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from gridtokenx_edge.home_assistant.discovery import ORIGIN, GatewayTopics
from gridtokenx_edge.home_assistant.names import slug

# {prefix}/sensor/gridtokenx_{device}/{meter}_{sensor}/config
_WITH_KEY = re.compile(
    r".+/sensor/gridtokenx_([a-z2-7]{26})/(.+)_(?:import_kwh|export_kwh|power_w)/config"
)


class _DeviceOfConfig(msgspec.Struct, frozen=True, kw_only=True):
    identifiers: list[str] = []
    via_device: str = ""


class _Origin(msgspec.Struct, frozen=True):
    name: str = ""


class _RetainedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a retained config."""

    device: _DeviceOfConfig = _DeviceOfConfig()
    origin: _Origin = _Origin()


def obsolete_topics(
    retained: Mapping[str, bytes], topics: GatewayTopics, device: str, meters: set[str]
) -> list[str]:
    """Return the topics to be cleared, of those that are retained.

    `device` is the id of this gateway's key. Topics with another key are cleared if they are of one
    of our meters: nobody else can mean them. Topics of other gateways' meters stay.
    """
    ours = [(topic, config) for topic, content in retained.items() if (config := _ours(content))]
    slugs, wanted = {slug(meter) for meter in meters}, topics.wanted(meters)
    found, left = [], set()
    for topic, config in ours:
        if named := _WITH_KEY.fullmatch(topic):
            if named[1] == device or named[2] in slugs:
                found.append(topic)
            else:
                left.add(named[1])
        elif topic not in wanted and topics.id in _devices_of(config):
            found.append(topic)
    keys = {named[1] for topic in found if (named := _WITH_KEY.fullmatch(topic))}
    return found + [f"gridtokenx/{key}/availability" for key in sorted(keys - left)]


def _devices_of(config: _RetainedConfig) -> tuple[str, ...]:
    """Return the device of a config, and the one behind which it is."""
    return config.device.via_device, *config.device.identifiers


def _ours(content: bytes) -> _RetainedConfig | None:
    try:
        config = msgspec.json.decode(content, type=_RetainedConfig)
    except msgspec.DecodeError:
        return None
    return config if config.origin.name == ORIGIN else None
