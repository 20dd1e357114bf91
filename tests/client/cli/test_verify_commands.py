"""`gridtokenx verify clearing` as a process: verdicts, exit codes, and what it says of mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.backend.interval_village import FIRST_MS, IntervalVillage

from gridtokenx_client.verification.clearing_document import Clearing

COMMAND = Path(sys.executable).parent / "gridtokenx"
LINK = {"from": "north", "to": "south", "capacity_kwh": "4", "wheeling_grx_per_kwh": "0.02"}


def verify(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "verify", "clearing", *words],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module", name="documents")
def _documents() -> list[Clearing]:
    village = IntervalVillage([LINK])
    village.place("anna sells 9 at 0.1", "ben buys 3 at 0.3", "cleo buys 9 at 0.5")
    return village.documents(village.clear())


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, documents: list[Clearing]) -> Path:
    (tmp_path / "all.json").write_bytes(msgspec.json.encode(documents))
    (tmp_path / "one.json").write_bytes(msgspec.json.encode(documents[0]))
    forged = msgspec.structs.replace(documents[0], price_grx_per_kwh="0.200000")
    (tmp_path / "forged.json").write_bytes(msgspec.json.encode(forged))
    amount = msgspec.structs.replace(documents[0], volume_kwh="3", tick_grx_per_kwh="a lot")
    (tmp_path / "amount.json").write_bytes(msgspec.json.encode(amount))
    (tmp_path / "other.json").write_text('{"holds": true}')
    (tmp_path / "empty.json").write_text("[]")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "zones"), [(["all.json"], 3), (["all.json", "--zone", "south"], 1), (["one.json"], 1)]
)
def test_an_honest_clearing_holds(folder: Path, words: list[str], zones: int) -> None:
    done = verify(folder, *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["holds"] is True
    checked = [each["zone"] for each in report["verdicts"] if each["check"] == "book hash"]
    assert len(checked) == zones
    coupled = any(each["check"].startswith("coupling") for each in report["verdicts"])
    assert coupled == (zones == 3)


def test_a_forged_price_is_named(folder: Path) -> None:
    done = verify(folder, "forged.json")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "differs" in line]
    assert "price" in line
    assert done.stdout.splitlines()[-1].endswith("checks, 1 differ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected either a file or --interval"),
        (["one.json", "--interval", str(FIRST_MS)], "expected either a file or --interval"),
        (["none.json"], "none.json: cannot be read"),
        (["other.json"], "other.json: expected the JSON of a clearing"),
        (["empty.json"], "empty.json: expected at least one clearing"),
        (["amount.json"], "expected a clearing with amounts that can be read"),
        (["one.json", "--zone", "east"], "expected a clearing of zone 'east'"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, words: list[str], told: str) -> None:
    done = verify(folder, *words)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert told in line
