"""From what a member wrote to an order that the market can take, or a refusal that says why not."""

from __future__ import annotations

from gridtokenx_backend.core.market.book import BUY, RestingOrder
from gridtokenx_backend.core.market.continuous_market import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderRefusal, OrderRefused
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Amend, Order, Side
from gridtokenx_wire.units import format_kwh

_RESTING = ("GTC", "GTT")


def read_order(community: Community, given: Order, key: str, at_ms: int) -> NewOrder | OrderRefused:
    """The order of a member, whose zone is theirs."""
    min_quantity_uwh = 0
    try:
        quantity_uwh = given.quantity_uwh
        if given.min_quantity_kwh:
            min_quantity_uwh = given.min_quantity_uwh
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, str(error))
    zone = community.members[given.wallet].zone
    if given.type == "limit":
        try:
            price_ugrx = given.price_ugrx
        except ValueError as error:
            return OrderRefused(OrderRefusal.BAD_PRICE, str(error))
    else:
        price_ugrx = _worst_price_ugrx(community, zone, given.side)
    if not _is_plain(given):
        if refused := _contradiction(given) or _bad_expiry(given, at_ms):
            return refused
        if given.tif == "FOK":
            min_quantity_uwh = quantity_uwh
        elif refused := _bad_minimum(community, min_quantity_uwh, quantity_uwh):
            return refused
    return NewOrder(
        number=community.next_order,
        key=key,
        wallet=given.wallet,
        side=given.side,
        price_ugrx=price_ugrx,
        quantity_uwh=quantity_uwh,
        rests=given.tif in _RESTING,
        standing=False,
        zone=zone,
        is_market=given.type == "market",
        expires_ms=given.expires_ms,
        post_only=given.post_only,
        min_quantity_uwh=min_quantity_uwh,
        stp=given.stp,
    )


def _worst_price_ugrx(community: Community, zone: str, side: Side) -> int:
    """The limit of a market order: the end of its zone's band."""
    rules = community.market.rules
    band = community.market.trading.rules_of(zone)
    if side == BUY:
        highest = band.ceiling_ugrx or rules.highest_price_ugrx
        return highest // rules.tick_ugrx * rules.tick_ugrx
    lowest = max(band.floor_ugrx, community.market.least_price_ugrx)
    return -(-lowest // rules.tick_ugrx) * rules.tick_ugrx


def _is_plain(given: Order) -> bool:
    """A limit order without further wishes, which cannot contradict each other."""
    return (
        given.type == "limit"
        and given.tif == "GTC"
        and not (given.post_only or given.expires_ms or given.min_quantity_kwh)
    )


def _contradiction(given: Order) -> OrderRefused | None:
    is_market, rests = given.type == "market", given.tif in _RESTING
    if is_market and given.price_grx_per_kwh:
        expected = "expected no price_grx_per_kwh in a market order"
    elif is_market and rests and given.segment == "realtime":
        expected = "expected tif IOC or FOK in a market order"
    elif given.post_only and not rests:
        expected = "expected tif GTC or GTT in a post-only order"
    elif given.min_quantity_kwh and (given.post_only or given.tif == "FOK"):
        expected = "expected no min_quantity_kwh in a post-only or FOK order"
    elif bool(given.expires_ms) != (given.tif == "GTT"):
        expected = "expected expires_ms with tif GTT, and with no other"
    else:
        return None
    return OrderRefused(OrderRefusal.CONTRADICTORY, expected)


def _bad_expiry(given: Order, at_ms: int) -> OrderRefused | None:
    if given.tif != "GTT" or given.expires_ms > at_ms:
        return None
    detail = f"expected expires_ms after the community's time, {at_ms}"
    return OrderRefused(OrderRefusal.BAD_EXPIRY, detail)


def _bad_minimum(community: Community, minimum_uwh: int, quantity_uwh: int) -> OrderRefused | None:
    lot_uwh = community.market.rules.lot_uwh
    if not minimum_uwh or (0 < minimum_uwh <= quantity_uwh and minimum_uwh % lot_uwh == 0):
        return None
    lot = format_kwh(lot_uwh)
    detail = f"expected min_quantity_kwh as a multiple of {lot} kWh, at most the quantity"
    return OrderRefused(OrderRefusal.BAD_QUANTITY, detail)


def read_amendment(
    community: Community, given: Amend, order: RestingOrder
) -> NewOrder | OrderRefused:
    """What is to take the place of `order`: what is left of the new quantity, at the new price."""
    filled_uwh = order.quantity_uwh - order.remaining_uwh
    quantity_uwh, price_ugrx = order.quantity_uwh, order.price_ugrx
    if not given.quantity_kwh and not given.price_grx_per_kwh:
        detail = "expected a quantity_kwh or a price_grx_per_kwh"
        return OrderRefused(OrderRefusal.CONTRADICTORY, detail)
    try:
        if given.quantity_kwh:
            quantity_uwh = given.quantity_uwh
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_QUANTITY, str(error))
    try:
        if given.price_grx_per_kwh:
            price_ugrx = given.price_ugrx
    except ValueError as error:
        return OrderRefused(OrderRefusal.BAD_PRICE, str(error))
    rules = community.market.rules
    if not filled_uwh < quantity_uwh <= rules.largest_order_uwh or quantity_uwh % rules.lot_uwh:
        filled, lot = format_kwh(filled_uwh), format_kwh(rules.lot_uwh)
        largest = format_kwh(rules.largest_order_uwh)
        detail = f"expected a multiple of {lot} kWh above {filled} (traded) and at most {largest}"
        return OrderRefused(OrderRefusal.BAD_QUANTITY, detail)
    return NewOrder(
        number=community.next_order,
        key=order.key,
        wallet=order.wallet,
        side=order.side,
        price_ugrx=price_ugrx,
        quantity_uwh=quantity_uwh - filled_uwh,
        rests=True,
        zone=order.zone,
        expires_ms=order.expires_ms,
        post_only=order.post_only,
    )
