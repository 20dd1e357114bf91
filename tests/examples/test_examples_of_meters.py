"""The examples that read meters, as processes, against the simulator's meters on real lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.rig.processes import Process, python
from tests.examples.example import example

SIM = """
[site]
latitude = 48.2
longitude = 16.37
seed = 7
start = "2026-06-21T00:00:00Z"

[clock]
source = "scaled"
wall_ms = 0
community_ms = 0
speed = 1

[[bus]]
name = "cabinet"
kind = "serial"
link = "tty-cabinet"

[[bus.meter]]
model = "eastron_sdm630"
address = 3
serial = "12345678"
import_kwh = "1234.5"
export_kwh = "67.25"

[[bus]]
name = "barn"
kind = "dlms_tcp"

[[bus.meter]]
model = "dlms_three_phase"
address = 1
serial = "3456789"
import_kwh = "9876.5"

[[bus.meter.client]]
address = 2
mechanism = "low"
password = "12345678"
"""


@pytest.fixture(name="meters", scope="module")
def _meters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where the meters are: the serial port's path and the TCP port."""
    folder = tmp_path_factory.mktemp("meters")
    (folder / "sim.toml").write_text(SIM)
    command = python("gridtokenx_sim", "run", str(folder / "sim.toml"))
    with Process("sim", command, folder) as simulator:
        cabinet, barn = simulator.ready()["buses"]
        yield {"path": str(folder / cabinet["path"]), "port": str(barn["port"])}


def test_a_modbus_meter_is_read(meters: dict[str, str]) -> None:
    done = example("read_modbus_meter", meters["path"], "eastron_sdm630", "3")
    assert (done.returncode, done.stderr) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert shown["energy_import"].startswith("1234.5")
    assert shown["energy_export"] == "67.250000000 kWh"
    assert shown["active_power"].endswith(" W")


def test_a_modbus_meter_that_is_not_there_is_told_in_one_line(meters: dict[str, str]) -> None:
    done = example("read_modbus_meter", meters["path"], "eastron_sdm630", "9")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no reply within 1 s\n")


def test_a_dlms_meter_is_read(meters: dict[str, str]) -> None:
    done = example("read_dlms_meter", "127.0.0.1", meters["port"], "12345678")
    assert (done.returncode, done.stderr) == (0, "")
    counted, given, clock = done.stdout.splitlines()
    assert counted.startswith("import 98765")
    assert given == "export 0e0 Wh"
    assert clock.startswith("clock ")


def test_a_wrong_password_is_told_in_one_line(meters: dict[str, str]) -> None:
    done = example("read_dlms_meter", "127.0.0.1", meters["port"], "87654321")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("read_dlms_meter: ")
