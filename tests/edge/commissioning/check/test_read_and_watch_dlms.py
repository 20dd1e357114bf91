"""`read` and `watch` on DLMS meters, which stand beside the others of a site."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.edge.cli.test_commands import edge
from tests.sim.dlms.reader import CIPHERED, KEYS

from gridtokenx_sim.config.faults import Silence
from gridtokenx_sim.config.loading import parse_config
from gridtokenx_sim.simulation import Simulation, serve

PASSWORD = "prs-9041"
ISKRA, LANDIS, EDMI, EASTRON = (
    "ISKRAEMECO-40012345",
    "LANDISGYR-LGZ1030655933",
    "EDMI-EDM252730415",
    "EASTRON-1001",
)
CONFIG = """
site = {{community = "lane"}}
device = {{key = "edge.key", outbox = "outbox.db"}}
backend = {{ack_key = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"}}
broker = {{host = "127.0.0.1", port = 1, insecure = true}}

[[bus]]
name = "roof"
kind = "serial"
port = "roof.tty"
[[bus.meter]]
id = "EASTRON-1001"
profile = "eastron_sdm120"
address = 1

[[dlms]]
name = "hall"
kind = "serial"
port = "hall.tty"
timeout_ms = 300
retries = 0
[[dlms.meter]]
id = "ISKRAEMECO-40012345"
profile = "iskraemeco_am550"
encryption_key = "ek"
authentication_key = "ak"
[[dlms.meter]]
id = "LANDISGYR-LGZ1030655933"
profile = "landisgyr_e450"
physical_address = 18
password = "password"

[[dlms]]
name = "mill"
kind = "tcp"
host = "127.0.0.1"
port = {port}
timeout_ms = 300
[[dlms.meter]]
id = "EDMI-EDM252730415"
profile = "edmi_mk10"
password = "{mill_password}"
"""


@contextlib.asynccontextmanager
async def site(folder: Path, mill_password: str = "password") -> AsyncIterator[Simulation]:  # noqa: S107
    """A Modbus meter, two DLMS meters on a line, one on TCP, and the config of their gateway."""
    house = {"annual_load_kwh": "4000", "import_kwh": "1234.5", "export_kwh": "67.25"}
    public = {"address": 16, "reads": "identity"}
    low = [public, {"address": 1, "mechanism": "low", "password": PASSWORD}]
    keyed = [public, {"address": 1, "mechanism": "gmac", "protection": CIPHERED, **KEYS}]
    meters: dict[str, list[dict[str, Any]]] = {
        "roof": [{"model": "eastron_sdm120", "serial": "1001", "address": 1}],
        "hall": [
            {"model": "iskraemeco_am550", "serial": "40012345", "address": 17, "client": keyed},
            {"model": "landisgyr_e450", "serial": "1030655933", "address": 18, "client": low},
        ],
        "mill": [{"model": "edmi_mk10", "serial": "252730415", "address": 1, "client": low}],
    }
    kinds = {"roof": "serial", "hall": "dlms_serial", "mill": "dlms_tcp"}
    buses = []
    for name, kind in kinds.items():
        link = {} if name == "mill" else {"link": str(folder / f"{name}.tty")}
        buses.append(
            {"name": name, "kind": kind, **link, "meter": [each | house for each in meters[name]]}
        )
    start = {"latitude": 48.2, "longitude": 16.37, "start": "2026-06-21T00:00:00Z"}
    async with serve(parse_config({"site": start, "bus": buses}, folder=folder)) as served:
        port = getattr(served.buses[2], "port", 0)
        text = CONFIG.format(port=port, mill_password=mill_password)
        text = text.replace("roof.tty", str(folder / "roof.tty"))
        (folder / "edge.toml").write_text(text.replace("hall.tty", str(folder / "hall.tty")))
        secrets = {"ek": KEYS["encryption_key"], "ak": KEYS["authentication_key"]}
        for name, secret in (secrets | {"password": PASSWORD}).items():
            (folder / name).touch(0o600)
            (folder / name).write_text(secret)
        yield served


async def test_all_lines_are_watched_side_by_side(tmp_path: Path) -> None:
    async with site(tmp_path):
        arguments = ("watch", "--config", str(tmp_path / "edge.toml"), "--every", "0.2")
        code, output, errors = await edge(*arguments, "--rounds", "3", "--json")
        rounds = [json.loads(line) for line in output.splitlines()]
        assert (code, errors) == (0, "")
        assert {each["bus"] for each in rounds} == {"roof", "hall", "mill"}
        last = {each["bus"]: each for each in rounds if each["round"] == 3}
        rows = {row["id"]: row for each in last.values() for row in each["meters"]}
        assert set(rows) == {ISKRA, LANDIS, EDMI, EASTRON}
        for row in rows.values():
            assert (row["polls"], row["errors"], row["stale"]) == (3, 0, False)
            assert row["export_kwh"].startswith("67.25")
            assert 0 < row["round_trip_last_us"] < 10**6
        assert 0 < last["hall"]["load_percent"] <= 100
        code, output, _ = await edge(*arguments, "--rounds", "1", "--bus", "hall")
    assert code == 0
    assert "hall, round 1, line busy" in output
    assert "ISKRAEMECO-40012345" in output
    assert "roof" not in output


async def test_a_dlms_meter_that_falls_silent_keeps_its_value_and_says_so(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        command = [sys.executable, "-m", "gridtokenx_edge", "watch", "--json", "--every", "0.1"]
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--bus", "hall", "--config", str(tmp_path / "edge.toml")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        await asyncio.wait_for(process.stdout.readline(), 20)
        running.meter(ISKRA).inject(Silence())
        while True:
            iskra, landis = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))[
                "meters"
            ]
            if iskra["errors"] >= 2:
                break
        os.kill(process.pid, signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, errors) == (130, b"")
    assert iskra["stale"] is True
    assert iskra["error"].startswith("no reply within 300 ms")
    assert iskra["export_kwh"].startswith("67.25")
    assert (landis["stale"], landis["errors"]) == (False, 0)


async def test_a_secret_that_is_not_there_is_told_in_its_meters_row(tmp_path: Path) -> None:
    async with site(tmp_path, mill_password="none") as _:
        arguments = ("--config", str(tmp_path / "edge.toml"), "--json")
        code, output, _ = await edge("watch", *arguments, "--rounds", "1", "--bus", "mill")
    (row,) = json.loads(output)["meters"]
    assert code == 1
    assert row["error"].endswith("none: cannot be read: No such file or directory")


async def test_reading_shows_objects_and_bytes_on_request_and_never_a_password(
    tmp_path: Path,
) -> None:
    async with site(tmp_path):
        arguments = ("read", "--config", str(tmp_path / "edge.toml"))
        code, brief, _ = await edge(*arguments)
        assert code == 0
        assert "1-0:1.8.0.255" not in brief
        _, raw, _ = await edge(*arguments, "--raw")
        _, text, _ = await edge(*arguments, "--json")
    lines = [" ".join(line.split()) for line in raw.splitlines()]
    assert sum(line == "1-0:2.8.0.255 double-long-unsigned 67250 Wh" for line in lines) == 3
    assert any(line.startswith("got 7e a0") for line in lines), "HDLC frames"
    assert any(line.startswith("sent 00 01 00 01") for line in lines), "the wrapper"
    assert max(map(len, raw.splitlines())) <= 80
    meters = {meter["id"]: meter for meter in json.loads(text)["meters"]}
    told = {each["obis"]: each for each in meters[EDMI]["objects"]}
    assert told["1-0:2.8.0.255"] == {
        "obis": "1-0:2.8.0.255",
        "type": "double-long-unsigned",
        "raw": "67250",
        "scaler": 0,
        "unit": 30,
    }
    assert all(request["sent"] for request in meters[ISKRA]["requests"])
    for shown in (raw, text):
        assert PASSWORD.encode().hex(" ") not in " ".join(shown.split())
        assert PASSWORD not in shown


async def test_while_the_agent_has_the_line_every_command_says_so(tmp_path: Path) -> None:
    async with site(tmp_path):
        lock = tmp_path / "outbox.db.lock"
        port = str(tmp_path / "hall.tty")
        line = os.open(port, os.O_RDWR | os.O_NOCTTY)
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # as the agent holds its outbox, and its port
            fcntl.flock(line, fcntl.LOCK_EX)
            arguments = ("--config", str(tmp_path / "edge.toml"))
            for command, word in [
                (("read", "--meter", ISKRA), "read"),
                (("watch", "--bus", "hall"), "watch"),
                (("dlms", "clock", "--meter", ISKRA), "ask"),
            ]:
                code, output, errors = await edge(*command, *arguments)
                said = "".join((output + errors).split())
                assert code in {1, 2}
                expected = f"the agent runs and has {port}; stop it first, then {word}"
                assert expected.replace(" ", "") in said
        os.close(line)


async def test_lines_that_only_send_are_not_watched(tmp_path: Path) -> None:
    head, _, _ = CONFIG.partition("[[bus]]")
    push = (
        '[[dlms]]\nname = "head"\nkind = "push"\nport = "tcp:4060"\n'
        '[[dlms.meter]]\nid = "KAIFA-1"\nprofile = "kaifa_ma309m"\n'
        'protection = "encrypted"\nencryption_key = "ek"\n'
    )
    (tmp_path / "edge.toml").write_text(head.format() + push)
    code, output, errors = await edge("watch", "--config", str(tmp_path / "edge.toml"))
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "its meters send by themselves" in errors


async def test_a_wrong_config_is_an_object_for_programs(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(CONFIG.format(port=0, mill_password="p"))
    arguments = ("check-config", "--config", str(tmp_path / "edge.toml"))
    code, output, errors = await edge(*arguments, "--json")
    assert (code, errors) == (2, "")
    answer = json.loads(output)
    assert answer["ok"] is False
    assert [line.split(": ", 1)[1] for line in answer["errors"]] == [
        "dlms[1].port: expected 1 to 65535, got 0"
    ]
