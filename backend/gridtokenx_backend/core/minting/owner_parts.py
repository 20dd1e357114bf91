"""Whose a meter's new surplus is, where its owner has changed since the reading before.

The next reading after a change brings what was moved before it, too: of the rest of an interval, or
of days in which the gateway was offline. Each interval is its owner's, as it is when a correction
changes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_backend.core.minting import minting
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.state.community import Community


def mint(
    community: Community,
    meter: Meter,
    rows: Sequence[IntervalEnergy],
    surplus_uwh: int,
    at_ms: int,
) -> list[Movement]:
    """Mint a meter's new surplus to its owners, and move the settled mark. Return the transfers."""
    movements: list[Movement] = []
    for owner, part_uwh in parts_of(meter, rows, surplus_uwh):
        minted = minting.mint(community, meter, owner, part_uwh, at_ms)
        if minted is not None:
            meter.settled_uwh += part_uwh
            movements += minted
    return movements


def parts_of(
    meter: Meter, rows: Sequence[IntervalEnergy], surplus_uwh: int
) -> list[tuple[str, int]]:
    """Return (wallet, µWh) of a meter's new surplus, the present owner's first.

    `rows` are the intervals that the frame which brought it has closed or revised.
    """
    closed = [row for row in rows if not row.revision]
    changed_ms = meter.former_owners[-1].until_ms if meter.former_owners else 0
    if not closed or closed[0].interval_ms >= changed_ms:
        return [(meter.owner, surplus_uwh)]
    if (now := intervals.still_open(meter)) is not None:
        closed.append(now)
    parts: dict[str, int] = {}
    left_uwh = surplus_uwh
    for row in reversed(closed):
        energy_uwh = row.export_uwh - (row.import_uwh if meter.rules.policy == "net" else 0)
        part_uwh = min(left_uwh, max(0, energy_uwh))
        owner = meter.owner_at(row.interval_ms)
        parts[owner] = parts.get(owner, 0) + part_uwh
        left_uwh -= part_uwh
    first = meter.owner_at(closed[0].interval_ms)
    parts[first] = parts.get(first, 0) + left_uwh
    return [(owner, part_uwh) for owner, part_uwh in parts.items() if part_uwh]
