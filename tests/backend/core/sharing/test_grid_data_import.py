"""The grid operator's figures as an input: taken whole or refused whole, and then allocated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, gave, got, only

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.grid_data import GridData, GridSeries
from gridtokenx_backend.core.messages.outcomes import Repeated, Result
from gridtokenx_backend.core.messages.sharing_outcomes import (
    GridDataImported,
    GridDataRefusal,
    GridDataRefused,
)
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality

SOURCE = "a" * 64


def series(meter: str, quantity: Any, *energies_wh: int | None, quality: str = "4") -> GridSeries:
    energies = [None if energy is None else energy * WH for energy in energies_wh]
    qualities = "".join("0" if energy is None else quality for energy in energies)
    return GridSeries(
        meter=meter,
        quantity=quantity,
        start_ms=FIRST_MS,
        energies_uwh=energies,
        qualities=qualities,
    )


def bring(village: SharingVillage, *of: GridSeries, source: str = SOURCE) -> Result:
    return village.apply(
        inputs.grid_data_input(GridData(source=source, name="f.csv", format="csv", series=list(of)))
    )


def test_the_grid_operators_allocation_is_what_is_allocated() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    taken = bring(
        village,
        series("plant", "generation", 600),
        series("flat-b", "received", 70),
        series("flat-c", "received", 80, quality="3"),
    )
    assert taken == GridDataImported(
        source=SOURCE, values=3, from_ms=FIRST_MS, to_ms=FIRST_MS + INTERVAL_MS
    )
    allocation = only(village.clear(0).allocations)
    assert got(allocation) == {"flat-b": 70 * WH, "flat-c": 80 * WH}
    assert allocation.quality == Quality.SUBSTITUTE
    assert gave(allocation) == {"plant": (150 * WH, 0, 450 * WH)}
    assert village.retired() == 150 * WH


def test_until_the_file_comes_the_interval_is_provisional() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    early = only(village.clear(0).allocations)
    assert got(early) == {"plant": None, "flat-b": None, "flat-c": None}
    assert early.quality == Quality.PROVISIONAL
    bring(village, *(series(meter, "received", 50) for meter in ("flat-b", "flat-c", "plant")))
    late, _ = village.clear(1).allocations
    assert late.corrects == village.cleared_by[0]
    assert got(late) == {"flat-b": 50 * WH, "flat-c": 50 * WH}
    assert late.quality == Quality.MEASURED


def test_the_operators_own_energies_count_beside_its_allocation() -> None:
    """So a meter that no gateway reads can take part, and its cap is the operator's."""
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    bring(
        village,
        series("plant", "generation_part", 580),
        series("flat-c", "received", 100),
        series("flat-c", "consumption", 90),
        series("flat-b", "received", 100),
    )
    allocation = only(village.clear(0).allocations)
    assert got(allocation) == {"flat-b": 100 * WH, "flat-c": 90 * WH}
    assert gave(allocation) == {"plant": (190 * WH, 0, 390 * WH)}


def test_files_of_several_meters_come_one_by_one() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    bring(village, series("plant", "received", 0), source="1" * 64)
    bring(village, series("flat-b", "received", 1), source="2" * 64)
    village.clear(0)
    bring(village, series("flat-c", "received", 2), source="3" * 64)
    late, _ = village.clear(1).allocations
    assert got(late) == {"flat-b": 1 * WH, "flat-c": 2 * WH}


def test_a_metering_point_stands_for_its_meter() -> None:
    village = SharingVillage("imported")
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[1]["metering_point"] = "AT0020000000000000000000020089835"
    village.configure(meter=meters)
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    bring(village, series("AT0020000000000000000000020089835", "received", 40))
    assert got(only(village.clear(0).allocations))["flat-b"] == 40 * WH


def test_the_same_file_again_changes_nothing() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    bring(village, series("flat-b", "received", 40))
    entries, state = village.community.entries, village.community.snapshot()
    assert bring(village, series("flat-b", "received", 50)) == Repeated(entries)
    assert village.community.snapshot() == state


@pytest.mark.parametrize(
    ("meter", "quarters", "reason"),
    [
        ("nobody", 1, GridDataRefusal.UNKNOWN_METER),
        ("flat-b", 2, GridDataRefusal.NOT_YET),
    ],
)
def test_a_file_with_one_bad_series_is_refused_whole(
    meter: str, quarters: int, reason: GridDataRefusal
) -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    state = village.community.snapshot()
    refused = bring(
        village, series("flat-c", "received", 1), series(meter, "received", *[1] * quarters)
    )
    assert isinstance(refused, GridDataRefused)
    assert refused.reason is reason
    assert village.community.snapshot() == state


def test_what_is_final_is_not_imported() -> None:
    village = SharingVillage("imported")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    village.at_ms += village.community.limits.finality_ms
    refused = bring(village, series("flat-b", "received", 1))
    assert isinstance(refused, GridDataRefused)
    assert refused.reason is GridDataRefusal.FINAL


def test_the_journal_gives_the_same_input_again() -> None:
    made = inputs.grid_data_input(
        GridData(source=SOURCE, name="f", format="csv", series=[series("m", "share", 1, None)])
    )
    assert inputs.parse("grid_data", made.raw) == made
    assert inputs.kind_of(made) == "grid_data"


# Over the API -----------------------------------------------------------------------------------

GOOD = GridSeries(
    meter="flat-b",
    quantity="received",
    start_ms=FIRST_MS - INTERVAL_MS,
    energies_uwh=[1],
    qualities="4",
)

PATH = "/v1/operator/grid-data"


@pytest.fixture(name="api")
async def _api(tmp_path: Path) -> AsyncIterator[Api]:
    village = SharingVillage("imported")
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, village) as api:
        yield api


def body(*of: GridSeries, source: str = SOURCE) -> bytes:
    return msgspec.json.encode(GridData(source=source, name="f.csv", format="csv", series=list(of)))


async def test_only_the_operator_may_bring_a_file(api: Api) -> None:
    answer = await api.post(PATH, body(series("flat-b", "received", 1)))
    assert answer.status_code == 401


async def test_a_file_is_journaled_once(api: Api) -> None:
    content = body(GOOD)
    first = await api.post(PATH, content, TOKEN)
    again = await api.post(PATH, content, TOKEN)
    assert (first.status_code, first.json()["is_new"]) == (200, True)
    assert again.json() == first.json() | {"is_new": False}
    entry = await api.backend.journal.entry(first.json()["entry"])
    assert entry is not None
    assert entry.kind == "grid_data"


async def test_what_of_a_file_cannot_be_is_told(api: Api) -> None:
    said = msgspec.structs.replace(GOOD, energies_uwh=[8 * WH])
    used = msgspec.structs.replace(GOOD, energies_uwh=[5 * WH], quantity="consumption")
    content = body(said, used)
    found = [
        {
            "kind": kind,
            "meter": meter,
            "intervals": 1,
            "first_ms": GOOD.start_ms,
            "said_kwh": said_kwh,
            "counted_kwh": counted_kwh,
        }
        for kind, meter, said_kwh, counted_kwh in (
            ("received_above_consumption", "flat-b", "0.008000000", "0.005000000"),
            ("received_above_generation", "", "0.005000000", "0.000000000"),
        )
    ]
    for _ in range(2):  # the same file again tells it again
        answer = await api.post(PATH, content, TOKEN)
        assert answer.json()["contradictions"] == found


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (
            body(msgspec.structs.replace(GOOD, meter="who")),
            404,
            "expected meters of this community, got 'who'",
        ),
        (body(GOOD, source="zz"), 400, "source: expected a SHA-256 in hex"),
        (body(), 400, "series: expected at least one"),
        (body(msgspec.structs.replace(GOOD, start_ms=1)), 400, "start_ms: expected the start"),
        (
            body(msgspec.structs.replace(GOOD, qualities="")),
            400,
            "qualities: expected a quality",
        ),
        (body(msgspec.structs.replace(GOOD, qualities="0")), 400, "expected energies without"),
        (body(msgspec.structs.replace(GOOD, energies_uwh=[-1])), 400, "expected energies from 0"),
        (body(msgspec.structs.replace(GOOD, energies_uwh=[])), 400, "expected 1 to 200000"),
        (body(msgspec.structs.replace(GOOD, meter="")), 400, "meter: expected 1 to"),
        (b'{"source":1}', 400, ""),
        (b"\xff", 400, ""),
    ],
)
async def test_bad_series_are_refused(api: Api, content: bytes, status: int, said: str) -> None:
    state = api.state()
    answer = await api.post(PATH, content, TOKEN)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert api.state() == state
