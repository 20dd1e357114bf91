"""What the API says of interval auctions: everything that somebody needs to compute them again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.auction.orders import (
    RULES,
    asks_first_served,
    bids_first_served,
    curve,
)
from gridtokenx_backend.core.messages.clearing_records import LinkClearing, ZoneClearing
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, Trade
from gridtokenx_wire.units import format_grx, format_kwh


class BookOrderView(msgspec.Struct, frozen=True):
    number: int
    wallet: str
    side: str
    price_grx_per_kwh: str
    quantity_kwh: str


class CurveStepView(msgspec.Struct, frozen=True):
    """All that is bid or asked at this price or a better one."""

    price_grx_per_kwh: str
    quantity_kwh: str


class ClearingTradeView(msgspec.Struct, frozen=True):
    """Between two orders, by number. The zones differ where it came about by the coupling."""

    buyer_order: int
    seller_order: int
    quantity_kwh: str
    price_grx_per_kwh: str
    gross_grx: str
    net_grx: str
    fee_grx: str
    wheeling_grx: str
    loss_grx: str
    rent_grx: str
    buyer_zone: str
    seller_zone: str


class ClearingLinkView(msgspec.Struct, frozen=True):
    """`capacity_kwh` is what the realtime market left; `rent` is what a full link earns."""

    from_zone: str
    to_zone: str
    capacity_kwh: str
    wheeling_grx_per_kwh: str
    loss_grx_per_kwh: str
    flow_kwh: str
    rent_grx_per_kwh: str
    rent_grx: str


class ClearingView(msgspec.Struct, frozen=True):
    """One zone's auction of an interval, and its part in the coupling.

    A price is null where nothing trades, an end of an interval where there is none. `book_hash` is
    explained in docs/market.md. `trades` are those of the zone's orders.
    """

    community: str
    zone: str
    interval_ms: int
    journal_seq: int
    rules: str
    tick_grx_per_kwh: str
    book: list[BookOrderView]
    book_hash: str
    demand: list[CurveStepView]
    supply: list[CurveStepView]
    low_grx_per_kwh: str | None
    high_grx_per_kwh: str | None
    price_grx_per_kwh: str | None
    volume_kwh: str
    welfare_grx: str
    exported_kwh: str
    imported_kwh: str
    coupling_low_grx_per_kwh: str | None
    coupling_high_grx_per_kwh: str | None
    coupling_price_grx_per_kwh: str | None
    trades: list[ClearingTradeView]
    links: list[ClearingLinkView]


class ClearingSummaryView(msgspec.Struct, frozen=True):
    zone: str
    interval_ms: int
    journal_seq: int
    orders: int
    price_grx_per_kwh: str | None
    volume_kwh: str
    welfare_grx: str
    exported_kwh: str
    imported_kwh: str
    coupling_price_grx_per_kwh: str | None
    book_hash: str


class ClearingsView(msgspec.Struct, frozen=True):
    """Newest first. `before_ms` asks for those that come after; null if there are no more."""

    clearings: list[ClearingSummaryView]
    before_ms: int | None


def clearing_view(
    community: str, seq: int, cleared: IntervalCleared, zone: ZoneClearing
) -> ClearingView:
    """All that the journal's entry `seq` says of one zone."""
    numbers = {order.number for order in zone.book}
    return ClearingView(
        community,
        zone.zone,
        cleared.interval_ms,
        seq,
        RULES,
        format_grx(cleared.tick_ugrx),
        [
            BookOrderView(
                order.number,
                order.wallet,
                order.side,
                format_grx(order.price_ugrx),
                format_kwh(order.quantity_uwh),
            )
            for order in zone.book
        ],
        zone.digest,
        _steps(curve(bids_first_served(zone.book))),
        _steps(curve(asks_first_served(zone.book))),
        _price(zone.low_ugrx),
        _price(zone.high_ugrx),
        _price(zone.price_ugrx),
        format_kwh(zone.volume_uwh),
        format_grx(zone.welfare_ugrx),
        format_kwh(zone.exported_uwh),
        format_kwh(zone.imported_uwh),
        _price(zone.coupling_low_ugrx),
        _price(zone.coupling_high_ugrx),
        _price(zone.coupling_price_ugrx),
        [_trade(trade) for trade in cleared.trades if numbers & {trade.maker, trade.taker}],
        [_link(link) for link in cleared.links],
    )


def clearing_summaries(seq: int, cleared: IntervalCleared) -> list[ClearingSummaryView]:
    """One line for each zone."""
    return [
        ClearingSummaryView(
            zone.zone,
            cleared.interval_ms,
            seq,
            len(zone.book),
            _price(zone.price_ugrx),
            format_kwh(zone.volume_uwh),
            format_grx(zone.welfare_ugrx),
            format_kwh(zone.exported_uwh),
            format_kwh(zone.imported_uwh),
            _price(zone.coupling_price_ugrx),
            zone.digest,
        )
        for zone in cleared.zones
    ]


def _price(price_ugrx: int | None) -> str | None:
    return None if price_ugrx is None else format_grx(price_ugrx)


def _steps(curve: Sequence[tuple[int, int]]) -> list[CurveStepView]:
    return [CurveStepView(format_grx(price), format_kwh(quantity)) for price, quantity in curve]


def _trade(trade: Trade) -> ClearingTradeView:
    return ClearingTradeView(
        trade.maker,
        trade.taker,
        format_kwh(trade.quantity_uwh),
        format_grx(trade.price_ugrx),
        format_grx(trade.gross_ugrx),
        format_grx(trade.net_ugrx),
        format_grx(trade.fee_ugrx),
        format_grx(trade.wheeling_ugrx),
        format_grx(trade.loss_ugrx),
        format_grx(trade.rent_ugrx),
        trade.buyer_zone,
        trade.seller_zone,
    )


def _link(link: LinkClearing) -> ClearingLinkView:
    return ClearingLinkView(
        link.from_zone,
        link.to_zone,
        format_kwh(link.capacity_uwh),
        format_grx(link.wheeling_ugrx),
        format_grx(link.loss_ugrx),
        format_kwh(link.flow_uwh),
        format_grx(link.rent_ugrx_per_kwh),
        format_grx(link.rent_ugrx),
    )
