"""What everyone may read: health, balances of pseudonymous wallets, book, trades, totals."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.paging import Limit
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.settlement_views import standing_order_view
from gridtokenx_backend.api.views import (
    BalanceView,
    BookView,
    HealthView,
    LevelView,
    OrdersView,
    SummaryView,
    TradesView,
    open_order_view,
    trade_view,
)
from gridtokenx_backend.api.zone_views import ZonesView, link_view, zone_view
from gridtokenx_backend.core.market.book import BUY, SELL
from gridtokenx_backend.core.market.interval_market import INTERVAL
from gridtokenx_backend.core.model.ledger import GRID, GRX, REC
from gridtokenx_backend.core.model.registry import Member
from gridtokenx_wire.units import format_grx, format_kwh
from gridtokenx_wire.verdict import Reason

REALTIME = "realtime"
_DEPTH = 50


@get("/v1/health")
async def health(backend: NamedDependency[Backend]) -> HealthView:
    """Whether readings and orders are taken, and what the community's time is."""
    return health_of(backend)


def health_of(backend: Backend) -> HealthView:
    writer = backend.writer
    return HealthView(
        "degraded" if writer.degraded else "ok",
        writer.degraded,
        writer.community.name,
        backend.clock.now_ms(),
        writer.durable_seq,
        "paused" if writer.community.paused else "running",
        "connected" if backend.source.connected else "disconnected",
    )


@get("/v1/summary")
async def summary(backend: NamedDependency[Backend]) -> SummaryView:
    """Totals since the community began."""
    async with backend.writer.reading() as community:
        counters = community.counters
        return SummaryView(
            community.at_ms,
            counters.frames,
            counters.accepted,
            counters.rejected,
            counters.quarantined,
            {Reason(why).label: count for why, count in sorted(counters.refused.items())},
            counters.quality_permille,
            counters.minted_uwh,
            counters.orders,
            counters.trades,
            counters.trades,  # delivery versus payment: every trade is settled where it is made
            community.entries,
        )


@get("/v1/balances/{wallet:str}")
async def balances(backend: NamedDependency[Backend], wallet: FromPath[str]) -> BalanceView:
    """What a wallet owns, and what of it open orders hold."""
    async with backend.writer.reading() as community:
        member = _member(community.members, wallet)
        ledger = community.ledger
        return BalanceView(
            wallet,
            format_kwh(ledger.posted(wallet, GRID)),
            format_kwh(ledger.held(wallet, GRID)),
            format_grx(ledger.posted(wallet, GRX)),
            format_grx(ledger.held(wallet, GRX)),
            str(ledger.posted(wallet, REC)),
            format_kwh(member.bought_uwh),
            format_kwh(member.owed_uwh),
        )


@get("/v1/orders/{wallet:str}")
async def open_orders(backend: NamedDependency[Backend], wallet: FromPath[str]) -> OrdersView:
    """A wallet's open orders in both segments, oldest first, and its standing orders."""
    async with backend.writer.reading() as community:
        member = _member(community.members, wallet)
        found = [
            (order.number, open_order_view(order, segment))
            for segment, book in (
                (REALTIME, community.book),
                (INTERVAL, community.interval.book),
            )
            for order in book.of_wallet(wallet)
        ]
        orders = [view for _, view in sorted(found, key=lambda each: each[0])]
        standing = [
            standing_order_view(side, order)
            for side, order in ((SELL, member.sell), (BUY, member.buy))
            if order is not None
        ]
        return OrdersView(orders, standing)


@get("/v1/book")
async def book(backend: NamedDependency[Backend], zone: FromQuery[str] = "") -> BookView:
    """The best 50 prices of each side of a zone, by default the first, with all that rests there.

    Prices are the orders' own: of another zone, wheeling and loss come between.
    """
    async with backend.writer.reading() as community:
        known = community.market.trading.zones
        zone = zone or next(iter(known))
        if zone not in known:
            detail = f"expected one of {', '.join(known)}, got {zone[:40]!r}"
            raise Problem(404, "No such zone", detail, "unknown_zone")
        bids, asks = (
            [
                LevelView(format_grx(price), format_kwh(volume))
                for price, volume in community.book.depth(zone, side, _DEPTH)
            ]
            for side in (BUY, SELL)
        )
        return BookView(bids, asks)


@get("/v1/zones")
async def zones(backend: NamedDependency[Backend]) -> ZonesView:
    """The zones with their state, and the links with what fits through them in this interval."""
    async with backend.writer.reading() as community:
        trading, rules = community.market.trading, community.market.rules
        at_ms = max(backend.clock.now_ms(), community.at_ms)
        return ZonesView(
            [zone_view(zone, trading.zones[zone.name], at_ms) for zone in rules.zones],
            [link_view(link, trading.room_uwh(link, at_ms)) for link in rules.links],
        )


@get("/v1/trades")
async def trades(backend: NamedDependency[Backend], limit: Limit = 100) -> TradesView:
    """The newest trades."""
    rows = await backend.journal.trades(limit)
    return TradesView([trade_view(row, row.seq, row.at_ms) for row in rows])


def _member(members: dict[str, Member], wallet: str) -> Member:
    member = members.get(wallet)
    if member is None:
        detail = "expected the wallet of a member"
        raise Problem(404, "No such wallet", detail, "unknown_wallet")
    return member
