"""An independent check of retirement: bought GRID that covers metered import.

Three things are computed without the core's queues: that an entry retires as much on the ledger as
its retirements say; that nobody retires more than they bought and did not sell again (`wallet`
counts that); and that no interval is covered beyond its import.

Not noticed are: retirement that covers another interval or another purchase than the oldest one,
that comes too early or too late, or that does not come at all. An interval that a late reading or a
correction revised is not compared with what covers it, nor is any interval of a member whose
metering points changed owner or policy during the month. After an entry whose private part was
erased, it is no longer certain what was bought, and that is not checked any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.model.ledger import GRID, RETIRED, Movement
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.findings import Finding, unequal_energies
from gridtokenx_wire.units import format_kwh


def wrong_movements(
    retirements: Iterable[Retirement], movements: Iterable[Movement], entry: int
) -> Iterator[Finding]:
    """Return a finding for each wallet whose retirements are not what the ledger moved.

    Not for a clearing that shared energy by the key: it retires what it shared as well.
    """
    recorded: dict[str, int] = {}
    for retirement in retirements:
        wallet = retirement.wallet
        recorded[wallet] = recorded.get(wallet, 0) + retirement.amount_uwh
    moved: dict[str, int] = {}
    for movement in movements:
        if movement.asset == GRID and movement.credit == RETIRED:
            moved[movement.debit] = moved.get(movement.debit, 0) + movement.amount
    text = "bought GRID retired against import = GRID that left for it"
    return unequal_energies(entry, text, recorded, moved)


def more_than_bought(wallet: str, excess_uwh: int, entry: int) -> Finding:
    """Return the finding that an entry retired `excess_uwh` more than was bought and not sold."""
    return Finding(
        wallet=wallet,
        entry=entry,
        text="GRID retired against import beyond what was bought",
        found=format_kwh(excess_uwh),
        expected=format_kwh(0),
    )


def excess_by_interval(
    meters: Sequence[MeteredSpan], retired: Sequence[int], intervals: int
) -> dict[int, int]:
    """Return by interval of the month how much more was retired than a member's meters imported.

    All in µWh. Empty where the metering points were not the member's during the whole month.
    """
    if any((each.span.first, each.span.end) != (0, intervals) for each in meters):
        return {}
    excess: dict[int, int] = {}
    for slot, retired_uwh in enumerate(retired):
        if not retired_uwh or any(each.is_revised_at(slot) for each in meters):
            continue
        imported_uwh = sum(each.used_uwh_at(slot) for each in meters)
        if retired_uwh > imported_uwh:
            excess[slot] = retired_uwh - imported_uwh
    return excess
