"""Turns what a member wrote into an order that a market can take, or refuses it."""

from __future__ import annotations

from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.registry import StandingOrder
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Amend, Order, Standing

_RESTING = ("GTC", "GTT")
_MOST_CURVE_STEPS = 24


def read_order(community: Community, order: Order, key: str, at_ms: int) -> NewOrder | OrderRefused:
    """Return a member's order as one of the member's zone, under the next order number.

    `key` is the wallet and the client's id. Refuses numbers that cannot be read, wishes that do
    not go together, a time of expiry that is over, and a least quantity that no fill could have.
    """
    entry_rules = community.market.entry_rules
    min_quantity_uwh = 0
    try:
        quantity_uwh = order.quantity_uwh
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, f"quantity_kwh: {error}")
    try:
        if order.min_quantity_kwh:
            min_quantity_uwh = order.min_quantity_uwh
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, f"min_quantity_kwh: {error}")
    zone = community.members[order.wallet].zone
    if order.type == "limit":
        try:
            price_ugrx = order.price_ugrx
        except ValueError as error:
            return OrderRefused(OrderRefusal.BAD_PRICE, f"price_grx_per_kwh: {error}")
    else:
        price_ugrx = entry_rules.worst_price_ugrx(zone, order.side)
    if not _is_plain(order):
        if refused := _contradiction(order) or _bad_expiry(order, at_ms):
            return refused
        if order.tif == "FOK":
            min_quantity_uwh = quantity_uwh
        elif refused := entry_rules.bad_minimum(min_quantity_uwh, quantity_uwh):
            return refused
    return NewOrder(
        number=community.next_order,
        key=key,
        wallet=order.wallet,
        side=order.side,
        price_ugrx=price_ugrx,
        quantity_uwh=quantity_uwh,
        rests=order.tif in _RESTING,
        standing=False,
        zone=zone,
        is_market=order.type == "market",
        expires_ms=order.expires_ms,
        post_only=order.post_only,
        min_quantity_uwh=min_quantity_uwh,
        stp=order.stp,
    )


def _is_plain(order: Order) -> bool:
    """Return whether this is a limit order without further wishes, which cannot contradict."""
    return (
        order.type == "limit"
        and order.tif == "GTC"
        and not (order.post_only or order.expires_ms or order.min_quantity_kwh)
    )


def _contradiction(order: Order) -> OrderRefused | None:
    is_market, rests = order.type == "market", order.tif in _RESTING
    if is_market and order.price_grx_per_kwh:
        expected = "expected no price_grx_per_kwh in a market order"
    elif is_market and rests and order.segment == "realtime":
        expected = "expected tif IOC or FOK in a market order"
    elif order.post_only and not rests:
        expected = "expected tif GTC or GTT in a post-only order"
    elif order.min_quantity_kwh and (order.post_only or order.tif == "FOK"):
        expected = "expected no min_quantity_kwh in a post-only or FOK order"
    elif bool(order.expires_ms) != (order.tif == "GTT"):
        expected = "expected expires_ms with tif GTT, and with no other"
    else:
        return None
    return OrderRefused(OrderRefusal.CONTRADICTORY, expected)


def _bad_expiry(order: Order, at_ms: int) -> OrderRefused | None:
    if order.tif != "GTT" or order.expires_ms > at_ms:
        return None
    detail = f"expected expires_ms after the community's time, {at_ms}"
    return OrderRefused(OrderRefusal.BAD_EXPIRY, detail)


def read_amendment(
    community: Community, amendment: Amend, resting: RestingOrder
) -> NewOrder | OrderRefused:
    """Return the order that is to take the place of `resting`.

    It has the new price and what is left of the new quantity; what the amendment leaves empty
    stays. The new quantity counts what has traded already, so it must be more than that.
    """
    filled_uwh = resting.quantity_uwh - resting.remaining_uwh
    quantity_uwh, price_ugrx = resting.quantity_uwh, resting.price_ugrx
    if not amendment.quantity_kwh and not amendment.price_grx_per_kwh:
        detail = "expected a quantity_kwh or a price_grx_per_kwh"
        return OrderRefused(OrderRefusal.CONTRADICTORY, detail)
    try:
        if amendment.quantity_kwh:
            quantity_uwh = amendment.quantity_uwh
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, f"quantity_kwh: {error}")
    try:
        if amendment.price_grx_per_kwh:
            price_ugrx = amendment.price_ugrx
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_PRICE, f"price_grx_per_kwh: {error}")
    if refused := community.market.entry_rules.bad_amended_quantity(quantity_uwh, filled_uwh):
        return refused
    return NewOrder(
        number=community.next_order,
        key=resting.key,
        wallet=resting.wallet,
        side=resting.side,
        price_ugrx=price_ugrx,
        quantity_uwh=quantity_uwh - filled_uwh,
        rests=True,
        zone=resting.zone,
        expires_ms=resting.expires_ms,
        post_only=resting.post_only,
    )


def read_standing(community: Community, standing: Standing) -> StandingOrder | OrderRefused:
    """Return a member's standing order. Nothing of it is at work yet."""
    try:
        keep_uwh = standing.keep_uwh
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, f"keep_kwh: {error}")
    if keep_uwh < 0:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, "keep_kwh: expected 0 or more")
    try:
        price_ugrx = standing.price_ugrx
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_PRICE, f"price_grx_per_kwh: {error}")
    try:
        curve = standing.curve_ugrx
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_PRICE, f"curve: {error}")
    prices = (price_ugrx, *(price for _, price in curve))
    if not all(map(community.market.entry_rules.is_regular_price, prices)):
        detail = "expected a price within the market's limits"
        return OrderRefused(OrderRefusal.BAD_PRICE, detail)
    hours = [hour for hour, _ in curve]
    is_ascending = hours == sorted(set(hours)) and all(0 <= hour <= 23 for hour in hours)
    if not is_ascending or len(curve) > _MOST_CURVE_STEPS:
        detail = "expected a curve of ascending hours from 0 to 23"
        return OrderRefused(OrderRefusal.BAD_PRICE, detail)
    is_open = standing.segment == "realtime" or community.active_terms.interval.enabled
    if standing.active and not is_open:
        detail = "expected segment 'realtime': this community has no interval auction"
        return OrderRefused(OrderRefusal.SEGMENT_CLOSED, detail)
    return StandingOrder(
        price_ugrx=price_ugrx,
        keep_uwh=keep_uwh,
        segment=standing.segment,
        curve=curve,
        paused=standing.paused,
    )
