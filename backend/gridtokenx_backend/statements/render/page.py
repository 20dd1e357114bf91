"""Makes the page of a document, with one template for the browser and for the PDF."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

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
from gridtokenx_backend.statements.render.format_quantity import BarPart, BarValue, bar

MOST_ROWS = 60
"""A longer list is shown by day; JSON and CSV have every line."""
_trade = msgspec.json.Decoder(TradeLine)
_posting = msgspec.json.Decoder(Posting)


class TradeDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day's trades on one side, added up. `kind` is bought or sold."""

    day: str
    kind: str
    trades: int
    first_entry: int
    last_entry: int
    quantity_kwh: str
    value_grx: str
    charges_grx: str
    amount_grx: str


class SharedDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a metering point received or gave by the key on a day."""

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
    """Return the page of a statement. `sha256` is the document's own hash."""
    data = statement.data
    trades = [_trade.decode(raw) for raw in data.trades]
    by_day = len(trades) > MOST_ROWS
    page: str = _template("statement.html.j2").render(
        statement=statement,
        data=data,
        sha256=sha256,
        trades=[] if by_day else trades,
        days=_trade_days(trades, data.time_zone) if by_day else [],
        shared_days=_shared_days(data),
        corrected=_corrected(data),
        accounts=[(account, _postings(account)) for account in data.accounts],
        from_grid=_from_grid(data),
        to_grid=_to_grid(data),
        costs=_costs(data),
        saved_percent=_saved_percent(data),
    )
    return page


def report_page(report: CommunityReport, sha256: str) -> str:
    """Return the page of a report. `sha256` is the document's own hash."""
    data = report.data
    page: str = _template("report.html.j2").render(
        report=report,
        data=data,
        sha256=sha256,
        from_grid=_from_grid_bar(
            _sum(data.energy, "covered_kwh", "received_kwh"), data.energy["residual_kwh"]
        ),
        to_grid=_to_grid_bar(
            _sum(data.energy, "sold_kwh", "given_kwh"), data.energy["surplus_kwh"]
        ),
    )
    return page


def _template(name: str) -> Any:
    import jinja2  # noqa: PLC0415 - only a page needs it

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        name: getattr(format_quantity, name)
        for name in ("exact", "rounded", "month_name", "local_time", "local_moment")
    }
    environment.filters["charges"] = _charges
    environment.globals["entries"] = format_quantity.entries
    return environment.get_template(name)


def _trade_days(trades: Sequence[TradeLine], zone: str) -> list[TradeDay]:
    """Return the trades of each day and side as one row, in the order of the days."""
    rows: dict[tuple[str, str], list[TradeLine]] = {}
    for trade in trades:
        rows.setdefault((format_quantity.local_day(trade.time_ms, zone), trade.side), []).append(
            trade
        )
    return [
        TradeDay(
            day=day,
            kind=side,
            trades=len(of_day),
            first_entry=of_day[0].entry,
            last_entry=of_day[-1].entry,
            quantity_kwh=_total(trade.quantity_kwh for trade in of_day),
            value_grx=_total(trade.value_grx for trade in of_day),
            charges_grx=_total(amount for trade in of_day for amount in _charged(trade)),
            amount_grx=_total(trade.amount_grx for trade in of_day),
        )
        for (day, side), of_day in rows.items()
    ]


def _shared_days(data: StatementData) -> list[SharedDay]:
    """Return what a metering point received or gave by the key on each day."""
    rows: dict[tuple[str, str, str], list[SharedLine]] = {}
    for line in data.allocation.lines if data.allocation else ():
        if line.energy_kwh:
            day = format_quantity.local_day(line.time_ms, data.time_zone)
            rows.setdefault((day, line.meter, line.side), []).append(line)
    return [
        SharedDay(
            day=day,
            meter=meter,
            side=side,
            intervals=len(lines),
            energy_kwh=_total(line.energy_kwh for line in lines),
            amount_grx=_total(line.amount_grx for line in lines),
            first_entry=min(line.entry for line in lines),
            last_entry=max(line.entry for line in lines),
            entries=len({line.entry for line in lines}),
        )
        for (day, meter, side), lines in rows.items()
        if any(Decimal(line.energy_kwh) for line in lines)
    ]


def _corrected(data: StatementData) -> list[SharedLine]:
    """Return the lines that replaced others, unless they are too many to be read."""
    lines = data.allocation.lines if data.allocation else []
    corrected = [line for line in lines if line.revision]
    return corrected if len(corrected) <= MOST_ROWS else []


def _charges(trade: TradeLine) -> str:
    return _total(_charged(trade))


def _charged(trade: TradeLine) -> tuple[str, ...]:
    return trade.fee_grx, trade.wheeling_grx, trade.loss_grx, trade.rent_grx


def _total(amounts: Any) -> str:
    return f"{sum(map(Decimal, amounts)):f}"


def _sum(energy: dict[str, str], *names: str) -> str:
    return _total(energy[name] for name in names)


def _postings(account: Account) -> list[Posting]:
    """Return the account's postings, unless they are too many to be read."""
    if len(account.postings) > MOST_ROWS:
        return []
    return [_posting.decode(raw) for raw in account.postings]


def _from_grid(data: StatementData) -> list[BarPart]:
    """Return the bar of what the member took from the grid; none where it is not known."""
    energy = data.energy
    if not energy.import_kwh:
        return []
    return _from_grid_bar(_total((energy.covered_kwh, energy.received_kwh)), energy.residual_kwh)


def _from_grid_bar(community_kwh: str, utility_kwh: str) -> list[BarPart]:
    return bar(
        [
            BarValue(name="from neighbours", amount=community_kwh, colour="community"),
            BarValue(name="from the utility", amount=utility_kwh, colour="utility"),
        ]
    )


def _to_grid(data: StatementData) -> list[BarPart]:
    """Return the bar of what the member gave to the grid; none if it was nothing."""
    community_kwh = _total((data.energy.sold_kwh, data.energy.given_kwh))
    utility_kwh = data.energy.surplus_kwh
    if not Decimal(community_kwh) and not Decimal(utility_kwh):
        return []
    return _to_grid_bar(community_kwh, utility_kwh)


def _to_grid_bar(community_kwh: str, utility_kwh: str) -> list[BarPart]:
    return bar(
        [
            BarValue(name="to neighbours", amount=community_kwh, colour="community"),
            BarValue(name="to the utility", amount=utility_kwh, colour="utility"),
        ]
    )


def _costs(data: StatementData) -> list[tuple[str, BarPart]]:
    """Return a bar of the cost with the community and one without, if both can be compared."""
    if data.alone is None:
        return []
    values = (
        BarValue(name="with the community", amount=data.bill.total_grx, colour="community"),
        BarValue(name="without", amount=data.alone.total_grx, colour="utility"),
    )
    amounts = [Decimal(value.amount) for value in values]
    if min(amounts) < 0 or max(amounts) == 0:  # a member who is paid has no costs to compare
        return []
    whole = max(amounts)
    return [(value.name, bar([value], whole)[0]) for value in values]


def _saved_percent(data: StatementData) -> str:
    """Return how much of the cost without the community was saved; empty if nothing is paid."""
    if data.alone is None or Decimal(data.alone.total_grx) <= 0 or _is_paid(data):
        return ""
    share = 100 * Decimal(data.alone.saved_grx) / Decimal(data.alone.total_grx)
    return format_quantity.rounded(f"{share:f}", 0)


def _is_paid(data: StatementData) -> bool:
    return data.bill.total_grx.startswith("-")
