"""A command whose extra is not installed says so in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import runpy, sys
del sys.argv[0]
sys.modules[sys.argv.pop(0)] = None  # as if it were not installed
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

BALANCE = ["wallet", "balance", "--wallet", "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"]


@pytest.mark.parametrize(
    ("command", "missing", "line"),
    [
        (["gridtokenx_client"], "typer", "gridtokenx: expected the package typer, found none;"),
        (["gridtokenx_client", *BALANCE], "httpx", "gridtokenx: expected the package httpx"),
        (["gridtokenx_sim", "demo"], "httpx", "gridtokenx-sim: expected the package httpx"),
        (["gridtokenx_sim"], "pymodbus", "gridtokenx-sim: expected the package pymodbus"),
    ],
)
def test_a_missing_extra_is_one_line(
    command: list[str], missing: str, line: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, *command],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith(line)
    assert told.endswith(f"run: pip install 'gridtokenx[{command[0].removeprefix('gridtokenx_')}]'")
