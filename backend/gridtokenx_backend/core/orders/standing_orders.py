"""Standing orders: the market for members who never look at it.

In the segment realtime each one is looked at every tick, in the order in which members joined: a
seller's free GRID, and what a buyer has imported and not yet ordered, become ordinary orders. What
rests keeps its priority; only what is new is ordered anew, or what has another price now.

In the segment interval each clearing is given what was metered since the one before, once: late
readings with those of their clearing. GRID that was bought and is not yet used is never offered.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market.book import BUY, SELL, RestingOrder
from gridtokenx_backend.core.market.continuous_market import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderAccepted
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.ledger import GRID
from gridtokenx_backend.core.model.local_time import hour_at
from gridtokenx_backend.core.model.registry import Member, StandingOrder
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Segment, Side


class OrderRequest(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What a standing order wants of one clearing."""

    wallet: str
    side: Side
    price_ugrx: int
    quantity_uwh: int


def price_at(order: StandingOrder, hour: int) -> int:
    """The price that holds in this hour of the community's day, in µGRX for each kWh."""
    price_ugrx = order.price_ugrx
    for from_hour, price in order.curve:
        if from_hour > hour:
            break
        price_ugrx = price
    return price_ugrx


def place_all(community: Community, at_ms: int) -> list[OrderAccepted]:
    """Places what the standing orders of the segment realtime ask for now.

    Nothing while the community shares by a key.
    """
    if community.active_terms.sharing.is_sharing:
        return []
    hour = hour_at(community.active_terms.zone, at_ms)
    placed: list[OrderAccepted] = []
    for member in community.members.values():
        if (sell := _at_work(member.sell, "realtime")) is not None:
            quantity_uwh = _whole_lots(community, _free_to_sell(community, member, sell))
            _place(community, member, SELL, sell, hour, quantity_uwh, placed, at_ms)
        if (buy := _at_work(member.buy, "realtime")) is not None:
            quantity_uwh = _to_buy(community, member, buy, hour)
            if _place(community, member, BUY, buy, hour, quantity_uwh, placed, at_ms):
                buy.covered_uwh += quantity_uwh
    return placed


def orders_for_interval(community: Community, interval_ms: int) -> list[OrderRequest]:
    """What the standing orders of the segment interval ask of this interval's clearing.

    Call it once for each, after `retirement.book_energy`. What was offered or wanted counts as
    ordered, traded or not: unsold energy stays in the wallet, uncovered import is the utility's.
    Less than a lot waits for the next clearing.
    """
    hour = hour_at(community.active_terms.zone, interval_ms)
    wishes: list[OrderRequest] = []
    for member in community.members.values():
        if (sell := _at_work(member.sell, "interval")) is not None:
            fresh_uwh = _fresh(community, sell, member.interval_export_uwh)
            quantity_uwh = min(fresh_uwh, _free_to_sell(community, member, sell))
            _wish(community, member, SELL, price_at(sell, hour), quantity_uwh, wishes)
        if (buy := _at_work(member.buy, "interval")) is not None:
            price_ugrx = price_at(buy, hour)
            wanted_uwh = _fresh(community, buy, member.interval_import_uwh)
            if wanted_uwh and member.bought_uwh:
                uncovered_uwh = queues.total(member.open_import) - member.bought_uwh
                wanted_uwh = min(wanted_uwh, uncovered_uwh)
            if wanted_uwh > 0:
                affordable_uwh = community.market.affordable_uwh(member.wallet, price_ugrx)
                wanted_uwh = min(wanted_uwh, affordable_uwh)
            _wish(community, member, BUY, price_ugrx, wanted_uwh, wishes)
    return wishes


def reprice(community: Community, at_ms: int) -> list[int]:
    """Withdraws what rests at a price that the hour has changed; the numbers of those orders."""
    hour = hour_at(community.active_terms.zone, at_ms)
    stale: set[tuple[str, str]] = set()
    for member in community.members.values():
        for side, standing in ((SELL, member.sell), (BUY, member.buy)):
            if standing is None or not standing.curve or not standing.asked_ugrx:
                continue
            if standing.asked_ugrx != price_at(standing, hour):
                standing.asked_ugrx = 0
                stale.add((member.wallet, side))
    if not stale:
        return []
    resting = [
        order
        for order in community.book.orders.values()
        if order.standing and (order.wallet, order.side) in stale
    ]
    for order in resting:
        _withdraw(community, order)
    return [order.number for order in resting]


def replace(
    community: Community, wallet: str, side: Side, successor: StandingOrder | None
) -> list[int]:
    """Puts a standing order in place of the former one, whose resting orders are cancelled.

    Returns the numbers of those. What is metered counts from here on, unless the former one was
    at work in the same segment: then what it had not bought yet is ordered again.
    """
    member = community.members[wallet]
    cancelled = [
        order for order in community.book.of_wallet(wallet) if order.standing and order.side == side
    ]
    for order in cancelled:
        _withdraw(community, order)
    former = member.sell if side == SELL else member.buy
    if successor is not None:
        goes_on = _at_work(former, successor.segment)
        successor.covered_uwh = (
            goes_on.covered_uwh if goes_on else _metered(member, successor, side)
        )
    if side == SELL:
        member.sell = successor
    else:
        member.buy = successor
    return [order.number for order in cancelled]


def order_again(community: Community, order: RestingOrder) -> None:
    """Lets a buyer's standing order look again at what a cancelled order had not bought."""
    buy = community.members[order.wallet].buy
    if order.standing and order.side == BUY and buy is not None:
        buy.covered_uwh -= order.remaining_uwh


def begin_again(community: Community) -> None:
    """What was metered while the community shared by a key is no standing order's business."""
    for member in community.members.values():
        sides: tuple[tuple[Side, StandingOrder | None], ...] = (
            (SELL, member.sell),
            (BUY, member.buy),
        )
        for side, order in sides:
            if order is not None:
                order.covered_uwh = _metered(member, order, side)


def _withdraw(community: Community, order: RestingOrder) -> None:
    community.market.cancel(order)
    order_again(community, order)


def _metered(member: Member, order: StandingOrder, side: Side) -> int:
    if order.segment == "interval":
        return member.interval_export_uwh if side == SELL else member.interval_import_uwh
    return 0 if side == SELL else member.imported_uwh


def _at_work(order: StandingOrder | None, segment: Segment) -> StandingOrder | None:
    if order is None or order.paused or order.segment != segment:
        return None
    return order


def _fresh(community: Community, order: StandingOrder, metered_uwh: int) -> int:
    """What was metered and not ordered yet, in whole lots; it counts as ordered now."""
    fresh_uwh = _whole_lots(community, metered_uwh - order.covered_uwh)
    order.covered_uwh += fresh_uwh
    return fresh_uwh


def _free_to_sell(community: Community, member: Member, order: StandingOrder) -> int:
    available_uwh = community.ledger.available(member.wallet, GRID)
    return available_uwh - member.bought_uwh - order.keep_uwh


def _to_buy(community: Community, member: Member, order: StandingOrder, hour: int) -> int:
    wanted_uwh = _whole_lots(community, member.imported_uwh - order.covered_uwh)
    if not wanted_uwh:
        return 0
    price_ugrx = price_at(order, hour)
    return min(wanted_uwh, community.market.affordable_uwh(member.wallet, price_ugrx))


def _whole_lots(community: Community, quantity_uwh: int) -> int:
    rules = community.market.rules
    quantity_uwh = min(quantity_uwh, rules.largest_order_uwh)
    return max(0, quantity_uwh // rules.lot_uwh * rules.lot_uwh)


def _wish(
    community: Community,
    member: Member,
    side: Side,
    price_ugrx: int,
    quantity_uwh: int,
    wishes: list[OrderRequest],
) -> None:
    if lots_uwh := _whole_lots(community, quantity_uwh):
        wishes.append(
            OrderRequest(
                wallet=member.wallet, side=side, price_ugrx=price_ugrx, quantity_uwh=lots_uwh
            )
        )


def _place(
    community: Community,
    member: Member,
    side: Side,
    order: StandingOrder,
    hour: int,
    quantity_uwh: int,
    placed: list[OrderAccepted],
    at_ms: int,
) -> bool:
    if quantity_uwh == 0:
        return False
    number, wallet = community.next_order, member.wallet
    key = f"{wallet}:standing-{number}"
    price_ugrx = price_at(order, hour)
    new_order = NewOrder(
        number=number,
        key=key,
        wallet=wallet,
        side=side,
        price_ugrx=price_ugrx,
        quantity_uwh=quantity_uwh,
        rests=True,
        standing=True,
        zone=member.zone,
    )
    outcome = community.market.place(new_order, at_ms)
    if not isinstance(outcome, OrderAccepted):
        return False
    order.asked_ugrx = price_ugrx
    community.next_order += 1
    community.counters.orders += 1
    community.counters.trades += len(outcome.trades)
    retirement.note_trades(community, outcome.trades)
    placed.append(outcome)
    return True
