"""The document as a page: one template for the browser and for the PDF."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gridtokenx_backend.statements.documents.report import CommunityReport
from gridtokenx_backend.statements.model.document import (
    Account,
    Posting,
    SharedLine,
    Statement,
    StatementData,
    TradeLine,
)
from gridtokenx_backend.statements.render import format_quantity

MOST_ROWS = 60
"""A list that is longer is shown by day; JSON and CSV have every line."""
_trade = msgspec.json.Decoder(TradeLine)
_posting = msgspec.json.Decoder(Posting)


class DayGroup(NamedTuple):
    """A day's trades on one side, or its postings of one kind."""

    day: str
    kind: str
    trades: int
    first_entry: int
    last_entry: int
    quantity_kwh: str
    value_grx: str
    charges_grx: str
    amount_grx: str


class SharedDay(NamedTuple):
    """What a metering point got or gave by the key on a day."""

    day: str
    meter: str
    side: str
    intervals: int
    energy_kwh: str
    amount_grx: str
    first_entry: int
    last_entry: int
    entries: int


def statement_page(statement: Statement, sha256: str) -> str:
    """The page. `sha256` is the document's own hash."""
    data = statement.data
    trades = [_trade.decode(raw) for raw in data.trades]
    by_day = len(trades) > MOST_ROWS
    page: str = _template("statement.html.j2").render(
        statement=statement,
        data=data,
        sha256=sha256,
        trades=[] if by_day else trades,
        days=_days(trades, data.time_zone) if by_day else [],
        shared_days=_shared_days(data),
        corrected=_corrected(data),
        accounts=[(account, _postings(account)) for account in data.accounts],
        used=_used(data),
        made=_made(data),
        costs=_costs(data),
        share=_saved_percent(data),
    )
    return page


def report_page(report: CommunityReport, sha256: str) -> str:
    """The community's report as a page."""
    data = report.data
    page: str = _template("report.html.j2").render(
        report=report,
        data=data,
        sha256=sha256,
        used=format_quantity.bar(
            [
                ("from neighbours", _sum(data.energy, "covered_kwh", "received_kwh"), "community"),
                ("from the utility", data.energy["residual_kwh"], "utility"),
            ]
        ),
        made=format_quantity.bar(
            [
                ("to neighbours", _sum(data.energy, "sold_kwh", "given_kwh"), "community"),
                ("to the utility", data.energy["surplus_kwh"], "utility"),
            ]
        ),
    )
    return page


def _template(name: str) -> Any:
    import jinja2  # noqa: PLC0415 - only who draws a page needs it

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        name: getattr(format_quantity, name)
        for name in ("exact", "rounded", "month_name", "local_time", "utc")
    }
    environment.filters["charges"] = _charges
    environment.globals["entries"] = format_quantity.entries
    return environment.get_template(name)


def _days(trades: Sequence[TradeLine], zone: str) -> list[DayGroup]:
    """The trades of a day and side as one row; in the order of the days."""
    rows: dict[tuple[str, str], list[TradeLine]] = {}
    for trade in trades:
        rows.setdefault((format_quantity.local_day(trade.time_ms, zone), trade.side), []).append(
            trade
        )
    return [
        DayGroup(
            day,
            side,
            len(of_day),
            of_day[0].entry,
            of_day[-1].entry,
            _total(trade.quantity_kwh for trade in of_day),
            _total(trade.value_grx for trade in of_day),
            _total(amount for trade in of_day for amount in _charged(trade)),
            _total(trade.amount_grx for trade in of_day),
        )
        for (day, side), of_day in rows.items()
    ]


def _shared_days(data: StatementData) -> list[SharedDay]:
    """What a metering point got or gave by the key on each day."""
    rows: dict[tuple[str, str, str], list[SharedLine]] = {}
    for line in data.allocation.lines if data.allocation else ():
        if line.energy_kwh:
            day = format_quantity.local_day(line.time_ms, data.time_zone)
            rows.setdefault((day, line.meter, line.side), []).append(line)
    return [
        SharedDay(
            *key,
            len(lines),
            _total(line.energy_kwh for line in lines),
            _total(line.amount_grx for line in lines),
            min(line.entry for line in lines),
            max(line.entry for line in lines),
            len({line.entry for line in lines}),
        )
        for key, lines in rows.items()
        if any(Decimal(line.energy_kwh) for line in lines)
    ]


def _corrected(data: StatementData) -> list[SharedLine]:
    """Those that took the place of others, unless they are too many to be read."""
    lines = data.allocation.lines if data.allocation else []
    found = [line for line in lines if line.revision]
    return found if len(found) <= MOST_ROWS else []


def _charges(trade: TradeLine) -> str:
    return _total(_charged(trade))


def _charged(trade: TradeLine) -> tuple[str, ...]:
    return trade.fee_grx, trade.wheeling_grx, trade.loss_grx, trade.rent_grx


def _total(amounts: Any) -> str:
    return f"{sum(map(Decimal, amounts)):f}"


def _sum(energy: dict[str, str], *names: str) -> str:
    return _total(energy[name] for name in names)


def _postings(account: Account) -> list[Posting]:
    """The account's postings, unless they are too many to be read; then their sums speak."""
    if len(account.postings) > MOST_ROWS:
        return []
    return [_posting.decode(raw) for raw in account.postings]


def _used(data: StatementData) -> list[format_quantity.BarPart]:
    energy = data.energy
    parts = [
        ("from neighbours", _total((energy.covered_kwh, energy.received_kwh)), "community"),
        ("from the utility", energy.residual_kwh, "utility"),
    ]
    return format_quantity.bar(parts) if energy.import_kwh else []


def _made(data: StatementData) -> list[format_quantity.BarPart]:
    energy = data.energy
    parts = [
        ("to neighbours", _total((energy.sold_kwh, energy.given_kwh)), "community"),
        ("to the utility", energy.surplus_kwh, "utility"),
    ]
    return format_quantity.bar(parts) if any(Decimal(amount) for _, amount, _ in parts) else []


def _costs(data: StatementData) -> list[tuple[str, format_quantity.BarPart]]:
    if data.alone is None:
        return []
    rows = [
        ("with the community", data.bill.total_grx, "community"),
        ("without", data.alone.total_grx, "utility"),
    ]
    amounts = [Decimal(amount) for _, amount, _ in rows]
    if min(amounts) < 0 or max(amounts) == 0:  # who is paid has no costs to compare
        return []
    whole = max(amounts)
    return [
        (name, format_quantity.bar([(name, amount, look)], whole)[0]) for name, amount, look in rows
    ]


def _saved_percent(data: StatementData) -> str:
    """Of what it would have cost; empty where that says nothing."""
    if data.alone is None or Decimal(data.alone.total_grx) <= 0 or _is_paid(data):
        return ""
    share = 100 * Decimal(data.alone.saved_grx) / Decimal(data.alone.total_grx)
    return format_quantity.rounded(f"{share:f}", 0)


def _is_paid(data: StatementData) -> bool:
    return data.bill.total_grx.startswith("-")
