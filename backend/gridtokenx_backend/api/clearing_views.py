"""What the API answers about interval auctions: all that is needed to compute them again."""

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
from gridtokenx_wire.order import Side
from gridtokenx_wire.units import format_grx, format_kwh


class BookOrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order that took part in an auction."""

    number: int
    wallet: str
    side: Side
    price_grx_per_kwh: str
    quantity_kwh: str


class CurveStepView(msgspec.Struct, frozen=True, kw_only=True):
    """How much is bid or asked at this price or a better one."""

    price_grx_per_kwh: str
    quantity_kwh: str


class ClearingTradeView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade between two orders, by number. The zones differ if the coupling made it."""

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


class ClearingLinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A link in the coupling.

    `capacity_kwh` is what the realtime market left of it; `rent` is what a full link earns.
    """

    from_zone: str
    to_zone: str
    capacity_kwh: str
    wheeling_grx_per_kwh: str
    loss_grx_per_kwh: str
    flow_kwh: str
    rent_grx_per_kwh: str
    rent_grx: str


class ClearingView(msgspec.Struct, frozen=True, kw_only=True):
    """One zone's auction of an interval, and its part in the coupling.

    A price is null if nothing trades; `low` and `high` are null if the interval of prices is open
    at that end. docs/market.md explains `book_hash`. `trades` are those of the zone's orders.
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


class ClearingSummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """What one zone's auction of an interval came to."""

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


class ClearingsView(msgspec.Struct, frozen=True, kw_only=True):
    """Clearings, newest first. `before_ms` asks for more; it is null if there are no more."""

    clearings: list[ClearingSummaryView]
    before_ms: int | None


def clearing_view(
    community: str, seq: int, outcome: IntervalCleared, zone: ZoneClearing
) -> ClearingView:
    """Return all that the journal's entry `seq` says about one zone."""
    numbers = {order.number for order in zone.book}
    return ClearingView(
        community=community,
        zone=zone.zone,
        interval_ms=outcome.interval_ms,
        journal_seq=seq,
        rules=RULES,
        tick_grx_per_kwh=format_grx(outcome.tick_ugrx),
        book=[
            BookOrderView(
                number=order.number,
                wallet=order.wallet,
                side=order.side,
                price_grx_per_kwh=format_grx(order.price_ugrx),
                quantity_kwh=format_kwh(order.quantity_uwh),
            )
            for order in zone.book
        ],
        book_hash=zone.digest,
        demand=_steps(curve(bids_first_served(zone.book))),
        supply=_steps(curve(asks_first_served(zone.book))),
        low_grx_per_kwh=_price(zone.low_ugrx),
        high_grx_per_kwh=_price(zone.high_ugrx),
        price_grx_per_kwh=_price(zone.price_ugrx),
        volume_kwh=format_kwh(zone.volume_uwh),
        welfare_grx=format_grx(zone.welfare_ugrx),
        exported_kwh=format_kwh(zone.exported_uwh),
        imported_kwh=format_kwh(zone.imported_uwh),
        coupling_low_grx_per_kwh=_price(zone.coupling_low_ugrx),
        coupling_high_grx_per_kwh=_price(zone.coupling_high_ugrx),
        coupling_price_grx_per_kwh=_price(zone.coupling_price_ugrx),
        trades=[_trade(trade) for trade in outcome.trades if numbers & {trade.maker, trade.taker}],
        links=[_link(link) for link in outcome.links],
    )


def clearing_summaries(seq: int, outcome: IntervalCleared) -> list[ClearingSummaryView]:
    """Return the summary of each zone in a clearing."""
    return [
        ClearingSummaryView(
            zone=zone.zone,
            interval_ms=outcome.interval_ms,
            journal_seq=seq,
            orders=len(zone.book),
            price_grx_per_kwh=_price(zone.price_ugrx),
            volume_kwh=format_kwh(zone.volume_uwh),
            welfare_grx=format_grx(zone.welfare_ugrx),
            exported_kwh=format_kwh(zone.exported_uwh),
            imported_kwh=format_kwh(zone.imported_uwh),
            coupling_price_grx_per_kwh=_price(zone.coupling_price_ugrx),
            book_hash=zone.digest,
        )
        for zone in outcome.zones
    ]


def _price(price_ugrx: int | None) -> str | None:
    return None if price_ugrx is None else format_grx(price_ugrx)


def _steps(curve: Sequence[tuple[int, int]]) -> list[CurveStepView]:
    return [
        CurveStepView(price_grx_per_kwh=format_grx(price), quantity_kwh=format_kwh(quantity))
        for price, quantity in curve
    ]


def _trade(trade: Trade) -> ClearingTradeView:
    return ClearingTradeView(
        buyer_order=trade.maker,
        seller_order=trade.taker,
        quantity_kwh=format_kwh(trade.quantity_uwh),
        price_grx_per_kwh=format_grx(trade.price_ugrx),
        gross_grx=format_grx(trade.gross_ugrx),
        net_grx=format_grx(trade.net_ugrx),
        fee_grx=format_grx(trade.fee_ugrx),
        wheeling_grx=format_grx(trade.wheeling_ugrx),
        loss_grx=format_grx(trade.loss_ugrx),
        rent_grx=format_grx(trade.rent_ugrx),
        buyer_zone=trade.buyer_zone,
        seller_zone=trade.seller_zone,
    )


def _link(link: LinkClearing) -> ClearingLinkView:
    return ClearingLinkView(
        from_zone=link.from_zone,
        to_zone=link.to_zone,
        capacity_kwh=format_kwh(link.capacity_uwh),
        wheeling_grx_per_kwh=format_grx(link.wheeling_ugrx),
        loss_grx_per_kwh=format_grx(link.loss_ugrx),
        flow_kwh=format_kwh(link.flow_uwh),
        rent_grx_per_kwh=format_grx(link.rent_ugrx_per_kwh),
        rent_grx=format_grx(link.rent_ugrx),
    )
