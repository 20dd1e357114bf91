"""MQTT topics, as DESIGN §5 lists them."""

from __future__ import annotations

import pytest

from gridtokenx_wire.topics import (
    acks_topic,
    device_of_frames_topic,
    feed_topic,
    frames_topic,
    status_topic,
)

DEVICE = "eh7ddx5bksrgcytl7bkai36se4"


def test_the_topics_are_those_of_the_contract() -> None:
    branch = f"gridtokenx/v1/sonnenweg/devices/{DEVICE}"
    assert frames_topic("sonnenweg", DEVICE) == f"{branch}/frames"
    assert acks_topic("sonnenweg", DEVICE) == f"{branch}/acks"
    assert status_topic("sonnenweg", DEVICE) == f"{branch}/status"
    assert feed_topic("sonnenweg", "trades") == "gridtokenx/v1/sonnenweg/feed/trades"


def test_one_subscription_covers_the_frames_of_a_community() -> None:
    assert frames_topic("sonnenweg", "+") == "gridtokenx/v1/sonnenweg/devices/+/frames"


def test_the_device_is_read_from_its_frames_topic() -> None:
    assert device_of_frames_topic(frames_topic("sonnenweg", DEVICE)) == DEVICE


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/////",
        acks_topic("sonnenweg", DEVICE),
        status_topic("sonnenweg", DEVICE),
        feed_topic("sonnenweg", "trades"),
        frames_topic("sonnenweg", DEVICE) + "/more",
        "more/" + frames_topic("sonnenweg", DEVICE),
        f"gridtokenx/v2/sonnenweg/devices/{DEVICE}/frames",
        f"another/v1/sonnenweg/devices/{DEVICE}/frames",
    ],
)
def test_any_other_topic_has_no_device(topic: str) -> None:
    assert device_of_frames_topic(topic) == ""
