"""MQTT topics. The community stands in the topic because it is the shard."""

from __future__ import annotations

import re

_PREFIX = "gridtokenx/v1"
_COMMUNITY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
COMMUNITY_RULE = "expected 1 to 40 lower-case letters, digits or hyphens"


def is_community(name: str) -> bool:
    """Return whether a community may have this name. It begins with a letter or a digit."""
    return _COMMUNITY.fullmatch(name) is not None


def frames_topic(community: str, device: str) -> str:
    """Return the topic on which a gateway sends signed frames.

    `device` may be `+` in a subscription.
    """
    return f"{_PREFIX}/{community}/devices/{device}/frames"


def acks_topic(community: str, device: str) -> str:
    """Return the topic on which the backend sends a gateway its signed acks."""
    return f"{_PREFIX}/{community}/devices/{device}/acks"


def status_topic(community: str, device: str) -> str:
    """Return the topic of a gateway's retained birth message and last will."""
    return f"{_PREFIX}/{community}/devices/{device}/status"


def feed_topic(community: str, name: str) -> str:
    """Return a topic of public JSON: trades, prices, validated energy."""
    return f"{_PREFIX}/{community}/feed/{name}"


def device_of_frames_topic(topic: str) -> str:
    """Return the device in a frames topic, or "" if the topic is none."""
    parts = topic.split("/")
    if len(parts) == 6 and topic == frames_topic(parts[2], parts[4]):
        return parts[4]
    return ""
