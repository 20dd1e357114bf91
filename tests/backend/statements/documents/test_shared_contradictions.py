"""What the grid operator's files say that cannot be stands in the community's report."""

from __future__ import annotations

from pathlib import Path

from tests.backend.statements.shared_month import (
    FLAT_B,
    FLAT_C,
    SharedMonth,
    key,
    local_ms,
    statements,
)

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.statements.documents.report import ContradictedFigures, decode_report
from gridtokenx_backend.statements.model.document import canonical
from gridtokenx_backend.statements.render.forms import report_as

NOON_MS = local_ms("2026-06-15T12:00")


def village() -> SharedMonth:
    """In the first interval flat-b used 500 Wh and the plant made 500; in the second all fits."""
    made = SharedMonth(NOON_MS, [key("imported")])
    made.quarter(500, 500, 900)
    made.quarter(500, 500, 900)
    return made


def test_each_kind_stands_there_with_its_intervals(tmp_path: Path) -> None:
    made = village()
    made.operator_says(b=(FLAT_B, "received", [800, 200]), c=(FLAT_C, "received", [300, 300]))
    made.quarter(0, 0, 0)
    _, report = statements(made, tmp_path / "journal.db")
    assert report.data.sharing is not None
    assert report.data.sharing.contradictions == [
        ContradictedFigures(
            kind="received_above_consumption",
            meter=FLAT_B,
            intervals=1,
            first_ms=NOON_MS,
            said_kwh="0.800000000",
            counted_kwh="0.500000000",
        ),
        ContradictedFigures(
            kind="received_above_generation",
            meter="",
            intervals=1,
            first_ms=NOON_MS,
            said_kwh="0.800000000",
            counted_kwh="0.500000000",
        ),
    ]
    stored = canonical(report)
    assert decode_report(stored) == report
    page = report_as("html", stored).decode()
    assert "more than known producers generated" in page
    table = report_as("csv", stored).decode()
    row = "flat-b: received above consumption in 1 intervals counted,,,0.500000000,kWh"
    assert row in table


def test_a_file_that_corrects_it_takes_it_away(tmp_path: Path) -> None:
    made = village()
    made.operator_says(b=(FLAT_B, "received", [800]), c=(FLAT_C, "received", [0]))
    made.quarter(0, 0, 0)
    made.operator_says(b=(FLAT_B, "received", [200]))
    made.quarter(0, 0, 0)
    _, report = statements(made, tmp_path / "journal.db")
    assert report.data.sharing is not None
    assert report.data.sharing.contradictions == []
    assert b"contradictions" not in canonical(report)


def test_a_file_counts_once_its_interval_is_allocated(tmp_path: Path) -> None:
    made = village()
    made.at_ms = NOON_MS + 3 * INTERVAL_MS
    made.operator_says(b=(FLAT_B, "received", [800]))
    _, report = statements(made, tmp_path / "journal.db")
    assert report.data.sharing is not None
    assert report.data.sharing.contradictions == []
