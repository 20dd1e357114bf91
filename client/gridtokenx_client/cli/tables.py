"""Answers as tables for a terminal. Texts from elsewhere are shown as they are, never as markup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from zoneinfo import ZoneInfo

from rich.console import Group
from rich.text import Text

from gridtokenx_client.answers import (
    AllCancelled,
    Amended,
    Balance,
    Cancelled,
    Certificate,
    CertificateChange,
    Health,
    OpenOrder,
    Orders,
    Placed,
    StandingOrder,
    StandingSet,
    Trade,
    Withdrawal,
)
from gridtokenx_client.problem import one_line
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx, parse_kwh


def short(amount: str) -> str:
    """Return `1.500000000` as `1.5`."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


_WRAPPED = frozenset({"", "placed by", "technology", "beneficiary"})
"""Headings of columns whose words may stand on several lines."""


def _table(*headings: str, numbers: int) -> TerminalTable:
    """Return an empty table whose last `numbers` columns are aligned to the right."""
    first_number = len(headings) - numbers
    return TerminalTable(
        [
            Column(heading, wraps=heading in _WRAPPED, is_number=position >= first_number)
            for position, heading in enumerate(headings)
        ]
    )


def _titled(title: str, table: TerminalTable) -> Group:
    return Group(Text(one_line(title)), table)


def _add(table: TerminalTable, *cells: str) -> None:
    table.add(*(Text(one_line(cell)) for cell in cells))


def balance_table(balance: Balance) -> Group:
    table = _table("asset", "owned", "in open orders", "free", numbers=3)
    free_grid = format_kwh(parse_kwh(balance.grid) - parse_kwh(balance.grid_held))
    free_grx = format_grx(parse_grx(balance.grx) - parse_grx(balance.grx_held))
    _add(table, "GRID (kWh)", short(balance.grid), short(balance.grid_held), short(free_grid))
    _add(table, "GRX", short(balance.grx), short(balance.grx_held), short(free_grx))
    _add(table, "REC", short(balance.rec), "0", short(balance.rec))
    group = _titled(balance.wallet, table)
    if parse_kwh(balance.grid_pending):
        waits = f"{short(balance.grid_pending)} kWh wait until the operator has decided on them"
        group.renderables.append(Text(one_line(waits)))
    return group


def placed_table(placed: Placed, segment: str = "realtime") -> Group:
    """Return what became of an order.

    Trades at one price are one row, as there may be many small ones.
    """
    table = _table("", "kWh", "GRX/kWh", "GRX", numbers=3)
    prices = [
        list(trades) for _, trades in groupby(placed.trades, lambda trade: trade.price_grx_per_kwh)
    ]
    for trades in prices:
        count = f", {len(trades)} trades" if len(trades) > 1 else ""
        _add(table, f"traded, entry {placed.journal_seq}{count}", *_sums(trades))
    if len(prices) > 1:
        _add(table, "traded in all", *_sums(placed.trades))
    rest = "not traded" if placed.status == "cancelled" else "open"
    _add(table, rest, short(placed.remaining_kwh), "", "")
    return _titled(f"order {placed.order}: {_became(placed, segment)}", table)


def _sums(trades: Sequence[Trade]) -> tuple[str, str, str]:
    """Return all energy, the price or the mean of several, all money."""
    quantity_uwh = sum(parse_kwh(trade.quantity_kwh) for trade in trades)
    gross_ugrx = sum(parse_grx(trade.gross_grx) for trade in trades)
    prices = {trade.price_grx_per_kwh for trade in trades}
    shown = short(prices.pop()) if len(prices) == 1 else f"⌀ {_mean_price(trades)}"
    return short(format_kwh(quantity_uwh)), shown, short(format_grx(gross_ugrx))


def _mean_price(trades: Sequence[Trade]) -> str:
    """Return the mean price, weighted by energy."""
    quantities_uwh = [parse_kwh(trade.quantity_kwh) for trade in trades]
    prices_ugrx = [parse_grx(trade.price_grx_per_kwh) for trade in trades]
    values = sum(a * b for a, b in zip(quantities_uwh, prices_ugrx, strict=True))
    return format_grx(values // sum(quantities_uwh))


def _became(placed: Placed, segment: str) -> str:
    if placed.status == "resting" and segment == "interval":
        return "waits for the next auction"
    if placed.status == "partly_filled":
        return "partly filled, the rest is open"
    if placed.status == "cancelled":
        return "partly filled, the rest cancelled" if placed.trades else "cancelled, nothing traded"
    return placed.status


def amended_line(amended: Amended) -> str:
    place = "kept its place" if amended.kept_priority else "took a new place"
    left, price = short(amended.remaining_kwh), short(amended.price_grx_per_kwh)
    status = amended.status.replace("_", " ")
    return one_line(
        f"order {amended.order}: {status}, {left} kWh open at {price} GRX/kWh; it {place}"
    )


def all_cancelled_line(cancelled: AllCancelled) -> str:
    count = cancelled.cancelled_orders
    orders = "order" if count == 1 else "orders"
    return f"{count} {orders} cancelled (entry {cancelled.journal_seq})"


def cancelled_line(cancelled: Cancelled) -> str:
    left = short(cancelled.remaining_kwh)
    return one_line(f"order {cancelled.order}: cancelled, {left} kWh were left")


def standing_line(standing: StandingSet) -> str:
    state = "active" if standing.active else "ended"
    return one_line(f"standing order to {standing.side}: {state} (entry {standing.journal_seq})")


def community_zone(health: Health) -> tzinfo | None:
    """Return the community's time zone; None, this machine's, if it is not told or not known."""
    try:
        return ZoneInfo(health.time_zone) if health.time_zone else None
    except (ValueError, OSError, KeyError):
        return None


def orders_table(wallet: str, orders: Orders, zone: tzinfo | None) -> Group:
    table = _table("order", "side", "placed by", "kWh", "still open", "GRX/kWh", numbers=3)
    for order in orders.orders:
        _add(
            table,
            order.order,
            order.side,
            _placed_by(order, zone),
            short(order.quantity_kwh),
            short(order.remaining_kwh),
            short(order.price_grx_per_kwh),
        )
    for standing in orders.standing:
        keep = f"above {short(standing.keep_kwh)}" if standing.side == "sell" else "what is used"
        _add(table, "", standing.side, _itself(standing), keep, "", _prices(standing))
    return _titled(wallet, table)


def _placed_by(order: OpenOrder, zone: tzinfo | None) -> str:
    """Return `hand, auction, until 2026-06-18 12:15 CEST`."""
    parts = ["standing order" if order.standing else "hand"]
    if order.segment == "interval":
        parts.append("auction")
    if order.expires_ms:
        until = datetime.fromtimestamp(order.expires_ms / 1000, UTC).astimezone(zone)
        parts.append(f"until {until:%Y-%m-%d %H:%M %Z}")
    return ", ".join(parts)


def _itself(standing: StandingOrder) -> str:
    where = ", auction" if standing.segment == "interval" else ""
    return f"standing order itself{where}{', paused' if standing.paused else ''}"


def _prices(standing: StandingOrder) -> str:
    """Return `0.12, from 18 h 0.3`."""
    others = [f"from {from_hour} h {short(price)}" for from_hour, price in standing.curve]
    return ", ".join([short(standing.price_grx_per_kwh), *others])


def withdrawal_line(withdrawal: Withdrawal) -> str:
    amount = short(withdrawal.amount_grx)
    text = f"withdrawal {withdrawal.number}: {amount} GRX {withdrawal.status}"
    return one_line(f"{text} (entry {withdrawal.journal_seq})")


def certificate_line(change: CertificateChange) -> str:
    how = f"for {change.beneficiary}" if change.status == "retired" else f"to {change.owner}"
    return one_line(f"{change.serial}: {change.status} {how} (entry {change.journal_seq})")


def certificates_table(title: str, certificates: Sequence[Certificate]) -> Group:
    table = _table("certificate", "month", "technology", "status", "beneficiary", numbers=0)
    for each in certificates:
        _add(table, each.serial, each.month, each.technology, each.status, each.beneficiary)
    return _titled(title, table)
