"""Bought GRID is retired against metered import: then the energy is used, and cannot be sold again.

Only import reaches the import register and only export the export register: what a roof makes and
its house uses at once is in neither, so it is never a token.

The oldest import is covered first, with the oldest purchase first. A wallet's GRID is minted or
bought; a sale takes what was minted first, and then the oldest purchase. Import can be covered for
as long as the terms say after its interval; then it is the utility's.
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
"""Beyond 4,096 purchases of a wallet the older half counts as one."""


def note_trades(community: Community, trades: Sequence[Trade]) -> None:
    """Counts what was bought in the entry that is being made, and what of it was sold again."""
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
    """GRID left the wallet: what was minted went first."""
    if member.bought_uwh:
        owned_uwh = community.ledger.posted(member.wallet, GRID)
        member.bought_uwh = min(member.bought_uwh, owned_uwh)


def book_energy(community: Community, taken: Mapping[str, Sequence[IntervalEnergy]]) -> None:
    """Takes the closed intervals of meters, each once: what is to be covered, and what to sell.

    A meter of the policy `net` uses its own production first, interval by interval.
    """
    for name, rows in taken.items():
        meter = community.meters[name]
        member = community.members[meter.owner]
        for row in rows:
            used_uwh = row.import_uwh
            if meter.rules.policy == "net":
                used_uwh = max(0, row.import_uwh - row.export_uwh)
                member.interval_export_uwh += row.export_uwh - row.import_uwh
            else:
                member.interval_export_uwh += row.export_uwh
            if used_uwh:
                add_import(member, row.interval_ms, used_uwh)


def add_import(member: Member, interval_ms: int, used_uwh: int) -> None:
    """Import that can be covered from now on, less what was covered ahead."""
    member.interval_import_uwh += used_uwh
    if member.ahead_uwh:
        ahead_uwh = min(member.ahead_uwh, used_uwh)
        member.ahead_uwh -= ahead_uwh
        used_uwh -= ahead_uwh
    if used_uwh:
        member.open_import = queues.insert(member.open_import, interval_ms, used_uwh)


def retire(community: Community, at_ms: int) -> tuple[list[Retirement], list[Movement]]:
    """Retires all that can be, with one movement for each wallet."""
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
        if retired_uwh := _retire(member, free_uwh, retirements):
            movement = Movement(GRID, member.wallet, RETIRED, retired_uwh)
            refusal = community.ledger.post([movement])
            assert refusal is None
            movements.append(movement)
    return retirements, movements


def _retire(member: Member, free_uwh: int, retirements: list[Retirement]) -> int:
    """Matches imports with purchases, oldest with oldest; how much it was."""
    _drop_sold(member)
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
    return limit_uwh - left_uwh


def _drop_sold(member: Member) -> None:
    """Forgets the oldest purchases of what was sold again."""
    sold_uwh = queues.total(member.purchases) - member.bought_uwh
    while sold_uwh > 0:
        part_uwh = min(sold_uwh, queues.first(member.purchases)[1])
        queues.take_first(member.purchases, part_uwh)
        sold_uwh -= part_uwh


def _shorten(member: Member, purchases: bytearray) -> None:
    """Not again soon, whatever is left of them: it looks at all."""
    _drop_sold(member)
    if len(purchases) > _MOST_PURCHASES_BYTES // 2:
        queues.join_older_half(purchases)
