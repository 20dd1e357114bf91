"""A community that shares, journaled through the core: a plant and two flats in Vienna."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.backend.statements.month_journal import Chronicle
from tests.backend.village import KWH, meter_terms

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.grid_data import GridData, GridSeries, Quantity
from gridtokenx_backend.core.messages.outcomes import Configured, IntervalCleared
from gridtokenx_backend.core.messages.sharing_outcomes import GridDataImported
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.statements.documents.books import Books
from gridtokenx_backend.statements.documents.report import CommunityReport, report_of
from gridtokenx_backend.statements.documents.report_totals import totals_of
from gridtokenx_backend.statements.model.document import StatementData
from gridtokenx_backend.statements.model.months import month_of

WH = KWH // 1000
ZONE = "Europe/Vienna"
GRACE_MS = 300_000
PLANT, FLAT_B, FLAT_C = METERS = ("plant", "flat-b", "flat-c")
Energies = tuple[int | None, int | None, int | None]
"""Of an interval, in Wh: what the plant made and the flats used; None: no reading yet."""


def local_ms(text: str) -> int:
    """Return a local time in Vienna as Unix ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()) * 1000


def key(mode: str, version: int = 1, **other: Any) -> dict[str, Any]:
    return {"version": version, "valid_from": "2026-01-01T00:00:00Z", "mode": mode, **other}


class SharedMonth(Chronicle):
    """Anna has the plant, ben and cleo a flat each. Time begins at `begin_ms`."""

    def __init__(
        self, begin_ms: int, keys: Sequence[dict[str, Any]], terms: Any = None, **sharing: Any
    ) -> None:
        self.begin_ms = begin_ms
        self.month = month_of(begin_ms, ZONE)
        self._read: dict[str, int] = {}
        self._energies: list[Energies] = []
        super().__init__(
            community={"name": "lane", "time_zone": ZONE, "mode": keys[0]["mode"]},
            sharing={"key": list(keys), "price_grx_per_kwh": "0.12"} | sharing,
            **(terms or {}),
        )
        for meter in METERS:
            self.read(meter, 0)

    def configure(self, **changed: Any) -> Configured:
        if not self.entries:
            self.at_ms = self.begin_ms
            self.document["meter"] = [
                meter_terms(PLANT, self.north, self.anna),
                meter_terms(FLAT_B, self.north, self.ben),
                meter_terms(FLAT_C, self.south, self.cleo),
            ]
        return super().configure(**changed)

    def read(self, meter: str, number: int, energy_wh: int = 0) -> None:
        """The reading at the begin of the interval `number`; the energy came since the last."""
        at_ms = self.begin_ms + number * INTERVAL_MS
        gateway = self.south if meter == FLAT_C else self.north
        energy_uwh = energy_wh * WH
        is_plant = meter == PLANT
        self.meter_reads(gateway, meter, at_ms, energy_uwh * (not is_plant), energy_uwh * is_plant)

    def quarter(self, *energies_wh: int | None) -> None:
        """The next interval: its readings, but for None, and then it is cleared."""
        number = len(self._energies)
        made, used_b, used_c = energies_wh
        self._energies.append((made, used_b, used_c))
        for meter, energy_wh in zip(METERS, energies_wh, strict=True):
            if energy_wh is not None:
                self.read(meter, number + 1, energy_wh)
        self.clear(number)

    def clear(self, number: int) -> IntervalCleared:
        interval_ms = self.begin_ms + number * INTERVAL_MS
        at_ms = max(self.at_ms, interval_ms + INTERVAL_MS + GRACE_MS)
        cleared = self.apply(inputs.clearing_input(interval_ms), at_ms)
        assert isinstance(cleared, IntervalCleared), cleared
        return cleared

    def operator_says(self, **series: tuple[str, Quantity, Sequence[int | None]]) -> None:
        """A file of the grid operator's: energies in Wh by meter and quantity, from the begin."""
        rows = [
            GridSeries(
                meter=meter,
                quantity=quantity,
                start_ms=self.begin_ms,
                energies_uwh=[None if energy is None else energy * WH for energy in energies],
                qualities="".join(
                    str(int(Quality.MISSING if energy is None else Quality.MEASURED))
                    for energy in energies
                ),
            )
            for meter, quantity, energies in series.values()
        ]
        source = hashlib.sha256(repr(series).encode()).hexdigest()
        taken = self.apply(
            inputs.grid_data_input(
                GridData(source=source, name="march.csv", format="csv", series=rows)
            )
        )
        assert isinstance(taken, GridDataImported), taken


def statements(
    village: SharedMonth, path: Path
) -> tuple[dict[str, StatementData], CommunityReport]:
    """Return the statements of anna, ben and cleo, and the report, after all checks hold."""
    village.store(path)
    with Books(path, village.month.name) as books:
        books.catch_up()
        people = {"anna": village.anna, "ben": village.ben, "cleo": village.cleo}
        found = {name: books.data(who.wallet) for name, who in people.items()}
        report = report_of(books, map(totals_of, map(books.data, books.wallets)), "open", 0)
    for data in found.values():
        assert [check for check in data.checks if not check.holds] == []
    assert [check for check in report.data.checks if not check.holds] == []
    return found, report
