"""Logs: JSON lines, and a brake for what repeats."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, cast

import pytest

from gridtokenx_edge.log import FaultLog, start_logging


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.lines.append((level, event, fields))


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging().warning("meter_failed", meter="ABB-1", reason="no\nreply")
    (line,) = capsys.readouterr().err.splitlines()
    fields = json.loads(line)
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {
        "event": "meter_failed",
        "level": "warning",
        "meter": "ABB-1",
        "reason": "no\nreply",
    }


def test_a_repeating_fault_is_one_line_a_minute_with_a_count() -> None:
    log, now_s = Log(), 0.0
    faults = FaultLog(cast(Any, log), lambda: now_s)
    for second in range(150):
        now_s = float(second)
        faults.warn("silent", "meter 1", meter="1")
        if second == 30:
            faults.warn("silent", "meter 2", meter="2")
    assert log.lines == [
        ("warning", "silent", {"meter": "1"}),
        ("warning", "silent", {"meter": "2"}),
        ("warning", "silent", {"meter": "1", "repeated": 59}),
        ("warning", "silent", {"meter": "1", "repeated": 59}),
    ]


def test_a_fault_that_comes_back_is_told_at_once() -> None:
    log = Log()
    faults = FaultLog(cast(Any, log), lambda: 0.0)
    faults.error("down")
    assert faults.over("down")
    assert not faults.over("down")
    faults.error("down")
    assert [line[:2] for line in log.lines] == [("error", "down")] * 2


def test_a_log_that_nobody_takes_does_not_stop_the_program() -> None:
    code = """
import os
from gridtokenx_edge.log import start_logging
log = start_logging()
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
for _ in range(3):
    log.info("hello")
print("alive", flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n"


def test_logging_does_not_bring_rich_into_memory() -> None:
    code = "import gridtokenx_edge.log, sys; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_number_of_remembered_faults_is_bounded() -> None:
    log = Log()
    faults = FaultLog(cast(Any, log), lambda: 0.0)
    for number in range(5000):
        faults.warn("reading_refused", str(number))
    assert len(log.lines) == 5000
    assert len(faults._last) == 1000
    faults.warn("reading_refused", "4999")
    assert len(log.lines) == 5000, "the newest are remembered"
