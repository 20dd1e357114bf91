"""The commands of gridtokenx-edge, as an installer types them."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_sim.config.faults import Silence
from gridtokenx_wire.keys import device_id, device_text, load_private_key, public_key_text

ACK_KEY = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"


async def edge(*arguments: str | Path) -> tuple[int, str, str]:
    """Runs a command; its exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gridtokenx_edge",
        *map(str, arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"COLUMNS": "160", "PATH": "/usr/bin"},
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize("command", ["run", "check-config", "read", "watch", "check", "key"])
async def test_the_help_of_a_command_shows_an_example(command: str) -> None:
    code, output, _ = await edge(command, "--help")
    assert code == 0
    assert f"Example: gridtokenx-edge {command} --config" in " ".join(output.split())


async def test_meters_are_read_once(meters: Any, site: Any) -> None:
    roof = meters.serial(
        meters.meter("eastron_sdm630", 1),
        meters.meter("abb_b23", 2, has_export=False, export_kwh=0),
    )
    hall = meters.tcp(meters.meter("carlo_gavazzi_em24_e1", 3, "KY1"))
    async with meters.serve(roof, hall) as running:
        site.write(running, ACK_KEY, 1)
        running.meter("CARLO-GAVAZZI-KY1").inject(Silence())
        code, output, errors = await edge("read", "--config", site.config, "--json")
        eastron, abb, silent = json.loads(output)["meters"]
        table = await edge("read", "--config", site.config)
        one = await edge("read", "--config", site.config, "--meter", "ABB-1002", "--json")
    assert (code, errors) == (1, "")
    assert eastron.pop("time_ms") > 1_700_000_000_000
    assert float(eastron.pop("import_kwh")) > 1234
    assert isinstance(eastron.pop("power_w"), int)
    assert 220 < float(eastron.pop("values")["voltage_l1"]["value"]) < 240
    identity, *rest = eastron.pop("requests")
    assert (identity["function"], identity["registers"]) == (3, ["0000", "03e9"])
    assert identity["received"].startswith("01 03 04 00 00 03 e9")
    assert rest
    assert eastron == {
        "id": "EASTRON-1001",
        "profile": "eastron_sdm630",
        "bus": "roof",
        "address": 1,
        "invert": False,
        "ok": True,
        "export_kwh": "567.000000000",
        "flags": [],
    }
    assert (abb["flags"], abb["export_kwh"]) == (["no_export"], "0.000000000")
    assert silent["ok"] is False
    assert silent["error"] == "no reply within 150 ms"
    assert table[0] == 1
    assert "EASTRON-1001" in table[1]
    assert "no reply within 150 ms" in table[1]
    assert one[0] == 0
    assert [meter["id"] for meter in json.loads(one[1])["meters"]] == ["ABB-1002"]


async def test_a_port_that_is_not_there_is_told_for_each_of_its_meters(
    meters: Any, site: Any
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm630", 1), meters.meter("eastron_sdm120", 2))
    async with meters.serve(bus) as running:
        site.write(running, ACK_KEY, 1)
    code, output, _ = await edge("read", "--config", site.config, "--json")
    assert code == 1
    errors = [meter["error"] for meter in json.loads(output)["meters"]]
    assert len(errors) == 2
    assert all("found none (is the adapter plugged in?)" in error for error in errors)


def change(config: Path, old: str, new: str) -> None:
    config.write_text(config.read_text().replace(old, new))


@pytest.fixture
async def config(meters: Any, site: Any) -> Path:
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, ACK_KEY, 1)
    return Path(site.config)


async def test_a_key_is_made_once_and_shown(config: Path) -> None:
    code, output, _ = await edge("key", "--config", config, "--json")
    file = config.parent / "edge.key"
    public = load_private_key(file).public_key()
    assert code == 0
    assert json.loads(output) == {
        "device": device_text(device_id(public)),
        "public_key": public_key_text(public),
        "key_file": str(file),
        "created": True,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    _, output, _ = await edge("key", "--config", config, "--json")
    assert json.loads(output)["created"] is False
    assert json.loads(output)["device"] == device_text(device_id(public))
    _, output, _ = await edge("key", "--config", config)
    assert output.splitlines()[0] == f"device     {device_text(device_id(public))}"


async def test_a_key_comes_before_the_tls_files_that_are_made_for_it(config: Path) -> None:
    change(config, "insecure = true", 'ca = "ca.pem"')
    assert (await edge("key", "--config", config))[0] == 0
    assert (await edge("check-config", "--config", config))[0] == 2


async def test_a_config_is_checked(config: Path) -> None:
    code, output, _ = await edge("check-config", "--config", config)
    assert code == 0
    assert "ok, 1 bus, 1 meter" in output
    assert "no device key yet; make it: gridtokenx-edge key" in output
    _, output, _ = await edge("check-config", "--config", config, "--json")
    assert json.loads(output) == {"ok": True, "buses": 1, "meters": ["ABB-1001"], "key": "missing"}


@pytest.mark.parametrize(
    ("command", "prepare", "expected"),
    [
        ("check-config", "slip", "bus[0].meter[0].profile: expected one of"),
        ("run", "slip", "bus[0].meter[0].profile: expected one of"),
        ("read", "slip", "bus[0].meter[0].profile: expected one of"),
        ("key", "syntax", "expected TOML"),
        ("run", "", "expected the device's key; make it: gridtokenx-edge key"),
        ("run", "open key", "expected mode 0600, got 0644"),
        ("run", "wrong key", "expected an unencrypted PKCS #8 PEM private key"),
        ("run", "no outbox", "expected an outbox: file is not a database"),
        ("read --meter ABB-9", "", "expected a meter of this config, got 'ABB-9'"),
    ],
)
async def test_a_user_error_is_one_line_and_exit_code_2(
    config: Path, command: str, prepare: str, expected: str
) -> None:
    key = config.parent / "edge.key"
    match prepare:
        case "slip":
            change(config, "abb_b23", "abb_b99")
        case "syntax":
            change(config, "site = {", "site = [")
        case "open key":
            await edge("key", "--config", config)
            key.chmod(0o644)
        case "wrong key":
            key.write_text("a key")
            key.chmod(0o600)
        case "no outbox":
            await edge("key", "--config", config)
            (config.parent / "outbox.db").write_bytes(b"something else" * 100)
    code, output, errors = await edge(*command.split(), "--config", config)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert expected in line
