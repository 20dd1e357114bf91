"""Credit and debit notes: how a document differs from the one that it corrects, line by line."""

from __future__ import annotations

from decimal import Decimal

from gridtokenx_backend.statements.model.document import BillLine, CorrectionNote, Statement
from gridtokenx_wire.units import format_grx, parse_grx


def correction_notes(
    former: Statement, former_sha256: str, lines: list[BillLine]
) -> list[CorrectionNote]:
    """Return a note for each line of the bill whose amount has changed, or that came or went."""
    before = {_key(line): line for line in former.data.bill.lines}
    after = {_key(line): line for line in lines}
    notes = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        change_ugrx = _amount(new) - _amount(old)
        if change_ugrx:
            note = CorrectionNote(
                kind="debit" if change_ugrx > 0 else "credit",
                text=f"{key[1]}{_quantities(old, new)}",
                amount_grx=format_grx(abs(change_ugrx)),
                corrects_sha256=former_sha256,
            )
            notes.append(note)
    return notes


def _key(line: BillLine) -> tuple[str, str]:
    return line.group, line.text


def _amount(line: BillLine | None) -> int:
    return parse_grx(line.amount_grx) if line else 0


def _quantities(old: BillLine | None, new: BillLine | None) -> str:
    """Return how the quantity changes, or nothing if it does not."""
    before = old.quantity_kwh if old else ""
    after = new.quantity_kwh if new else ""
    if before == after:
        return ""
    return f", {_plain(before)} kWh becomes {_plain(after)} kWh"


def _plain(amount: str) -> str:
    return f"{Decimal(amount or '0').normalize():f}"
