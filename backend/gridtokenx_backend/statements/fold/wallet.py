"""What a month did to one wallet: balances from the public leaves, lines from the outcomes.

How much of a wallet's GRID was bought is computed here again, as the core does it and without its
queues: whatever leaves a wallet was minted, as long as it has minted GRID; only what covers import
was bought. When a month becomes final, the core compares the surplus that follows from this with
its own and refuses the step where they differ.
"""

from __future__ import annotations

from array import array

import msgspec

from gridtokenx_backend.core.model.ledger import ASSETS, GRID, Asset
from gridtokenx_backend.statements.fold.trade_lines import TradeSums
from gridtokenx_backend.statements.model.document import PostingKind


class MovementSum(msgspec.Struct, kw_only=True, gc=False):
    """The movements of one kind in one asset, added up."""

    amount: int = 0
    count: int = 0
    first_entry: int = 0
    last_entry: int = 0

    def add(self, amount: int, entry: int) -> None:
        """Add a movement that the journal's entry `entry` has."""
        self.amount += amount
        self.count += 1
        self.first_entry = self.first_entry or entry
        self.last_entry = entry


class WalletMonth:
    """What the fold knows of one wallet or account.

    `before`, `within` and `later` are what the leaves moved before, in and after the month, by
    asset. `bought_uwh` is GRID that was bought and is still there. `retired` is by interval of the
    month; `fed_in_uwh` left for the utility when this month became final. `held_uwh` is surplus
    that was held at the month's end, in place of being minted.
    """

    __slots__ = (
        "before",
        "bought",
        "bought_uwh",
        "fed_in_uwh",
        "held_uwh",
        "later",
        "minted_later_uwh",
        "minted_uwh",
        "retired",
        "sold",
        "sums",
        "within",
    )

    def __init__(self) -> None:
        self.before = dict.fromkeys(ASSETS, 0)
        self.within = dict.fromkeys(ASSETS, 0)
        self.later = dict.fromkeys(ASSETS, 0)
        self.sums: dict[tuple[str, PostingKind], MovementSum] = {}
        self.bought_uwh = 0
        self.minted_uwh = 0
        self.minted_later_uwh = 0
        self.bought = TradeSums()
        self.sold = TradeSums()
        self.retired: array[int] | None = None
        self.fed_in_uwh = 0
        self.held_uwh = 0

    @property
    def minted_by_end_uwh(self) -> int:
        """What was ever minted to the wallet by the month's end."""
        return self.minted_uwh - self.minted_later_uwh

    def balance(self, asset: Asset) -> int:
        """Return what the wallet has at the end of what was read."""
        return self.before[asset] + self.within[asset] + self.later[asset]

    def sum_of(self, asset: str, kind: PostingKind) -> MovementSum:
        """Return the sum of the movements of a kind; a new one is kept."""
        known = self.sums.get((asset, kind))
        if known is None:
            known = self.sums[asset, kind] = MovementSum()
        return known

    @property
    def surplus_uwh(self) -> int:
        """GRID that was minted to the wallet and is still there."""
        return self.balance(GRID) - self.bought_uwh
