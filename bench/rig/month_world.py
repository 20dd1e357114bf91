"""A month of a neighbourhood: what 80 meters show every quarter of an hour. Seeded."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime

from gridtokenx_sim.physics.energy import Counted, MeterElement
from gridtokenx_sim.physics.household import Household
from gridtokenx_sim.physics.site import Sky
from gridtokenx_wire.reading import Reading

SLOTS = 96
SLOT_MS = 900_000
DAY_MS = SLOTS * SLOT_MS
END_MS = round(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1000)
_SEED = 7
_LATITUDE, _LONGITUDE = 48.2, 16.37
_LEAST_KWP, _MOST_KWP = 8, 20
_LEAST_WH, _MOST_WH = 1_800_000, 5_200_000


@dataclass(kw_only=True, frozen=True, slots=True)
class Scale:
    """The size of a month: the number of meters, and of days at the end of June."""

    days: int = 30
    prosumers: int = 12
    consumers: int = 68

    @property
    def start_ms(self) -> int:
        return END_MS - self.days * DAY_MS


@dataclass(kw_only=True, frozen=True, slots=True)
class MeterHistory:
    """A meter's name and its readings, day by day: 96 of them, at the start of each interval."""

    meter: str
    is_prosumer: bool
    days: list[list[Reading]]


def build_world(scale: Scale) -> list[MeterHistory]:
    """Return the histories of all meters, prosumers first; the same ones every time."""
    chance = random.Random(_SEED)
    sky = Sky(_LATITUDE, _LONGITUDE, _SEED)
    elements = [
        MeterElement(
            sky,
            Household(chance.randint(_LEAST_WH, _MOST_WH), _LATITUDE, _LONGITUDE, index),
            chance.randint(_LEAST_KWP, _MOST_KWP) * 1000 if index < scale.prosumers else 0,
            scale.start_ms,
            Counted(imported_mw_ms=0, exported_mw_ms=0),
        )
        for index in range(scale.prosumers + scale.consumers)
    ]
    histories = [
        MeterHistory(meter=f"HOUSE-{index:02}", is_prosumer=index < scale.prosumers, days=[])
        for index in range(len(elements))
    ]
    for day in range(scale.days):  # all meters of a day together: the sky keeps few days
        for history, element in zip(histories, elements, strict=True):
            history.days.append(_readings(history.meter, element, scale.start_ms + day * DAY_MS))
    return histories


def _readings(meter: str, element: MeterElement, midnight_ms: int) -> list[Reading]:
    shown = [element.at(midnight_ms + slot * SLOT_MS) for slot in range(SLOTS)]
    return [
        Reading(
            meter=meter,
            time_ms=at.time_ms,
            import_uwh=at.import_uwh,
            export_uwh=at.export_uwh,
            power_w=at.power_mw // 1000,
        )
        for at in shown
    ]
