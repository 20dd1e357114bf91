"""Writes documents as CSV (RFC 4180, UTF-8), with a row for each line of every part."""

from __future__ import annotations

import csv
import io
import re

import msgspec

from gridtokenx_backend.statements.documents.report import CommunityReport, SharingReport
from gridtokenx_backend.statements.model.document import (
    Posting,
    Statement,
    StatementData,
    TradeLine,
)

COLUMNS = (
    "part",
    "text",
    "time_ms",
    "quantity_kwh",
    "price_grx_per_kwh",
    "amount_grx",
    "fee_grx",
    "wheeling_grx",
    "loss_grx",
    "rent_grx",
    "first_entry",
    "last_entry",
    "entries",
    "sha256",
)
REPORT_COLUMNS = (
    "part",
    "text",
    "zone",
    "segment",
    "amount",
    "unit",
    "lowest_grx_per_kwh",
    "mean_grx_per_kwh",
    "highest_grx_per_kwh",
    "sha256",
)
_AMOUNT = re.compile(r"-\d+(?:\.\d+)?", re.ASCII)
_trade = msgspec.json.Decoder(TradeLine)
_posting = msgspec.json.Decoder(Posting)


def to_csv(statement: Statement) -> str:
    """Return the rows of all parts of a statement; the last one has the hash of the data."""
    return _written(COLUMNS, _rows(statement))


def report_to_csv(report: CommunityReport) -> str:
    """Return a report's amounts with their units, and the prices by zone and segment."""
    return _written(REPORT_COLUMNS, _report_rows(report))


def _written(columns: tuple[str, ...], rows: list[dict[str, object]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: guarded(value) for name, value in row.items()})
    return out.getvalue()


def guarded(value: object) -> object:
    """Return the value, with an apostrophe before a text that a spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in {"=", "+", "@", "\t", "\r"}:
        return f"'{value}"
    if isinstance(value, str) and value[:1] == "-" and not _AMOUNT.fullmatch(value):
        return f"'{value}"
    return value


def _rows(statement: Statement) -> list[dict[str, object]]:
    data = statement.data
    rows = _bill(statement)
    for block in data.meters:
        for text, amount in (("import", block.import_kwh), ("export", block.export_kwh)):
            rows.append({"part": "meter", "text": f"{block.meter} {text}", "quantity_kwh": amount})
    rows += _shared(data)
    for raw in data.trades:
        rows.append(_trade_row(_trade.decode(raw)))
    for account in data.accounts:
        rows.append(_balance(account.asset, "opening balance", account.opening))
        for raw in account.postings:
            posting = _posting.decode(raw)
            row = _balance(account.asset, posting.kind, posting.amount)
            rows.append(row | _entries(posting.entry) | {"time_ms": posting.time_ms})
        rows.append(_balance(account.asset, "closing balance", account.closing))
        if account.pending is not msgspec.UNSET:
            rows.append(_balance(account.asset, "held", account.pending))
    for note in statement.notes:
        rows.append(
            {
                "part": f"{note.kind} note",
                "text": note.text,
                "amount_grx": note.amount_grx,
                "sha256": note.corrects_sha256,
            }
        )
    standing = f"{statement.status}, revision {statement.revision}"
    rows.append({"part": "data", "text": standing, "sha256": statement.data_sha256})
    return rows


def _shared(data: StatementData) -> list[dict[str, object]]:
    """Return the key's lines, who gave energy to whom, and the grid operator's figures."""
    rows: list[dict[str, object]] = []
    for line in data.allocation.lines if data.allocation else ():
        text = f"{line.meter} {line.side}, key {line.key}, {line.quality}"
        if line.revision:
            text += f", revision {line.revision} of entry {line.corrects}"
        rows.append(
            {
                "part": "shared",
                "text": text,
                "time_ms": line.time_ms,
                "quantity_kwh": line.energy_kwh,
                "price_grx_per_kwh": line.price_grx_per_kwh,
                "amount_grx": line.amount_grx,
            }
            | _entries(line.entry)
        )
    for each in data.allocation.served if data.allocation else ():
        text = f"{each.side} {each.wallet}"
        rows.append({"part": "served", "text": text, "quantity_kwh": each.energy_kwh})
    for of in data.reconciliation:
        for name, amount in (("gateway", of.gateway_kwh), ("grid operator", of.operator_kwh)):
            text = f"{of.meter} {of.direction}, {name}, {of.intervals} intervals"
            rows.append({"part": "reconciliation", "text": text, "quantity_kwh": amount})
    return rows


def _bill(statement: Statement) -> list[dict[str, object]]:
    data = statement.data
    parts = [("bill", data.bill.lines, data.bill.total_grx)]
    if data.alone is not None:
        parts.append(("without the community", data.alone.lines, data.alone.total_grx))
    rows: list[dict[str, object]] = []
    for part, lines, total in parts:
        rows += [
            {
                "part": part,
                "text": line.text,
                "quantity_kwh": line.quantity_kwh,
                "price_grx_per_kwh": line.price_grx_per_kwh,
                "amount_grx": line.amount_grx,
                "first_entry": line.first_entry or "",
                "last_entry": line.last_entry or "",
                "entries": line.entries or "",
            }
            for line in lines
        ]
        rows.append({"part": part, "text": "total", "amount_grx": total})
    return rows


def _trade_row(trade: TradeLine) -> dict[str, object]:
    return {
        "part": "trade",
        "text": f"{trade.side}, {trade.segment}",
        "time_ms": trade.time_ms,
        "quantity_kwh": trade.quantity_kwh,
        "price_grx_per_kwh": trade.price_grx_per_kwh,
        "amount_grx": trade.amount_grx,
        "fee_grx": trade.fee_grx,
        "wheeling_grx": trade.wheeling_grx,
        "loss_grx": trade.loss_grx,
        "rent_grx": trade.rent_grx,
    } | _entries(trade.entry)


def _balance(asset: str, text: str, amount: str) -> dict[str, object]:
    column = "amount_grx" if asset == "GRX" else "quantity_kwh"
    return {"part": f"account {asset}", "text": text, column: amount}


def _entries(entry: int) -> dict[str, object]:
    return {"first_entry": entry, "last_entry": entry, "entries": 1}


def _report_rows(report: CommunityReport) -> list[dict[str, object]]:
    data = report.data
    rows = [_amount("energy", name, kwh, "kWh") for name, kwh in data.energy.items()]
    rows += [
        _amount("share", "self-sufficiency", data.self_sufficiency_percent, "%"),
        _amount("share", "self-consumption", data.self_consumption_percent, "%"),
        _amount("money", "paid by all members", data.paid_grx, "GRX"),
        _amount("money", "without the community", data.without_grx, "GRX"),
        _amount("money", "gain", data.gain_grx, "GRX"),
        _amount("money", "welfare of the auctions", data.welfare_grx, "GRX"),
    ]
    if data.sharing is not None:
        rows += _shared_report(data.sharing)
    charges = msgspec.structs.asdict(data.charges)
    rows += [_amount("charges", name, amount, "GRX") for name, amount in charges.items()]
    if data.carbon is not None:
        text = f"avoided CO2 at {data.carbon.g_per_kwh} g/kWh ({data.carbon.source})"
        rows.append(_amount("carbon", text, data.carbon.avoided_kg, "kg"))
    for prices in data.prices:
        row = _amount("prices", f"{prices.trades} trades", prices.quantity_kwh, "kWh")
        named = msgspec.structs.asdict(prices)
        rows.append(row | {name: named[name] for name in REPORT_COLUMNS if name in named})
    quality = msgspec.structs.asdict(data.quality)
    rows += [_amount("intervals", name, str(count), "") for name, count in quality.items()]
    standing = f"{report.status}, revision {report.revision}"
    rows.append({"part": "data", "text": standing, "sha256": report.data_sha256})
    return rows


def _shared_report(shared: SharingReport) -> list[dict[str, object]]:
    rows = [
        _amount("sharing", "cost of shared energy", shared.cost_grx, "GRX"),
        _amount("sharing", "of it paid on the ledger", shared.paid_grx, "GRX"),
        _amount("sharing", "waits to be minted", shared.waiting_kwh, "kWh"),
    ]
    for key in shared.keys:
        text = f"intervals by key {key.version}, {key.mode}"
        rows.append(_amount("sharing", text, str(key.intervals), ""))
    for each in shared.contradictions:
        kind = each.kind.replace("_", " ")
        where = f"{each.meter or 'all meters'}: {kind} in {each.intervals} intervals"
        rows.append(_amount("contradictions", f"{where} by the files", each.said_kwh, "kWh"))
        rows.append(_amount("contradictions", f"{where} counted", each.counted_kwh, "kWh"))
    slots = msgspec.structs.asdict(shared.slots)
    return rows + [_amount("allocated", name, str(count), "") for name, count in slots.items()]


def _amount(part: str, text: str, amount: str, unit: str) -> dict[str, object]:
    return {"part": part, "text": text, "amount": amount, "unit": unit}
