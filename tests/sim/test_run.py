"""`gridtokenx-sim run` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

CONFIG = """
[site]
latitude = 48.2
longitude = 16.37
seed = 7
start = "2026-06-21T00:00:00Z"

[clock]
source = "scaled"
wall_ms = {wall_ms}
community_ms = 1782043200000
speed = 180.0

[[bus]]
name = "roof"
kind = "serial"
link = "roof.pty"
  [[bus.meter]]
  model = "eastron_sdm630"
  address = 1
  serial = "12345678"
  solar_kwp = "6.5"
  annual_load_kwh = "3800"
    [[bus.meter.fault]]
    kind = "crc"
    every = 1000000

[[bus]]
name = "net"
kind = "tcp"
  [[bus.meter]]
  model = "carlo_gavazzi_em24_e1"
  address = 1
  serial = "BX0001"
"""
COMMAND = [sys.executable, "-m", "gridtokenx_sim"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "sim.toml"
    file.write_text(CONFIG.format(wall_ms=round(time.time() * 1000)))
    return file


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def build(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, "run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield build
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    announcement: dict[str, Any] = json.loads(process.stdout.readline())
    return announcement


async def test_a_run_announces_its_buses_and_serves_them(
    config: Path, start: Callable[..., Any], open_port: Callable[..., Any]
) -> None:
    process = start(str(config))
    announcement = ready(process)
    link = str(config.parent / "roof.pty")
    net = announcement["buses"][1]
    assert announcement == {
        "ready": True,
        "buses": [
            {"name": "roof", "kind": "serial", "path": link},
            {"name": "net", "kind": "tcp", "host": "127.0.0.1", "port": net["port"]},
        ],
        "meters": [
            {
                "id": "EASTRON-12345678",
                "model": "eastron_sdm630",
                "address": 1,
                "bus": "roof",
            },
            {
                "id": "CARLO-GAVAZZI-BX0001",
                "model": "carlo_gavazzi_em24_e1",
                "address": 1,
                "bus": "net",
            },
        ],
    }
    assert net["port"] > 0
    port = open_port(Path(link))
    assert len(await port.ask("01 04 00 48 00 02", until=9)) == 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_cleanly(
    config: Path, start: Callable[..., Any], number: signal.Signals
) -> None:
    process = start(str(config))
    ready(process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")
    assert not (config.parent / "roof.pty").is_symlink()


def test_the_status_file_tells_the_truth_about_each_meter(
    config: Path, start: Callable[..., Any], tmp_path: Path
) -> None:
    status = tmp_path / "status.json"
    process = start(str(config), "--status", str(status))
    ready(process)
    first = json.loads(status.read_bytes())
    roof = first["meters"][0]
    assert set(roof) == {
        "id",
        "model",
        "bus",
        "power_w",
        "import_uwh",
        "export_uwh",
        "faults",
    }
    assert (roof["id"], roof["faults"]) == ("EASTRON-12345678", ["crc"])
    assert roof["export_uwh"] > 0
    deadline = time.monotonic() + 10
    while (later := json.loads(status.read_bytes()))["time_ms"] == first["time_ms"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    after = later["meters"][0]
    assert after["import_uwh"] + after["export_uwh"] > roof["import_uwh"] + roof["export_uwh"]
    process.terminate()
    process.communicate(timeout=10)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_run_with_a_dead_parent_ends(config: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import subprocess, sys
                child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
                child.stdout.readline()
                print(child.pid, flush=True)
                child.wait()
                """
            ),
            *COMMAND,
            "run",
            str(config),
            "--exit-with-parent",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate(timeout=10)
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the simulator outlived its parent"
        time.sleep(0.05)
    assert not (config.parent / "roof.pty").is_symlink()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("latitude = 48.2", "latitude = 148.2"), "site.latitude: expected `float` <= 90.0"),
        (("seed = 7", "seeds = 7"), "site.seeds: expected no such key"),
    ],
)
def test_a_bad_config_is_one_line_and_exit_2(
    config: Path, start: Callable[..., Any], change: tuple[str, str], line: str
) -> None:
    config.write_text(config.read_text().replace(*change))
    process = start(str(config))
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (2, "")
    assert errors == f"{config}: {line}\n"
    assert not (config.parent / "roof.pty").is_symlink()


def test_a_file_in_the_links_place_is_one_line_and_exit_2(
    config: Path, start: Callable[..., Any]
) -> None:
    (config.parent / "roof.pty").write_text("precious")
    process = start(str(config))
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (2, "")
    assert errors.count("\n") == 1
    assert "expected nothing or an old link here" in errors


def test_a_status_file_that_cannot_be_written_is_one_line_and_exit_2(
    config: Path, start: Callable[..., Any], tmp_path: Path
) -> None:
    status = tmp_path / "no" / "folder.json"
    process = start(str(config), "--status", str(status))
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (2, "")
    assert errors == f"{status}: No such file or directory\n"
    assert not (config.parent / "roof.pty").is_symlink()


def test_the_help_shows_an_example() -> None:
    for arguments in (["--help"], ["run", "--help"]):
        shown = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout
        assert "Example: gridtokenx-sim run" in shown
