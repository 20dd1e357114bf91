"""A member's verified instruction: order, cancel, or standing order."""

from __future__ import annotations

import hashlib

import msgspec

from gridtokenx_backend.core import certificates, deposits, standing
from gridtokenx_backend.core.community import Community
from gridtokenx_backend.core.market import NewOrder
from gridtokenx_backend.core.outcomes import (
    OrderAccepted,
    OrderCancelled,
    OrderRefusal,
    Refused,
    Repeated,
    StandingAccepted,
)
from gridtokenx_backend.core.registry import StandingOrder
from gridtokenx_backend.core.settled import CertificateMoved, CertificateRetired, WithdrawalAsked
from gridtokenx_backend.core.state import Remembered
from gridtokenx_wire.order import (
    Cancel,
    Instruction,
    Order,
    RecRetire,
    RecTransfer,
    Standing,
    Withdraw,
)

MAX_REMEMBERED = 1_000_000
RESERVED_PREFIX = "standing-"
"""Client ids that begin so are those of orders placed by standing orders."""

MAX_CURVE = 24
Accepted = (
    OrderAccepted
    | OrderCancelled
    | StandingAccepted
    | WithdrawalAsked
    | CertificateMoved
    | CertificateRetired
)
_encode = msgspec.json.Encoder().encode


def apply_instruction(
    community: Community, given: Instruction, at_ms: int
) -> Accepted | Refused | Repeated:
    """Carries out an instruction once; the same one again is answered as before."""
    if given.id.startswith(RESERVED_PREFIX):
        return Refused(OrderRefusal.MALFORMED, f"expected an id not starting {RESERVED_PREFIX!r}")
    if given.community != community.name:
        return Refused(OrderRefusal.WRONG_COMMUNITY, f"expected {community.name!r}")
    if given.wallet not in community.members:
        return Refused(OrderRefusal.UNKNOWN_WALLET, "expected the wallet of a member")
    key = f"{given.wallet}:{given.id}"
    digest = hashlib.sha256(_encode(given)).digest()[:16]
    if known := community.remembered.get(key):
        if known.digest != digest:
            return Refused(OrderRefusal.ID_REUSED, "expected a new id for new content")
        return Repeated(known.entry)
    if refused := _untimely(community, given, at_ms):
        return refused
    if isinstance(given, Order) and key in community.book.by_key:
        # Its id was forgotten with the order window, but a cancellation still means this one.
        return Refused(OrderRefusal.ID_REUSED, "expected another id than that of an open order")
    outcome = _carry_out(community, given, key, at_ms)
    if not isinstance(outcome, Refused):
        community.remembered[key] = Remembered(digest, community.entries + 1, at_ms)
    return outcome


def _untimely(community: Community, given: Instruction, at_ms: int) -> Refused | None:
    latest_ms = at_ms + community.limits.future_tolerance_ms
    oldest_ms = max(at_ms - community.order_window_ms, community.forgotten_ms)
    if not oldest_ms <= given.issued_ms <= latest_ms:
        window_s = community.order_window_ms // 1000
        return Refused(
            OrderRefusal.OUTSIDE_WINDOW,
            f"expected issued_ms within the last {window_s} s; the community's time is {at_ms}",
        )
    if len(community.remembered) >= MAX_REMEMBERED:
        return Refused(OrderRefusal.BUSY, "expected fewer instructions in the order window")
    return None


def _carry_out(
    community: Community, given: Instruction, key: str, at_ms: int
) -> Accepted | Refused:
    if isinstance(given, Order | Standing) and community.in_force.sharing.is_sharing:
        detail = "expected no orders: this community shares by a key, not by price"
        return Refused(OrderRefusal.SEGMENT_CLOSED, detail)
    match given:
        case Order():
            return _order(community, given, key)
        case Cancel():
            return _cancel(community, given)
        case Standing():
            return _standing(community, given)
        case Withdraw():
            return deposits.withdraw(community, given)
        case RecTransfer():
            return certificates.transfer(community, given)
        case RecRetire():
            return certificates.retire(community, given, at_ms)


def _order(community: Community, given: Order, key: str) -> OrderAccepted | Refused:
    if given.segment != "realtime":
        return Refused(OrderRefusal.SEGMENT_CLOSED, "expected segment 'realtime'")
    try:
        quantity_uwh = given.quantity_uwh
    except ValueError as error:
        return Refused(OrderRefusal.BAD_QUANTITY, str(error))
    try:
        price_ugrx = given.price_ugrx
    except ValueError as error:
        return Refused(OrderRefusal.BAD_PRICE, str(error))
    order = NewOrder(
        community.next_order,
        key,
        given.wallet,
        given.side,
        price_ugrx,
        quantity_uwh,
        given.tif == "GTC",
    )
    outcome = community.market.place(order)
    if isinstance(outcome, OrderAccepted):
        community.next_order += 1
        community.counters.orders += 1
        community.counters.trades += len(outcome.trades)
    return outcome


def _cancel(community: Community, given: Cancel) -> OrderCancelled | Refused:
    key = f"{given.wallet}:{given.order}"
    order = community.book.by_key.get(key)
    if order is None:
        return Refused(OrderRefusal.UNKNOWN_ORDER, "expected the id of an open order")
    community.market.cancel(order)
    return OrderCancelled(order.number, key, order.remaining_uwh)


def _standing(community: Community, given: Standing) -> StandingAccepted | Refused:
    try:
        keep_uwh = given.keep_uwh
    except ValueError as error:
        return Refused(OrderRefusal.BAD_QUANTITY, str(error))
    if keep_uwh < 0:
        return Refused(OrderRefusal.BAD_QUANTITY, "expected keep_kwh from 0 on")
    try:
        price_ugrx, curve = given.price_ugrx, given.curve_ugrx
    except ValueError as error:
        return Refused(OrderRefusal.BAD_PRICE, str(error))
    rules = community.market.rules
    for price in (price_ugrx, *(price for _, price in curve)):
        if not 0 < price <= rules.highest_price_ugrx or price % rules.tick_ugrx:
            return Refused(OrderRefusal.BAD_PRICE, "expected a price within the market's limits")
    hours = [hour for hour, _ in curve]
    if (
        len(curve) > MAX_CURVE
        or hours != sorted(set(hours))
        or not all(0 <= h <= 23 for h in hours)
    ):
        return Refused(OrderRefusal.BAD_PRICE, "expected a curve of ascending hours from 0 to 23")
    successor = None
    if given.active:
        successor = StandingOrder(
            price_ugrx, keep_uwh, segment=given.segment, curve=curve, paused=given.paused
        )
    cancelled = standing.replace(community, given.wallet, given.side, successor)
    return StandingAccepted(given.wallet, given.side, given.active, cancelled)
