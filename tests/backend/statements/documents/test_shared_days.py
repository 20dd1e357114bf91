"""Days of 23 and 25 hours, shared by a key of local hours."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backend.statements.naive import kwh, money
from tests.backend.statements.shared_month import (
    FLAT_B,
    FLAT_C,
    WH,
    SharedMonth,
    key,
    local_ms,
    statements,
)

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS


@pytest.mark.parametrize(
    ("day", "intervals", "of_month"), [("2026-10-25", 100, 2980), ("2027-03-28", 92, 2972)]
)
def test_a_day_in_which_the_clock_changes_is_shared_by_its_local_hours(
    day: str, intervals: int, of_month: int, tmp_path: Path
) -> None:
    hours = [
        {"hour": 2, "shares_percent": {FLAT_B: "100"}},
        {"hour": 3, "shares_percent": {FLAT_C: "100"}},
    ]
    begin_ms = local_ms(f"{day}T00:00")
    by_hour = key("time_varying", shares_percent={FLAT_B: "50", FLAT_C: "50"}, hours=hours)
    village = SharedMonth(begin_ms, [by_hour])
    for _ in range(intervals):
        village.quarter(100, 100, 100)
    assert begin_ms + (intervals - 1) * INTERVAL_MS == local_ms(f"{day}T23:45")
    found, _ = statements(village, tmp_path / "journal.db")
    ben = found["ben"].allocation
    assert ben is not None
    assert ben.slots.expected == of_month
    assert ben.slots.measured == intervals
    twos = intervals // 4 - 24 + 1  # 2 o'clock comes twice in autumn and never in spring
    assert money(found["ben"].energy.received_kwh) == kwh((8 * 50 + twos * 4 * 100) * WH)
    rest = intervals - 8 - twos * 4
    assert money(found["cleo"].energy.received_kwh) == kwh((8 * 50 + rest * 100) * WH)
