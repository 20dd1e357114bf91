"""Slips in `gridtokenx-edge dlms scan`: each one line, never a traceback."""

from __future__ import annotations

import pytest
from tests.edge.cli.test_commands import edge


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["127.0.0.1:70000"], "expected a TCP port from 1 to 65535"),
        (["127.0.0.1:x"], "expected a TCP port from 1 to 65535"),
        (["a..b"], "this is no host name"),
        (["nosuch.invalid"], "nosuch.invalid:4059: "),
        (["./no-such-port"], "No such file or directory"),
        (["/dev/null"], "expected a serial port"),
        (["/dev/null", "--baud", "1000"], "expected"),
    ],
)
async def test_a_slip_is_one_line(arguments: list[str], expected: str) -> None:
    code, output, errors = await edge("dlms", "scan", *arguments)
    lines = [line for line in errors.replace("\r", "\n").splitlines() if line.strip()]
    assert code == 2, (output, errors)
    assert expected in lines[-1]
    assert "Traceback" not in errors
    assert "Unknown error" not in errors
