"""`gridtokenx-edge profile`, as an installer types it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.edge.cli.test_commands import ACK_KEY, edge

from gridtokenx_edge.__main__ import main
from gridtokenx_edge.meters.profile import Profile, load_profile, profile_names
from gridtokenx_wire.config import load_toml

Run = Any


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: its exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gridtokenx-edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capsys.readouterr()
        return ended.value.code or 0, output, errors  # type: ignore[return-value] # ours are ints

    return run


def test_the_models_are_listed_and_shown(run: Run) -> None:
    code, output, _ = run("profile", "list", "--json")
    assert code == 0
    assert [of["profile"] for of in json.loads(output)["profiles"]] == list(profile_names())
    assert "eastron_sdm630" in run("profile", "list")[1]
    shown = run("profile", "show", "abb_b23")[1]
    assert "0x5000" in shown
    assert "type code" in shown
    fields = json.loads(run("profile", "show", "abb_b23", "--json")[1])
    assert fields["energy_import"]["address"] == 0x5000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("show abb_b99", "expected a model (gridtokenx-edge profile list) or a .toml file"),
        ("show none.toml", "none.toml: cannot be read"),
        ("test abb_b23", "expected one of --port, --host and --recording"),
        ("test abb_b23 --port /dev/x --host y", "expected --port or --host, got both"),
        ("test abb_b23 --port /dev/not-there", "expected a serial port at /dev/not-there"),
        ("test abb_b23 --port /dev/x --address 1,2", "expected one address, got '1,2'"),
        ("test abb_b23 --port /dev/x --baud 9600,19200", "expected one baud rate and one parity"),
        ("test abb_b23 --recording none.toml", "none.toml: cannot be read"),
        ("new --json", "expected --name and --maker"),
        ("new --name A --maker A", "expected import and power: --shows with a meter"),
        ("new --name A --maker A --shows import=1", "expected --port or --host of the meter"),
        ("new --name A --maker A --shows heat=1", "expected import, export, power"),
        ("new --name A --maker A --then import=2", "expected --shows import=… before --then"),
        ("new --name A --maker A --register import=9", "expected NAME=FC:ADDRESS:TYPE"),
        ("new --name A --maker A --registers 9-1", "expected up to 4096 registers"),
        ("new --name A --maker A --word-order up", "expected msw_first or lsw_first"),
        (
            "new --name A --maker a --register import=4:0:uint32 --register power=4:2:int32",
            "expected a maker of capitals and digits",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output, errors = run("profile", *arguments.split())
    assert (code, output) == (2, "")
    assert expected in errors.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


async def test_a_profile_is_tested_with_a_meter_and_later_with_its_recording(
    meters: Any, tmp_path: Path
) -> None:
    file = tmp_path / "b23.toml"
    async with meters.serve(meters.serial(meters.meter("abb_b23", 3))) as running:
        at = ("--port", running.buses[0].path, "--address", "3", "--baud", "9600", "--parity", "N")
        code, output, _ = await edge("profile", "test", "abb_b23", *at, "--record", file, "--json")
        wrong = await edge("profile", "test", "eastron_sdm630", *at)
    trial = json.loads(output)
    assert (code, trial["ok"], trial["id"]) == (0, True, "ABB-1003")
    values = {of["name"]: of for of in trial["values"]}
    assert float(values["energy_import"]["value"]) > 1234
    assert values["energy_import"]["raw"].startswith("0000 0000 ")
    assert any(text.endswith("V on L1") for text in trial["plausible"])
    assert wrong[0] == 1
    assert "energy_import: the meter refuses these registers (4 0x0048)" in wrong[1]
    replayed = await edge("profile", "test", "abb_b23", "--recording", file, "--json")
    assert replayed[0] == 0
    assert json.loads(replayed[1]) == trial
    absent = await edge("profile", "test", "abb_b23", "--recording", file, "--address", "4")
    assert absent[0] == 2
    assert "expected --address of one meter of 3, got '4'" in absent[2]


async def shown(running: Any) -> list[str]:
    """What the display of the only meter shows now, as options."""
    registers = running.meters[0].registers()
    return [
        f"--shows=import={registers.import_uwh / 10**9:.2f}",
        f"--shows=power={registers.power_mw / 1000:.1f}",
    ]


async def test_a_new_meter_gets_a_profile_from_its_display_and_the_agent_reads_it(
    meters: Any, site: Any, tmp_path: Path
) -> None:
    """The simulated meter is one that we know; its profile is not used here."""
    file = tmp_path / "acme.toml"
    async with meters.serve(meters.serial(meters.meter("eastron_sdm630", 5))) as running:
        port = running.buses[0].path
        code, output, errors = await edge(
            *("profile", "new", "--name", "Acme EM3", "--maker", "ACME", "--out", file, "--json"),
            *("--port", port, "--address", "5", "--registers", "0x30-0x4f,0xfc00-0xfc01"),
            *(display := await shown(running)),
            *("--shows", "export=567.0", "--shows", "serial=1005"),
            *("--wait-s", "0.1", "--then", display[0].removeprefix("--shows=")),
        )
        assert (code, json.loads(output).get("ok")) == (0, True), (output, errors)
        tested = await edge("profile", "test", file, "--port", port)
        site.write(running, ACK_KEY, 1)
        text = site.config.read_text().replace("EASTRON-", "ACME-")
        site.config.write_text(text.replace('"eastron_sdm630"', '"./acme.toml"'))
        checked = await edge("check-config", "--config", site.config)
        read = await edge("read", "--config", site.config, "--json")
    profile = load_toml(file, Profile)
    known = load_profile("eastron_sdm630")
    assert profile.energy_import == known.energy_import
    assert profile.energy_export == known.energy_export
    assert profile.active_power == known.active_power
    assert profile.identity
    assert (profile.identity.fc, profile.identity.address) == (3, 0xFC00)
    assert tested[0] == 0
    assert "ACME-1005" in tested[1]
    assert checked[0] == 0
    (answer,) = json.loads(read[1])["meters"]
    assert (answer["ok"], answer["export_kwh"]) == (True, "567.000000000")


async def test_what_cannot_be_told_apart_is_left_to_the_installer(
    meters: Any, tmp_path: Path
) -> None:
    """An EM340's count is below 65536 and stands in two places: four ways to read it."""
    file = tmp_path / "acme.toml"
    async with meters.serve(meters.serial(meters.meter("carlo_gavazzi_em340", 5))) as running:
        asked = (
            *("profile", "new", "--name", "Acme", "--maker", "ACME", "--out", file),
            *("--port", running.buses[0].path, "--address", "5", "--registers", "0x28-0x3f"),
        )
        display = await shown(running)
        code, output, _ = await edge(*asked, *display)
        as_json = await edge(*asked, *display, "--word-order", "lsw_first", "--json")
        assert not file.exists()
        told = json.loads(as_json[1])["choices"]
        chosen = [f"--register={ways[0]}" for ways in told.values()]
        done = await edge(*asked, *display, "--word-order", "lsw_first", *chosen)
    assert code == 1
    assert "--register import=" in output
    assert "look again with --then" in output
    assert "import=3:0x0034:uint32:lsw_first:0.1" in told["import"]
    assert "import=3:0x003c:uint32:lsw_first:0.1" in told["import"]
    assert done[0] == 0
    assert load_toml(file, Profile).energy_import.address == 0x34


async def test_on_a_terminal_it_asks(meters: Any, tmp_path: Path) -> None:
    near, far = pty.openpty()
    async with meters.serve(meters.tcp(meters.meter("eastron_sdm630", 1))) as running:
        registers = running.meters[0].registers()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gridtokenx_edge", "profile", "new"),
            *("--host", f"127.0.0.1:{running.buses[0].port}", "--registers", "0x30-0x4f"),
            cwd=tmp_path,
            stdin=far,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        answers = (
            *("Acme EM3", "ACME", f"{registers.import_uwh / 10**9:.2f}", "567.0"),
            *(f"{registers.power_mw / 1000:.1f}", "", "", ""),
        )
        os.write(near, "".join(f"{answer}\n" for answer in answers).encode())
        output, errors = await asyncio.wait_for(process.communicate(), 30)
    os.close(near)
    os.close(far)
    assert process.returncode == 0, errors
    assert b"The display's import" in errors
    assert b"acme_em3.toml: written" in output
    assert load_toml(tmp_path / "acme_em3.toml", Profile).energy_import.address == 0x48
