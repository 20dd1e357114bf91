"""The systemd units: what systemd itself says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MAX_EXPOSURE = 2.5


def analyze(*arguments: str) -> str:
    tool = shutil.which("systemd-analyze")
    assert tool, "sudo apt-get install systemd"
    done = subprocess.run(
        [tool, *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_exposure_is_low_and_the_manual_tells_it(unit: Path) -> None:
    text = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for .*: (\d+\.\d)", text)
    assert found, text
    assert float(found[1]) <= MAX_EXPOSURE
    assert f"exposure of {found[1]} " in (ROOT / "docs/gateway.md").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line(unit: Path) -> None:
    text = analyze("verify", "--man=no", str(unit))
    # A newer systemd than Debian 12's has the first two; the program is not installed here.
    known = ("RestartSteps", "RestartMaxDelaySec", "is not executable")
    strange = [line for line in text.splitlines() if unit.stem in line]
    assert [line for line in strange if not any(word in line for word in known)] == []


def test_the_agent_is_watched_reloaded_and_always_restarted() -> None:
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy/systemd/gridtokenx-edge.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert 10 <= int(service["WatchdogSec"]) <= 120
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
