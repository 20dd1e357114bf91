"""A community whose every step is journaled as the writer would, for readers of journals."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.backend.village import HOUR_MS, START_MS, Village, convert_terms, order_input, reading

from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import Configured, NotJournaled, Result
from gridtokenx_backend.journal.entry import Entry, make_entry
from gridtokenx_backend.journal.port import TradeRow, trade_rows
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_wire.order import Instruction

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

    def configure(self, **changed: Any) -> Configured:
        """As the server does it: with the time zone's changes looked up."""
        self.document |= changed
        terms = convert_terms(self.document)
        zone = look_up(terms.community.time_zone)
        outcome = self.apply(inputs.configuration_input(terms, zone=zone))
        assert isinstance(outcome, Configured)
        return outcome

    def apply(self, input_: inputs.Input, at_ms: int | None = None) -> Result:
        result = super().apply(input_, at_ms)
        if not isinstance(result, NotJournaled):
            seq = self.community.entries
            self.entries.append(make_entry(seq, self.at_ms, input_, result, bytes(16)))
            self.trades += trade_rows(seq, self.at_ms, result)
        return result

    def tell(self, instruction: Instruction, at_ms: int | None = None) -> Result:
        """Signed, for the journal is read again as one is."""
        signers = {who.wallet: who for who in (self.anna, self.ben, self.cleo)}
        return self.apply(order_input(signers[instruction.wallet].sign(instruction)), at_ms)

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


__all__ = ["HOUR_MS", "START_MS", "TARIFF", "Chronicle"]
