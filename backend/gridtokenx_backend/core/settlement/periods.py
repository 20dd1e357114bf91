"""Billing periods: a calendar month goes from open to provisional, final and revised.

Nothing is overwritten. Each step is a journal entry of its own that names the documents by their
hashes, and the steps of a month are numbered by revision. When a month becomes final, the energy
that was minted in it and that nobody bought goes to the utility.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridtokenx_backend.core.market.book import SELL
from gridtokenx_backend.core.messages.period_records import (
    PeriodChanged,
    PeriodCommand,
    PeriodRefusal,
    PeriodRefused,
)
from gridtokenx_backend.core.model.billing_periods import Period, PeriodStatus
from gridtokenx_backend.core.model.ledger import FED_IN, GRID, Movement
from gridtokenx_backend.core.model.local_time import local_text

if TYPE_CHECKING:
    from gridtokenx_backend.core.model.registry import Member
    from gridtokenx_backend.core.state.community import Community

_BEFORE: dict[PeriodStatus, frozenset[str]] = {
    "provisional": frozenset({"open", "provisional"}),
    "final": frozenset({"open", "provisional"}),
    "revised": frozenset({"final", "revised"}),
}
_SHA256_HEX = 64


def change_period(
    community: Community, command: PeriodCommand, at_ms: int
) -> PeriodChanged | PeriodRefused:
    """Take a step of a period. The step to `final` moves the unsold surplus to the utility."""
    period = community.periods.get(command.month)
    if refused := _refusal(community, command, period, at_ms):
        return refused
    movements: list[Movement] = []
    cancelled: list[int] = []
    for each in command.feed_in:
        if not each.fed_in_uwh:
            continue
        cancelled += _release(community, each.wallet, each.fed_in_uwh)
        movement = Movement(asset=GRID, debit=each.wallet, credit=FED_IN, amount=each.fed_in_uwh)
        refusal = community.ledger.post([movement])
        assert refusal is None
        movements.append(movement)
    entry = community.entries + 1
    if period is None:
        period = Period(
            status=command.status, from_ms=command.from_ms, to_ms=command.to_ms, entries=[]
        )
        community.periods[command.month] = period
    period.status = command.status
    period.entries = [*period.entries, entry]
    return PeriodChanged(
        month=command.month,
        status=command.status,
        revision=command.revision,
        movements=movements,
        cancelled=cancelled,
    )


def unsold_uwh(
    community: Community, member: Member, minted_uwh: int, given_later_uwh: int = 0
) -> int:
    """Return what a wallet still has of the GRID that was minted up to the mark `minted_uwh`.

    A sale takes minted GRID before bought GRID, and the oldest first. A sharing key gives away what
    was minted in the same interval: `given_later_uwh` is what it gave for intervals after the mark.
    """
    surplus_uwh = community.ledger.posted(member.wallet, GRID) - member.bought_uwh
    return max(0, surplus_uwh - max(0, member.minted_uwh - minted_uwh - given_later_uwh))


def _refusal(
    community: Community, command: PeriodCommand, period: Period | None, at_ms: int
) -> PeriodRefused | None:
    if fault := _fault(command):
        return PeriodRefused(PeriodRefusal.BAD_PERIOD, fault)
    if period is not None and (period.from_ms, period.to_ms) != (command.from_ms, command.to_ms):
        detail = f"expected the bounds {period.from_ms} and {period.to_ms} that it had before"
        return PeriodRefused(PeriodRefusal.BAD_PERIOD, detail)
    if at_ms < command.to_ms:
        end = local_text(community.active_terms.time_zone, command.to_ms)
        detail = f"expected a month that is over; {command.month} ends at {end}"
        return PeriodRefused(PeriodRefusal.NOT_ENDED, detail)
    now = period.status if period else "open"
    if now not in _BEFORE[command.status]:
        expected = " or ".join(sorted(_BEFORE[command.status]))
        detail = f"expected a month that is {expected}; {command.month} is {now}"
        return PeriodRefused(PeriodRefusal.WRONG_STATUS, detail)
    revision = period.revision + 1 if period else 1
    if command.revision != revision:
        detail = f"expected revision {revision}, got {command.revision}"
        return PeriodRefused(PeriodRefusal.WRONG_REVISION, detail)
    if command.status == "final":
        return _final_refusal(community, command)
    return None


def _fault(command: PeriodCommand) -> str:
    if not 0 <= command.from_ms < command.to_ms:
        return "expected from_ms before to_ms"
    hashes = [sha256 for _, sha256 in command.documents]
    hashes += [command.report] if command.report else []
    if any(len(each) != _SHA256_HEX for each in hashes):
        return "expected SHA-256 hashes in hex"
    if command.feed_in and command.status != "final":
        return "expected feed_in with final only"
    if len({each.wallet for each in command.feed_in}) < len(command.feed_in):
        return "expected each wallet once in feed_in"
    return ""


def _final_refusal(community: Community, command: PeriodCommand) -> PeriodRefused | None:
    for month, other in community.periods.items():
        is_open = other.status == "provisional" and other.to_ms <= command.from_ms
        if is_open or (other.status != "provisional" and other.from_ms >= command.to_ms):
            detail = f"expected {min(month, command.month)} to be final before the month after it"
            return PeriodRefused(PeriodRefusal.OUT_OF_ORDER, detail)
    for each in command.feed_in:
        member = community.members.get(each.wallet)
        if member is None:
            return PeriodRefused(PeriodRefusal.UNKNOWN_WALLET, "expected wallets of members")
        if not 0 <= each.minted_uwh <= member.minted_uwh:
            detail = f"expected minted_uwh of at most {member.minted_uwh} µWh of {each.wallet}"
            return PeriodRefused(PeriodRefusal.BAD_PERIOD, detail)
        found_uwh = unsold_uwh(community, member, each.minted_uwh, each.given_later_uwh)
        if found_uwh != each.fed_in_uwh:
            detail = (
                f"expected documents made of the newest entries: {each.wallet} has {found_uwh} µWh"
                f" of unsold surplus, its document {each.fed_in_uwh}"
            )
            return PeriodRefused(PeriodRefusal.STALE, detail)
    return None


def _release(community: Community, wallet: str, amount_uwh: int) -> list[int]:
    """Cancel sell orders, newest first, until so much GRID is free. Return their numbers."""
    cancelled: list[int] = []
    if community.ledger.available(wallet, GRID) >= amount_uwh:
        return cancelled
    books = ((community.book, community.market), (community.interval.book, community.interval))
    selling = [
        (order.number, order, market)
        for book, market in books
        for order in book.of_wallet(wallet)
        if order.side == SELL
    ]
    for number, order, market in sorted(selling, key=_by_number, reverse=True):
        market.cancel(order)
        cancelled.append(number)
        if community.ledger.available(wallet, GRID) >= amount_uwh:
            break
    return cancelled


def _by_number(selling: tuple[int, object, object]) -> int:
    return selling[0]
