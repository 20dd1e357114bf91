"""What the API answers: amounts are decimal strings, times are Unix milliseconds."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.api.settlement_views import (
    SettlementView,
    StandingOrderView,
    settlement_view,
)
from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.messages.outcomes import (
    AllCancelled,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderStatus,
    Outcome,
    StandingAccepted,
    Trade,
)
from gridtokenx_backend.core.model.registry import Device, DeviceStatus, TokenStatus
from gridtokenx_backend.journal.port import TradeRow
from gridtokenx_wire.order import Segment, Side
from gridtokenx_wire.units import format_grx, format_kwh


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade. The buyer pays `gross_grx`, and `rent_grx` for links that are full."""

    price_grx_per_kwh: str
    quantity_kwh: str
    gross_grx: str
    fee_grx: str
    buyer: str
    seller: str
    journal_seq: int
    time_ms: int
    net_grx: str
    wheeling_grx: str
    loss_grx: str
    buyer_zone: str
    seller_zone: str
    segment: str
    rent_grx: str


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order. `status` is resting, partly_filled (the rest of it rests), filled or cancelled."""

    order: str
    status: OrderStatus
    filled_kwh: str
    remaining_kwh: str
    trades: list[TradeView]
    journal_seq: int


class CancelView(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was cancelled."""

    order: str
    status: Literal["cancelled"]
    remaining_kwh: str
    journal_seq: int


class StandingView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a standing order and of its order in the book."""

    side: Side
    active: bool
    cancelled_orders: int
    journal_seq: int


class OpenOrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order that rests in a book."""

    order: str
    side: Side
    price_grx_per_kwh: str
    quantity_kwh: str
    remaining_kwh: str
    standing: bool
    expires_ms: int
    segment: Segment


class AmendView(msgspec.Struct, frozen=True, kw_only=True):
    """An amended order. `kept_priority` is false if it has lost its place in the book."""

    order: str
    status: OrderStatus
    quantity_kwh: str
    price_grx_per_kwh: str
    filled_kwh: str
    remaining_kwh: str
    kept_priority: bool
    trades: list[TradeView]
    journal_seq: int


class CancelAllView(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders were cancelled."""

    cancelled_orders: int
    journal_seq: int


class OrdersView(msgspec.Struct, frozen=True, kw_only=True):
    """The open orders and the standing orders of a wallet."""

    orders: list[OpenOrderView]
    standing: list[StandingOrderView]


class BalanceView(msgspec.Struct, frozen=True, kw_only=True):
    """The balances of a wallet.

    `grid` is energy, `grx` money, `rec` certificates of a MWh; `_held` is the part in escrow.
    `grid_bought` was bought and is not used yet; `grid_owed` will be taken from the next mints.
    `grid_pending` is surplus that is held until the operator decides on it: it is in no balance.
    This is public; only the operator's files say whose wallet it is.
    """

    wallet: str
    grid: str
    grid_held: str
    grx: str
    grx_held: str
    rec: str
    grid_bought: str
    grid_owed: str
    grid_pending: str


class LevelView(msgspec.Struct, frozen=True, kw_only=True):
    """A price in the book, with all that rests at it."""

    price_grx_per_kwh: str
    quantity_kwh: str


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """The order book of a zone; each side has its best price first."""

    bids: list[LevelView]
    asks: list[LevelView]


class TradesView(msgspec.Struct, frozen=True):
    """Trades, newest first."""

    trades: list[TradeView]


class VerificationView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the verification of the journal in the background is.

    `status` is off, waiting, running, verified, mismatch, or failed if it could not be carried out.
    """

    status: str
    checked: int
    entries: int


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the backend. `status` is ok, or degraded, and then `detail` says why.

    `degraded` names the parts that are out of order: the journal, the clock, the history.
    `overdue_clearings` is how many intervals are due to be cleared and are not yet. By `time_zone`
    the community counts days and months.
    """

    status: Literal["ok", "degraded"]
    detail: str
    degraded: list[str]
    community: str
    time_ms: int
    time_zone: str
    journal_seq: int
    oracle: Literal["running", "paused"]
    broker: Literal["connected", "disconnected"]
    overdue_clearings: int
    verification: VerificationView


class SummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the community began."""

    time_ms: int
    frames: int
    readings_accepted: int
    readings_rejected: int
    readings_quarantined: int
    refused: dict[str, int]
    quality_permille: int
    minted_uwh: int
    minted_grid: str
    orders: int
    trades: int
    settlements: int
    journal_seq: int


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway. `origin` is config or enrolled; `follows` names the device whose key it replaced.

    `retire_ms` is when this device is retired because another key has followed (0: it is not);
    `why` says why it was revoked or is held. `readings_thinned` were left out by the gateway, which
    says so in signed summaries. `last_heard_ms` is when the newest frame with a good signature
    came, whether it was taken or not; 0: not since the server knows.
    """

    device: str
    site: str
    status: DeviceStatus | Literal["held"]
    origin: str
    follows: str
    retire_ms: int
    why: str
    chain: str
    next_seq: int
    readings_accepted: int
    readings_rejected: int
    readings_quarantined: int
    readings_thinned: int
    quality_permille: int
    last_heard_ms: int


def standing_of(device: Device) -> DeviceStatus | Literal["held"]:
    """Return a device's status for people: an active device may be held."""
    return "held" if device.held and device.status == "active" else device.status


class FramesTakenView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of frames. `refused` is why the first one was refused that was, or empty.

    `acks` are signed, in hex: the gateway's receipts for what is stored.
    """

    accepted: int
    duplicates: int
    refused: str
    next_seq: int
    acks: list[str]


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token. `id` is the beginning of its secret's hash; `device` is the one that used it."""

    id: str
    site: str
    status: TokenStatus | Literal["expired"]
    expires_ms: int
    device: str


class NewTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. `token` is shown only here; it is not stored."""

    token: str
    id: str
    site: str
    expires_ms: int


class AdmissionView(msgspec.Struct, frozen=True, kw_only=True):
    """The new status of a device, which ones it replaced, and which active ones follow its key."""

    device: str
    status: DeviceStatus
    replaced: list[str]
    followed_by: list[str]


def client_id(key: str) -> str:
    """Return the member's own id of an order, out of the core's key `wallet:id`."""
    return key.partition(":")[2]


def trade_view(trade: TradeRow | Trade, seq: int, at_ms: int) -> TradeView:
    return TradeView(
        price_grx_per_kwh=format_grx(trade.price_ugrx),
        quantity_kwh=format_kwh(trade.quantity_uwh),
        gross_grx=format_grx(trade.gross_ugrx),
        fee_grx=format_grx(trade.fee_ugrx),
        buyer=trade.buyer,
        seller=trade.seller,
        journal_seq=seq,
        time_ms=at_ms,
        net_grx=format_grx(trade.net_ugrx),
        wheeling_grx=format_grx(trade.wheeling_ugrx),
        loss_grx=format_grx(trade.loss_ugrx),
        buyer_zone=trade.buyer_zone,
        seller_zone=trade.seller_zone,
        segment=trade.segment,
        rent_grx=format_grx(trade.rent_ugrx),
    )


def open_order_view(order: RestingOrder, segment: Segment) -> OpenOrderView:
    return OpenOrderView(
        order=client_id(order.key),
        side=order.side,
        price_grx_per_kwh=format_grx(order.price_ugrx),
        quantity_kwh=format_kwh(order.quantity_uwh),
        remaining_kwh=format_kwh(order.remaining_uwh),
        standing=order.standing,
        expires_ms=order.expires_ms,
        segment=segment,
    )


InstructionView = OrderView | CancelView | AmendView | CancelAllView | StandingView | SettlementView


def instruction_view(outcome: Outcome, seq: int, at_ms: int) -> InstructionView:
    """Return the answer to an instruction that became the journal's entry `seq`."""
    match outcome:
        case OrderAccepted():
            return OrderView(
                order=client_id(outcome.key),
                status=outcome.status,
                filled_kwh=format_kwh(outcome.filled_uwh),
                remaining_kwh=format_kwh(outcome.remaining_uwh),
                trades=[trade_view(trade, seq, at_ms) for trade in outcome.trades],
                journal_seq=seq,
            )
        case OrderCancelled():
            left = format_kwh(outcome.remaining_uwh)
            return CancelView(
                order=client_id(outcome.key),
                status="cancelled",
                remaining_kwh=left,
                journal_seq=seq,
            )
        case OrderAmended():
            return AmendView(
                order=client_id(outcome.key),
                status=outcome.status,
                quantity_kwh=format_kwh(outcome.quantity_uwh),
                price_grx_per_kwh=format_grx(outcome.price_ugrx),
                filled_kwh=format_kwh(outcome.filled_uwh),
                remaining_kwh=format_kwh(outcome.remaining_uwh),
                kept_priority=outcome.number == outcome.former,
                trades=[trade_view(trade, seq, at_ms) for trade in outcome.trades],
                journal_seq=seq,
            )
        case AllCancelled():
            return CancelAllView(cancelled_orders=len(outcome.cancelled), journal_seq=seq)
        case StandingAccepted():
            return StandingView(
                side=outcome.side,
                active=outcome.active,
                cancelled_orders=len(outcome.cancelled),
                journal_seq=seq,
            )
    return settlement_view(outcome, seq)
