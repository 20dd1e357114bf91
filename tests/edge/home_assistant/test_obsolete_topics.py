"""What is retained in the house of meters and keys that have gone is cleared, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.home_assistant.discovery import (
    GatewayTopics,
    gateway_configs,
    sensor_configs,
)
from gridtokenx_edge.home_assistant.names import meter_names
from gridtokenx_edge.home_assistant.obsolete import obsolete_topics
from gridtokenx_wire.keys import create_private_key

KEY, OTHER_KEY = "quklnhpxgrcyvf6hpnl4bjyxna", "iq4wc4wabeoy4bu2pto635vfce"
TOPICS = GatewayTopics(prefix="homeassistant", node="lane", name="Gateway", version="1")
SENSORS = ("import_kwh", "export_kwh", "power_w")


def old_form(meter: str, key: str = KEY) -> dict[str, bytes]:
    """What a gateway of version 0.2.0 or before has left."""
    return {
        f"homeassistant/sensor/gridtokenx_{key}/{meter}_{sensor}/config": json.dumps(
            {
                "name": "Import",
                "unique_id": f"gridtokenx_{meter}_{sensor}",
                "state_topic": f"gridtokenx/{key}/{meter}/state",
                "availability_topic": f"gridtokenx/{key}/availability",
                "device": {"identifiers": [f"gridtokenx_{meter}"], "name": meter},
                "origin": {"name": "GridTokenX", "sw_version": "0.2.0"},
            }
        ).encode()
        for sensor in SENSORS
    }


def new_form(meter: str, topics: GatewayTopics = TOPICS) -> dict[str, bytes]:
    settings = MeterConfig(id=meter, profile="abb_b23", address=1)
    names = meter_names(meter, "abb_b23", "ABB", "ABB B23")
    return sensor_configs(topics, settings, names, 10.0, set(SENSORS))


def cleared(retained: dict[str, bytes], *meters: str) -> set[str]:
    return set(obsolete_topics(retained, TOPICS, KEY, set(meters)))


def availability(key: str) -> set[str]:
    return {f"gridtokenx/{key}/availability"}


def test_topics_with_our_key_go_and_so_do_those_of_our_meters_under_a_lost_key() -> None:
    ours, gone, lost = old_form("ABB-1"), old_form("ABB-9"), old_form("ABB-2", OTHER_KEY)
    assert cleared(ours | gone | lost, "ABB-1", "ABB-2") == {
        *ours, *gone, *lost, *availability(KEY), *availability(OTHER_KEY),
    }  # fmt: skip


def test_meters_of_another_gateway_stay() -> None:
    theirs = old_form("ABB-7", OTHER_KEY)
    moved = old_form("ABB-1", OTHER_KEY)
    assert cleared(theirs | moved, "ABB-1") == set(moved), "and that gateway is still there"
    neighbour = GatewayTopics(prefix="homeassistant", node="attic", name="G", version="1")
    assert cleared(new_form("ABB-8", neighbour) | gateway_configs(neighbour), "ABB-1") == set()


def test_what_we_show_now_stays_and_meters_that_were_removed_go() -> None:
    shown, removed = new_form("ABB-1"), new_form("ABB-2")
    assert cleared(shown | removed | gateway_configs(TOPICS), "ABB-1") == set(removed)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"device": 5}', b'{"origin": {"name": "zigbee2mqtt"}}', b"{}"],
)
def test_configs_of_others_are_left_alone_whatever_they_are(content: bytes) -> None:
    retained = dict.fromkeys((*old_form("ABB-1"), *new_form("ABB-2")), content)
    assert cleared(retained, "ABB-1") == set()


class Retaining:
    """A client that knows what is retained at the broker now."""

    def __init__(self, port: int) -> None:
        self.retained: dict[str, bytes] = {}
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "home")
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_message = self._received
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if not message.topic.endswith(("/config", "/availability")):
            return
        if message.payload:
            self.retained[message.topic] = message.payload
        else:
            self.retained.pop(message.topic, None)

    def unique_ids(self) -> list[str]:
        found = [topic for topic in self.retained if topic.endswith("/config")]
        return [json.loads(self.retained[topic])["unique_id"] for topic in found]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def test_a_gateway_with_a_new_key_takes_the_place_of_the_former_one(
    tmp_path: Any,
    meters: Any,
    site: Any,
    broker: Any,
    backend: Any,
    ack_key: str,
    wait_until: Any,
) -> None:
    """The docs ask for a new key after a revocation, and meters come and go."""
    folder = tmp_path / "house"
    folder.mkdir()
    house = type(broker)(folder)
    house.start()
    home = Retaining(house.port)
    extra = (
        f'home_assistant = {{enabled = true, host = "127.0.0.1", port = {house.port},'
        " insecure = true}"
    )
    one, two = meters.meter("abb_b23", 1), meters.meter("abb_b23", 2)
    for topic, content in (old_form("ABB-1001", OTHER_KEY) | old_form("ABB-7", OTHER_KEY)).items():
        home.client.publish(topic, content, 1, retain=True)
    try:
        async with meters.serve(meters.tcp(one, two)) as running:
            site.write(running, ack_key, broker.port, extra=extra)
            agent = site.start()
            ids = {f"gridtokenx_ABB-{serial}_{name}" for serial in (1001, 1002) for name in SENSORS}
            await wait_until(lambda: ids <= set(home.unique_ids()))
            agent.terminate()
            agent.wait(10)
            before = dict(home.retained)
            # A new key, without the second meter.
            (site.folder / "edge.key").unlink()
            create_private_key(site.folder / "edge.key")
            site.outbox.unlink()
            text = site.config.read_text()
            site.config.write_text(text[: text.rindex("[[bus.meter]]")])
            site.start()
            await wait_until(lambda: not any("ABB-1002" in topic for topic in home.retained))
            await wait_until(lambda: home.retained["gridtokenx/lane/availability"] == b"online")
        assert len(home.unique_ids()) == len(set(home.unique_ids()))
        assert sorted(topic for topic in home.retained if OTHER_KEY in topic) == sorted(
            old_form("ABB-7", OTHER_KEY)
        ), "of a meter that is not ours"
        kept = {
            topic: text
            for topic, text in before.items()
            if topic.endswith("/config") and "ABB-1002" not in topic
        }
        assert {topic: home.retained[topic] for topic in kept} == kept, "nothing names the key"
    finally:
        home.close()
        house.stop()
