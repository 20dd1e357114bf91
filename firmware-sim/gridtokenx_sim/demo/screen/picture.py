"""The live picture: a scene in, something that Rich can print out. Nothing else is looked at.

It fills 100 × 30 characters. What is narrower loses columns first, then gets its parts stacked.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich import box
from rich.align import Align
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gridtokenx_sim.demo.api import Level
from gridtokenx_sim.demo.screen.scene import MemberRow, Scene

_SIDE_BY_SIDE = 80
_WITH_MODELS = 97  # every member of the demo in full: its longest cells and a blank between them
_WITH_ORDERS = 72
_BAR_W = 1000
_BAR_LENGTH = 7
_LEVELS = 4
_TRADES = 8
_INTERVAL_MS = 900_000
_FAULT_STYLE = "bold red"


def picture(scene: Scene, width: int) -> RenderableType:
    """Return the scene for a terminal `width` characters wide."""
    market = [_book(scene), _trades(scene)]
    if width >= _SIDE_BY_SIDE:
        beside = Table.grid(expand=True)
        beside.add_column(ratio=5)
        beside.add_column(ratio=8)
        beside.add_row(*market)
        market = [beside]
    return Group(
        _header(scene), _totals(scene), _member_rows(scene, width), *market, _events(scene)
    )


def _header(scene: Scene) -> RenderableType:
    sun = f"☀ {scene.sun_degrees:.0f}° {scene.sun_w_m2} W/m²"
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(no_wrap=True, justify="right")
    line.add_row(
        Text.assemble(("GridTokenX", "bold green"), f"  {scene.title}"),
        Text.assemble(
            (local_time(scene.time_ms, scene.time_zone).strftime("%a %d %b %Y %H:%M"), "bold"),
            f"  ×{scene.speed:g}  ",
            (sun if scene.sun_degrees > 0 else "☾ night", "yellow"),
        ),
    )
    return line


def _totals(scene: Scene) -> RenderableType:
    summary = scene.summary
    if summary is None:
        return Text("waiting for the backend …", style="dim")
    refused = summary.readings_rejected + summary.readings_quarantined
    parts: list[str | tuple[str, str]] = [
        "readings ",
        (f"{summary.readings_accepted:,} ✓ ", "bold"),
        (f"{refused:,} ✗", "bold red" if refused else "bold"),
        " · ",
        (kwh(summary.minted_uwh), "bold green"),
        " GRID minted · ",
        (f"{summary.orders:,}", "bold"),
        " orders · ",
        (f"{summary.trades:,}", "bold"),
        " trades · ",
        (f"{summary.settlements:,}", "bold"),
        " settled",
    ]
    return Text.assemble(*parts, overflow="ellipsis", no_wrap=True)


def _member_rows(scene: Scene, width: int) -> RenderableType:
    # The box draws the blank between two columns; with padding a hundred characters are too few.
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=0, show_edge=False)
    table.add_column("member", no_wrap=True, min_width=11)
    if width >= _WITH_MODELS:
        table.add_column("meter", no_wrap=True, style="dim")
        table.add_column("line", no_wrap=True, style="dim")
    table.add_column("power now", no_wrap=True, min_width=10)
    if width >= _WITH_ORDERS:
        table.add_column("standing", no_wrap=True)
    table.add_column("GRID", justify="right", no_wrap=True, min_width=7)
    table.add_column("GRX", justify="right", no_wrap=True, min_width=9)
    for row in scene.member_rows:
        table.add_row(*_member_row(row, width))
    return table


def _member_row(row: MemberRow, width: int) -> Iterable[RenderableType]:
    yield row.member
    if width >= _WITH_MODELS:
        yield row.model
        yield row.bus
    yield _power(row)
    if width >= _WITH_ORDERS:
        yield row.order
    yield kwh(row.balance.grid_uwh) if row.balance else "…"
    yield grx(row.balance.grx_ugrx) if row.balance else "…"


def _power(row: MemberRow) -> Text:
    """Return a member's power: green and upward if it feeds in, red and downward if it draws."""
    if row.power_w is None:
        return Text("…")
    style, arrow = ("green", "▲") if row.power_w < 0 else ("red", "▼")
    watts = abs(row.power_w)
    bar = "▇" * min(_BAR_LENGTH, -(-watts // _BAR_W))
    text = Text.assemble((f"{arrow}{watts:6,d} W ", style), (bar, style))
    if row.faults:
        text.append(f" {', '.join(row.faults)}", _FAULT_STYLE)
    return text


def _book(scene: Scene) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), show_header=True)
    for heading in ("kWh wanted", "GRX/kWh", "kWh offered"):
        table.add_column(heading, justify="right", no_wrap=True)
    asks, bids = scene.asks[:_LEVELS], scene.bids[:_LEVELS]
    for level in _padded(asks[::-1], _LEVELS, in_front=True):
        table.add_row("", *_level(level, "red"))
    for level in _padded(bids, _LEVELS, in_front=False):
        price, quantity = _level(level, "green")
        table.add_row(quantity, price, "")
    return Panel(table, title="order book", box=box.ROUNDED, padding=0, border_style="dim")


def _level(level: Level | None, style: str) -> tuple[Text, Text]:
    if level is None:
        return Text(""), Text("")
    return Text(price(level.price_ugrx), style), Text(kwh(level.quantity_uwh))


def _padded(levels: tuple[Level, ...], count: int, *, in_front: bool) -> list[Level | None]:
    """Return always `count` rows, so that the picture does not jump."""
    blank: list[Level | None] = [None] * (count - len(levels))
    return [*blank, *levels] if in_front else [*levels, *blank]


def _trades(scene: Scene) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1))
    table.add_column("time", style="dim", no_wrap=True)
    table.add_column("seller → buyer", no_wrap=True)
    for heading in ("kWh", "GRX/kWh", "GRX"):
        table.add_column(heading, justify="right", no_wrap=True)
    for trade in scene.trades[:_TRADES]:
        table.add_row(
            f"{local_time(trade.time_ms, scene.time_zone):%H:%M}{of_market(trade.segment)}",
            f"{scene.name_of(trade.seller)} → {scene.name_of(trade.buyer)}",
            kwh(trade.quantity_uwh),
            price(trade.price_ugrx),
            f"{trade.price_ugrx * trade.quantity_uwh / 10**15:.4f}",
        )
    for _ in range(_TRADES - len(scene.trades)):
        table.add_row("")
    return Panel(
        table,
        title="last trades",
        subtitle=_auction(scene),
        box=box.ROUNDED,
        padding=0,
        border_style="dim",
    )


def _auction(scene: Scene) -> str | None:
    """Return what came of the newest auction, if there was one."""
    clearing = scene.clearing
    if clearing is None:
        return None
    start, end = (
        local_time(clearing.interval_ms + past_ms, scene.time_zone).strftime("%H:%M")
        for past_ms in (0, _INTERVAL_MS)
    )
    if clearing.price_ugrx is None:
        return f"auction of {start} to {end}: no trade"
    volume, cost = kwh(clearing.volume_uwh), price(clearing.price_ugrx)
    return f"auction of {start} to {end}: {volume} kWh at {cost}"


def of_market(segment: str) -> str:
    """Return what is set behind a trade or an order of the auction every quarter of an hour."""
    return " ¼h" if segment == "interval" else ""


def _events(scene: Scene) -> RenderableType:
    parts = f"{scene.broker} · " + (
        f"down: {', '.join(scene.down)}" if scene.down else "all parts run"
    )
    if scene.restarts:
        parts += f" · {scene.restarts} restarts"
    last = scene.events[-1:]
    news = f"{local_time(last[0].time_ms, scene.time_zone):%H:%M} {last[0].text}" if last else ""
    return Group(
        Text(news, style=_FAULT_STYLE, overflow="ellipsis", no_wrap=True),
        Align.left(Text(f"{parts} · Ctrl-C stops", style="dim", overflow="ellipsis", no_wrap=True)),
    )


def kwh(amount_uwh: int) -> str:
    """Return kWh to the Wh, cut off."""
    return f"{amount_uwh // 10**6 / 1000:,.3f}"


def grx(amount_ugrx: int) -> str:
    return f"{amount_ugrx // 1000 / 1000:,.3f}"


def price(ugrx_per_kwh: int) -> str:
    return f"{ugrx_per_kwh / 10**6:.3f}"


def local_time(time_ms: int, time_zone: str) -> datetime:
    """Return the community's time as its members' clocks show it."""
    return datetime.fromtimestamp(time_ms / 1000, _zone(time_zone))


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:  # a machine without the table of time zones
        return UTC
