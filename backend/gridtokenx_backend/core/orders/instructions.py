"""Carries out what a member signed: an order, its amendment or cancellation, a standing order,
a withdrawal, or what is to become of a certificate.
"""

from __future__ import annotations

import hashlib

import msgspec

from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.market.continuous_market import ContinuousMarket
from gridtokenx_backend.core.market.interval_market import IntervalMarket
from gridtokenx_backend.core.market.trading_state import CANCEL_ONLY, HALTED, OPEN
from gridtokenx_backend.core.messages.inputs import MarketCommand
from gridtokenx_backend.core.messages.outcomes import (
    AllCancelled,
    MarketSwitched,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRefused,
    Repeated,
    StandingAccepted,
    ZoneStatus,
)
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificateMoved,
    CertificateRetired,
    WithdrawalRequested,
)
from gridtokenx_backend.core.orders import standing_orders
from gridtokenx_backend.core.orders.order_entry import read_amendment, read_order, read_standing
from gridtokenx_backend.core.settlement import certificates, deposits
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.core.state.snapshot import CompletedInstruction
from gridtokenx_wire.order import (
    Amend,
    Cancel,
    CancelAll,
    Instruction,
    Order,
    RecRetire,
    RecTransfer,
    Standing,
    Withdraw,
)

MAX_REMEMBERED = 1_000_000
MOST_OF_A_WALLET = MAX_REMEMBERED // 10
"""Without this bound one member could use up all of them and shut the others out."""
RESERVED_PREFIX = "standing-"
"""The client ids of orders that standing orders placed begin with this."""

_STATUS: dict[str, ZoneStatus] = {"halt": HALTED, "resume": OPEN, "cancel_only": CANCEL_ONLY}
Accepted = (
    OrderAccepted
    | OrderCancelled
    | OrderAmended
    | AllCancelled
    | StandingAccepted
    | WithdrawalRequested
    | CertificateMoved
    | CertificateRetired
)
_encode = msgspec.json.Encoder().encode


def apply_instruction(
    community: Community, instruction: Instruction, at_ms: int
) -> Accepted | OrderRefused | Repeated:
    """Carry out an instruction once. The same one again is answered as before."""
    if instruction.id.startswith(RESERVED_PREFIX):
        return OrderRefused(
            OrderRefusal.MALFORMED, f"expected an id not starting {RESERVED_PREFIX!r}"
        )
    if instruction.community != community.name:
        return OrderRefused(OrderRefusal.WRONG_COMMUNITY, f"expected {community.name!r}")
    if instruction.wallet not in community.members:
        return OrderRefused(OrderRefusal.UNKNOWN_WALLET, "expected the wallet of a member")
    key = f"{instruction.wallet}:{instruction.id}"
    digest = hashlib.sha256(_encode(instruction)).digest()[:16]
    if known := community.completed_instructions.get(key):
        if known.digest != digest:
            return OrderRefused(
                OrderRefusal.ID_REUSED, f"expected a new id; {instruction.id!r} was used before"
            )
        return Repeated(known.entry)
    if refused := _untimely(community, instruction, at_ms):
        return refused
    if isinstance(instruction, Order) and (
        key in community.book.by_key or key in community.interval.book.by_key
    ):
        # The id was forgotten with the order window, but a cancellation by it means this order.
        return OrderRefused(
            OrderRefusal.ID_REUSED, "expected another id than that of an open order"
        )
    outcome = _carry_out(community, instruction, key, at_ms)
    if not isinstance(outcome, OrderRefused):
        community.completed_instructions[key] = CompletedInstruction(
            digest=digest, entry=community.entries + 1, arrived_ms=at_ms
        )
        community.completed_by_wallet[instruction.wallet] += 1
    return outcome


def _untimely(community: Community, instruction: Instruction, at_ms: int) -> OrderRefused | None:
    """Refuse an instruction that was signed too early or too late, or that cannot be remembered."""
    latest_ms = at_ms + community.limits.future_tolerance_ms
    oldest_ms = max(at_ms - community.order_window_ms, community.forgotten_ms)
    if not oldest_ms <= instruction.issued_ms <= latest_ms:
        window_s = community.order_window_ms // 1000
        return OrderRefused(
            OrderRefusal.OUTSIDE_WINDOW,
            f"expected issued_ms within the last {window_s} s; the community's time is {at_ms}",
        )
    if len(community.completed_instructions) >= MAX_REMEMBERED:
        return OrderRefused(OrderRefusal.BUSY, "expected fewer instructions in the order window")
    if community.completed_by_wallet[instruction.wallet] >= MOST_OF_A_WALLET:
        detail = f"expected at most {MOST_OF_A_WALLET} instructions of a wallet in the order window"
        return OrderRefused(OrderRefusal.BUSY, detail)
    return None


def _carry_out(
    community: Community, instruction: Instruction, key: str, at_ms: int
) -> Accepted | OrderRefused:
    if community.active_terms.sharing.is_sharing and isinstance(instruction, Order | Standing):
        detail = "expected no orders: this community shares by a key, not by price"
        return OrderRefused(OrderRefusal.SEGMENT_CLOSED, detail)
    match instruction:
        case Order():
            return _order(community, instruction, key, at_ms)
        case Cancel():
            return _cancel(community, instruction)
        case Amend():
            return _amend(community, instruction, at_ms)
        case CancelAll():
            return _cancel_all(community, instruction)
        case Standing():
            return _standing(community, instruction)
        case Withdraw():
            return deposits.withdraw(community, instruction)
        case RecTransfer():
            return certificates.transfer(community, instruction)
        case RecRetire():
            return certificates.retire(community, instruction, at_ms)


def _order(
    community: Community, order: Order, key: str, at_ms: int
) -> OrderAccepted | OrderRefused:
    market: ContinuousMarket | IntervalMarket = community.market
    if order.segment == "interval":
        if not community.active_terms.interval.enabled:
            return OrderRefused(OrderRefusal.SEGMENT_CLOSED, "expected segment 'realtime'")
        market = community.interval
    new_order = read_order(community, order, key, at_ms)
    if isinstance(new_order, OrderRefused):
        return new_order
    outcome = market.place(new_order, at_ms)
    if isinstance(outcome, OrderAccepted):
        community.next_order += 1
        community.counters.orders += 1
        community.counters.trades += len(outcome.trades)
    return outcome


def _cancel(community: Community, command: Cancel) -> OrderCancelled | OrderRefused:
    order = _open_order(community, command.wallet, command.order)
    if isinstance(order, OrderRefused):
        return order
    community.market_of(order).cancel(order)
    return OrderCancelled(order.number, order.key, order.remaining_uwh)


def _open_order(community: Community, wallet: str, client_id: str) -> RestingOrder | OrderRefused:
    """Return a wallet's open order, or why nothing may be done with it now."""
    key = f"{wallet}:{client_id}"
    order = community.book.by_key.get(key) or community.interval.book.by_key.get(key)
    if order is None:
        return OrderRefused(OrderRefusal.UNKNOWN_ORDER, "expected the id of an open order")
    return _halted_zone(community, order) or order


def _halted_zone(community: Community, order: RestingOrder) -> OrderRefused | None:
    """Refuse to cancel or change an order whose zone is halted."""
    if reason := community.market.trading.frozen(order.zone):
        detail = f"expected a zone that is not halted; {reason}"
        return OrderRefused(OrderRefusal.ZONE_CLOSED, detail)
    return None


def _cancel_all(community: Community, command: CancelAll) -> AllCancelled | OrderRefused:
    books = (("realtime", community.book), ("interval", community.interval.book))
    found = [
        order
        for segment, book in books
        if command.segment in ("", segment)
        for order in book.of_wallet(command.wallet)
        if command.side in ("", order.side)
    ]
    for order in found:
        if refused := _halted_zone(community, order):
            return refused
    for order in found:
        community.market_of(order).cancel(order)
    return AllCancelled(command.wallet, [order.number for order in found])


def _amend(community: Community, amendment: Amend, at_ms: int) -> OrderAmended | OrderRefused:
    order = _open_order(community, amendment.wallet, amendment.order)
    if isinstance(order, OrderRefused):
        return order
    if order.standing:
        detail = "expected an order of your own; change the standing order that placed it"
        return OrderRefused(OrderRefusal.UNKNOWN_ORDER, detail)
    changed = read_amendment(community, amendment, order)
    if isinstance(changed, OrderRefused):
        return changed
    filled_uwh = order.quantity_uwh - order.remaining_uwh
    quantity_uwh = filled_uwh + changed.quantity_uwh
    if changed.price_ugrx == order.price_ugrx and changed.quantity_uwh <= order.remaining_uwh:
        if refused := community.market.entry_rules.closed_zone(order.zone, at_ms):
            return refused
        return _reduce(community, order, changed.quantity_uwh)
    former, market = order.number, community.market_of(order)
    outcome = market.place(changed, at_ms, replaced=order)
    if isinstance(outcome, OrderRefused):
        return outcome
    community.next_order += 1
    community.counters.trades += len(outcome.trades)
    if resting := market.book.orders.get(outcome.number):
        resting.quantity_uwh = quantity_uwh
    filled_uwh += outcome.filled_uwh
    status = "partly_filled" if outcome.status == "resting" and filled_uwh else outcome.status
    return OrderAmended(
        number=outcome.number,
        key=outcome.key,
        former=former,
        status=status,
        quantity_uwh=quantity_uwh,
        price_ugrx=changed.price_ugrx,
        filled_uwh=filled_uwh,
        remaining_uwh=outcome.remaining_uwh,
        trades=outcome.trades,
        movements=outcome.movements,
        paused=outcome.paused,
    )


def _reduce(community: Community, order: RestingOrder, remaining_uwh: int) -> OrderAmended:
    """Make an order smaller, or leave it as large as it is. It keeps its place in the queue."""
    if remaining_uwh < order.remaining_uwh:
        community.market_of(order).reduce(order, order.remaining_uwh - remaining_uwh)
    filled_uwh = order.quantity_uwh - remaining_uwh
    return OrderAmended(
        number=order.number,
        key=order.key,
        former=order.number,
        status="partly_filled" if filled_uwh else "resting",
        quantity_uwh=order.quantity_uwh,
        price_ugrx=order.price_ugrx,
        filled_uwh=filled_uwh,
        remaining_uwh=remaining_uwh,
        trades=[],
        movements=[],
        paused=[],
    )


def switch_market(community: Community, command: MarketCommand) -> MarketSwitched | OrderRefused:
    """Halt or resume the zone that the command names, or all zones if it names none."""
    trading = community.market.trading
    if command.zone and command.zone not in trading.zones:
        known = ", ".join(trading.zones)
        return OrderRefused(
            OrderRefusal.UNKNOWN_ZONE, f"expected one of {known}, got {command.zone!r}"
        )
    names = [command.zone] if command.zone else list(trading.zones)
    for name in names:
        trading.switch(name, _STATUS[command.action], command.reason)
    return MarketSwitched(names, _STATUS[command.action])


def _standing(community: Community, command: Standing) -> StandingAccepted | OrderRefused:
    """Put a member's standing order in the place of the former one, or withdraw that."""
    standing = read_standing(community, command)
    if isinstance(standing, OrderRefused):
        return standing
    successor = standing if command.active else None
    cancelled = standing_orders.replace(community, command.wallet, command.side, successor)
    return StandingAccepted(
        wallet=command.wallet, side=command.side, active=command.active, cancelled=cancelled
    )
