"""A meter that is read at times of a test's choosing, and the intervals that this gives."""

from __future__ import annotations

from typing import Any

from tests.backend.village import Village, meter_terms, reading

from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_wire.verdict import Reason

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
T0 = 1_780_000_200_000 // INTERVAL_MS * INTERVAL_MS


class Metered:
    """A village whose one meter is read at times of the test's choosing."""

    def __init__(self, at_ms: int = T0 + 200 * HOUR_MS, **terms: Any) -> None:
        self.village = Village(
            oracle={"oldest_reading_s": 10**9},
            interval={"correction_hours": 8760, "finality_hours": 8760} | terms,
        )
        self.meter(max_power_kw="1000", min_interval_s=0)
        self.village.at_ms = at_ms
        self.rows: dict[int, IntervalEnergy] = {}

    def meter(self, **terms: Any) -> None:
        village = self.village
        village.configure(meter=[meter_terms("ABB-1", village.north, village.anna, **terms)])

    def read(self, *readings: tuple[int, int, int]) -> list[str]:
        """The verdicts on a frame of (time, import, export)."""
        rows = [reading("ABB-1", at_ms, export, imported) for at_ms, imported, export in readings]
        outcome = self.village.send(self.village.north, *rows)
        assert isinstance(outcome, FrameAccepted), outcome
        self.said = [row for _, rows in outcome.intervals for row in rows]
        for row in self.said:
            former = self.rows.get(row.interval_ms)
            assert row.revision == (former.revision + 1 if former else 0)
            assert former is None or former != row
            self.rows[row.interval_ms] = row
        refused = dict(outcome.verdicts)
        return [Reason(refused.get(index, Reason.ACCEPTED)).label for index in range(len(readings))]

    def energy(self) -> list[tuple[int, int, int, str]]:
        """(interval's number, import, export, quality), in order of time."""
        return [
            (
                (row.interval_ms - T0) // INTERVAL_MS,
                row.import_uwh,
                row.export_uwh,
                Quality(row.quality).label,
            )
            for _, row in sorted(self.rows.items())
        ]

    @property
    def state(self) -> Any:
        return self.village.community.meters["ABB-1"]


def at(minutes: float) -> int:
    return T0 + round(minutes * MINUTE_MS)
