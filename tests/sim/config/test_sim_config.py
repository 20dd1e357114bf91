"""`sim.toml`: what is accepted, and the one line that each mistake gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridtokenx_sim.config.faults import Rollback, Silence, Unplugged
from gridtokenx_sim.config.loading import ConfigError, load_config, parse_config
from gridtokenx_sim.config.sim_config import SerialBus, TcpBus

EXAMPLE = """
[site]
latitude = 48.2
longitude = 16.37
seed = 7
start = "2026-06-21T00:00:00Z"

[clock]
source = "scaled"
wall_ms = 1
community_ms = 2
speed = 180.0

[[bus]]
name = "roof"
kind = "serial"
link = "pty/roof"
baud = 19200
paced = true

  [[bus.meter]]
  model = "eastron_sdm630"
  address = 1
  serial = "12345678"
  solar_kwp = "6.5"
  annual_load_kwh = "3800"

    [[bus.meter.fault]]
    kind = "silence"
    from_s = 3600
    until_s = 7200

    [[bus.meter.fault]]
    kind = "rollback"
    kwh = "12.5"

  [[bus.fault]]
  kind = "unplugged"
  from_s = 10

[[bus]]
name = "net"
kind = "tcp"

  [[bus.meter]]
  model = "carlo_gavazzi_em24_e1"
  address = 1
  serial = "BX0001"
"""


def test_an_example_with_every_section_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "sim.toml"
    file.write_text(EXAMPLE)
    config = load_config(file)
    assert config.site.start_ms == 1_782_000_000_000
    assert config.clock.speed == 180
    roof, net = config.bus
    assert isinstance(roof, SerialBus)
    assert roof.link == str(tmp_path / "pty/roof")
    assert (roof.baud, roof.paced, roof.fault) == (19200, True, (Unplugged(from_s=10),))
    meter = roof.meter[0]
    assert (meter.solar_kwp, meter.annual_load_kwh) == (6500, 3800 * 10**9)
    assert meter.fault == (
        Silence(from_s=3600, until_s=7200),
        Rollback(kwh=12_500_000_000),  # type: ignore[arg-type]
    )
    assert isinstance(net, TcpBus)
    assert (net.host, net.port) == ("127.0.0.1", 0)


def document(**changes: Any) -> dict[str, Any]:
    """Return a good config with the values at some dotted paths replaced (None removes a key)."""
    meter = {"model": "eastron_sdm630", "address": 1, "serial": "1"}
    other = {"model": "abb_b23", "address": 2, "serial": "2"}
    net = {"model": "carlo_gavazzi_em24_e1", "address": 1, "serial": "BX"}
    good: dict[str, Any] = {
        "site": {"latitude": 48.2, "longitude": 16.37, "start": "2026-06-21T00:00:00Z"},
        "bus": [
            {"name": "a", "kind": "serial", "link": "a", "meter": [meter, other]},
            {"name": "t", "kind": "tcp", "meter": [net]},
        ],
    }
    for path, value in changes.items():
        *parents, last = [int(p) if p.isdigit() else p for p in path.split("__")]
        at: Any = good
        for step in parents:
            at = at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return good


MISTAKES = [
    ({"site": None}, "sim.toml: site: expected a value, but the key is missing"),
    ({"site__seeed": 1}, "sim.toml: site.seeed: expected no such key"),
    ({"site__latitude": "48"}, "sim.toml: site.latitude: expected `float`, got `str`"),
    ({"site__latitude": 91.0}, "sim.toml: site.latitude: expected `float` <= 90.0"),
    ({"site__start": "yesterday"}, "sim.toml: site.start: invalid RFC3339 encoded datetime"),
    ({"bus": []}, "sim.toml: bus: expected at least one [[bus]]"),
    (
        {"bus__0__kind": "can"},
        "sim.toml: bus[0].kind: expected one of serial, tcp, dlms_serial, dlms_tcp, got 'can'",
    ),
    ({"bus__0__kind": None}, "sim.toml: bus[0].kind: expected a value, but the key is missing"),
    ({"bus__0__link": None}, "sim.toml: bus[0].link: expected a value, but the key is missing"),
    ({"bus__0__baud": "9600"}, "sim.toml: bus[0].baud: expected `int`, got `str`"),
    ({"bus__0__meter": []}, "sim.toml: bus[0].meter: expected at least one [[bus.meter]]"),
    ({"bus__1__name": "a"}, "sim.toml: bus[1].name: expected a value used only once"),
    ({"bus__0__meter__0__address": 0}, "bus[0].meter[0].address: expected `int` >= 1"),
    ({"bus__0__meter__1__address": 1}, "bus[0].meter[1].address: expected a value used only once"),
    ({"bus__0__meter__0__model": "sdm1"}, "bus[0].meter[0].model: expected one of abb_b23, carlo"),
    ({"bus__0__meter__0__serial": "007"}, "meter[0].serial: expected a whole number below 2^32"),
    ({"bus__0__meter__0__serial": "4294967296"}, "serial: expected a whole number below 2^32"),
    ({"bus__1__meter__0__serial": "B" * 14}, "serial: expected at most 13 letters and digits"),
    ({"bus__0__meter__0__solar_kwp": 6.5}, "solar_kwp: expected a decimal number in quotes"),
    ({"bus__0__meter__0__solar_kwp": "6.5001"}, "solar_kwp: expected at most 3 decimals"),
    ({"bus__0__meter__0__solar_kwp": "-1"}, "solar_kwp: expected a number of kW that is not neg"),
    ({"bus__0__meter__0__annual_load_kwh": "much"}, "annual_load_kwh: expected a decimal number"),
    ({"bus__0__meter__0__has_export": False}, "has_export: expected true, because every Eastron"),
    (
        {"bus__0__meter__1__model": "carlo_gavazzi_em24_e1"},
        "sim.toml: bus[0].meter[1].model: expected a model with a serial port",
    ),
    (
        {"bus__0__meter__0__fault": [{"kind": "sulking"}]},
        "sim.toml: bus[0].meter[0].fault[0].kind: expected one of silence, crc, drop, exception,"
        " slow, frozen, rollback, clock_off, undefined (DLMS: one of silence, crc, drop, slow,"
        " frozen, rollback, busy, refused, counter_reset, clock_jump, blocks_interrupted),"
        " got 'sulking'",
    ),
    (
        {"bus__0__meter__0__fault": [{"kind": "rollback"}]},
        "sim.toml: bus[0].meter[0].fault[0].kwh: expected a value, but the key is missing",
    ),
    (
        {"bus__0__meter__0__fault": [{"kind": "silence", "from_s": 9, "until_s": 9}]},
        "sim.toml: bus[0].meter[0].fault[0]: expected until_s after from_s",
    ),
    (
        {"bus__0__meter__0__fault": [{"kind": "silence", "code": 2}]},
        "sim.toml: bus[0].meter[0].fault[0].code: expected no such key",
    ),
    (
        {"bus__0__meter__0__fault": [{"kind": "undefined"}]},
        "fault[0].kind: Eastron SDM630-Modbus has no raw value for undefined",
    ),
    (
        {"bus__1__meter__0__fault": [{"kind": "crc"}]},
        "fault[0].kind: expected a fault that TCP lets through, got 'crc'",
    ),
    (
        {"bus__1__fault": [{"kind": "silence"}]},
        "sim.toml: bus[1].fault[0].kind: expected one of unplugged, got 'silence'",
    ),
    ({"clock": {"speed": 0.0}}, "sim.toml: clock: expected a speed above 0"),
    ({"clock": {"source": "sundial"}}, "clock.source: expected system or scaled, got 'sundial'"),
]


@pytest.mark.parametrize(("changes", "line"), MISTAKES)
def test_a_mistake_is_one_line_with_its_place(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(document(**changes), folder=Path(), source="sim.toml")
    assert len(caught.value.lines) == 1
    assert line in caught.value.lines[0]
    assert "\n" not in caught.value.lines[0]


def test_the_good_config_of_these_tables_is_good() -> None:
    parse_config(document(), folder=Path())


def test_every_contradiction_gets_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(document(bus__1__name="a", bus__0__meter__1__address=1), folder=Path())
    assert len(caught.value.lines) == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[site", "expected TOML"),
        (b"\xff", "expected a TOML file in UTF-8"),
    ],
)
def test_a_file_that_is_no_config_is_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "sim.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert caught.value.lines[0].startswith(f"{file}: {line}")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a readable file: No such file"):
        load_config(tmp_path / "none.toml")
