"""An independent check of the ledger's movements: balances, feed-in, and the public part.

The fold adds up the movements of the public leaves from the first entry on. No account but an
issuer's may ever be below zero. What leaves for the utility when a month becomes final must be what
the step named. The leaf of an entry must have the movements of its private outcome.

The sum over all accounts is zero in any case, because the fold takes each movement from one account
and gives it to another: that line of the report checks the fold and not the core. Not noticed are
movements that should not have been made and leave all balances above zero, such as GRID that was
minted for no export, or a deposit that was booked twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gridtokenx_backend.core.messages.period_records import FeedIn
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.statements.fold.findings import COMMUNITY, Finding, unequal_energies
from gridtokenx_backend.statements.fold.posting_kinds import is_wallet, spell


def below_zero(account: str, asset: str, balance: int, entry: int) -> Finding:
    """Return the finding that an entry left an account below zero."""
    return Finding(
        wallet=account if is_wallet(account) else COMMUNITY,
        entry=entry,
        text=f"{asset}: a balance below zero",
        found=spell(asset, balance),
        expected=spell(asset, 0),
    )


def wrong_feed_in(
    asked: Iterable[FeedIn], movements: Iterable[Movement], entry: int
) -> Iterator[Finding]:
    """Return a finding for each wallet of which other energy left than the step named."""
    named = {each.wallet: each.fed_in_uwh for each in asked if each.fed_in_uwh}
    moved: dict[str, int] = {}
    for movement in movements:
        moved[movement.debit] = moved.get(movement.debit, 0) + movement.amount
    text = "unsold surplus that left for the utility = that of the month's documents"
    return unequal_energies(entry, text, moved, named)


def wrong_leaf(
    private: Sequence[Movement], public: Sequence[Movement], entry: int
) -> Iterator[Finding]:
    """Yield a finding if the public part of an entry has other movements than its outcome."""
    if list(private) == list(public):
        return
    same = sum(mine == other for mine, other in zip(private, public, strict=False))
    yield Finding(
        wallet=COMMUNITY,
        entry=entry,
        text="movements of an entry's public part that are not those of its outcome",
        found=str(max(len(private), len(public)) - same),
        expected="0",
    )
