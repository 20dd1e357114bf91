"""`gridtokenx-edge scan` finds DLMS meters where it looks for Modbus ones."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.edge.cli.test_commands import edge

from gridtokenx_edge.commissioning.scan.dlms_results import dlms_snippet, profiles_of
from gridtokenx_edge.commissioning.scan.dlms_scan import FoundDlms
from gridtokenx_edge.commissioning.scan.target import SerialTarget, TcpTarget
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_sim.config.loading import parse_config
from gridtokenx_sim.simulation import serve

SITE = {"latitude": 48.2, "longitude": 16.37, "start": "2026-06-21T00:00:00Z"}
AM550 = {"model": "iskraemeco_am550", "serial": "40012345", "address": 17}
E450 = {"model": "landisgyr_e450", "serial": "1030655933", "address": 18}
MK10 = {"model": "edmi_mk10", "serial": "252730415", "address": 1}
SDM120 = {"model": "eastron_sdm120", "serial": "1001", "address": 1}


def config(folder: Path, *buses: dict[str, Any]) -> Any:
    return parse_config({"site": SITE, "bus": list(buses)}, folder=folder)


async def test_meters_on_a_port_are_found_and_described_for_the_config(tmp_path: Path) -> None:
    line = {"name": "hall", "kind": "dlms_serial", "link": str(tmp_path / "tty")}
    async with serve(config(tmp_path, line | {"meter": [AM550, E450]})):
        code, output, errors = await edge("scan", str(tmp_path / "tty"), "--baud", "9600", "--json")
        assert code == 0, errors
        assert "looking for other meters" in errors
        report = json.loads(output)
        assert (report["meters"], report["complete"]) == ([], True)
        assert [each["name"] for each in report["dlms"]] == ["ISK40012345", "LGZ1030655933"]
        assert [each["physical_address"] for each in report["dlms"]] == [17, 18]
        assert report["dlms"][0]["profile"] == "iskraemeco_am550"
        assert report["dlms"][1]["candidates"] == ["landisgyr_e450", "landisgyr_e570"]
        assert report["dlms"][1]["id"] == "LANDISGYR-LGZ1030655933"


async def test_a_host_may_have_a_modbus_server_a_dlms_meter_or_neither(tmp_path: Path) -> None:
    mill = {"name": "mill", "kind": "dlms_tcp", "meter": [MK10]}
    async with serve(config(tmp_path, mill)) as running:
        where = f"127.0.0.1:{running.buses[0].port}"
        code, output, _ = await edge("scan", where, "--addresses", "1", "--json")
        assert (code, json.loads(output)["dlms"][0]["id"]) == (0, "EDMI-EDM252730415")
        code, output, _ = await edge("scan", where, "--addresses", "1", "--no-dlms", "--json")
        assert (code, json.loads(output)["dlms"]) == (1, [])
    code, output, errors = await edge("scan", where, "--addresses", "1")
    assert (code, output) == (2, "")
    assert "expected a Modbus server" in errors.splitlines()[-1]


async def test_beside_modbus_meters_dlms_ones_are_looked_for_if_wanted(tmp_path: Path) -> None:
    roof = {"name": "roof", "kind": "serial", "link": str(tmp_path / "tty"), "meter": [SDM120]}
    arguments = ("scan", str(tmp_path / "tty"), "--addresses", "1", "--baud", "9600")
    async with serve(config(tmp_path, roof)):
        code, _, errors = await edge(*arguments, "--parity", "N")
        assert (code, "DLMS" in errors) == (0, False)
        code, output, errors = await edge(*arguments, "--parity", "N", "--dlms", "--json")
    assert (code, "looking for other meters" in errors) == (0, True)
    report = json.loads(output)
    assert (len(report["meters"]), report["dlms"]) == (1, [])


FOUND = [
    FoundDlms(opening="hdlc", baud=9600, physical_address=17, name="ISK40012345"),
    FoundDlms(opening="hdlc", baud=9600, physical_address=18, name="LGZ1030655933"),
    FoundDlms(opening="hdlc", baud=9600, physical_address=None, name="XYZ 1/2"),
]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (SerialTarget("/dev/ttyUSB0"), FOUND),
        (
            SerialTarget("/dev/ttyUSB0"),
            [
                FoundDlms(
                    opening="mode_e",
                    baud=9600,
                    physical_address=None,
                    name="",
                    identification="LGZ4E450",
                )
            ],
        ),
        (
            TcpTarget("192.0.2.7"),
            [FoundDlms(opening="wrapper", baud=0, physical_address=None, name="EDM252730415")],
        ),
    ],
)
def test_what_is_written_for_the_config_is_taken_by_it(
    target: SerialTarget | TcpTarget, found: list[FoundDlms], tmp_path: Path
) -> None:
    text = dlms_snippet(target, 4059, found)
    (bus,) = tomllib.loads(text)["dlms"]
    assert len(bus["meter"]) == len(found)
    secrets = [
        value
        for meter in bus["meter"]
        for name, value in meter.items()
        if name in {"password", "encryption_key", "authentication_key"}
    ]
    assert len(secrets) == len(set(secrets)) > 0
    file = tmp_path / "edge.toml"
    head = [
        'site = {community = "lane"}',
        'device = {key = "edge.key", outbox = "outbox.db"}',
        'backend = {ack_key = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"}',
        'broker = {host = "127.0.0.1", insecure = true}',
    ]
    file.write_text("\n".join([*head, text.replace("XYZ 1/2", "XYZ1")]))
    assert [meter.profile for bus in load_config(file).dlms for meter in bus.meter] == [
        profiles_of(each)[0] for each in found
    ]
