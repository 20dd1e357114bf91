"""New intervals on their way into the store."""

from __future__ import annotations

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.series.day import DAY_MS


class Gathered:
    """New intervals by day and meter, up to the journal's entry `seq`."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.rows = 0
        self.days: dict[tuple[int, str], list[IntervalEnergy]] = {}

    def add(self, closed: list[tuple[str, list[IntervalEnergy]]]) -> None:
        for meter, rows in closed:
            self.rows += len(rows)
            for row in rows:
                self.days.setdefault((row.interval_ms // DAY_MS, meter), []).append(row)
