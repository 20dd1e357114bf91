"""What a month did to one wallet."""

from __future__ import annotations

from array import array

import msgspec

from gridtokenx_backend.core.model.ledger import ASSETS, GRID
from gridtokenx_backend.statements.fold.trade_lines import TradeSums


class MovementSum(msgspec.Struct, gc=False):
    """The movements of one kind in one asset."""

    amount: int = 0
    count: int = 0
    first_entry: int = 0
    last_entry: int = 0

    def add(self, amount: int, entry: int) -> None:
        self.amount += amount
        self.count += 1
        self.first_entry = self.first_entry or entry
        self.last_entry = entry


class WalletMonth:
    """What the fold knows of one wallet. `within` is what the leaves moved in the month.

    `bought_uwh` is GRID that was bought and is still there: a sale takes what was minted before it.
    `retired` is by interval of the month, `fed_in_uwh` what left for the utility when this month
    became final.
    """

    __slots__ = (
        "before",
        "bought",
        "bought_uwh",
        "fed_in_uwh",
        "later",
        "minted_later_uwh",
        "minted_uwh",
        "retired",
        "retired_tally",
        "sold",
        "tallies",
        "within",
    )

    def __init__(self) -> None:
        self.before = dict.fromkeys(ASSETS, 0)
        self.within = dict.fromkeys(ASSETS, 0)
        self.later = dict.fromkeys(ASSETS, 0)
        self.tallies: dict[tuple[str, str], MovementSum] = {}
        self.bought_uwh = 0
        self.minted_uwh = 0
        self.minted_later_uwh = 0
        self.bought = TradeSums()
        self.sold = TradeSums()
        self.retired: array[int] | None = None
        self.retired_tally = MovementSum()
        self.fed_in_uwh = 0

    @property
    def minted_by_end_uwh(self) -> int:
        """What was ever minted to it by the month's end."""
        return self.minted_uwh - self.minted_later_uwh

    def owned(self, asset: str) -> int:
        """At the end of what was read."""
        return self.before[asset] + self.within[asset] + self.later[asset]

    def tally(self, asset: str, kind: str) -> MovementSum:
        """The sum of this kind, from now on there."""
        found = self.tallies.get((asset, kind))
        if found is None:
            found = self.tallies[asset, kind] = MovementSum()
        return found

    @property
    def surplus_uwh(self) -> int:
        """GRID that was minted and is still there."""
        return self.owned(GRID) - self.bought_uwh
