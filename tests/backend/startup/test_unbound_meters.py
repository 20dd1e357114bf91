"""New terms that take a meter away are told where it was read, or where energy is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.backend.parts import journal_at
from tests.backend.serving import api_on
from tests.backend.village import (
    KWH,
    START_MS,
    Village,
    convert_terms,
    meter_terms,
    reading,
    toml_of,
)

from gridtokenx_backend.startup.terms import apply_terms
from gridtokenx_backend.startup.unbound_meters import unbound_meters, warn


def village(*export_kwh: int) -> Village:
    """Anna's meter was read so often, and what it counted after a zero is held."""
    made = Village()
    made.configure(meter=[meter_terms("ABB-1", made.north, made.anna) | {"starts_at_zero": False}])
    for number, kwh in enumerate(export_kwh):
        made.at_ms = START_MS + number * 3_600_000
        made.send(made.north, reading("ABB-1", made.at_ms, kwh * KWH))
    return made


def warnings(made: Village, *meters: dict[str, Any]) -> list[Any]:
    terms = convert_terms(made.document | {"meter": list(meters)})
    community = made.community
    with capture_logs() as logs:
        found = unbound_meters(community.meters, community.devices, terms)
        warn(found, community.active_terms.time_zone)
    return [(each["meter"], each["why"], each["held_kwh"]) for each in logs]


def test_a_meter_that_was_read_is_told_whatever_takes_it_away() -> None:
    made = village(0, 3)
    same = meter_terms("ABB-1", made.north, made.anna)
    other = meter_terms("ABB-1", made.south, made.anna)
    held = "3.000000000"
    assert warnings(made) == [("ABB-1", "they do not name it", held)]
    assert warnings(made, same | {"active": False}) == [("ABB-1", "they switch it off", held)]
    assert warnings(made, other) == [("ABB-1", f"they bind it to {made.south.name}", held)]


@pytest.mark.parametrize("readings", [(), (0, 3)])
def test_a_meter_that_stays_or_was_never_read_is_not_told(readings: tuple[int, ...]) -> None:
    made = village(*readings)
    assert warnings(made, meter_terms("ABB-1", made.north, made.ben)) == []
    if not readings:
        assert warnings(made) == []


def test_a_meter_that_was_taken_away_before_is_told_once() -> None:
    made = village(0, 3)
    made.configure(meter=[])
    assert warnings(made) == []


async def test_a_start_with_new_terms_warns_before_they_are_in_force(tmp_path: Path) -> None:
    made = Village()
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, made) as api:
        await api.send(made.north.next([reading("ABB-1", START_MS)]))
        path = tmp_path / "community.toml"
        path.write_text(toml_of(made.document | {"meter": made.document["meter"][1:]}))
        with capture_logs() as logs:
            await apply_terms(api.writer, path)
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == [
        "new terms take a meter away from its gateway"
    ]
