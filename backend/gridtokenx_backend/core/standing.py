"""Standing orders: the market for members who never look at it.

At every tick each one is looked at, in the order in which members joined: a seller's free GRID,
and what a buyer has imported and not yet ordered, become ordinary orders. What rests keeps its
priority; only what is new is ordered anew.
"""

from __future__ import annotations

from gridtokenx_backend.core.book import BUY, SELL
from gridtokenx_backend.core.community import Community
from gridtokenx_backend.core.ledger import GRID
from gridtokenx_backend.core.market import NewOrder
from gridtokenx_backend.core.outcomes import OrderAccepted
from gridtokenx_backend.core.registry import Member, StandingOrder


def place_all(community: Community, at_ms: int) -> list[OrderAccepted]:
    """Places what the standing orders ask for now."""
    placed: list[OrderAccepted] = []
    for member in community.members.values():
        if member.sell is not None:
            quantity_uwh = _to_sell(community, member, member.sell)
            price_ugrx = member.sell.price_ugrx
            _place(community, member, SELL, price_ugrx, quantity_uwh, placed, at_ms)
        if member.buy is not None:
            quantity_uwh = _to_buy(community, member, member.buy)
            price_ugrx = member.buy.price_ugrx
            if _place(community, member, BUY, price_ugrx, quantity_uwh, placed, at_ms):
                member.buy.covered_uwh += quantity_uwh
    return placed


def replace(
    community: Community,
    wallet: str,
    side: str,
    price_ugrx: int,
    keep_uwh: int,
    *,
    active: bool,
) -> list[int]:
    """Puts a standing order in place of the former one, whose resting orders are cancelled.

    Returns the numbers of those. A buyer's import counts from here on; what the cancelled orders
    had not bought yet is ordered again at the new price.
    """
    member = community.members[wallet]
    cancelled = [
        order for order in community.book.of_wallet(wallet) if order.standing and order.side == side
    ]
    for order in cancelled:
        community.market.cancel(order)
    successor = StandingOrder(price_ugrx, keep_uwh) if active else None
    if side == SELL:
        member.sell = successor
    else:
        uncovered_uwh = sum(order.remaining_uwh for order in cancelled) if member.buy else 0
        covered_uwh = member.buy.covered_uwh if member.buy else member.imported_uwh
        if successor:
            successor.covered_uwh = covered_uwh - uncovered_uwh
        member.buy = successor
    return [order.number for order in cancelled]


def _to_sell(community: Community, member: Member, order: StandingOrder) -> int:
    free_uwh = community.ledger.available(member.wallet, GRID) - order.keep_uwh
    return _whole_lots(community, free_uwh)


def _to_buy(community: Community, member: Member, order: StandingOrder) -> int:
    wanted_uwh = _whole_lots(community, member.imported_uwh - order.covered_uwh)
    return min(wanted_uwh, community.market.affordable_uwh(member.wallet, order.price_ugrx))


def _whole_lots(community: Community, quantity_uwh: int) -> int:
    rules = community.market.rules
    quantity_uwh = min(quantity_uwh, rules.largest_order_uwh)
    return max(0, quantity_uwh // rules.lot_uwh * rules.lot_uwh)


def _place(
    community: Community,
    member: Member,
    side: str,
    price_ugrx: int,
    quantity_uwh: int,
    placed: list[OrderAccepted],
    at_ms: int,
) -> bool:
    if quantity_uwh == 0:
        return False
    number = community.next_order
    key = f"{member.wallet}:standing-{number}"
    order = NewOrder(
        number,
        key,
        member.wallet,
        side,
        price_ugrx,
        quantity_uwh,
        rests=True,
        standing=True,
        zone=member.zone,
    )
    outcome = community.market.place(order, at_ms)
    if not isinstance(outcome, OrderAccepted):
        return False
    community.next_order += 1
    community.counters.orders += 1
    community.counters.trades += len(outcome.trades)
    placed.append(outcome)
    return True
