"""Standing orders: members say once at which price they trade, and their orders are made for them.

In the segment realtime every tick looks at each standing order, in the order in which members
joined: a seller's free GRID, and what a buyer has imported and not ordered yet, become ordinary
orders. An order that rests keeps its priority. Only what is new is ordered, or what has another
price now.

In the segment interval each clearing gets what was metered since the clearing before, once. Late
readings belong to the clearing at which they are known. GRID that was bought and is not used yet is
never offered.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market.book import BUY, SELL, RestingOrder
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderAccepted
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.ledger import GRID
from gridtokenx_backend.core.model.local_time import hour_at
from gridtokenx_backend.core.model.registry import Member, StandingOrder
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Segment, Side


class OrderRequest(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What a standing order asks of one clearing, or of the realtime market now."""

    wallet: str
    side: Side
    price_ugrx: int
    quantity_uwh: int


def price_at(order: StandingOrder, hour: int) -> int:
    """Return the price, in µGRX for each kWh, that holds in this hour of the community's day."""
    price_ugrx = order.price_ugrx
    for from_hour, price in order.curve:
        if from_hour > hour:
            break
        price_ugrx = price
    return price_ugrx


def place_all(community: Community, at_ms: int) -> list[OrderAccepted]:
    """Place what the standing orders of the segment realtime ask for now. Return those orders.

    Places nothing while the community shares by a key.
    """
    if community.active_terms.sharing.is_sharing:
        return []
    hour = hour_at(community.active_terms.time_zone, at_ms)
    placed: list[OrderAccepted] = []
    for member in community.members.values():
        if (sell := _at_work(member.sell, "realtime")) is not None:
            quantity_uwh = _whole_lots(community, _free_to_sell(community, member, sell))
            if quantity_uwh:
                request = _request(member, SELL, price_at(sell, hour), quantity_uwh)
                if accepted := _place(community, sell, request, at_ms):
                    placed.append(accepted)
        if (buy := _at_work(member.buy, "realtime")) is not None:
            quantity_uwh = _to_buy(community, member, buy, hour)
            if quantity_uwh:
                request = _request(member, BUY, price_at(buy, hour), quantity_uwh)
                if accepted := _place(community, buy, request, at_ms):
                    buy.covered_uwh += quantity_uwh
                    placed.append(accepted)
    return placed


def orders_for_interval(community: Community, interval_ms: int) -> list[OrderRequest]:
    """Return what the standing orders of the segment interval ask of this interval's clearing.

    Call it once for each interval, after `retirement.book_energy`. What is new counts as ordered
    from then on, traded or not: unsold energy stays in the wallet, uncovered import is the
    utility's. Less than a lot waits for the next clearing.
    """
    hour = hour_at(community.active_terms.time_zone, interval_ms)
    requests: list[OrderRequest] = []
    for member in community.members.values():
        if (sell := _at_work(member.sell, "interval")) is not None:
            new_uwh = _not_ordered_yet(community, sell, member.interval_export_uwh)
            sell.covered_uwh += new_uwh
            quantity_uwh = min(new_uwh, _free_to_sell(community, member, sell))
            if lots_uwh := _whole_lots(community, quantity_uwh):
                requests.append(_request(member, SELL, price_at(sell, hour), lots_uwh))
        if (buy := _at_work(member.buy, "interval")) is not None:
            new_uwh = _not_ordered_yet(community, buy, member.interval_import_uwh)
            buy.covered_uwh += new_uwh
            price_ugrx = price_at(buy, hour)
            if lots_uwh := _wanted_of_interval(community, member, price_ugrx, new_uwh):
                requests.append(_request(member, BUY, price_ugrx, lots_uwh))
    return requests


def reprice(community: Community, at_ms: int) -> list[int]:
    """Withdraw what rests at a price that the hour has changed. Return those orders' numbers."""
    hour = hour_at(community.active_terms.time_zone, at_ms)
    stale: set[tuple[str, str]] = set()
    for member in community.members.values():
        for side, standing in _sides(member):
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
    """Put a standing order, or none, in the place of the former one, and cancel its orders.

    What is metered counts from here on, unless the former one was at work in the same segment: then
    what it had not bought yet is ordered again. Returns the numbers of the cancelled orders.
    """
    member = community.members[wallet]
    cancelled = [
        order for order in community.book.of_wallet(wallet) if order.standing and order.side == side
    ]
    for order in cancelled:
        _withdraw(community, order)
    former = member.sell if side == SELL else member.buy
    if successor is not None:
        continued = _at_work(former, successor.segment)
        successor.covered_uwh = (
            continued.covered_uwh if continued else _metered(member, successor, side)
        )
    if side == SELL:
        member.sell = successor
    else:
        member.buy = successor
    return [order.number for order in cancelled]


def order_again(community: Community, order: RestingOrder) -> None:
    """Let a buyer's standing order ask again for what a cancelled order had not bought."""
    buy = community.members[order.wallet].buy
    if order.standing and order.side == BUY and buy is not None:
        buy.covered_uwh -= order.remaining_uwh


def begin_again(community: Community) -> None:
    """Count all that is metered so far as ordered: the community shared it by a key."""
    for member in community.members.values():
        for side, order in _sides(member):
            if order is not None:
                order.covered_uwh = _metered(member, order, side)


def _sides(member: Member) -> tuple[tuple[Side, StandingOrder | None], ...]:
    return ((SELL, member.sell), (BUY, member.buy))


def _withdraw(community: Community, order: RestingOrder) -> None:
    community.market.cancel(order)
    order_again(community, order)


def _metered(member: Member, order: StandingOrder, side: Side) -> int:
    """Return the energy up to which a standing order that begins now has nothing to order."""
    if order.segment == "interval":
        return member.interval_export_uwh if side == SELL else member.interval_import_uwh
    return 0 if side == SELL else member.imported_uwh


def _at_work(order: StandingOrder | None, segment: Segment) -> StandingOrder | None:
    """Return a standing order if it trades in this segment and is not paused."""
    if order is None or order.paused or order.segment != segment:
        return None
    return order


def _not_ordered_yet(community: Community, order: StandingOrder, metered_uwh: int) -> int:
    """Return what was metered and not ordered yet, in whole lots."""
    return _whole_lots(community, metered_uwh - order.covered_uwh)


def _free_to_sell(community: Community, member: Member, order: StandingOrder) -> int:
    available_uwh = community.ledger.available(member.wallet, GRID)
    return available_uwh - member.bought_uwh - order.keep_uwh


def _to_buy(community: Community, member: Member, order: StandingOrder, hour: int) -> int:
    """Return what a buyer's order of the segment realtime asks for, as far as it is affordable."""
    wanted_uwh = _not_ordered_yet(community, order, member.imported_uwh)
    if not wanted_uwh:
        return 0
    price_ugrx = price_at(order, hour)
    return min(wanted_uwh, community.market.entry_rules.affordable_uwh(member.wallet, price_ugrx))


def _wanted_of_interval(
    community: Community, member: Member, price_ugrx: int, wanted_uwh: int
) -> int:
    """Return what of `wanted_uwh` no earlier purchase covers and the member can afford."""
    if wanted_uwh and member.bought_uwh:
        uncovered_uwh = queues.total(member.open_import) - member.bought_uwh
        wanted_uwh = min(wanted_uwh, uncovered_uwh)
    if wanted_uwh > 0:
        affordable_uwh = community.market.entry_rules.affordable_uwh(member.wallet, price_ugrx)
        wanted_uwh = min(wanted_uwh, affordable_uwh)
    return _whole_lots(community, wanted_uwh)


def _whole_lots(community: Community, quantity_uwh: int) -> int:
    return community.market.entry_rules.whole_lots(quantity_uwh)


def _request(member: Member, side: Side, price_ugrx: int, quantity_uwh: int) -> OrderRequest:
    return OrderRequest(
        wallet=member.wallet, side=side, price_ugrx=price_ugrx, quantity_uwh=quantity_uwh
    )


def new_order_of(community: Community, request: OrderRequest) -> NewOrder:
    """Return what a standing order asks for as an order under the next order number."""
    number = community.next_order
    return NewOrder(
        number=number,
        key=f"{request.wallet}:standing-{number}",
        wallet=request.wallet,
        side=request.side,
        price_ugrx=request.price_ugrx,
        quantity_uwh=request.quantity_uwh,
        rests=True,
        standing=True,
        zone=community.members[request.wallet].zone,
    )


def _place(
    community: Community, standing: StandingOrder, request: OrderRequest, at_ms: int
) -> OrderAccepted | None:
    """Place one order in the realtime market. Return None if it is refused.

    A refusal needs no answer: the next tick looks at the standing order again.
    """
    outcome = community.market.place(new_order_of(community, request), at_ms)
    if not isinstance(outcome, OrderAccepted):
        return None
    standing.asked_ugrx = request.price_ugrx
    community.next_order += 1
    community.counters.orders += 1
    community.counters.trades += len(outcome.trades)
    retirement.note_trades(community, outcome.trades)
    return outcome
