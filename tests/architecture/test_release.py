"""Every command names its version, and the version stands in pyproject.toml alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.architecture.source import ROOT, ROOTS

from gridtokenx_wire.release import release

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_a_command_names_its_version(command: str) -> None:
    program = Path(sys.executable).with_name(command)
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    assert (asked.stdout, asked.stderr, asked.returncode) == (f"{command} {release()}\n", "", 0)


def test_the_installed_version_is_that_of_the_project_file() -> None:
    assert release() == PROJECT["version"], "install it again: scripts/test does"


def test_the_version_is_written_nowhere_else() -> None:
    written = re.compile(rf"[\"']{re.escape(PROJECT['version'])}[\"']|__version__")
    files = (file for folder in ROOTS.values() for file in (ROOT / folder).rglob("*.py"))
    assert [str(file.relative_to(ROOT)) for file in files if written.search(file.read_text())] == []
