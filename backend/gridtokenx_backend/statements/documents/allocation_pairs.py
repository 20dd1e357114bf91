"""Who gave energy to whom in a month: the pairs of its newest allocations, added up by wallets.

Which producer served which consumer follows from an allocation's lines. It is computed here with
`pair_up`, the core's own function, so a mistake of that function is not noticed.
"""

from __future__ import annotations

from gridtokenx_backend.core.sharing.allocation import pair_up
from gridtokenx_backend.statements.fold.allocations import MonthAllocations
from gridtokenx_backend.statements.model.document import ServedEnergy
from gridtokenx_wire.units import format_kwh

MOST_PAIRS = 4_000_000
"""Of a month, over all intervals. More would take too long, and are left out."""


class PairSums:
    """The sums by pairs of wallets; `allocations` must not change once they were asked for."""

    def __init__(self, allocations: MonthAllocations) -> None:
        self._allocations = allocations
        self._sums: dict[tuple[str, str], int] | None = None

    def of(self, wallet: str) -> list[ServedEnergy]:
        """Return the wallets from which a wallet's energy came, and those to which it went."""
        if self._sums is None:
            self._sums = _sums(self._allocations)
        sums = sorted(self._sums.items())
        received = [
            ServedEnergy(wallet=giver, side="from", energy_kwh=format_kwh(energy_uwh))
            for (giver, taker), energy_uwh in sums
            if taker == wallet
        ]
        given = [
            ServedEnergy(wallet=taker, side="to", energy_kwh=format_kwh(energy_uwh))
            for (giver, taker), energy_uwh in sums
            if giver == wallet
        ]
        return received + given


def _sums(allocations: MonthAllocations) -> dict[tuple[str, str], int]:
    """Return the energy by giving and taking wallet; nothing if there are too many pairs."""
    producers = sorted(
        (meter, wallet, month)
        for wallet, meters in allocations.producers.items()
        for meter, month in meters.items()
    )
    consumers = sorted(
        (meter, wallet, month)
        for wallet, meters in allocations.consumers.items()
        for meter, month in meters.items()
    )
    sums: dict[tuple[str, str], int] = {}
    left = MOST_PAIRS
    for slot in allocations.slots:
        given = [
            (wallet, energy_uwh)
            for _, wallet, month in producers
            if (energy_uwh := month.given_uwh[slot])
        ]
        if not given:
            continue
        received = [
            (wallet, energy_uwh)
            for _, wallet, month in consumers
            if (energy_uwh := month.received_uwh[slot])
        ]
        left -= len(given) * len(received)
        if left < 0:
            return {}
        for pair in pair_up(given, received):
            key = pair.producer, pair.consumer
            sums[key] = sums.get(key, 0) + pair.energy_uwh
    return sums
