"""New intervals that are not in the store yet."""

from __future__ import annotations

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.series.day import DAY_MS


class SeriesBuffer:
    """New intervals by day and meter, up to the journal's entry `seq`. `rows` is their number."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.rows = 0
        self.days: dict[tuple[int, str], list[IntervalEnergy]] = {}

    def add(self, closed: list[tuple[str, list[IntervalEnergy]]]) -> None:
        """Add the intervals that a journal entry has closed, by meter."""
        for meter, rows in closed:
            self.rows += len(rows)
            for row in rows:
                self.days.setdefault((row.interval_ms // DAY_MS, meter), []).append(row)
