"""Double entry: accounts × assets, transfers only, escrow by pending transfers.

Every asset sums to zero over all accounts: what exists is what its issuer owes. No account but an
issuer's goes below zero. Overflow can only happen where something is issued, so it is refused
there: no account can hold more than was issued.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from gridtokenx_wire.units import MAX_AMOUNT

GRID: Final = "GRID"
GRX: Final = "GRX"
REC: Final = "REC"
ASSETS: Final = (GRID, GRX, REC)
FEES: Final = "community:fees"
WHEELING: Final = "community:wheeling"
LOSSES: Final = "community:losses"
CONGESTION: Final = "community:congestion"
"""What links earn between zones of different prices."""
RETIRED: Final = "community:retired"
FED_IN: Final = "community:fed-in"
"""GRID whose energy went to the utility."""
COMMUNITY_ACCOUNTS: Final = (FEES, WHEELING, LOSSES, CONGESTION, RETIRED, FED_IN)


class LedgerRefusal(Enum):
    """Why the ledger left everything as it was. Checked in this order."""

    NOT_POSITIVE = auto()
    OVERFLOW = auto()
    INSUFFICIENT_BALANCE = auto()


class Movement(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """`amount` base units of `asset` from the account `debit` to the account `credit`."""

    asset: str
    debit: str
    credit: str
    amount: int


class Pending(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The first phase of a transfer: `amount` is reserved until it is posted or released."""

    account: str
    asset: str
    amount: int


class LedgerState(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """Asset → account → what it owns, and what of that is in escrow (only where there is any)."""

    posted: dict[str, dict[str, int]]
    held: dict[str, dict[str, int]]
    pendings: dict[int, Pending]


def empty_ledger() -> LedgerState:
    return LedgerState(
        posted={asset: {} for asset in ASSETS}, held={asset: {} for asset in ASSETS}, pendings={}
    )


def issuer(asset: str) -> str:
    """The one account of an asset that may go below zero."""
    return f"issuer:{asset}"


_ISSUERS: Final = frozenset(issuer(asset) for asset in ASSETS)


class Ledger:
    """Applies transfers to its state; the state is all there is."""

    def __init__(self, state: LedgerState | None = None) -> None:
        self.state = state or empty_ledger()
        self._posted = self.state.posted
        self._held = self.state.held
        self._pendings = self.state.pendings

    def posted(self, account: str, asset: str) -> int:
        """What `account` owns; below zero only for an issuer."""
        return self._posted[asset].get(account, 0)

    def held(self, account: str, asset: str) -> int:
        """What of it is in escrow."""
        return self._held[asset].get(account, 0)

    def available(self, account: str, asset: str) -> int:
        """What `account` may spend: what it owns less what is in escrow."""
        return self._posted[asset].get(account, 0) - self._held[asset].get(account, 0)

    def post(self, linked: list[Movement]) -> LedgerRefusal | None:
        """Applies all movements, in order, or none of them."""
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

    def _move(self, asset: str, debit: str, credit: str, amount: int) -> None:
        posted = self._posted[asset]
        posted[debit] = posted.get(debit, 0) - amount
        posted[credit] = posted.get(credit, 0) + amount

    def reserve(self, pending: int, account: str, asset: str, amount: int) -> LedgerRefusal | None:
        """Puts `amount` into escrow under the number `pending`, which must be new."""
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
        """What is in escrow under a number."""
        return self._pendings[pending].amount

    def pay(self, asset: str, debit: str, credit: str, amount: int) -> Movement:
        """Moves what the caller knows to be available."""
        posted = self._posted[asset]
        left = posted[debit] - amount
        assert amount > 0 <= left
        posted[debit] = left
        posted[credit] = posted.get(credit, 0) + amount
        return Movement(asset=asset, debit=debit, credit=credit, amount=amount)

    def post_pending(self, pending: int, credit: str, amount: int) -> Movement:
        """The second phase for a part: `amount` leaves the escrow for the account `credit`."""
        source = self._pendings[pending]
        self._unhold(source, amount)
        self._move(source.asset, source.account, credit, amount)
        return Movement(asset=source.asset, debit=source.account, credit=credit, amount=amount)

    def release(self, pending: int, amount: int) -> None:
        """Gives a part of the escrow back to its owner."""
        self._unhold(self._pendings[pending], amount)

    def close_pending(self, pending: int) -> None:
        """Gives back what is left of the escrow and forgets its number."""
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
