"""Computes the figures of a statement again, slowly, from the stored leaves alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction

from gridtokenx_backend.journal.entry import Entry
from gridtokenx_backend.statements.model.months import Month


class Moved:
    """What a wallet had before a month, what came and went in it, and what of that was minted."""

    def __init__(self, entries: Iterable[Entry], wallet: str, month: Month) -> None:
        self.before: dict[str, int] = defaultdict(int)
        self.within: dict[str, int] = defaultdict(int)
        self.minted_uwh = 0
        self.to: dict[tuple[str, str], int] = defaultdict(int)
        for entry in entries:
            leaf = json.loads(entry.leaf)
            for asset, debit, credit, amount in leaf["movements"]:
                signed = amount * ((credit == wallet) - (debit == wallet))
                if leaf["at_ms"] < month.from_ms:
                    self.before[asset] += signed
                elif leaf["at_ms"] < month.to_ms:
                    self.within[asset] += signed
                    if (credit, debit) == (wallet, "issuer:GRID"):
                        self.minted_uwh += amount
                    if debit == wallet:
                        self.to[asset, credit] += amount


def money(text: str) -> Fraction:
    return Fraction(text)


def grx(amount_ugrx: int) -> Fraction:
    return Fraction(amount_ugrx, 10**6)


def kwh(amount_uwh: int) -> Fraction:
    return Fraction(amount_uwh, 10**9)
