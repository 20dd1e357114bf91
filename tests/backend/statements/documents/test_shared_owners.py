"""A meter that changes its owner in a month that shares: each interval stays its owner's."""

from __future__ import annotations

from pathlib import Path

from tests.backend.statements.shared_month import FLAT_B, FLAT_C, SharedMonth, key, statements
from tests.backend.statements.shared_month import local_ms as at

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS

NOON_MS = at("2026-06-15T12:00")


def test_a_late_reading_settles_the_interval_with_its_owner_of_then(tmp_path: Path) -> None:
    village = SharedMonth(NOON_MS, [key("dynamic")])
    village.quarter(600, 300, None)
    village.at_ms = NOON_MS + 2 * INTERVAL_MS - 1
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[2] |= {"owner": "ben"}  # ben takes cleo's flat, too, in the second interval
    village.configure(meter=meters)
    village.read(FLAT_C, 1, 900)
    village.quarter(600, 300, 300)
    found, report = statements(village, tmp_path / "journal.db")
    assert found["cleo"].energy.received_kwh == "0.450000000"
    assert found["ben"].energy.received_kwh == "0.750000000"
    assert report.data.energy["received_kwh"] == "1.200000000"


def test_a_file_for_the_day_of_a_member_that_left_counts_for_them(tmp_path: Path) -> None:
    village = SharedMonth(NOON_MS, [key("imported")])
    village.quarter(600, 300, None)
    village.operator_says(
        b=(FLAT_B, "received", [200]), c=(FLAT_C, "received", [200]), p=("plant", "received", [0])
    )
    village.quarter(0, 0, None)
    village.at_ms = NOON_MS + 2 * INTERVAL_MS + 600_000
    village.configure(
        meter=[village.document["meter"][0], village.document["meter"][1]],
        member=[each for each in village.document["member"] if each["name"] != "cleo"],
    )
    village.operator_says(c=(FLAT_C, "received", [300, 0]))
    village.quarter(0, 0, None)
    found, _ = statements(village, tmp_path / "journal.db")
    assert found["cleo"].energy.received_kwh == "0.300000000"
