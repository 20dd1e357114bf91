"""What the month's journal holds, read by its documented format and by nothing of the backend.

Outcomes are arrays whose places docs/wire-format.md lists; they are read by place.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.rig.community import Gateway, Member
from bench.rig.month_world import MeterHistory
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.signed_messages import Frame, device_id, read_frame

_ENTRIES = (
    "SELECT seq, at_ms, kind, leaf, leaf_hash, salt, input, outcome FROM journal ORDER BY seq"
)


class Movement(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """An amount that moves from one account to another."""

    asset: str
    debit: str
    credit: str
    amount: int


class Trade(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """A trade with its charges."""

    maker: int
    taker: int
    buyer: str
    seller: str
    price_ugrx: int
    quantity_uwh: int
    gross_ugrx: int
    fee_ugrx: int
    net_ugrx: int
    wheeling_ugrx: int
    loss_ugrx: int
    buyer_zone: str
    seller_zone: str
    segment: str
    rent_ugrx: int


class Auction(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """A zone's clearing. `book` has [number, wallet, side, price_ugrx, quantity_uwh]."""

    zone: str
    book: list[tuple[int, str, str, int, int]]
    digest: str
    low_ugrx: int | None
    high_ugrx: int | None
    price_ugrx: int | None
    volume_uwh: int
    welfare_ugrx: int


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """The auctions and trades of one interval."""

    interval_ms: int
    auctions: list[Auction]
    trades: list[Trade]


@dataclass(kw_only=True, slots=True)
class Entry:
    """A row of the journal with its decoded outcome."""

    seq: int
    at_ms: int
    kind: str
    raw_leaf: bytes
    leaf_hash: bytes
    salt: bytes
    input: bytes
    raw_outcome: bytes
    outcome: list[Any]

    @property
    def tag(self) -> str:
        return str(self.outcome[0])

    @property
    def placed(self) -> list[list[Any]]:
        """Return the outcomes of the orders that it placed, without their tags."""
        if self.tag == "order":
            return [self.outcome[1:]]
        if self.tag in ("tick", "retire"):
            return [order[order[0] == "order" :] for order in self.outcome[1]]
        if self.tag == "clear":
            return [order[order[0] == "order" :] for order in self.outcome[5]]
        return []

    @property
    def trades(self) -> list[Trade]:
        """Return the trades of its orders, or of its auctions."""
        if self.tag == "clear":
            return [msgspec.convert(trade, Trade) for trade in self.outcome[6]]
        return [msgspec.convert(trade, Trade) for order in self.placed for trade in order[5]]

    @property
    def movements(self) -> list[Movement]:
        found = [msgspec.convert(each, Movement) for order in self.placed for each in order[6]]
        place = _MOVEMENTS.get(self.tag)
        if place is not None and self.tag != "order":
            found += [msgspec.convert(each, Movement) for each in self.outcome[place]]
        return found

    @property
    def retirements(self) -> list[tuple[str, int, int, int]]:
        """Return the retirements as [wallet, interval_ms, bought_entry, amount_uwh]."""
        place = {"tick": 3, "retire": 4, "clear": 9}.get(self.tag)
        return [tuple(each) for each in self.outcome[place]] if place else []


_MOVEMENTS = {
    "frame": 7, "configure": 1, "tick": 4, "retire": 5, "clear": 7, "rec_issue": 3, "period": 4,
    "deposit": 3, "paid": 4, "correct": 11, "rec_transfer": 4, "rec_retire": 4,
}  # fmt: skip
"""Where an outcome has its movements, its kind counted."""


class Check(NamedTuple):
    """A check's result."""

    name: str
    passed: bool
    detail: str


class Month:
    """All that a check may ask for, read once."""

    def __init__(
        self,
        folder: Path,
        histories: list[MeterHistory],
        members: list[Member],
        gateways: list[Gateway],
        statements: list[dict[str, Any]],
        config: Path,
    ) -> None:
        self.folder = folder
        self.histories = histories
        self.statements = statements
        self.config = config
        self.wallets = [member.wallet for member in members]
        self.owners = {
            history.meter: member.wallet for history, member in zip(histories, members, strict=True)
        }
        self.keys = {
            device_id(raw): raw
            for raw in (gateway.key.public_key().public_bytes_raw() for gateway in gateways)
        }
        database = sqlite3.connect(folder / "data" / "journal.db")
        self.entries = [_entry(row) for row in database.execute(_ENTRIES)]
        database.close()

    @cached_property
    def frames(self) -> list[tuple[Entry, Frame]]:
        return [(entry, read_frame(entry.input)) for entry in self.entries if entry.kind == "frame"]

    @cached_property
    def clearings(self) -> list[tuple[Entry, Clearing]]:
        return [
            (
                entry,
                Clearing(
                    interval_ms=entry.outcome[1], auctions=_auctions(entry), trades=entry.trades
                ),
            )
            for entry in self.entries
            if entry.kind == "clear"
        ]

    @cached_property
    def balances(self) -> Counter[tuple[str, str]]:
        """Return the base units at the end, by (account, asset)."""
        found: Counter[tuple[str, str]] = Counter()
        for movement in self.movements():
            found[movement.debit, movement.asset] -= movement.amount
            found[movement.credit, movement.asset] += movement.amount
        return found

    def movements(self) -> Iterator[Movement]:
        for entry in self.entries:
            yield from entry.movements

    @property
    def trades(self) -> int:
        return sum(len(entry.trades) for entry in self.entries)

    @property
    def orders(self) -> int:
        return sum(len(entry.placed) for entry in self.entries)

    @property
    def minted_uwh(self) -> int:
        return -self.balances["issuer:GRID", "GRID"]

    @property
    def retired_uwh(self) -> int:
        return self.balances["community:retired", "GRID"]

    @property
    def certificates(self) -> int:
        return -self.balances["issuer:REC", "REC"]


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, at_ms, kind, leaf, leaf_hash, salt, input_, outcome = row
    return Entry(
        seq=seq,
        at_ms=at_ms,
        kind=kind,
        raw_leaf=leaf,
        leaf_hash=leaf_hash,
        salt=salt,
        input=input_,
        raw_outcome=outcome,
        outcome=msgspec.msgpack.decode(outcome),
    )


def _auctions(entry: Entry) -> list[Auction]:
    return [msgspec.convert(zone[:8], Auction) for zone in entry.outcome[3]]


def run_checks(month: Month, checks: tuple[Callable[[Month], str], ...]) -> list[Check]:
    """Return every check, each with what it looked at or what it found wrong."""
    found = []
    for check in checks:
        try:
            found.append(Check(check.__name__, passed=True, detail=check(month)))
        except Violation as violation:
            found.append(Check(check.__name__, passed=False, detail=str(violation)))
    return found
