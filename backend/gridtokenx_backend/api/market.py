"""What everyone may read: health, balances of pseudonymous wallets, book, trades and totals."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.held_energy import held_meters
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
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
    VerificationView,
    open_order_view,
    trade_view,
)
from gridtokenx_backend.api.zone_views import ZonesView, link_view, zone_view
from gridtokenx_backend.core.market.book import BUY, SELL, Book
from gridtokenx_backend.core.model.ledger import GRID, GRX, REC
from gridtokenx_backend.core.model.registry import Member, StandingOrder
from gridtokenx_backend.engine.ticks import overdue
from gridtokenx_wire.order import Segment, Side
from gridtokenx_wire.units import format_grx, format_kwh
from gridtokenx_wire.verdict import Reason

_DEPTH = 50


@get("/v1/health", **operation("get_health", "Show whether the backend works", Tag.STATE))
async def health(backend: NamedDependency[Backend]) -> HealthView:
    """Return whether the backend takes readings and orders, and the community's time."""
    return health_of(backend)


def health_of(backend: Backend) -> HealthView:
    writer = backend.writer
    return HealthView(
        status="degraded" if writer.degraded else "ok",
        detail=writer.degraded,
        degraded=[part.value for part in writer.degradation.parts],
        community=writer.community.name,
        time_ms=backend.clock.now_ms(),
        time_zone=writer.community.active_terms.time_zone.name,
        journal_seq=writer.durable_seq,
        oracle="paused" if writer.community.paused else "running",
        broker="connected" if backend.source.connected else "disconnected",
        overdue_clearings=overdue(writer.community, backend.clock.now_ms()),
        verification=VerificationView(
            status=backend.check.status.value,
            checked=backend.check.checked,
            entries=backend.check.entries,
        ),
    )


@get("/v1/summary", **operation("get_summary", "Show totals since the beginning", Tag.STATE))
async def summary(backend: NamedDependency[Backend]) -> SummaryView:
    """Return totals since the community began."""
    async with backend.writer.durable_state() as community:
        counters = community.counters
        return SummaryView(
            time_ms=community.at_ms,
            frames=counters.frames,
            readings_accepted=counters.accepted,
            readings_rejected=counters.rejected,
            readings_quarantined=counters.quarantined,
            refused={Reason(why).label: count for why, count in sorted(counters.refused.items())},
            quality_permille=counters.quality_permille,
            minted_uwh=counters.minted_uwh,
            minted_grid=format_kwh(counters.minted_uwh),
            orders=counters.orders,
            trades=counters.trades,
            # Delivery versus payment: every trade is settled in the entry that makes it.
            settlements=counters.trades,
            journal_seq=community.entries,
        )


@get(
    "/v1/balances/{wallet:str}",
    **operation(
        "get_balance",
        "Show what a wallet owns",
        Tag.WALLETS,
        Access.EVERYONE,
        {404: ["unknown_wallet"]},
    ),
)
async def balances(backend: NamedDependency[Backend], wallet: FromPath[str]) -> BalanceView:
    """Return what a wallet owns, and how much of it is held by open orders."""
    async with backend.writer.durable_state() as community:
        member = _member(community.members, wallet)
        ledger = community.ledger
        return BalanceView(
            wallet=wallet,
            grid=format_kwh(ledger.posted(wallet, GRID)),
            grid_held=format_kwh(ledger.held(wallet, GRID)),
            grx=format_grx(ledger.posted(wallet, GRX)),
            grx_held=format_grx(ledger.held(wallet, GRX)),
            rec=str(ledger.posted(wallet, REC)),
            grid_bought=format_kwh(member.bought_uwh),
            grid_owed=format_kwh(member.owed_uwh),
            grid_pending=format_kwh(sum(held.of(wallet) for _, held in held_meters(community))),
        )


@get(
    "/v1/orders/{wallet:str}",
    **operation(
        "list_open_orders",
        "List the open orders of a wallet",
        Tag.WALLETS,
        Access.EVERYONE,
        {404: ["unknown_wallet"]},
    ),
)
async def open_orders(backend: NamedDependency[Backend], wallet: FromPath[str]) -> OrdersView:
    """Return a wallet's open orders in both segments, oldest first, and its standing orders."""
    async with backend.writer.durable_state() as community:
        member = _member(community.members, wallet)
        books: dict[Segment, Book] = {
            "realtime": community.book,
            "interval": community.interval.book,
        }
        found = [
            (order.number, open_order_view(order, segment))
            for segment, book in books.items()
            for order in book.of_wallet(wallet)
        ]
        orders = [view for _, view in sorted(found, key=lambda each: each[0])]
        standing_orders: dict[Side, StandingOrder | None] = {SELL: member.sell, BUY: member.buy}
        standing = [
            standing_order_view(side, order)
            for side, order in standing_orders.items()
            if order is not None
        ]
        return OrdersView(orders=orders, standing=standing)


@get(
    "/v1/book",
    **operation(
        "get_book",
        "Show the order book of a zone",
        Tag.MARKET,
        Access.EVERYONE,
        {404: ["unknown_zone"]},
    ),
)
async def book(backend: NamedDependency[Backend], zone: FromQuery[str] = "") -> BookView:
    """Return the best 50 prices of each side of a zone with all that rests at each of them.

    Without `zone` it is the first one. Prices are those of the orders; between zones, wheeling and
    loss are added to them.
    """
    async with backend.writer.durable_state() as community:
        known = community.market.trading.zones
        zone = zone or next(iter(known))
        if zone not in known:
            detail = f"expected one of {', '.join(known)}, got {zone[:40]!r}"
            raise Problem(status=404, title="No such zone", detail=detail, reason="unknown_zone")
        bids, asks = (
            [
                LevelView(price_grx_per_kwh=format_grx(price), quantity_kwh=format_kwh(volume))
                for price, volume in community.book.depth(zone, side, _DEPTH)
            ]
            for side in (BUY, SELL)
        )
        return BookView(bids=bids, asks=asks)


@get("/v1/zones", **operation("list_zones", "List zones and links", Tag.MARKET))
async def zones(backend: NamedDependency[Backend]) -> ZonesView:
    """Return the zones with their state, and the links with what still fits in this interval."""
    async with backend.writer.durable_state() as community:
        trading, rules = community.market.trading, community.market.rules
        at_ms = max(backend.clock.now_ms(), community.at_ms)
        return ZonesView(
            zones=[zone_view(zone, trading.zones[zone.name], at_ms) for zone in rules.zones],
            links=[link_view(link, trading.room_uwh(link, at_ms)) for link in rules.links],
        )


@get("/v1/trades", **operation("list_trades", "List the newest trades", Tag.MARKET))
async def trades(backend: NamedDependency[Backend], limit: Limit = 100) -> TradesView:
    """Return the newest trades."""
    rows = await backend.journal.trades(limit)
    return TradesView([trade_view(row, row.seq, row.at_ms) for row in rows])


def _member(members: dict[str, Member], wallet: str) -> Member:
    member = members.get(wallet)
    if member is None:
        detail = "expected the wallet of a member"
        raise Problem(status=404, title="No such wallet", detail=detail, reason="unknown_wallet")
    return member
