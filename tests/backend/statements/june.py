"""Two months of a made-up community, journaled through the core: two zones, three members.

Anna and ben have a meter each; cleo has none and trades. Ben's night hours are cheaper at the
utility. Everything is a whole number of lots, so a reader can follow it by hand.
"""

from __future__ import annotations

from pathlib import Path

from tests.backend.statements.month_journal import Chronicle
from tests.backend.village import KWH, member_terms

from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month, parse_month

ZONE = "Europe/Vienna"
JUNE = parse_month("2026-06", ZONE)
JULY = parse_month("2026-07", ZONE)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class June(Chronicle):
    def __init__(self) -> None:
        super().__init__(
            community={"name": "lane", "time_zone": ZONE},
            interval={"enabled": False},
            zone=[{"name": "north"}, {"name": "south"}],
            link=[
                {
                    "from": "north",
                    "to": "south",
                    "capacity_kwh": "1000",
                    "wheeling_grx_per_kwh": "0.02",
                    "loss_bps": 500,
                    "loss_price_grx_per_kwh": "0.1",
                }
            ],
        )
        self.configure(
            member=[
                {**member_terms(self.anna, "1000"), "zone": "north"},
                {**member_terms(self.ben, "1000"), "zone": "south"},
                {**member_terms(self.cleo, "1000"), "zone": "north"},
            ]
        )

    def hour(
        self, gateway: object, meter: str, at_ms: int, imported_uwh: int = 0, exported_uwh: int = 0
    ) -> None:
        """An hour's energy that ends at `at_ms`, read every 15 minutes."""
        for n in range(1, 5):
            read_ms = at_ms - HOUR_MS + n * INTERVAL_MS
            self.meter_reads(gateway, meter, read_ms, imported_uwh // 4, exported_uwh // 4)

    def day(self, month: Month, number: int) -> None:
        """Sun at noon for anna, an evening and a night for ben, and what they trade."""
        midnight_ms = month.from_ms + (number - 1) * DAY_MS
        for hour in range(24):
            at_ms = midnight_ms + (hour + 1) * HOUR_MS
            sunny, dark = 10 <= hour < 14, hour >= 19 or hour < 2
            self.hour(self.north, "ABB-1", at_ms, 0 if sunny else KWH // 10, 2 * KWH * sunny)
            self.hour(self.south, "ABB-2", at_ms, (KWH // 2) * dark)
        self.trade(number)

    def trade(self, number: int) -> None:
        """Anna offers a part of what she has; cleo in her zone takes some, ben across the link."""
        issued_ms = self.at_ms
        price = f"0.1{number % 10}"
        name = f"{len(self.entries)}"
        self.accept(self.anna.order(f"a{name}", "sell", "5", price, issued_ms=issued_ms))
        cleos = self.cleo.order(f"c{name}", "buy", "1.5", "0.2", "IOC", issued_ms=issued_ms)
        self.accept(cleos)
        bens = self.ben.order(f"b{name}", "buy", "2.25", "0.25", "IOC", issued_ms=issued_ms)
        self.accept(bens)
        self.tick()  # bought energy covers import

    def begin(self) -> None:
        """First readings, at the beginning of June."""
        self.meter_reads(self.north, "ABB-1", JUNE.from_ms)
        self.meter_reads(self.south, "ABB-2", JUNE.from_ms)


def journaled(path: Path, days: int = 30, july_days: int = 3) -> June:
    """June, and the beginning of July, in the journal at `path`."""
    june = June()
    june.begin()
    for number in range(1, days + 1):
        june.day(JUNE, number)
    for number in range(1, july_days + 1):
        june.day(JULY, number)
    june.store(path)
    return june
