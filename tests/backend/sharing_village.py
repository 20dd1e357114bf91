"""A village that shares instead of trading: its meters are read at the bounds of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.backend.village import KWH, START_MS, Village, meter_terms, reading

from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.ledger import ASSETS, GRID, RETIRED, issuer
from gridtokenx_backend.core.sharing import interval_allocation
from gridtokenx_backend.core.sharing.interval_allocation import IntervalAllocations

FIRST_MS = START_MS - START_MS % INTERVAL_MS
VALID_FROM = "2026-01-01T00:00:00+00:00"
WH = KWH // 1000


def key(mode: str = "dynamic", version: int = 1, **other: Any) -> dict[str, Any]:
    return {"version": version, "valid_from": VALID_FROM, "mode": mode, **other}


class SharingVillage(Village):
    """Anna has a plant, ben and cleo consume. Registers are kept here, in µWh."""

    def __init__(self, mode: str = "dynamic", *keys: dict[str, Any], **sharing: Any) -> None:
        super().__init__()
        self.document["community"] = {"name": "lane", "mode": mode}
        self.document["meter"] = [
            meter_terms("plant", self.north, self.anna),
            meter_terms("flat-b", self.north, self.ben),
            meter_terms("flat-c", self.south, self.cleo),
        ]
        self.document["sharing"] = {"key": list(keys or [key(mode)]), **sharing}
        self.configure()
        self.cleared_by: list[int] = []
        self.registers = dict.fromkeys(("plant", "flat-b", "flat-c"), 0)
        self.read(FIRST_MS, plant=0, flat_b=0, flat_c=0)

    def read(self, at_ms: int, **energies_uwh: int) -> None:
        """A reading of each named meter; the energies are what came since the one before."""
        self.at_ms = max(self.at_ms, at_ms)
        for name, energy_uwh in energies_uwh.items():
            meter = name.replace("_", "-")
            self.registers[meter] += energy_uwh
            export, imported = (
                (self.registers[meter], 0) if meter == "plant" else (0, self.registers[meter])
            )
            gateway = self.south if meter == "flat-c" else self.north
            self.send(gateway, reading(meter, at_ms, export, imported))

    def quarter(self, number: int, **energies_uwh: int) -> None:
        """Energies of the interval `number`, read at its end."""
        self.read(FIRST_MS + (number + 1) * INTERVAL_MS, **energies_uwh)

    def clear(self, number: int) -> IntervalAllocations:
        """What the clearing of the interval `number` does."""
        cleared = interval_allocation.allocate(self.community, FIRST_MS + number * INTERVAL_MS)
        self.community.entries += 1
        self.cleared_by.append(self.community.entries)
        assert_balanced(self)
        return cleared

    def retired(self) -> int:
        return self.community.ledger.posted(RETIRED, GRID)


def assert_balanced(village: Village) -> None:
    """Every asset sums to zero, and nobody but an issuer owes anything."""
    for asset, accounts in village.community.ledger.state.posted.items():
        assert asset in ASSETS
        assert sum(accounts.values()) == 0
        assert all(amount >= 0 for name, amount in accounts.items() if name != issuer(asset))


def got(allocation: Allocation) -> dict[str, int | None]:
    """What each consuming meter received."""
    return {line.meter: line.received_uwh for line in allocation.consumers}


def gave(allocation: Allocation) -> dict[str, tuple[int, int, int]]:
    """What of each producing meter's energy was given, held back, and surplus."""
    return {
        line.meter: (line.given_uwh, line.held_uwh, line.surplus_uwh)
        for line in allocation.producers
    }


def only(allocations: Sequence[Allocation]) -> Allocation:
    (allocation,) = allocations
    return allocation
