"""Who owned a meter before the core remembered it, by the terms in the journal; over HTTP too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.parts import journal_at, writer_on
from tests.backend.serving import TOKEN, Api, api_on
from tests.backend.settling import NOON_MS, QUARTER_MS
from tests.backend.village import KWH, Resident, Village, convert_terms, reading

from gridtokenx_backend.api.past_owners import owner_by_terms
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal

HOUR_MS = 4 * QUARTER_MS
ANNA, BEN = Resident("anna").wallet, Resident("ben").wallet


async def configure(writer: Writer, village: Village, at_ms: int, owner: str = "") -> None:
    """Put the village's terms into force, with another owner of ABB-1 or without that meter."""
    first, second = village.document["meter"]
    meters = [first | {"owner": owner}, second] if owner else [second]
    writer._clock.at_ms = at_ms  # type: ignore[attr-defined]
    terms = convert_terms(village.document | {"meter": meters})
    await writer.submit([inputs.configuration_input(terms)])


async def at_noon_and_two(journal: SqliteJournal, *owners: str) -> None:
    async with writer_on(journal) as writer:
        for number, owner in enumerate(owners):
            await configure(writer, Village(), NOON_MS + number * 2 * HOUR_MS + 1, owner)


@pytest.mark.parametrize(
    ("hours", "owner"),
    [
        ((-9, -8), ANNA),  # readings may be older than the first terms
        ((0, 2), ANNA),
        ((1, 3), ""),
        ((2, 4), BEN),
        ((4, 5), ""),  # no terms name it
    ],
)
async def test_who_owned_a_meter_stands_in_the_terms(
    tmp_path: Path, hours: tuple[int, int], owner: str
) -> None:
    async with journal_at(tmp_path / "journal.db") as journal:
        await at_noon_and_two(journal, "anna", "ben", "")
        span = [NOON_MS + hour * HOUR_MS for hour in hours]
        assert await owner_by_terms(journal, "ABB-1", *span) == owner
        assert await owner_by_terms(journal, "ABB-9", *span) == ""


async def test_terms_that_were_erased_say_nothing(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "journal.db") as journal:
        await at_noon_and_two(journal, "anna", "anna")
        span = NOON_MS, NOON_MS + HOUR_MS
        assert await owner_by_terms(journal, "ABB-1", *span) == ANNA
        await journal._write(
            lambda db: db.execute("UPDATE journal SET input = NULL, salt = NULL WHERE seq = 1")
        )
        assert await owner_by_terms(journal, "ABB-1", *span) == ""


async def test_a_correction_says_whose_it_is(tmp_path: Path) -> None:
    village = Village()
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, village) as api:
        at_ms = api.backend.clock.now_ms() - 8 * HOUR_MS
        first_ms = at_ms - at_ms % QUARTER_MS
        readings = [
            reading("ABB-1", first_ms + number * QUARTER_MS, number * KWH) for number in range(8)
        ]
        await api.send(village.north.next(readings))
        done = await correct(api, first_ms)
        assert (done["owner"], done["surplus_kwh"]) == (ANNA, "1.000000000")
        refused = await correct(api, first_ms - 365 * 86_400_000, status=400)
        assert "where the meter was first read, got" in refused["detail"]


async def correct(api: Api, from_ms: int, status: int = 200) -> dict[str, Any]:
    body = {
        "meter": "ABB-1",
        "from_ms": from_ms,
        "to_ms": from_ms + HOUR_MS,
        "import_kwh": "0",
        "export_kwh": "5",
        "reason": "the meter stood still",
    }
    answer = await api.post("/v1/operator/corrections", msgspec.json.encode(body), TOKEN)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found
