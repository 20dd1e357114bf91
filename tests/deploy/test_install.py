"""deploy/install.sh, run for real in a staging folder: install, upgrade, roll back, remove."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "install.sh"
PACKAGES = sysconfig.get_path("purelib")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a Pi would get it; its dependencies are those of this test's environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "TMPDIR": str(folder)}
    subprocess.run([*pip, "-w", str(folder), str(ROOT)], check=True, timeout=100, env=environ)
    (found,) = folder.glob("gridtokenx-*.whl")
    return found


class Stage:
    """A machine in a folder: the script under --root, and a systemctl that only takes notes."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.root = folder / "root"
        self.wheel = wheel
        self.data = self.root / "var/lib/gridtokenx"
        self.current = self.root / "opt/gridtokenx/current"
        self.notes = folder / "systemctl.log"
        self.systemctl = folder / "systemctl"
        self.systemd_says("exit 0")

    def systemd_says(self, answer: str) -> None:
        self.systemctl.write_text(f'#!/bin/sh\necho "$*" >>{self.notes}\n{answer}\n')
        self.systemctl.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "SYSTEMCTL": str(self.systemctl),
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PYTHONPATH": PACKAGES,
            "PYTHON": sys.executable,
        }

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        self.notes.write_text("")
        command = ["bash", str(SCRIPT), *options, "--root", str(self.root)]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=110, env=self.environ
        )

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("--from", str(self.wheel), *options)

    def told(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def releases(self) -> list[str]:
        return sorted(path.name for path in (self.root / "opt/gridtokenx/releases").iterdir())


@pytest.fixture
def stage(tmp_path: Path, wheel: Path) -> Stage:
    return Stage(tmp_path, wheel)


CONFIG = """
site = {community = "lane"}
device = {key = "edge.key", outbox = "outbox.db"}
backend = {ack_key = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"}
broker = {host = "127.0.0.1", port = 1, insecure = true}
[[bus]]
name = "hall"
kind = "tcp"
host = "127.0.0.1"
port = 1
[[bus.meter]]
id = "ABB-1"
profile = "abb_b23"
address = 1
"""


def chain(stage: Stage) -> bytes:
    """What tells an outbox from any other."""
    database = sqlite3.connect(f"file:{stage.data}/outbox.db?mode=ro", uri=True)
    ((found,),) = database.execute("SELECT chain FROM chain").fetchall()
    database.close()
    return bytes(found)


def agent_runs(stage: Stage) -> None:
    """Starts the installed agent as the unit does, and stops it when it is ready."""
    log = stage.root / "edge.log"
    command = [
        str(stage.current / "bin/gridtokenx-edge"),
        "run",
        "--config",
        str(stage.root / "etc/gridtokenx/edge.toml"),
    ]
    with log.open("w") as stderr:
        agent = subprocess.Popen(command, stderr=stderr, env=stage.environ)
    wait(lambda: '"event": "started"' in log.read_text() or agent.poll() is not None)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 0, log.read_text()


def wait(condition: Callable[[], Any], timeout_s: float = 30) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_a_gateway_is_installed_upgraded_and_removed_and_its_outbox_stays(stage: Stage) -> None:
    done = stage.install()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Next: edit" in done.stdout
    assert stage.told() == ["daemon-reload", "enable gridtokenx-edge.service"]
    unit = stage.root / "etc/systemd/system/gridtokenx-edge.service"
    assert unit.read_text() == (ROOT / "deploy/systemd/gridtokenx-edge.service").read_text()
    config = stage.data / "edge.toml"
    assert config.read_text() == (ROOT / "config/edge.toml").read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    assert stage.data.stat().st_mode & 0o777 == 0o700

    config.write_text(CONFIG)
    edge = [str(stage.current / "bin/gridtokenx-edge"), "key", "--config", str(config)]
    subprocess.run(edge, check=True, capture_output=True, timeout=60, env=stage.environ)
    agent_runs(stage)
    before, kept = chain(stage), {name: (stage.data / name).read_bytes() for name in KEPT}

    first = stage.releases()
    done = stage.install()
    assert (done.returncode, done.stderr) == (0, "")
    assert stage.told()[-1] == "restart gridtokenx-edge.service"
    (second,) = stage.releases()
    assert [second] != first
    assert stage.current.resolve().name == second
    assert {name: (stage.data / name).read_bytes() for name in KEPT} == kept
    agent_runs(stage)
    assert chain(stage) == before, "the chain goes on"

    roll_back(stage, second)
    done = stage.run("--uninstall")
    assert done.returncode == 0
    assert stage.told() == ["disable --now gridtokenx-edge.service", "daemon-reload"]
    assert not unit.exists()
    assert not stage.current.exists()
    assert chain(stage) == before
    assert stage.run("--uninstall", "--purge").returncode == 0
    assert not stage.data.exists()
    left = [path for path in stage.root.rglob("*") if not path.is_dir()]
    assert [path.name for path in left] == ["edge.log"]


KEPT = ("edge.toml", "edge.key", "outbox.db")


def roll_back(stage: Stage, release: str) -> None:
    """A version that systemd cannot start, and a config that it would not take."""
    stage.systemd_says('[ "$1" != restart ]')
    done = stage.install()
    assert done.returncode == 2
    assert "the old one is back" in done.stderr
    assert stage.releases() == [release]
    assert stage.current.resolve().name == release
    stage.systemd_says("exit 0")
    config = stage.data / "edge.toml"
    config.write_text(CONFIG.replace("abb_b23", "abb_b24"))
    done = stage.install()
    assert done.returncode == 2
    assert "expected one of" in done.stderr
    assert stage.told() == [], "the service was not touched"
    assert stage.releases() == [release]
    config.write_text(CONFIG)


def test_what_pip_cannot_install_leaves_no_trace(stage: Stage, tmp_path: Path) -> None:
    broken = tmp_path / "gridtokenx-9.9.9-py3-none-any.whl"
    broken.write_bytes(b"no wheel")
    done = stage.run("--from", str(broken))
    assert done.returncode == 2
    assert "pip could not install" in done.stderr
    assert stage.releases() == []
    assert not stage.data.exists()
    assert stage.told() == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--purge"], "expected --purge only together with --uninstall"),
        (["--now"], "expected one of the options above, got --now"),
    ],
)
def test_a_slip_is_one_line(stage: Stage, options: list[str], line: str) -> None:
    done = stage.run(*options)
    assert done.returncode == 2
    assert line in done.stderr
    assert not stage.root.exists()


def test_the_scripts_are_clean() -> None:
    shellcheck = shutil.which("shellcheck")
    assert shellcheck, "sudo apt-get install shellcheck"
    scripts = [*(ROOT / "deploy").rglob("*.sh"), *(ROOT / "scripts").iterdir(), ROOT / ".ci/run"]
    assert {SCRIPT, ROOT / "scripts/check"} <= set(scripts)
    done = subprocess.run(
        [shellcheck, "-x", *map(str, scripts)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")
