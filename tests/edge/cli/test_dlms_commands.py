"""The installer's commands on DLMS meters: scan, objects, clock, profile, read, check-config."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.edge.dlms.dlms_meter import KEYS, METER, PERIOD_MS, PROTECTED, TestedMeter

from gridtokenx_dlms.acse import Mechanism
from gridtokenx_edge.commissioning.check.dlms_findings import judge_dlms
from gridtokenx_edge.commissioning.check.dlms_visit import DlmsVisit
from gridtokenx_edge.commissioning.check.finding import Severity
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.dlms_config import DlmsMeter
from gridtokenx_edge.meters.dlms import dlms_names, load_dlms
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.reading import Reading

SECURE = {"mechanism": Mechanism.HIGH_GMAC, "keys": KEYS, "protection": PROTECTED}
Edge = Callable[..., Awaitable[tuple[int, str, str]]]

CONFIG = """
[site]
community = "lane"
[device]
key = "device.key"
outbox = "outbox.db"
[backend]
ack_key = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"
[broker]
host = "127.0.0.1"
insecure = true

[[dlms]]
name = "optical"
kind = "tcp"
host = "127.0.0.1"
port = {port}
timeout_ms = 500
retries = 0

[[dlms.meter]]
id = "{meter}"
profile = "iskraemeco_am550"
encryption_key = "ek"
authentication_key = "ak"
{more}
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(name="edge")
def _edge(tmp_path: Path) -> Edge:
    """Runs `gridtokenx-edge` beside the meter's server in this process's loop."""
    for name, key in (("ek", KEYS.encryption), ("ak", KEYS.authentication)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(key.hex())

    async def run(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gridtokenx_edge",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return run


def config_file(folder: Path, port: int, meter: str = METER, more: str = "") -> Path:
    file = folder / "edge.toml"
    file.write_text(CONFIG.format(port=port, meter=meter, more=more))
    return file


async def test_a_meter_is_read_listed_and_looked_at(edge: Edge, tmp_path: Path) -> None:
    meter = TestedMeter(now_ms, **SECURE)
    meter.ahead_ms = 7_000
    async with meter.on_tcp() as port:
        file = str(config_file(tmp_path, port))
        code, out, err = await edge("read", "--config", file, "--json")
        assert (code, err) == (0, "")
        (read,) = json.loads(out)["meters"]
        assert (read["id"], read["ok"], read["power_w"]) == (METER, True, 3240)
        assert read["clock_ahead_ms"] == pytest.approx(7_000, abs=300)
        code, out, _ = await edge("dlms", "objects", "--config", file)
        assert code == 0
        assert "1-0:1.8.0.255" in out
        assert "1-0:99.1.0.255" in out
        code, out, _ = await edge("dlms", "clock", "--config", file)
        assert (code, out.splitlines()[2]) == (0, "the meter is 7.0 s ahead")
        code, out, _ = await edge("dlms", "profile", "--config", file, "--hours", "30", "--json")
        rows = json.loads(out)["rows"]
        assert (code, len(rows)) == (0, 120)
        steps = {b["time_ms"] - a["time_ms"] for a, b in itertools.pairwise(rows)}
        assert steps == {PERIOD_MS}


async def test_what_goes_wrong_is_one_line(edge: Edge, tmp_path: Path) -> None:
    meter = TestedMeter(now_ms, **SECURE)
    async with meter.on_tcp() as port:
        file = str(config_file(tmp_path, port, "ISKRAEMECO-1"))
        code, out, err = await edge("dlms", "clock", "--config", file)
        assert (code, out) == (1, "")
        assert err == (
            "ISKRAEMECO-1: expected ISKRAEMECO-1, but the meter says it is ISKRAEMECO-40012345\n"
        )
        (tmp_path / "ek").chmod(0o644)
        code, _, err = await edge("dlms", "clock", "--config", file)
        assert (code, err.count("\n")) == (1, 1)
        assert "expected a file for its owner only" in err
        assert KEYS.encryption.hex() not in err


async def test_a_meter_on_the_network_is_found_by_its_logical_device_name(
    edge: Edge, tmp_path: Path
) -> None:
    meter = TestedMeter(now_ms, **SECURE)
    async with meter.on_tcp() as port:
        code, out, _ = await edge("dlms", "scan", f"127.0.0.1:{port}", "--json")
        (found,) = json.loads(out)["meters"]
        assert (code, found["opening"], found["name"]) == (0, "wrapper", "ISK103070040012345")


@pytest.mark.parametrize("mode_e", [True, False])
async def test_a_meter_on_a_serial_port_is_found(mode_e: bool, edge: Edge, tmp_path: Path) -> None:
    meter = TestedMeter(now_ms)
    async with meter.on_serial(tmp_path / "tty", mode_e=mode_e) as port:
        code, out, err = await edge("dlms", "scan", str(port), "--addresses", "17", "--json")
        assert (code, err) == (0, "")
        (found,) = json.loads(out)["meters"]
        assert found["opening"] == ("mode_e" if mode_e else "hdlc")
        assert (found["baud"], found["name"]) == (9600, "ISK103070040012345")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("zone = 'Mars/Olympus'", 'zone: expected a zone such as "Europe/Vienna"'),
        ("system_title = 'abc'", "system_title: expected 16 hexadecimal digits"),
        ("client = 200", "client: expected 1 to 127, got 200"),
        ("poll_every_s = 0.01", "poll_every_s: expected 0.1 to 86400"),
        ("repair_hours = -1", "repair_hours: expected 0 to 8760"),
        ("authentication = 'low'", "password: expected where the secret is"),
        ("password = 'vault:x'", "password: expected a file, env:NAME or credential:NAME"),
        ("key = 1", "unknown key"),
        ("authentication = 'high'", "expected one of"),
    ],
)
def test_a_mistake_in_the_config_says_what_was_expected(
    more: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(config_file(tmp_path, 4059, more=more))
    assert expected in str(raised.value)
    assert f"{tmp_path / 'edge.toml'}:" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("am550", "am551"), "dlms[0].meter[0].profile: expected one of dlms_generic"),
        (("ISKRAEMECO-40012345", "ISK-1"), 'id: expected "ISKRAEMECO-" and its name'),
        (("timeout_ms = 500", "timeout_ms = 5"), "timeout_ms: expected 100 to 60000"),
        (("port = 4059", "port = 0"), "port: expected 1 to 65535"),
        (('kind = "tcp"', 'kind = "udp"'), "kind"),
    ],
)
def test_a_mistake_in_a_line_says_what_was_expected(
    change: tuple[str, str], expected: str, tmp_path: Path
) -> None:
    file = config_file(tmp_path, 4059)
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(ConfigError) as raised:
        load_config(file)
    assert expected in str(raised.value)


def test_every_profile_can_be_loaded_and_says_where_its_facts_are_from() -> None:
    assert len(dlms_names()) >= 9
    for name in dlms_names():
        profile = load_dlms(name)
        assert all(len(source.commit) == 40 for source in profile.provenance), name
        assert name.split("_")[0] in profile.maker.lower().replace("-", ""), name


def visit_of(**more: Any) -> DlmsVisit:
    return DlmsVisit(bus="line", meter=DlmsMeter(id=METER, profile="iskraemeco_am550"), **more)


@pytest.mark.parametrize(
    ("visit", "names", "worst"),
    [
        (visit_of(error="x", fault="MeterSilent"), ["silent_meter"], Severity.ERROR),
        (visit_of(error="x", fault="MeterStrange"), ["another_meter"], Severity.ERROR),
        (visit_of(error="x", fault="MeterUntrusted"), ["not_let_in"], Severity.ERROR),
        (visit_of(error="x", fault="SecretError"), ["not_let_in"], Severity.ERROR),
        (
            visit_of(
                reading=Reading(meter=METER, time_ms=1, import_uwh=2, export_uwh=3),
                clock_drift_ms=900,
            ),
            ["identity", "meter_clock", "load_profile"],
            Severity.OK,
        ),
        (
            visit_of(
                reading=Reading(meter=METER, time_ms=1, import_uwh=2, export_uwh=3),
                clock_drift_ms=-500_000,
            ),
            ["identity", "meter_clock", "load_profile"],
            Severity.WARNING,
        ),
        (
            visit_of(reading=Reading(meter=METER, time_ms=1, import_uwh=2, export_uwh=3)),
            ["identity", "meter_clock", "load_profile"],
            Severity.WARNING,
        ),
    ],
)
def test_a_check_tells_what_is_wrong_with_a_dlms_meter(
    visit: DlmsVisit, names: list[str], worst: Severity
) -> None:
    findings = list(judge_dlms(visit))
    assert [finding.name for finding in findings] == names
    assert findings[min(1, len(findings) - 1)].severity is worst
