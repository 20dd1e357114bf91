"""A community whose every step is journaled as the writer would, for readers of journals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.backend.village import HOUR_MS, START_MS, Village, reading

from gridtokenx_backend.core import inputs
from gridtokenx_backend.core.outcomes import NotJournaled, Result
from gridtokenx_backend.evidence import Entry, make_entry
from gridtokenx_backend.journal import TradeRow, open_journal, trade_rows
from gridtokenx_backend.statements.energy import Interval
from gridtokenx_backend.statements.months import INTERVAL_MS

TARIFF = {
    "name": "household",
    "valid_from": "2026-01-01",
    "energy_grx_per_kwh": "0.3",
    "feed_in_grx_per_kwh": "0.07",
    "fixed_grx_per_month": "4.5",
    "window": [
        {"name": "night", "energy_grx_per_kwh": "0.2", "from_hour": 22, "to_hour": 6},
    ],
    "line": [{"name": "network and levies", "grx_per_kwh": "0.05", "basis": "import"}],
}


class Chronicle(Village):
    """A village that remembers its entries. Its time begins a little before June 2026 does."""

    def __init__(self, **terms: Any) -> None:
        self.entries: list[Entry] = []
        self.trades: list[TradeRow] = []
        self._stored = 0
        self.registers: dict[str, tuple[int, int]] = {}
        super().__init__(**({"tariff": [TARIFF]} | terms))

    def apply(self, given: inputs.Input, at_ms: int | None = None) -> Result:
        result = super().apply(given, at_ms)
        if not isinstance(result, NotJournaled):
            seq = self.community.entries
            self.entries.append(make_entry(seq, self.at_ms, given, result, bytes(16)))
            self.trades += trade_rows(seq, self.at_ms, result)
        return result

    def meter_reads(
        self, gateway: Any, meter: str, at_ms: int, imported_uwh: int = 0, exported_uwh: int = 0
    ) -> Result:
        """The meter's registers have gone on by so much when they are read at `at_ms`."""
        import_uwh, export_uwh = self.registers.get(meter, (0, 0))
        self.registers[meter] = (import_uwh + imported_uwh, export_uwh + exported_uwh)
        self.at_ms = max(self.at_ms, at_ms)
        import_uwh, export_uwh = self.registers[meter]
        return self.send(gateway, reading(meter, at_ms, export_uwh, import_uwh))

    def store(self, path: Path) -> Path:
        """Appends what has come since the last time to the journal at `path`."""

        async def append() -> None:
            journal = await open_journal(path)
            try:
                new = self.entries[self._stored :]
                seqs = {entry.seq for entry in new}
                await journal.append(new, [row for row in self.trades if row.seq in seqs])
            finally:
                await journal.close()

        asyncio.run(append())
        self._stored = len(self.entries)
        return path


class Measured:
    """Interval energy that a test makes up, by meter."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, Interval]] = {}

    def put(self, meter: str, *rows: Interval) -> None:
        self.rows.setdefault(meter, {}).update({row.interval_ms: row for row in rows})

    def spread(
        self, meter: str, from_ms: int, to_ms: int, import_uwh: int = 0, export_uwh: int = 0
    ) -> None:
        """The same in every interval of [from_ms, to_ms)."""
        for at_ms in range(from_ms, to_ms, INTERVAL_MS):
            self.put(meter, Interval(at_ms, import_uwh, export_uwh))

    def intervals(self, meter: str, from_ms: int, to_ms: int) -> Iterable[Interval]:
        found = self.rows.get(meter, {})
        return [found[at_ms] for at_ms in sorted(found) if from_ms <= at_ms < to_ms]


__all__ = ["HOUR_MS", "START_MS", "TARIFF", "Chronicle", "Measured"]
