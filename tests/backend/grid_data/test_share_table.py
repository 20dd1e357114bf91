"""A key's shares by interval from a file: read, refused, journaled with its hash, and applied."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from tests.backend.commands import Command
from tests.backend.config.test_check_config import COMMUNITY, write
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, got, key, only
from tests.backend.village import convert_terms

from gridtokenx_backend.config.terms_file import load_terms, terms_digest
from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.local_time import HOUR_MS, TimeZone
from gridtokenx_backend.core.model.sharing_terms import ShareTable
from gridtokenx_backend.core.sharing.key_versions import conflicts
from gridtokenx_backend.core.state import community as communities

QUARTERS = """meter,start,share_percent
ABB-1,2026-06-01T12:00+02:00,40
ABB-2,2026-06-01T12:00+02:00,60
ABB-1,2026-06-01T12:15+02:00,12.3456
ABB-2,2026-06-01T12:15+02:00,0
"""
HOURS = "ABB-1;0001;0,250000\nABB-2;0001;0,750000\nABB-1;0002;1\nABB-2;0002;0,000000\n"
SHARING = """
[[sharing.key]]
version = 1
valid_from = "2026-06-01T00:00:00+02:00"
table = "shares.csv"
"""
GOOD = (
    COMMUNITY.replace(
        'name = "lane"\n', 'name = "lane"\nmode = "time_varying"\ntime_zone = "Europe/Vienna"\n', 1
    )
    + SHARING
)
NOON_MS = 1_780_308_000_000  # 2026-06-01T12:00+02:00
NEW_YEAR_MS = 1_767_222_000_000  # 2026-01-01T00:00+01:00


def table_of(folder: Path, text: str) -> ShareTable:
    path = Path(write(folder, GOOD)).with_name("community.toml")
    (folder / "shares.csv").write_text(text)
    table = load_terms(path).sharing.key[0].of_table
    assert table is not None
    assert table.source == hashlib.sha256(text.encode()).hexdigest()
    return table


def test_quarters_of_an_hour_have_their_shares_and_no_others(tmp_path: Path) -> None:
    table = table_of(tmp_path, QUARTERS)
    assert table.at(NOON_MS) == {"ABB-1": 400_000, "ABB-2": 600_000}
    assert table.at(NOON_MS + INTERVAL_MS) == {"ABB-1": 123_456, "ABB-2": 0}
    assert table.at(NOON_MS - INTERVAL_MS) is None
    assert table.at(NOON_MS + 2 * INTERVAL_MS) is None


def test_the_hours_of_a_year_are_counted_from_new_year(tmp_path: Path) -> None:
    table = table_of(tmp_path, HOURS)
    for quarter in range(4):
        at_ms = NEW_YEAR_MS + quarter * INTERVAL_MS
        assert table.at(at_ms) == {"ABB-1": 250_000, "ABB-2": 750_000}
    assert table.at(NEW_YEAR_MS + HOUR_MS) == {"ABB-1": 1_000_000, "ABB-2": 0}
    assert table.at(NEW_YEAR_MS + 2 * HOUR_MS) is None


def test_the_doubled_hour_in_autumn_is_two_hours_by_the_files_order(tmp_path: Path) -> None:
    rows = "\n".join(
        f"ABB-1,2026-10-25 {hour:02}:00,{share}" for hour, share in ((1, 1), (2, 2), (2, 3), (3, 4))
    )
    table = table_of(tmp_path, f"meter,start,share_percent\n{rows}\n")
    shares = [table.at(table.start_ms + hour * HOUR_MS) for hour in range(4)]
    assert shares == [{"ABB-1": 10_000 * share} for share in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        (
            "ABB-2,2026-06-01T12:15+02:00,0\n",
            "",
            "expected a share of ABB-2 for 2026-06-01T12:15:00+02:00",
        ),
        (
            ",60\n",
            ",60.0001\n",
            "expected at most 100 percent together for 2026-06-01T12:00:00+02:00, got 100.0001",
        ),
        (
            ",60\n",
            ",-1\n",
            "row 3: expected a share from 0 to 100 with at most 4 decimals, got '-1'",
        ),
        (
            ",60\n",
            ",0.00001\n",
            "row 3: expected a share from 0 to 100 with at most 4 decimals, got '0.00001'",
        ),
        (
            "ABB-2,",
            "ABB-9,",
            "row 3: expected a meter's id or metering_point of this file, got 'ABB-9'",
        ),
        ("ABB-2,", "ABB-1,", "row 3: expected ABB-1 once at this time"),
        (
            "12:15",
            "12:30",
            "row 4: expected a quarter of an hour",
        ),
        ("share_percent", "percent", "row 1: expected the columns meter, start, share_percent, or"),
        (",60\n", ",60,7\n", "row 3: expected 3 columns, got 4"),
        (QUARTERS[26:], "", "expected at least one share"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_one_line(
    tmp_path: Path, command: Command, there: str, instead: str, said: str
) -> None:
    assert there in QUARTERS
    config = write(tmp_path, GOOD)
    count = 2 if there == "12:15" else 1
    changed = QUARTERS.replace(there, instead, count)
    if there == "12:15":
        changed = changed.replace("12:30", "12:20")
    (tmp_path / "shares.csv").write_text(changed)
    ran = command("check-config", "-c", config)
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
    assert "sharing.key[0].table: " in ran.err
    assert said in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ABB-1;0000;1\n", "row 1: expected an hour of the year, 1 to 8784, got '0000'"),
        ("ABB-1;1;1,5\n", "row 1: expected a share from 0 to 1 with at most 6 decimals, got '1,5'"),
        ("ABB-1;1;1\nABB-1;3;1\n", "expected shares for 2026-01-01T01:00:00+01:00, found none"),
        ("ABB-1;1;1\nABB-2;2;1\n", "expected a share of ABB-2 for 2026-01-01T00:00:00+01:00"),
        ("", "row 1: expected the columns meter, start, share_percent, or"),
    ],
)
def test_coefficients_with_a_mistake_are_refused(
    tmp_path: Path, command: Command, text: str, said: str
) -> None:
    config = write(tmp_path, GOOD)
    (tmp_path / "shares.csv").write_text(text)
    ran = command("check-config", "-c", config)
    assert (ran.status, len(ran.lines)) == (2, 1), ran
    assert said in ran.err


def test_a_table_is_for_the_mode_time_varying_and_comes_from_its_file(
    tmp_path: Path, command: Command
) -> None:
    (tmp_path / "shares.csv").write_text(QUARTERS)
    for more, said in (
        ('mode = "dynamic"\n', "table: expected none but in the mode time_varying"),
        ('of_table = ["", 0, 900000, [], ""]\n', "of_table: expected no such key"),
        ('table = "shares.csv"\n', "table"),
    ):
        ran = command("check-config", "-c", write(tmp_path, GOOD + more))
        assert ran.status == 2
        assert said in ran.err
    (tmp_path / "shares.csv").unlink()
    ran = command("check-config", "-c", write(tmp_path, GOOD))
    assert (ran.status, len(ran.lines)) == (2, 1)
    assert "shares.csv: cannot be read: No such file or directory" in ran.err


def test_another_table_is_another_source_and_needs_a_new_version(tmp_path: Path) -> None:
    path = Path(write(tmp_path, GOOD)).with_name("community.toml")
    (tmp_path / "shares.csv").write_text(QUARTERS)
    before, terms = terms_digest(path), load_terms(path)
    again = inputs.parse(
        "configure", inputs.configuration_input(terms, zone=look_up("Europe/Vienna")).raw
    )
    assert isinstance(again, inputs.ConfigurationInput)
    assert again.terms == terms
    (tmp_path / "shares.csv").write_text(QUARTERS.replace(",40", ",41").replace(",60", ",59"))
    assert terms_digest(path) != before
    assert terms_digest(path) == terms_digest(path)


class TableVillage(SharingVillage):
    """The first interval by a table, the next by the key's own shares."""

    def __init__(self, *shares_ppm: int) -> None:
        shares = b"".join(share.to_bytes(4, "little") for share in shares_ppm)
        self.table = ShareTable(
            source="ab" * 32,
            start_ms=FIRST_MS,
            step_ms=INTERVAL_MS,
            meters=["flat-b", "flat-c"],
            shares=shares,
        )
        builtins = msgspec.to_builtins(self.table)
        by_table = key("time_varying", shares_percent={"flat-b": "50"}, of_table=builtins)
        super().__init__("time_varying", by_table)


def test_an_interval_of_the_table_is_shared_by_it_and_one_after_it_by_the_key() -> None:
    village = TableVillage(100_000, 900_000)
    for number in (0, 1):
        village.quarter(number, plant=100 * WH, flat_b=90 * WH, flat_c=90 * WH)
    assert got(only(village.clear(0).allocations)) == {"flat-b": 10 * WH, "flat-c": 90 * WH}
    assert got(only(village.clear(1).allocations)) == {"flat-b": 50 * WH, "flat-c": 0}
    snapshot = village.community.snapshot()
    assert communities.restore(snapshot).snapshot() == snapshot
    assert communities.restore(snapshot).sharing.keys[0].table == village.table


def test_a_changed_table_under_the_same_version_is_a_conflict() -> None:
    village, other = TableVillage(100_000, 900_000), TableVillage(100_001, 899_999)
    found = list(conflicts(village.community.sharing, convert_terms(other.document), TimeZone()))
    said = "expected version 1 as it was: add a new version instead"
    assert found == [("sharing.key[0]", said)]
