"""A gateway's life with real programs: enrolled, heard, given a new key, replaced, revoked."""

from __future__ import annotations

import json
import os
import pwd
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.rig.processes import MOSQUITTO, Process, free_port, python, wait_for
from bench.rig.site import CLOCK
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

SITE = "Lane 1"
COMMUNITY = """
[community]
name = "lane"
[[member]]
name = "anna"
wallet = "4cn4sdGvhhSwiutuPw3hMAGh6kRbDSknubfiBfHxBCrH"
[[meter]]
id = "CARLO-GAVAZZI-KY123"
site = "Lane 1"
owner = "anna"
max_power_kw = "20"
min_interval_s = 0
max_production_ratio = 0
"""
BACKEND = """
[backend]
verify_workers = 0
[broker]
host = "localhost"
port = {port}
ca = "data/ca/ca.pem"
cert = "data/tls/backend.pem"
key = "data/tls/backend.key"
access = "broker"
pid_file = "broker/mosquitto.pid"
[api]
port = 0
cert = "data/tls/api.pem"
key = "data/tls/api.key"
[enrolment]
broker_host = "127.0.0.1"
"""
METERS = """
[site]
latitude = 48.2
longitude = 16.37
start = "2026-06-21T00:00:00Z"
[[bus]]
name = "hall"
kind = "tcp"
  [[bus.meter]]
  model = "carlo_gavazzi_em24_e1"
  address = 1
  serial = "KY123"
  annual_load_kwh = "4000"
"""
BUS = """
[[bus]]
name = "hall"
kind = "tcp"
host = "127.0.0.1"
port = {port}
  [[bus.meter]]
  id = "CARLO-GAVAZZI-KY123"
  profile = "carlo_gavazzi_em24_e1"
  address = 1
  poll_every_s = 0.2
"""


class Lane:
    """The server's programs at work in a folder, and the commands of operator and installer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "backend.toml"
        now_ms = time.time_ns() // 1_000_000  # a clock that counts as synchronised everywhere
        self.clock = CLOCK.format(wall_ms=now_ms, community_ms=now_ms, speed=1)
        self.config.write_text(BACKEND.format(port=self.port) + self.clock)
        (folder / "community.toml").write_text(COMMUNITY)
        (folder / "sim.toml").write_text(METERS + self.clock)
        self.api = ""
        self.bus = ""
        self.processes: list[Process] = []

    def start(self) -> None:
        self.backend_command("init")
        out = self.folder / "broker"
        self.backend_command(
            "broker-config", "--out", str(out), "--port", str(self.port), "--address", "127.0.0.1"
        )
        conf = out / "mosquitto.conf"
        user = pwd.getpwuid(os.geteuid()).pw_name
        conf.write_text(f"{conf.read_text()}user {user}\npid_file {out}/mosquitto.pid\n")
        self._run("mosquitto", [MOSQUITTO, "-c", str(conf)])
        wait_for((out / "mosquitto.pid").exists, "mosquitto to start")
        sim = self._run("sim", python("gridtokenx_sim", "run", str(self.folder / "sim.toml")))
        backend = self._run("backend", python("gridtokenx_backend", "run", "-c", str(self.config)))
        self.bus = self.clock + BUS.format(port=sim.ready()["buses"][0]["port"])
        self.api = backend.ready()["api"]

    def _run(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, self.folder)
        process.start()
        self.processes.append(process)
        return process

    def backend_command(self, *arguments: str) -> Any:
        api = ("--api", self.api) if self.api else ()
        return command("gridtokenx_backend", *arguments, *api, "-c", str(self.config), "--json")

    def gateway(self, name: str) -> Gateway:
        """Return a gateway that has enrolled with a token of the operator's."""
        folder = self.folder / name
        folder.mkdir()
        made = self.backend_command("token", "create", "--site", SITE)
        (folder / "token").write_text(made["token"])
        gateway = Gateway(self, folder)
        gateway.enrol()
        return gateway

    def device(self, name: str) -> dict[str, Any]:
        found = self.backend_command("device", "list")
        return next(each for each in found if each["device"] == name)

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.running():
                process.stop()


class Gateway:
    def __init__(self, lane: Lane, folder: Path) -> None:
        self.lane = lane
        self.folder = folder
        self.config = folder / "edge.toml"
        self.name = ""
        self.status = ""
        self.agent: Process | None = None

    def enrol(self) -> None:
        self._take(
            command(
                "gridtokenx_edge",
                "enrol",
                "--backend",
                self.lane.api,
                "--token-file",
                str(self.folder / "token"),
                "--config",
                str(self.config),
                "--json",
            )
        )

    def rotate(self) -> None:
        self._take(command("gridtokenx_edge", "key", "rotate", "-c", str(self.config), "--json"))

    def _take(self, answer: dict[str, str]) -> None:
        self.name, self.status = answer["device"], answer["status"]

    def start(self) -> None:
        if "[[bus]]" not in [line.strip() for line in self.config.read_text().splitlines()]:
            self.config.write_text(self.config.read_text() + self.lane.bus)
        self.agent = Process(
            "edge", python("gridtokenx_edge", "run", "-c", str(self.config)), self.folder
        )
        self.agent.start()
        self.lane.processes.append(self.agent)

    def stop(self) -> None:
        assert self.agent is not None
        self.agent.stop()

    def accepted(self) -> int:
        return int(self.lane.device(self.name)["readings_accepted"])

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "edge.err").read_text().splitlines()]

    def may_publish(self) -> bool:
        """Return whether the broker lets this gateway's certificate in."""
        answers: list[Any] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.tls_set(
            str(self.folder / "ca.pem"),
            str(self.folder / "edge-tls.pem"),
            str(self.folder / "edge-tls.key"),
        )
        client.on_connect = lambda _c, _d, _f, code, _p: answers.append(code)
        try:
            client.connect("127.0.0.1", self.lane.port)
            deadline = time.monotonic() + 5
            while not answers and time.monotonic() < deadline:
                if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
                    return False
            return bool(answers) and not answers[0].is_failure
        except (ssl.SSLError, ConnectionError):
            return False
        finally:
            client.disconnect()


def command(*arguments: str) -> Any:
    done = subprocess.run(python(*arguments), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    lane = Lane(tmp_path)
    try:
        lane.start()
        yield lane
    finally:
        lane.stop()


def test_a_gateway_is_enrolled_given_a_new_key_replaced_and_its_successor_revoked(
    lane: Lane,
) -> None:
    first = lane.gateway("first")
    assert first.status == "active"
    first.start()
    wait_for(first.accepted, "the first reading to be accepted")

    # A new key: what the former one has left goes first, and the meter stays.
    former = first.name
    first.rotate()
    assert first.name != former
    first.stop()
    first.start()
    wait_for(first.accepted, "a reading under the new key")
    wait_for(
        lambda: [line for line in first.log() if line["event"] == "former_key_drained"],
        "the former key to be drained",
    )
    assert lane.device(first.name)["follows"] == former

    # A replacement waits for the operator, and takes the place of both keys.
    second = lane.gateway("second")
    assert second.status == "pending"
    second.start()
    approved = lane.backend_command("device", "approve", second.name)
    assert set(approved["replaced"]) == {former, first.name}
    wait_for(second.accepted, "a reading of the replacement")
    wait_for(lambda: not first.may_publish(), "the broker to shut the replaced one out", 5)
    assert second.may_publish()

    # Revoked while it is connected: nothing more counts, and it cannot come back.
    started = time.monotonic()
    lane.backend_command("device", "revoke", second.name, "--reason", "stolen")
    count = second.accepted()
    wait_for(lambda: not second.may_publish(), "the broker to shut it out", 5)
    took_s = time.monotonic() - started
    assert took_s < 5
    assert second.accepted() == count
