"""Who served whom in a month: the pairs of its newest allocations, summed up by wallets."""

from __future__ import annotations

from gridtokenx_backend.core.sharing.allocation import pair_up
from gridtokenx_backend.statements.fold.allocations import MonthAllocations
from gridtokenx_backend.statements.model.document import ServedEnergy
from gridtokenx_wire.units import format_kwh

MOST_PAIRS = 4_000_000
"""In a month, over all intervals. Beyond them it would take too long, and is left out."""


class PairSums:
    """Pairs follow from an allocation's lines alone, so what the fold keeps is enough.

    They are made once, when they are first asked for; `shares` must not change after that.
    """

    def __init__(self, shares: MonthAllocations) -> None:
        self._shares = shares
        self._sums: dict[tuple[str, str], int] | None = None

    def of(self, wallet: str) -> list[ServedEnergy]:
        """From whom a wallet's energy came, and to whom it went; each by wallet."""
        if self._sums is None:
            self._sums = _sums(self._shares)
        sums = sorted(self._sums.items())
        got = [
            ServedEnergy(giver, "from", format_kwh(energy_uwh))
            for (giver, taker), energy_uwh in sums
            if taker == wallet
        ]
        gave = [
            ServedEnergy(taker, "to", format_kwh(energy_uwh))
            for (giver, taker), energy_uwh in sums
            if giver == wallet
        ]
        return got + gave


def _sums(shares: MonthAllocations) -> dict[tuple[str, str], int]:
    """By the wallets of the producing and of the consuming meter; nothing if there are too many."""
    makers = sorted((meter, wallet) for wallet, made in shares.given.items() for meter in made)
    takers = sorted((meter, wallet) for wallet, used in shares.taken.items() for meter in used)
    sums: dict[tuple[str, str], int] = {}
    left = MOST_PAIRS
    for slot in shares.slots:
        given = [
            (wallet, energy_uwh)
            for meter, wallet in makers
            if (energy_uwh := shares.given[wallet][meter].given_uwh[slot])
        ]
        if not given:
            continue
        received = [
            (wallet, energy_uwh)
            for meter, wallet in takers
            if (energy_uwh := shares.taken[wallet][meter].received_uwh[slot])
        ]
        left -= len(given) * len(received)
        if left < 0:
            return {}
        for pair in pair_up(given, received):
            key = pair.producer, pair.consumer
            sums[key] = sums.get(key, 0) + pair.energy_uwh
    return sums
