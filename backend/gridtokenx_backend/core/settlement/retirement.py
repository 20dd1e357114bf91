"""Retirement: bought GRID is used up against metered import, and cannot be sold again after it.

What a roof makes and its building uses at once reaches neither the import nor the export register,
so it is never a token.

The oldest import is covered first, with the oldest purchase first. A wallet's GRID is minted or
bought. A sale takes what was minted first, and then the oldest purchase. Import can be covered for
as long after its interval as the terms say. After that the utility has delivered it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridtokenx_backend.core.messages.outcomes import Trade
from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import GRID, RETIRED, Movement
from gridtokenx_backend.core.model.registry import Member
from gridtokenx_backend.core.state.community import Community

_MOST_PURCHASES_BYTES = 1 << 16
"""4,096 purchases of a wallet. When there are more, the older half is joined to one."""


def note_trades(community: Community, trades: Sequence[Trade]) -> None:
    """Count what this entry's trades brought to buyers, and what sellers no longer have."""
    entry = community.entries + 1
    members = community.members
    for trade in trades:
        buyer = members[trade.buyer]
        buyer.bought_uwh += trade.quantity_uwh
        buyer.purchases = queues.add(buyer.purchases, entry, trade.quantity_uwh)
        if len(buyer.purchases) > _MOST_PURCHASES_BYTES:
            _shorten(buyer, buyer.purchases)
    for trade in trades:
        note_spent(community, members[trade.seller])


def note_spent(community: Community, member: Member) -> None:
    """Count what GRID that left the wallet took of the purchases: what was minted went first."""
    if member.bought_uwh:
        owned_uwh = community.ledger.posted(member.wallet, GRID)
        member.bought_uwh = min(member.bought_uwh, owned_uwh)


def book_energy(community: Community, closed: Mapping[str, Sequence[IntervalEnergy]]) -> None:
    """Count the import to cover and the export to sell of closed intervals, by meter, each once.

    A meter of the policy `net` uses its own production first, interval by interval.
    """
    for name, rows in closed.items():
        meter = community.meters[name]
        for row in rows:
            member = community.members[meter.owner_at(row.interval_ms)]
            used_uwh = row.import_uwh
            if meter.rules.policy == "net":
                used_uwh = max(0, row.import_uwh - row.export_uwh)
                member.interval_export_uwh += row.export_uwh - row.import_uwh
            else:
                member.interval_export_uwh += row.export_uwh
            if used_uwh:
                add_import(member, row.interval_ms, used_uwh)


def add_import(member: Member, interval_ms: int, used_uwh: int) -> None:
    """Count import that can be covered from now on, less what was covered ahead."""
    member.interval_import_uwh += used_uwh
    if member.ahead_uwh:
        ahead_uwh = min(member.ahead_uwh, used_uwh)
        member.ahead_uwh -= ahead_uwh
        used_uwh -= ahead_uwh
    if used_uwh:
        member.open_import = queues.insert(member.open_import, interval_ms, used_uwh)


def retire(community: Community, at_ms: int) -> tuple[list[Retirement], list[Movement]]:
    """Retire all that can be retired, with one movement for each wallet."""
    retirements: list[Retirement] = []
    movements: list[Movement] = []
    lapsed_ms = at_ms - community.active_terms.cover_ms
    for member in community.members.values():
        if not member.open_import:
            continue
        queues.drop_below(member.open_import, lapsed_ms)
        if not member.bought_uwh:
            continue
        free_uwh = community.ledger.available(member.wallet, GRID)
        if covered := _cover_import(member, free_uwh):
            retirements += covered
            retired_uwh = sum(each.amount_uwh for each in covered)
            movement = Movement(asset=GRID, debit=member.wallet, credit=RETIRED, amount=retired_uwh)
            refusal = community.ledger.post([movement])
            assert refusal is None
            movements.append(movement)
    return retirements, movements


def _cover_import(member: Member, free_uwh: int) -> list[Retirement]:
    """Match imports with purchases, the oldest with the oldest, up to the wallet's free GRID."""
    _drop_sold(member)
    retirements: list[Retirement] = []
    limit_uwh = left_uwh = min(member.bought_uwh, free_uwh)
    while left_uwh > 0 and member.open_import:
        interval_ms, imported_uwh = queues.first(member.open_import)
        entry, bought_uwh = queues.first(member.purchases)
        amount_uwh = min(imported_uwh, bought_uwh, left_uwh)
        queues.take_first(member.open_import, amount_uwh)
        queues.take_first(member.purchases, amount_uwh)
        retirements.append(
            Retirement(
                wallet=member.wallet,
                interval_ms=interval_ms,
                bought_entry=entry,
                amount_uwh=amount_uwh,
            )
        )
        left_uwh -= amount_uwh
    member.bought_uwh -= limit_uwh - left_uwh
    member.retired_uwh += limit_uwh - left_uwh
    return retirements


def _drop_sold(member: Member) -> None:
    """Forget as much of the oldest purchases as was sold again."""
    sold_uwh = queues.total(member.purchases) - member.bought_uwh
    while sold_uwh > 0:
        part_uwh = min(sold_uwh, queues.first(member.purchases)[1])
        queues.take_first(member.purchases, part_uwh)
        sold_uwh -= part_uwh


def _shorten(member: Member, purchases: bytearray) -> None:
    """Forget sold purchases, and join the older half if many are left.

    The joining keeps this rare: it looks at all purchases of the wallet.
    """
    _drop_sold(member)
    if len(purchases) > _MOST_PURCHASES_BYTES // 2:
        queues.join_older_half(purchases)
