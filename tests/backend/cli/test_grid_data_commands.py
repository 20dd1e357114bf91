"""`gridtokenx-backend grid` and `reconcile` against a running backend."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.commands import Command
from tests.backend.replay.test_replay import write
from tests.backend.running import write_configs
from tests.backend.sharing_village import FIRST_MS as NOW_MS
from tests.backend.sharing_village import WH
from tests.backend.village import Village, convert_terms, frame_input, meter_terms, reading

from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.grid_data.reconciliation import HEADINGS

FIRST_MS = NOW_MS - 8 * INTERVAL_MS
POINT = "AT0020000000000000000000020089835"
HEADING = "meter,quantity,start,energy_kwh,quality"


def at(number: int) -> str:
    moment = datetime.fromtimestamp((FIRST_MS + number * INTERVAL_MS) / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The config and the API's address of a backend that has journaled two hours of two meters."""
    folder = tmp_path_factory.mktemp("grid")
    village = Village(
        meter=[],
        oracle={"oldest_reading_s": 10**9},
    )
    village.document["meter"] = [
        meter_terms("flat", village.north, village.anna, metering_point=POINT),
        meter_terms("plant", village.south, village.ben),
    ]
    config = write_configs(folder, village.document, free_port())
    prepare_data_folder(load_settings(config))  # a journal without its keys is not run
    flat = [
        reading("flat", FIRST_MS + n * INTERVAL_MS, 0, n * 250 * WH) for n in range(9) if n != 5
    ]
    plant = [reading("plant", FIRST_MS + n * INTERVAL_MS, n * 500 * WH) for n in range(9)]
    lived = [
        inputs.configuration_input(convert_terms(village.document)),
        frame_input(village.north.next(flat)),
        frame_input(village.south.next(plant)),
    ]
    asyncio.run(write(folder / "data" / "journal.db", lived))
    with BackendProcess(folder, config) as backend:
        api = backend.ready(60)["api"]
        _confirm_clock(config, api)
        yield config, api


def _confirm_clock(config: Path, api: str) -> None:
    """Let the time go on: the journal's entries are older than the process."""
    where = ("-c", str(config), "--api", api)
    words = ("clock", "confirm", "--reason", "the journal is of long ago", *where)
    subprocess.run([sys.executable, "-m", "gridtokenx_backend", *words], check=True, timeout=60)


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    """The grid operator's file of an hour: other values for the plant, and a quarter is missing."""
    lines = [HEADING]
    lines += [f"{POINT},consumption,{at(n)},0.25,L1" for n in range(4)]
    lines += [f"plant,generation,{at(n)},0.{5 if n else 9},L1" for n in range(3)]
    lines += [f"plant,generation,{at(3)},,missing"]
    path = tmp_path / "hour.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_is_shown_without_a_backend(file: Path, command: Command) -> None:
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    ran = command("grid", "show", str(file))
    assert ran == (
        0,
        f"{file}: csv, 2 series of 8 values, 1 missing; SHA-256 {source}\n",
        "",
    )


def test_a_file_is_imported_once(site: tuple[Path, str], file: Path, command: Command) -> None:
    config, api = site
    arguments = ("grid", "import", str(file), "-c", str(config), "--api", api)
    first = json.loads(command(*arguments, "--json").out)
    assert first["is_new"]
    assert (first["values"], first["missing"], first["left_out"]) == (8, 1, {})
    again = command(*arguments)
    assert again.out.endswith(f"was there before, as entry {first['entry']}\n")


def test_a_file_of_somebody_elses_meters_is_refused_whole(
    site: tuple[Path, str], tmp_path: Path, command: Command
) -> None:
    config, api = site
    file = tmp_path / "other.csv"
    file.write_text(f"{HEADING}\nplant,generation,{at(0)},1,\nwho,generation,{at(0)},1,\n")
    ran = command("grid", "import", str(file), "-c", str(config), "--api", api)
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1)
    assert "expected meters of this community, got 'who'" in ran.err


def test_reconcile_shows_each_day_and_tells_what_differs(
    site: tuple[Path, str], file: Path, tmp_path: Path, command: Command
) -> None:
    config, api = site
    arguments = ("reconcile", str(file), "-c", str(config), "--api", api)
    out = tmp_path / "differences.csv"
    ran = command(*arguments, "--json", "--csv", str(out))
    assert ran.status == 1
    flat, plant = json.loads(ran.out)
    assert flat == {
        "meter": "flat",
        "direction": "consumption",
        "day": at(0)[:10],
        "intervals": 4,
        "gateway_kwh": "1.000000000",
        "operator_kwh": "1.000000000",
        "difference_kwh": "0.000000000",
        "only_gateway": 0,
        "only_operator": 0,
        "substitutes": 0,
        "verdict": "ok",
    }
    assert (plant["intervals"], plant["only_gateway"], plant["verdict"]) == (3, 1, "differs")
    assert plant["difference_kwh"] == "-0.400000000"
    shown = command(*arguments).out.splitlines()
    assert max(map(len, shown)) <= 80
    (row,) = [line for line in shown if "plant" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1:3] == [plant["day"], "generation"]
    assert cells[5:] == ["differs"]
    with out.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["verdict"] for row in written] == ["ok", "differs"]
    assert set(written[0]) == set(HEADINGS)
    tolerated = command(*arguments, "--tolerance-kwh", "0.4", "--json")
    assert json.loads(tolerated.out)[1]["verdict"] == "incomplete"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tolerance-kwh", "much"], "--tolerance-kwh: expected a decimal number"),
        (["--zone", "Mars"], "--zone: expected a time zone such as Europe/Vienna, got 'Mars'"),
        (["--csv", "/nowhere/x.csv"], "/nowhere/x.csv: cannot be written: No such file"),
    ],
)
def test_what_reconcile_cannot_do_is_told_in_one_line(
    site: tuple[Path, str], file: Path, command: Command, options: list[str], said: str
) -> None:
    config, api = site
    ran = command("reconcile", str(file), "-c", str(config), "--api", api, *options)
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
    assert ran.err.startswith(said)


def test_an_export_whose_days_are_the_wrong_way_round_is_refused(
    site: tuple[Path, str], tmp_path: Path, command: Command
) -> None:
    config, api = site
    out = tmp_path / "out.csv"
    days = ("--from", "2026-03-02", "--to", "2026-03-01")
    ran = command("grid", "export", str(out), "-c", str(config), "--api", api, *days)
    assert (ran.status, ran.lines) == (
        2,
        ["--to: expected 2026-03-02 or a later day, got 2026-03-01"],
    )
    assert not out.exists()
