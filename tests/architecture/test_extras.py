"""A command whose extra is not installed says so in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import runpy, sys
sys.modules[sys.argv.pop(1)] = None  # as if it were not installed
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("package", "missing", "line"),
    [
        ("gridtokenx_client", "httpx", "gridtokenx: expected the package httpx, found none;"),
        ("gridtokenx_client", "typer", "gridtokenx: expected the package typer, found none;"),
        ("gridtokenx_sim", "httpx", "gridtokenx-sim: expected the package httpx, found none;"),
        ("gridtokenx_sim", "pymodbus", "gridtokenx-sim: expected the package pymodbus"),
    ],
)
def test_a_missing_extra_is_one_line(package: str, missing: str, line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, package],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith(line)
    assert told.endswith(f"run: pip install 'gridtokenx[{package.removeprefix('gridtokenx_')}]'")
