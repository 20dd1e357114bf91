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
_INDEX: Final = {asset: index for index, asset in enumerate(ASSETS)}
FEES: Final = "community:fees"


class LedgerRefusal(Enum):
    """Why the ledger left everything as it was. Checked in this order."""

    NOT_POSITIVE = auto()
    OVERFLOW = auto()
    INSUFFICIENT_BALANCE = auto()


class Movement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`amount` base units of `asset` from the account `debit` to the account `credit`."""

    asset: str
    debit: str
    credit: str
    amount: int


class Account(msgspec.Struct, array_like=True, gc=False):
    """Per asset, in the order of ASSETS: what it owns, and how much of that is in escrow."""

    posted: list[int]
    held: list[int]


class Pending(msgspec.Struct, array_like=True, gc=False):
    """The first phase of a transfer: `amount` is reserved until it is posted or released."""

    account: str
    asset: str
    amount: int


class LedgerState(msgspec.Struct, array_like=True, gc=False):
    accounts: dict[str, Account]
    pendings: dict[int, Pending]


def issuer(asset: str) -> str:
    """The one account of an asset that may go below zero."""
    return f"issuer:{asset}"


_ISSUERS: Final = frozenset(issuer(asset) for asset in ASSETS)


class Ledger:
    """Applies transfers to its state; the state is all there is."""

    def __init__(self, state: LedgerState | None = None) -> None:
        self.state = state or LedgerState({}, {})
        self._accounts = self.state.accounts
        self._pendings = self.state.pendings

    def posted(self, account: str, asset: str) -> int:
        found = self._accounts.get(account)
        return found.posted[_INDEX[asset]] if found else 0

    def held(self, account: str, asset: str) -> int:
        found = self._accounts.get(account)
        return found.held[_INDEX[asset]] if found else 0

    def available(self, account: str, asset: str) -> int:
        """What `account` may spend: what it owns less what is in escrow."""
        found = self._accounts.get(account)
        if found is None:
            return 0
        index = _INDEX[asset]
        return found.posted[index] - found.held[index]

    def open_account(self, account: str) -> Account:
        """The account, made with zeros if it is new."""
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = Account([0, 0, 0], [0, 0, 0])
        return found

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
        index = _INDEX[asset]
        self.open_account(debit).posted[index] -= amount
        self.open_account(credit).posted[index] += amount

    def reserve(self, pending: int, account: str, asset: str, amount: int) -> LedgerRefusal | None:
        """Puts `amount` into escrow under the number `pending`, which must be new."""
        assert pending not in self._pendings
        if amount <= 0:
            return LedgerRefusal.NOT_POSITIVE
        if self.available(account, asset) < amount:
            return LedgerRefusal.INSUFFICIENT_BALANCE
        self._accounts[account].held[_INDEX[asset]] += amount
        self._pendings[pending] = Pending(account, asset, amount)
        return None

    def post_pending(self, pending: int, credit: str, amount: int) -> Movement:
        """The second phase for a part: `amount` leaves the escrow for the account `credit`."""
        held = self._pendings[pending]
        assert 0 < amount <= held.amount
        index = _INDEX[held.asset]
        held.amount -= amount
        source = self._accounts[held.account]
        source.held[index] -= amount
        source.posted[index] -= amount
        self.open_account(credit).posted[index] += amount
        return Movement(held.asset, held.account, credit, amount)

    def release(self, pending: int, amount: int) -> None:
        """Gives a part of the escrow back to its owner."""
        held = self._pendings[pending]
        assert 0 <= amount <= held.amount
        held.amount -= amount
        self._accounts[held.account].held[_INDEX[held.asset]] -= amount

    def close_pending(self, pending: int) -> None:
        """Gives back what is left of the escrow and forgets its number."""
        held = self._pendings.pop(pending)
        self._accounts[held.account].held[_INDEX[held.asset]] -= held.amount
