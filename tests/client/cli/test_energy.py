"""Days, months, rows and bars of a meter's energy."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gridtokenx_client import api as api_module
from gridtokenx_client.__main__ import app
from gridtokenx_client.answers import Health, Interval, MeterIntervals
from gridtokenx_client.cli.energy_tables import (
    as_csv,
    bar,
    buckets,
    day_label,
    day_span,
    energy_table,
    hour_label,
    month_span,
    zone_of,
)
from gridtokenx_client.problem import Mistake
from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.keys import write_secret
from gridtokenx_wire.read_token import parse_read_token

TOKEN = "s" * 32
VIENNA = ZoneInfo("Europe/Vienna")
HOUR_MS = 3_600_000
QUARTER_MS = 900_000


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        pytest.param("2026-06-21", 24, id="an ordinary day"),
        pytest.param("2026-03-29", 23, id="clocks are set forward"),
        pytest.param("2026-10-25", 25, id="clocks are set back"),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(text: str, hours: int) -> None:
    from_ms, to_ms = day_span(text, VIENNA)
    assert to_ms - from_ms == hours * HOUR_MS
    starts = range(from_ms, to_ms, QUARTER_MS)
    rows = buckets([interval(at, "0.1", "0", "measured") for at in starts], hour_label(VIENNA))
    assert len(rows) == hours  # the doubled hour is two rows
    assert (
        len(buckets([interval(at, "0", "0", "measured") for at in starts], day_label(VIENNA))) == 1
    )


@pytest.mark.parametrize(("text", "days"), [("2026-06", 30), ("2026-12", 31), ("2028-02", 29)])
def test_a_month_is_all_of_its_days(text: str, days: int) -> None:
    from_ms, to_ms = month_span(text, ZoneInfo("UTC"))
    assert to_ms - from_ms == days * 24 * HOUR_MS


@pytest.mark.parametrize(
    ("read", "said"),
    [
        pytest.param(lambda: day_span("21.6.2026", None), "--day: expected a date", id="day"),
        pytest.param(lambda: month_span("2026-13", None), "--month: expected a month", id="month"),
        pytest.param(lambda: zone_of("Mars/Base"), "--time-zone: expected one such", id="zone"),
        pytest.param(lambda: zone_of("../etc"), "--time-zone: expected one such", id="path"),
    ],
)
def test_a_slip_is_told_with_what_was_expected(read: Callable[[], object], said: str) -> None:
    with pytest.raises(Mistake, match=said):
        read()


def interval(
    start_ms: int, import_kwh: str | None, export_kwh: str | None, quality: str
) -> Interval:
    return Interval(
        start_ms=start_ms,
        import_kwh=import_kwh,
        export_kwh=export_kwh,
        quality=quality,
        revision=0,
    )


def hours(*rows: tuple[str | None, str | None, str]) -> list[Interval]:
    """Return four quarters of each row."""
    return [
        interval(number * QUARTER_MS, *row)
        for number, row in enumerate(r for r in rows for _ in range(4))
    ]


def test_what_is_missing_is_neither_zero_nor_hidden() -> None:
    intervals = hours(
        ("0.25", "0", "measured"), (None, None, "missing"), ("0", "1.5", "interpolated")
    )
    intervals[0] = interval(0, None, None, "missing")
    rows = buckets(intervals, hour_label(ZoneInfo("UTC")))
    assert [(row.import_uwh, row.known, row.missing) for row in rows] == [
        (750_000_000, 3, 1),
        (0, 0, 4),
        (0, 4, 0),
    ]
    found = MeterIntervals(
        meter="M-1",
        from_ms=0,
        to_ms=0,
        import_kwh="0.750000000",
        export_kwh="6.000000000",
        missing=5,
        intervals=intervals,
    )
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(energy_table(found, rows, "2026-06-21"))
    text = console.export_text()
    assert "1 of 4 missing" in text
    assert "import 0.75 kWh, export 6 kWh, 5 intervals missing" in text
    (empty,) = [line for line in text.splitlines() if "01:00" in line]
    assert empty.split() == ["│", "01:00", "+0000", "│", "│", "│", "│", "│", "missing", "│"]


@pytest.mark.parametrize(
    ("value", "most", "expected"),
    [
        (0, 10, ""),
        (10, 10, "█" * 24),
        (5, 10, "█" * 12),
        (1, 10**12, "▏"),
        (47, 48, "█" * 23 + "▌"),
    ],
)
def test_a_bar_is_as_long_as_its_share(value: int, most: int, expected: str) -> None:
    assert bar(value, most, 24) == expected


def test_csv_leaves_empty_what_is_missing() -> None:
    intervals = [
        Interval(start_ms=0, import_kwh="0.1", export_kwh="0.2", quality="measured", revision=3),
        Interval(start_ms=1, import_kwh=None, export_kwh=None, quality="missing", revision=0),
    ]
    found = MeterIntervals(
        meter="M-1",
        from_ms=0,
        to_ms=1,
        import_kwh="0.1",
        export_kwh="0.2",
        missing=1,
        intervals=intervals,
    )
    assert list(csv.reader(io.StringIO(as_csv(found)))) == [
        ["meter", "start_ms", "import_kwh", "export_kwh", "quality", "revision", "start"],
        ["M-1", "0", "0.1", "0.2", "measured", "3", ""],
        ["M-1", "1", "", "", "missing", "0", ""],
    ]


# --- the command ----------------------------------------------------------------------------------


class Asked:
    """In the API's place: what was asked, with which token."""

    def __init__(self, url: str, *, operator_token: str | None = None) -> None:
        self.said: dict[str, Any] = {"url": url, "operator_token": operator_token}
        Asked.last = self

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def health(self) -> Health:
        return Health(
            status="ok", community="lane", time_ms=1_000_000, journal_seq=1, oracle="running"
        )

    def intervals(self, meter: str, from_ms: int, to_ms: int, token: str | None) -> MeterIntervals:
        self.said |= {"meter": meter, "span": to_ms - from_ms, "token": token}
        row = Interval(
            start_ms=from_ms, import_kwh="0.1", export_kwh="0.2", quality="measured", revision=0
        )
        return MeterIntervals(
            meter=meter,
            from_ms=from_ms,
            to_ms=to_ms,
            import_kwh="0.100000000",
            export_kwh="0.200000000",
            missing=0,
            intervals=[row],
        )


@pytest.fixture(name="run")
def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(api_module, "Api", Asked)
    Wallet.create(tmp_path / "anna.key")
    write_secret(tmp_path / "operator.token", TOKEN.encode() + b"\n")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["energy", "M-1", *arguments], catch_exceptions=False)

    return run


def test_a_member_asks_with_a_token_of_their_wallet(run: Any, tmp_path: Path) -> None:
    key = str(tmp_path / "anna.key")
    ran = run("--day", "2026-06-21", "--time-zone", "UTC", "--key", key, "--json")
    assert json.loads(ran.stdout)["intervals"][0]["export_kwh"] == "0.2"
    token = parse_read_token(Asked.last.said["token"].encode()).token
    assert token.wallet == Wallet.load(tmp_path / "anna.key").address
    assert (token.community, token.issued_ms, token.expires_ms) == ("lane", 1_000_000, 1_300_000)


def test_the_operator_asks_with_theirs_and_needs_no_wallet(run: Any, tmp_path: Path) -> None:
    ran = run("--month", "2026-06", "--operator-token", str(tmp_path / "operator.token"), "--csv")
    assert ran.stdout.splitlines()[0].startswith("meter,start_ms")
    assert Asked.last.said["operator_token"] == TOKEN
    assert Asked.last.said["token"] is None


@pytest.mark.parametrize("options", [(), ("--day", "2026-06-21", "--month", "2026-06")])
def test_a_day_or_a_month_is_asked_for(run: Any, options: tuple[str, ...]) -> None:
    with pytest.raises(Mistake, match="either --day or --month"):
        run(*options)
