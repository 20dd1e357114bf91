"""Sharing as the backend does it: due clearings, the journal, its replay, API and export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest
from tests.backend.commands import Command
from tests.backend.parts import StandingClock, journal_at
from tests.backend.running import write_configs
from tests.backend.serving import api_on
from tests.backend.sharing_village import (
    FIRST_MS,
    WH,
    SharingVillage,
    assert_balanced,
    gave,
    got,
    only,
)
from tests.backend.village import Gateway, Village, reading

from gridtokenx_backend.cli.operator_api import OperatorApi
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, NotDue, Result
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.core.state import community as communities
from gridtokenx_backend.journal.entry import decode_leaf, decode_outcome, make_entry
from gridtokenx_wire.reading import Reading

GRACE_MS = 300_000


def clear(village: SharingVillage, number: int) -> Result:
    """The clearing of the interval `number`, when it is due."""
    interval_ms = FIRST_MS + number * INTERVAL_MS
    at_ms = max(village.at_ms, interval_ms + INTERVAL_MS + GRACE_MS)
    return village.apply(inputs.clearing_input(interval_ms), at_ms)


def cleared(village: SharingVillage, number: int) -> IntervalCleared:
    outcome = clear(village, number)
    assert isinstance(outcome, IntervalCleared), outcome
    assert_balanced(village)
    return outcome


def test_a_due_clearing_shares_instead_of_running_an_auction() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    outcome = cleared(village, 0)
    assert (outcome.zones, outcome.trades) == ([], [])
    assert got(only(outcome.shared)) == {"flat-b": 150 * WH, "flat-c": 450 * WH}
    assert village.retired() == 600 * WH
    assert isinstance(clear(village, 0), NotDue)


def test_the_entry_says_the_allocation_and_the_leaf_its_movements() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    input_ = inputs.clearing_input(FIRST_MS)
    outcome = cleared(village, 0)
    entry = make_entry(9, village.at_ms, input_, outcome, bytes(16))
    assert decode_outcome(entry.outcome) == outcome
    assert decode_leaf(entry.leaf).movements == outcome.movements
    assert outcome.movements


def test_the_operators_correction_comes_back_out_of_the_retired_energy() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    first = cleared(village, 0)
    village.quarter(1, plant=0, flat_b=0, flat_c=0)
    command = Correct(
        "flat-b", FIRST_MS, FIRST_MS + INTERVAL_MS, 100 * WH, 0, 300 * WH, 0, 0, "it says so"
    )
    assert isinstance(village.apply(inputs.settlement_input(command)), MeterCorrected)
    corrected, _ = cleared(village, 1).shared
    assert (corrected.revision, corrected.quality) == (1, Quality.SUBSTITUTE)
    assert got(corrected) == {"flat-b": 100 * WH, "flat-c": 300 * WH}
    assert gave(corrected) == {"plant": (400 * WH, 0, 200 * WH)}
    assert corrected.corrects > 0
    assert village.grid(village.anna) == (200 * WH, 0)
    assert only(first.shared).revision == 0


def test_a_replay_shares_to_the_same_byte() -> None:
    applied: list[tuple[Any, int]] = []

    class Recording(SharingVillage):
        def apply(self, each: inputs.Input, at_ms: int | None = None) -> Result:
            outcome = super().apply(each, at_ms)
            applied.append((each, self.at_ms))
            return outcome

    village = Recording()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    clear(village, 0)
    village.quarter(1, plant=100 * WH, flat_b=0, flat_c=900 * WH)
    clear(village, 1)
    again = communities.Community()
    for each, at_ms in applied:
        machine.apply(again, inputs.parse(inputs.kind_of(each), each.raw), at_ms)
    assert again.snapshot() == village.community.snapshot()


async def test_the_operator_is_told_what_was_allocated(tmp_path: Path) -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    fresh = SharingVillage()
    north, south = Gateway("north"), Gateway("south")
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, fresh) as api:
        clock = api.writer._clock
        assert isinstance(clock, StandingClock)
        clock.at_ms = FIRST_MS + INTERVAL_MS + GRACE_MS
        for gateway, meters in ((north, ("plant", "flat-b")), (south, ("flat-c",))):
            await api.send(gateway.next([row for name in meters for row in _day(name, village)]))
        await api.writer.submit([inputs.clearing_input(FIRST_MS)])
        answer = await api.ask("/v1/operator/allocations")
        (told,) = msgspec.convert(answer.json()["allocations"], list[Allocation])
        assert got(told) == {"flat-b": 150 * WH, "flat-c": 450 * WH}
        assert answer.json()["more_before_ms"] is None
        earlier = await api.ask(f"/v1/operator/allocations?before_ms={FIRST_MS}")
        assert earlier.json()["allocations"] == []
        assert (await api.get("/v1/operator/allocations")).status_code == 401


def _day(name: str, village: SharingVillage) -> list[Reading]:
    """A meter at both bounds of the first interval."""
    counted = village.registers[name]
    export, imported = (counted, 0) if name == "plant" else (0, counted)
    return [
        reading(name, FIRST_MS),
        reading(name, FIRST_MS + INTERVAL_MS, export, imported),
    ]


def test_the_export_asks_page_by_page_and_writes_a_workbook(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    shared = cleared(village, 0).shared
    pages = [(shared, FIRST_MS), ([], None)]
    asked: list[str] = []

    def answer(_: OperatorApi, path: str) -> Any:
        asked.append(path)
        found, more = pages[len(asked) - 1]
        return json.loads(
            inputs.msgspec.json.encode({"allocations": found, "more_before_ms": more})
        )

    monkeypatch.setattr(OperatorApi, "get", answer)
    config = write_configs(tmp_path, Village().document, 1)
    file = tmp_path / "day.xlsx"
    ran = command("grid", "export", str(file), "-c", str(config), "--from", "2026-05-28")
    assert (ran.status, ran.out) == (0, f"{file}: 6 lines\n")
    assert asked == [
        f"/v1/operator/allocations?before_ms={2**53}",
        f"/v1/operator/allocations?before_ms={FIRST_MS}",
    ]
    sheet = openpyxl.load_workbook(file).active
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert ["flat-b", "received", "2026-05-28T20:15:00+00:00", "0.150000000", "measured"] in rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.ods", "--from", "2026-05-28"], "x.ods: expected a name that ends with .csv or .xlsx"),
        (["x.csv", "--from", "may"], "--from: expected a day such as 2026-03-01, got 'may'"),
        (
            ["x.csv", "--from", "2026-05-28", "--to", "9999-12-31"],
            "--to: expected a day such as 2026-03-01, got '9999-12-31'",
        ),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(
    tmp_path: Path, command: Command, arguments: list[str], said: str
) -> None:
    config = write_configs(tmp_path, Village().document, 1)
    ran = command("grid", "export", *arguments, "-c", str(config))
    assert ran == (2, "", f"{said}\n")
