"""What the API answers with: amounts as decimal strings, time as Unix milliseconds."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.api.settlement_views import (
    SettlementAnswer,
    StandingOrderView,
    settled_view,
)
from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.messages.outcomes import (
    AllCancelled,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    Outcome,
    StandingAccepted,
    Trade,
)
from gridtokenx_backend.journal.port import TradeRow
from gridtokenx_wire.units import format_grx, format_kwh


class TradeView(msgspec.Struct, frozen=True):
    """The buyer pays `gross_grx`, and `rent_grx` for links that are full."""

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


class OrderView(msgspec.Struct, frozen=True):
    """`status` is resting, partly_filled (the rest of it rests), filled, or cancelled."""

    order: str
    status: str
    filled_kwh: str
    remaining_kwh: str
    trades: list[TradeView]
    journal_seq: int


class CancelView(msgspec.Struct, frozen=True):
    order: str
    status: str
    remaining_kwh: str
    journal_seq: int


class StandingView(msgspec.Struct, frozen=True):
    side: str
    active: bool
    cancelled_orders: int
    journal_seq: int


class OpenOrderView(msgspec.Struct, frozen=True):
    order: str
    side: str
    price_grx_per_kwh: str
    quantity_kwh: str
    remaining_kwh: str
    standing: bool
    expires_ms: int
    segment: str


class AmendView(msgspec.Struct, frozen=True):
    """`status` as of an order. `kept_priority` is false if it is a new order in its place."""

    order: str
    status: str
    quantity_kwh: str
    price_grx_per_kwh: str
    filled_kwh: str
    remaining_kwh: str
    kept_priority: bool
    trades: list[TradeView]
    journal_seq: int


class CancelAllView(msgspec.Struct, frozen=True):
    cancelled_orders: int
    journal_seq: int


class OrdersView(msgspec.Struct, frozen=True):
    orders: list[OpenOrderView]
    standing: list[StandingOrderView]


class BalanceView(msgspec.Struct, frozen=True):
    """`grid` is energy, `grx` money, `rec` certificates of a MWh; `_held` is the part in escrow.

    `grid_bought` was bought and is not used yet, `grid_owed` is what the next mints will pay back.
    Whose wallet it is, only the operator's files say: this is public.
    """

    wallet: str
    grid: str
    grid_held: str
    grx: str
    grx_held: str
    rec: str
    grid_bought: str
    grid_owed: str


class LevelView(msgspec.Struct, frozen=True):
    price_grx_per_kwh: str
    quantity_kwh: str


class BookView(msgspec.Struct, frozen=True):
    """Best price first."""

    bids: list[LevelView]
    asks: list[LevelView]


class TradesView(msgspec.Struct, frozen=True):
    """Newest first."""

    trades: list[TradeView]


class HealthView(msgspec.Struct, frozen=True):
    """`status` is ok or degraded, and then `detail` says why."""

    status: str
    detail: str
    community: str
    time_ms: int
    journal_seq: int
    oracle: str
    broker: str


class SummaryView(msgspec.Struct, frozen=True):
    time_ms: int
    frames: int
    readings_accepted: int
    readings_rejected: int
    readings_quarantined: int
    refused: dict[str, int]
    quality_permille: int
    minted_uwh: int
    orders: int
    trades: int
    settlements: int
    journal_seq: int


class DeviceView(msgspec.Struct, frozen=True):
    """`origin` is config or enrolled; `follows` the device whose key this one's followed.

    `retire_ms` is when its own overlap ends (0: no end is set), `why` says why it was revoked.
    `readings_thinned` were left out by the gateway, which says so in signed summaries.
    """

    device: str
    site: str
    status: str
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


class FramesTakenView(msgspec.Struct, frozen=True):
    """`refused` is the reason of the first frame that was not taken, or empty.

    `acks` are signed, in hex: the gateway's receipts for what is stored.
    """

    accepted: int
    duplicates: int
    refused: str
    next_seq: int
    acks: list[str]


class TokenView(msgspec.Struct, frozen=True):
    """`id` is the beginning of the hash of its secret. `device` is the one that used it."""

    id: str
    site: str
    status: str
    expires_ms: int
    device: str


class NewTokenView(msgspec.Struct, frozen=True):
    """`token` is told once; it is nowhere kept."""

    token: str
    id: str
    site: str
    expires_ms: int


class AdmissionView(msgspec.Struct, frozen=True):
    """What became of a device, which were revoked for it, and which active ones follow its key."""

    device: str
    status: str
    replaced: list[str]
    followed_by: list[str]


class ReadingView(msgspec.Struct, frozen=True):
    time_ms: int
    import_kwh: str
    export_kwh: str
    power_w: int | None
    verdict: str
    journal_seq: int


class ReadingsView(msgspec.Struct, frozen=True):
    """Newest first."""

    meter: str
    readings: list[ReadingView]


def client_id(key: str) -> str:
    """The member's own id of an order, out of the core's key `wallet:id`."""
    return key.partition(":")[2]


def trade_view(trade: TradeRow | Trade, seq: int, at_ms: int) -> TradeView:
    return TradeView(
        format_grx(trade.price_ugrx),
        format_kwh(trade.quantity_uwh),
        format_grx(trade.gross_ugrx),
        format_grx(trade.fee_ugrx),
        trade.buyer,
        trade.seller,
        seq,
        at_ms,
        format_grx(trade.net_ugrx),
        format_grx(trade.wheeling_ugrx),
        format_grx(trade.loss_ugrx),
        trade.buyer_zone,
        trade.seller_zone,
        trade.segment,
        format_grx(trade.rent_ugrx),
    )


def open_order_view(order: RestingOrder, segment: str) -> OpenOrderView:
    return OpenOrderView(
        client_id(order.key),
        order.side,
        format_grx(order.price_ugrx),
        format_kwh(order.quantity_uwh),
        format_kwh(order.remaining_uwh),
        order.standing,
        order.expires_ms,
        segment,
    )


InstructionView = (
    OrderView | CancelView | AmendView | CancelAllView | StandingView | SettlementAnswer
)


def instruction_view(outcome: Outcome, seq: int, at_ms: int) -> InstructionView:
    """The answer to an instruction that became the journal's entry `seq`."""
    match outcome:
        case OrderAccepted():
            return OrderView(
                client_id(outcome.key),
                outcome.status,
                format_kwh(outcome.filled_uwh),
                format_kwh(outcome.remaining_uwh),
                [trade_view(trade, seq, at_ms) for trade in outcome.trades],
                seq,
            )
        case OrderCancelled():
            left = format_kwh(outcome.remaining_uwh)
            return CancelView(client_id(outcome.key), "cancelled", left, seq)
        case OrderAmended():
            return AmendView(
                client_id(outcome.key),
                outcome.status,
                format_kwh(outcome.quantity_uwh),
                format_grx(outcome.price_ugrx),
                format_kwh(outcome.filled_uwh),
                format_kwh(outcome.remaining_uwh),
                outcome.number == outcome.former,
                [trade_view(trade, seq, at_ms) for trade in outcome.trades],
                seq,
            )
        case AllCancelled():
            return CancelAllView(len(outcome.cancelled), seq)
        case StandingAccepted():
            return StandingView(outcome.side, outcome.active, len(outcome.cancelled), seq)
    return settled_view(outcome, seq)
