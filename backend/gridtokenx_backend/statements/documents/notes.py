"""Credit and debit notes: how a document differs from the one that it corrects, line by line."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from gridtokenx_backend.statements.model.document import BillLine, CorrectionNote, Statement
from gridtokenx_wire.units import format_grx, parse_grx


def notes(former: Statement, former_sha256: str, lines: list[BillLine]) -> list[CorrectionNote]:
    """A note for each line of the bill whose amount has changed, came or went."""
    before = {_key(line): line for line in former.data.bill.lines}
    after = {_key(line): line for line in lines}
    found = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        change_ugrx = _amount(new) - _amount(old)
        if change_ugrx:
            kind: Literal["debit", "credit"] = "debit" if change_ugrx > 0 else "credit"
            text = f"{key[1]}{_quantities(old, new)}"
            found.append(CorrectionNote(kind, text, format_grx(abs(change_ugrx)), former_sha256))
    return found


def _key(line: BillLine) -> tuple[str, str]:
    return line.group, line.text


def _amount(line: BillLine | None) -> int:
    return parse_grx(line.amount_grx) if line else 0


def _quantities(old: BillLine | None, new: BillLine | None) -> str:
    before = old.quantity_kwh if old else ""
    after = new.quantity_kwh if new else ""
    if before == after:
        return ""
    return f", {_plain(before)} kWh becomes {_plain(after)} kWh"


def _plain(amount: str) -> str:
    return f"{Decimal(amount or '0').normalize():f}"
