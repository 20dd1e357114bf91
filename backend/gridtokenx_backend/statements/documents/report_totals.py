"""The sums over all members' statements that the community's report is made of."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.statements.model.document import QualityCounts, StatementData
from gridtokenx_wire.units import parse_grx, parse_kwh

ENERGY_NAMES = (
    "import_kwh",
    "covered_kwh",
    "residual_kwh",
    "export_kwh",
    "minted_kwh",
    "bought_kwh",
    "sold_kwh",
    "unsold_kwh",
    "received_kwh",
    "given_kwh",
    "surplus_kwh",
)
QUALITY_NAMES = QualityCounts.__struct_fields__


class StatementTotals(msgspec.Struct, gc=False, kw_only=True):
    """What of a statement, or of all together, is in the report.

    `energy` is in µWh and by name, `quality` counts intervals by name.
    """

    members: int = 0
    meters: int = 0
    energy: dict[str, int] = {}
    quality: dict[str, int] = {}
    total_ugrx: int = 0
    alone_ugrx: int = 0
    compared: int = 0
    """For how many members it is known what the month would have cost without the community."""
    saved_ugrx: int = 0
    failed_checks: int = 0
    cost_ugrx: int = 0
    """What shared energy costs those who received it."""
    earned_ugrx: int = 0
    paid_ugrx: int = 0
    """What of it those who owe have paid on the ledger."""

    def add(self, other: StatementTotals) -> None:
        """Add another statement's."""
        self.members += other.members
        self.meters += other.meters
        for mine, others in ((self.energy, other.energy), (self.quality, other.quality)):
            for name, amount in others.items():
                mine[name] = mine.get(name, 0) + amount
        self.total_ugrx += other.total_ugrx
        self.alone_ugrx += other.alone_ugrx
        self.compared += other.compared
        self.saved_ugrx += other.saved_ugrx
        self.failed_checks += other.failed_checks
        self.cost_ugrx += other.cost_ugrx
        self.earned_ugrx += other.earned_ugrx
        self.paid_ugrx += other.paid_ugrx


def totals_of(data: StatementData) -> StatementTotals:
    """Return the part of a statement that the report counts."""
    energy = {name: parse_kwh(getattr(data.energy, name) or "0") for name in ENERGY_NAMES}
    quality = {
        name: sum(getattr(block.quality, name) for block in data.meters) for name in QUALITY_NAMES
    }
    alone, shared = data.alone, data.allocation
    return StatementTotals(
        members=1,
        meters=len(data.meters),
        energy=energy,
        quality=quality,
        total_ugrx=parse_grx(data.bill.total_grx),
        alone_ugrx=parse_grx(alone.total_grx) if alone else 0,
        compared=int(alone is not None),
        saved_ugrx=parse_grx(alone.saved_grx) if alone else 0,
        failed_checks=sum(not check.holds for check in data.checks),
        cost_ugrx=parse_grx(shared.cost_grx) if shared else 0,
        earned_ugrx=parse_grx(shared.earned_grx) if shared else 0,
        paid_ugrx=max(0, parse_grx(shared.paid_grx)) if shared else 0,
    )
