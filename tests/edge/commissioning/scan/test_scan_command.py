"""`gridtokenx-edge scan`, as an installer types it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.edge.cli.test_commands import ACK_KEY, edge

from gridtokenx_edge.__main__ import main


async def test_a_scan_names_meters_for_people_programs_and_the_config(
    meters: Any, site: Any
) -> None:
    roof = meters.serial(
        meters.meter("abb_b23", 1), meters.meter("carlo_gavazzi_em340", 12, "KY12"), baud=19200
    )
    async with meters.serve(roof) as running:
        port = running.buses[0].path
        asked = ("scan", port, "--baud", "9600,19200", "--parity", "N", "--addresses", "1,2,12")
        code, output, progress = await edge(*asked, "--json")
        asked = ("scan", port, "--baud", "19200", "--parity", "N", "--addresses", "1,12")
        table = await edge(*asked)
        toml = await edge(*asked, "--toml")
        site.config.write_text(_rest_of_config() + toml[1])
        checked = await edge("check-config", "--config", site.config)
        read = await edge("read", "--config", site.config, "--json")
    assert code == 0
    report = json.loads(output)
    assert (report["complete"], report["interrupted"], report["garbled"]) == (True, False, [])
    first, second = report["meters"]
    assert first["id"] == "ABB-1001"
    assert (first["profile"], first["sureness"]) == ("abb_b23", "identified")
    assert (first["baud"], first["parity"], first["address"]) == (19200, "N", 1)
    assert "serial number 1001" in first["evidence"]
    assert second["serial"] == "KY12"
    assert "carlo_gavazzi_em340" in second["candidates"]
    assert "9600 8N1: trying 3 addresses" in progress
    assert "19200 8N1: trying 3 addresses" in progress
    assert "found address 1 at 19200 8N1: abb_b23 1001" in progress
    assert table[0] == 0
    assert "abb_b23" in table[1]
    assert "KY12" in table[1]
    assert (checked[0], toml[0], read[0]) == (0, 0, 0)
    assert "ok, 1 bus, 2 meters" in checked[1]
    assert [meter["ok"] for meter in json.loads(read[1])["meters"]] == [True, True]


def _rest_of_config() -> str:
    return (
        'site = {community = "lane"}\ndevice = {key = "edge.key", outbox = "outbox.db"}\n'
        f'backend = {{ack_key = "{ACK_KEY}"}}\n'
        'broker = {host = "127.0.0.1", port = 1, insecure = true}\n'
    )


async def test_ctrl_c_shows_what_was_found_so_far(meters: Any) -> None:
    async with meters.serve(meters.serial(meters.meter("abb_b23", 1))) as running:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gridtokenx_edge", "scan", str(running.buses[0].path)),
            *("--baud", "9600", "--parity", "N", "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Also where whoever runs the tests ignores it, as a shell's background job does.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stderr
        async with asyncio.timeout(20):
            async for line in process.stderr:
                if b"found address 1" in line:
                    break
        process.send_signal(signal.SIGINT)
        output, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 130
    report = json.loads(output)
    assert (report["complete"], report["interrupted"]) == (False, True)
    assert [meter["id"] for meter in report["meters"]] == ["ABB-1001"]
    assert b"Traceback" not in errors


async def test_a_bus_on_which_nobody_answers_is_a_finding(meters: Any) -> None:
    async with meters.serve(meters.serial(meters.meter("abb_b23", 9))) as running:
        port = running.buses[0].path
        asked = ("scan", port, "--baud", "9600", "--parity", "N", "--addresses", "1")
        code, output, _ = await edge(*asked)
    assert code == 1
    assert "nobody answered to anything tried; wiring (A and B)? power?" in " ".join(output.split())


async def test_a_port_that_the_agent_holds_is_told(meters: Any, site: Any, wait_until: Any) -> None:
    async with meters.serve(meters.serial(meters.meter("abb_b23", 1))) as running:
        site.write(running, ACK_KEY, 1)
        await edge("key", "--config", site.config)
        site.start()
        await wait_until(lambda: site.has_log() and site.events("started"))
        port = running.buses[0].path
        async with asyncio.timeout(10):
            while True:
                code, output, errors = await edge("scan", port, "--addresses", "1")
                if code == 2:
                    break
    assert output == ""
    assert f"expected {port} to be free, but another program uses it" in errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("/dev/not-there", "expected a serial port at /dev/not-there, found none"),
        ("host:x", "expected a TCP port from 1 to 65535, got 'x'"),
        ("127.0.0.1:1", "expected a Modbus server at 127.0.0.1:1, found none"),
        ("/dev/x --addresses 0", "expected addresses from 1 to 247, got '0'"),
        ("/dev/x --baud 1", "expected baud rates of 1200"),
        ("/dev/x --parity Z", "expected parities of N, E, O"),
        ("host --baud 9600", "expected a serial port with --baud and --parity, got a host"),
        ("/dev/x --rtu-over-tcp", "expected a host for RTU over TCP"),
        ("/dev/x --stop-bits 3", "--stop-bits"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    expected: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["gridtokenx-edge", "scan", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (2, "")
    assert expected in errors.splitlines()[-1]


async def test_a_recording_holds_what_was_said(meters: Any, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 4))) as running:
        server = f"127.0.0.1:{running.buses[0].port}"
        code, _, _ = await edge("scan", server, "--addresses", "4", "--record", file)
    assert code == 0
    text = file.read_text()
    assert 'address = 4\nline = "tcp"' in text
    assert 'request = "03 89 60 00 02"\nreply = "03 04 42 32 33 20"' in text
