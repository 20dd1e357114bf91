"""The meters in the house's Home Assistant: payloads, and a real broker of the house's own."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.home_assistant.discovery import (
    GatewayTopics,
    gateway_configs,
    gateway_message,
    node_name,
    sensor_configs,
    state_message,
)
from gridtokenx_edge.home_assistant.names import meter_names
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_wire.reading import Reading, ReadingFlag

NAMES = GatewayTopics(
    prefix="homeassistant", node="lane-roof", name="Gateway roof", version="1.2.3"
)
METER = MeterConfig(id="ABB-12/3", profile="abb_b23", address=1, poll_every_s=10)
# https://www.home-assistant.io/integrations/sensor.mqtt/, "Configuration variables", and .../mqtt/
# for `device` and `origin`: what is not there is refused by Home Assistant.
SENSOR_FIELDS = {
    "availability", "availability_mode", "availability_template", "availability_topic", "device",
    "device_class", "enabled_by_default", "encoding", "entity_category", "entity_picture",
    "expire_after", "force_update", "icon", "json_attributes_template", "json_attributes_topic",
    "last_reset_value_template", "name", "object_id", "options", "origin", "payload_available",
    "payload_not_available", "platform", "qos", "state_class", "state_topic",
    "suggested_display_precision", "unique_id", "unit_of_measurement", "value_template",
}  # fmt: skip
DEVICE_FIELDS = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model",
    "model_id", "name", "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip


def configs(present: set[str]) -> dict[str, dict[str, Any]]:
    model = load_profile(METER.profile)
    names = meter_names(METER.id, METER.profile, model.maker, model.name)
    made = sensor_configs(NAMES, METER, names, 10.0, present)
    return {topic: json.loads(payload) for topic, payload in made.items()}


def test_each_value_is_a_sensor_as_home_assistant_wants_it() -> None:
    found = configs({"import_kwh", "export_kwh", "power_w"})
    node = "homeassistant/sensor/gridtokenx_ABB-12_2f_3"
    assert found.keys() == {
        f"{node}/{value}/config" for value in ("import_kwh", "export_kwh", "power_w")
    }
    for sensor in found.values():
        assert sensor.keys() <= SENSOR_FIELDS
        assert sensor["device"].keys() <= DEVICE_FIELDS
        assert sensor["device"]["serial_number"] == "12/3"
        assert sensor["device"]["via_device"] == "gridtokenx_gateway_lane-roof"
        assert sensor["device"]["name"] == "ABB 12/3"
        assert sensor["device"]["manufacturer"] == "ABB"
        assert sensor["device"]["model"] == "B23, B24, A43, A44"
        assert sensor["origin"] == {"name": "GridTokenX", "sw_version": "1.2.3"}
        assert sensor["expire_after"] == 60, "three polls and half a minute"
        assert sensor["availability_topic"] == NAMES.availability
        assert sensor["state_topic"] == NAMES.state("ABB-12/3")
    energy = found[f"{node}/import_kwh/config"]
    assert energy["device_class"] == "energy"
    assert energy["state_class"] == "total_increasing"
    assert energy["unit_of_measurement"] == "kWh"
    power = found[f"{node}/power_w/config"]
    assert (power["device_class"], power["state_class"]) == ("power", "measurement")
    assert power["unit_of_measurement"] == "W"
    ids = [sensor["unique_id"] for sensor in found.values()]
    assert len(set(ids)) == 3


def test_the_gateway_is_a_device_of_its_own() -> None:
    found = {topic: json.loads(text) for topic, text in gateway_configs(NAMES).items()}
    assert len(found) == 4
    for topic, sensor in found.items():
        assert topic.endswith("/config")
        fields = SENSOR_FIELDS | {"payload_on", "payload_off"}
        assert sensor.keys() <= fields
        assert sensor["device"].keys() <= DEVICE_FIELDS
        assert sensor["device"]["identifiers"] == ["gridtokenx_gateway_lane-roof"]
        assert sensor["device"]["sw_version"] == "1.2.3"
        value = sensor["value_template"].removeprefix("{{ value_json.").removesuffix(" }}")
        state = gateway_message(is_connected=True, unacked=3, version="1.2.3", trouble="t" * 300)
        assert len(str(state[value])) <= 255
    assert {sensor["name"] for sensor in found.values()} == {
        "Community's broker", "Frames without an ack", "Version", "Trouble",
    }  # fmt: skip


def test_no_topic_or_id_names_the_gateways_key() -> None:
    assert "device" not in GatewayTopics.__struct_fields__
    assert node_name("", "lane", "Sonnenweg 3, Dach") == "lane-Sonnenweg-3-Dach"
    assert node_name("", "lane", "") == "lane"
    assert node_name("attic", "lane", "roof") == "attic"


@pytest.mark.parametrize(
    ("meter", "profile", "maker", "model", "name"),
    [
        ("CARLO-GAVAZZI-7", "cg", "CARLO-GAVAZZI", "Carlo Gavazzi EM340 (3-phase)",
         "Carlo Gavazzi 7: Carlo Gavazzi EM340"),
        ("LANDISGYR-LGZ1", "lg", "LANDISGYR", "Landis+Gyr E450",
         "Landis+Gyr LGZ1: Landis+Gyr E450"),
        ("BG-ETECH-9", "bg", "BG-ETECH", "B+G e-tech DS100 (3-phase)",
         "B+G e-tech 9: B+G e-tech DS100"),
        ("FRONIUS-123", "sunspec_meter", "", "SunSpec meter (models 201 to 204)",
         "Fronius 123:  SunSpec meter"),
        ("OWN-5", "own.toml", "OWN", "A meter", "Own 5: Own A meter"),
    ],
)  # fmt: skip
def test_meters_have_names_for_people(
    meter: str, profile: str, maker: str, model: str, name: str
) -> None:
    made = meter_names(meter, profile, maker, model)
    assert f"{made.name}: {made.maker} {made.model}" == name


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        (0, {"import_kwh": "1234.000000001", "export_kwh": "0.500000000", "power_w": -7}),
        (ReadingFlag.NO_EXPORT, {"import_kwh": "1234.000000001", "power_w": -7}),
        (ReadingFlag.NO_IMPORT | ReadingFlag.NO_POWER, {"export_kwh": "0.500000000"}),
    ],
)
def test_a_state_has_exactly_the_values_that_the_meter_has(
    flags: int, values: dict[str, Any]
) -> None:
    reading = Reading(
        meter="ABB-1",
        time_ms=0,
        import_uwh=1_234_000_000_001,
        export_uwh=500_000_000,
        power_w=-7,
        flags=int(flags),
    )
    assert state_message(reading) == values
    assert len(configs(set(values))) == len(values)


class House:
    """A Home Assistant that only listens."""

    def __init__(self, port: int) -> None:
        self.retained: dict[str, bytes] = {}
        self.messages: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "home")
        self._client.username_pw_set("home", "open sesame")
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.retain:
            self.retained[message.topic] = message.payload
        self.messages.append((message.topic, message.payload))

    def last(self, topic: str) -> bytes:
        found = [payload for name, payload in self.messages if name == topic]
        return found[-1] if found else b""

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def house(tmp_path: Path, broker: Any) -> Iterator[Any]:
    """The house's own broker, with a login."""
    folder = tmp_path / "house"
    folder.mkdir()
    passwords = folder / "passwords"
    for name, password in (("home", "open sesame"), ("meters", "kilowatt")):
        flags = ["-b"] if passwords.exists() else ["-c", "-b"]
        command = ["mosquitto_passwd", *flags, str(passwords), name, password]
        subprocess.run(command, check=True, capture_output=True, timeout=10)
    passwords.chmod(0o644)
    (folder / "password").write_text("kilowatt\n")
    (folder / "password").chmod(0o600)
    house = type(broker)(folder)
    house.start(f"listener {house.port} 127.0.0.1", f"password_file {passwords}", "user root")
    yield house
    house.stop()


async def test_the_house_sees_its_meters_and_the_community_does_not(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, house: Any, wait_until: Any
) -> None:
    extra = (
        f'home_assistant = {{enabled = true, host = "127.0.0.1", port = {house.port},'
        ' insecure = true, username = "meters", password_file = "house/password"}'
    )
    home, community = House(house.port), House(broker.port)
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, ack_key, broker.port, extra=extra)
        agent = site.start()
        await wait_until(lambda: states(home))
        topic, sensors = described(home)
        shown = json.loads(home.last(topic))["import_kwh"]
        await wait_until(lambda: shown in imports(backend))
        assert sensors.keys() == {"Import", "Export", "Power"}
        availability = sensors["Power"]["availability_topic"]
        assert home.last(availability) == b"online"

        later = House(house.port)  # subscribes now: descriptions are there, old values are not
        await wait_until(lambda: len(later.retained) == 8)
        assert topic not in later.retained
        agent.send_signal(signal.SIGKILL)
        await wait_until(lambda: home.last(availability) == b"offline")
    assert not [name for name, _ in community.messages if "homeassistant" in name]
    assert not [name for name, _ in home.messages if name.startswith("gridtokenx/v1")]
    for each in (home, community, later):
        each.close()


def states(home: House) -> list[bytes]:
    return [payload for topic, payload in home.messages if topic.endswith("/state")]


def described(home: House) -> tuple[str, dict[str, dict[str, Any]]]:
    """The state topic, and each sensor by its name."""
    sensors = [
        json.loads(payload)
        for topic, payload in home.messages
        if topic.endswith("/config") and payload and "gridtokenx_gateway" not in topic
    ]
    (topic,) = {sensor["state_topic"] for sensor in sensors}
    return topic, {sensor["name"]: sensor for sensor in sensors}


def imports(backend: Any) -> set[str]:
    return {
        f"{reading.import_uwh // 10**9}.{reading.import_uwh % 10**9:09d}"
        for reading in backend.readings
    }


async def test_a_house_that_is_away_or_says_no_disturbs_nothing_else(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, house: Any, wait_until: Any
) -> None:
    extra = (
        f'home_assistant = {{enabled = true, host = "127.0.0.1", port = {house.port},'
        ' insecure = true, username = "meters", password_file = "house/wrong"}'
    )
    wrong = site.folder / "house" / "wrong"
    wrong.write_text("megawatt")
    wrong.chmod(0o600)
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, ack_key, broker.port, extra=extra)
        site.start()
        await wait_until(lambda: site.has_log() and site.events("house_broker_lost"))
        await wait_until(lambda: len(backend.readings) >= 3)
    (line,) = site.events("house_broker_lost")
    assert "Not authorized" in line["reason"]
    assert "megawatt" not in (site.folder / "edge.log").read_text()
