"""What a config allows that is unsafe is told by check-config and in the log, nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_edge.config.risks import is_in_the_house
from gridtokenx_wire.exposure import is_this_machine
from gridtokenx_wire.keys import create_private_key, public_key_text

SITE = """\
site = {{community = "lane"}}
device = {{key = "edge.key", outbox = "outbox.db"}}
backend = {{ack_key = "{key}", url = "{url}"}}
broker = {{host = "{broker}", port = 1883, insecure = true}}
home_assistant = {{enabled = true, host = "{house}", port = 1884, insecure = true}}
[[dlms]]
name = "head"
kind = "push"
port = "{push}"
[[dlms.meter]]
id = "SAGEMCOM-1"
profile = "sagemcom_t210d"
protection = "none"
"""
SAFE = {
    "broker": "127.0.0.1",
    "house": "192.168.1.20",
    "push": "/dev/ttyUSB0",
    "url": "https://lane.example",
}


def write(folder: Path, **change: str) -> Path:
    key = public_key_text(create_private_key(folder / "edge.key").public_key())
    file = folder / "edge.toml"
    file.write_text(SITE.format(key=key, **SAFE | change))
    return file


def warnings(file: Path) -> list[str]:
    call = [sys.executable, "-m", "gridtokenx_edge", "check-config", "--config", str(file)]
    done = subprocess.run([*call, "--json"], capture_output=True, text=True, timeout=30, check=True)
    told = json.loads(done.stdout).get("warnings", [])
    plain = subprocess.run(call, capture_output=True, text=True, timeout=30, check=True)
    assert plain.stderr.splitlines() == [f"warning: {line}" for line in told]
    return list(told)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({}, ""),
        ({"broker": "localhost", "house": "homeassistant.local"}, ""),
        ({"broker": "192.168.1.5"}, "broker.insecure: unsafe: readings go to 192.168.1.5"),
        ({"broker": "broker.example"}, "broker.insecure: unsafe: readings go to broker.example"),
        ({"house": "8.8.8.8"}, "home_assistant.insecure: unsafe: each value goes to 8.8.8.8"),
        ({"push": "tcp:4059"}, "dlms[0].meter[0].protection: unsafe on a network"),
        ({"url": "http://lane.example"}, "backend.url: unsafe: plain HTTP to another machine"),
    ],
)
def test_a_network_that_is_not_safe_is_warned_of(
    tmp_path: Path, change: dict[str, str], key: str
) -> None:
    told = warnings(write(tmp_path, **change))
    assert len(told) == bool(key)
    assert not key or key in told[0]


@pytest.mark.parametrize("name", [".", "edge.toml"])
def test_files_that_everybody_may_change_are_warned_of(tmp_path: Path, name: str) -> None:
    file = write(tmp_path)
    (tmp_path / name).chmod(0o777)
    (told,) = warnings(file)
    assert "everybody on this machine may change" in told
    assert "chmod o-w" in told
    (tmp_path / name).chmod(0o755)
    assert warnings(file) == []


def test_the_agent_logs_the_same_when_it_starts(site: Any, wait_until: Any) -> None:
    write(site.folder, push="tcp:0", broker="192.0.2.1").replace(site.config)
    text = site.config.read_text().replace("tcp:0", "/dev/null")
    site.config.write_text(text)
    agent = site.start(stderr=subprocess.PIPE)
    line = json.loads(agent.stderr.readline())
    agent.terminate()
    agent.communicate(timeout=10)
    assert (line["event"], line["level"]) == ("config_risk", "warning")
    assert "broker.insecure" in line["reason"]


def test_hosts_are_told_apart() -> None:
    assert [is_this_machine(host) for host in ("::1", "127.8.9.1", "localhost", "10.0.0.1")] == [
        True, True, True, False,
    ]  # fmt: skip
    near = ("homeassistant", "hass.local", "10.0.0.1", "fe80::1", "nas.fritz.box")
    far = ("mqtt.example", "9.9.9.9", "2606:4700::1")
    assert all(map(is_in_the_house, near))
    assert not any(map(is_in_the_house, far))
