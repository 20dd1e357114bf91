"""The double-entry ledger: accounts × assets, moved by transfers only, with escrow.

For every asset the sum over all accounts is zero: what exists is what the issuer's account owes. No
other account goes below zero. Amounts can only grow beyond 64 bits where something is issued, so
that is where it is refused: no account can hold more than was issued.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Literal

import msgspec

from gridtokenx_wire.units import MAX_AMOUNT

Asset = Literal["GRID", "GRX", "REC"]
GRID: Final = "GRID"
GRX: Final = "GRX"
REC: Final = "REC"
ASSETS: Final[tuple[Asset, ...]] = (GRID, GRX, REC)
FEES: Final = "community:fees"
WHEELING: Final = "community:wheeling"
LOSSES: Final = "community:losses"
CONGESTION: Final = "community:congestion"
"""What links between zones of different prices earn."""
RETIRED: Final = "community:retired"
FED_IN: Final = "community:fed-in"
"""GRID for energy that was sold to the utility."""
COMMUNITY_ACCOUNTS: Final = (FEES, WHEELING, LOSSES, CONGESTION, RETIRED, FED_IN)


class LedgerRefusal(Enum):
    """Why the ledger refused transfers and left everything as it was; checked in this order."""

    NOT_POSITIVE = auto()
    OVERFLOW = auto()
    INSUFFICIENT_BALANCE = auto()


class Movement(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A transfer of `amount` base units of `asset` from account `debit` to account `credit`."""

    asset: Asset
    debit: str
    credit: str
    amount: int


class Pending(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The first phase of a transfer: `amount` is in escrow until it is posted or released."""

    account: str
    asset: Asset
    amount: int


class LedgerState(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """Balances by asset and account: what each owns, and what of that is held in escrow.

    `held` has only the accounts with something in escrow. `pendings` are by their numbers.
    """

    posted: dict[str, dict[str, int]]
    held: dict[str, dict[str, int]]
    pendings: dict[int, Pending]


def empty_ledger() -> LedgerState:
    """Return a ledger without balances."""
    return LedgerState(
        posted={asset: {} for asset in ASSETS}, held={asset: {} for asset in ASSETS}, pendings={}
    )


def issuer(asset: Asset) -> str:
    """Return the one account of an asset that may go below zero."""
    return f"issuer:{asset}"


_ISSUERS: Final = frozenset(issuer(asset) for asset in ASSETS)


class Ledger:
    """Applies transfers to its state, and remembers nothing beside it."""

    def __init__(self, state: LedgerState | None = None) -> None:
        self.state = state or empty_ledger()
        self._posted = self.state.posted
        self._held = self.state.held
        self._pendings = self.state.pendings

    def posted(self, account: str, asset: Asset) -> int:
        """Return what `account` owns; it is below zero only for an issuer."""
        return self._posted[asset].get(account, 0)

    def held(self, account: str, asset: Asset) -> int:
        """Return how much of what `account` owns is in escrow."""
        return self._held[asset].get(account, 0)

    def available(self, account: str, asset: Asset) -> int:
        """Return what `account` may spend: what it owns less what is in escrow."""
        return self._posted[asset].get(account, 0) - self._held[asset].get(account, 0)

    def post(self, linked: list[Movement]) -> LedgerRefusal | None:
        """Apply all movements, in order, or none of them and return why."""
        for done, movement in enumerate(linked):
            if refusal := self._refusal(movement):
                for undo in reversed(linked[:done]):
                    self._move(undo.asset, undo.credit, undo.debit, undo.amount)
                return refusal
            self._move(movement.asset, movement.debit, movement.credit, movement.amount)
        return None

    def _refusal(self, movement: Movement) -> LedgerRefusal | None:
        if movement.amount <= 0:
            return LedgerRefusal.NOT_POSITIVE
        if movement.debit in _ISSUERS:
            supply = movement.amount - self.posted(movement.debit, movement.asset)
            return LedgerRefusal.OVERFLOW if supply > MAX_AMOUNT else None
        if self.available(movement.debit, movement.asset) < movement.amount:
            return LedgerRefusal.INSUFFICIENT_BALANCE
        return None

    def _move(self, asset: Asset, debit: str, credit: str, amount: int) -> None:
        posted = self._posted[asset]
        posted[debit] = posted.get(debit, 0) - amount
        posted[credit] = posted.get(credit, 0) + amount

    def reserve(
        self, pending: int, account: str, asset: Asset, amount: int
    ) -> LedgerRefusal | None:
        """Put `amount` into escrow under the number `pending`, which must be new."""
        assert pending not in self._pendings
        if amount <= 0:
            return LedgerRefusal.NOT_POSITIVE
        if self.available(account, asset) < amount:
            return LedgerRefusal.INSUFFICIENT_BALANCE
        held = self._held[asset]
        held[account] = held.get(account, 0) + amount
        self._pendings[pending] = Pending(account=account, asset=asset, amount=amount)
        return None

    def reserved(self, pending: int) -> int:
        """Return what is in escrow under a number."""
        return self._pendings[pending].amount

    def pay(self, asset: Asset, debit: str, credit: str, amount: int) -> Movement:
        """Move an amount that the caller knows to be available."""
        posted = self._posted[asset]
        left = posted[debit] - amount
        assert amount > 0 <= left
        posted[debit] = left
        posted[credit] = posted.get(credit, 0) + amount
        return Movement(asset=asset, debit=debit, credit=credit, amount=amount)

    def post_pending(self, pending: int, credit: str, amount: int) -> Movement:
        """Move a part of an escrow, `amount`, to the account `credit`: the second phase."""
        source = self._pendings[pending]
        self._unhold(source, amount)
        self._move(source.asset, source.account, credit, amount)
        return Movement(asset=source.asset, debit=source.account, credit=credit, amount=amount)

    def release(self, pending: int, amount: int) -> None:
        """Give a part of an escrow back to its owner."""
        self._unhold(self._pendings[pending], amount)

    def close_pending(self, pending: int) -> None:
        """Give back what is left of an escrow and forget its number."""
        source = self._pendings.pop(pending)
        if source.amount:
            self._unhold(source, source.amount)

    def _unhold(self, source: Pending, amount: int) -> None:
        assert 0 < amount <= source.amount
        source.amount -= amount
        held = self._held[source.asset]
        left = held[source.account] - amount
        if left:
            held[source.account] = left
        else:
            del held[source.account]
