"""One pass over the journal's entries: what a month was for every wallet.

The balances come from the public leaves' movements, the lines from the private outcomes: that the
two agree is checked on every statement. A fold goes on where it stopped, so what was journaled
meanwhile is added without reading the rest again.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable
from typing import Literal

import msgspec

from gridtokenx_backend.core.ledger import ASSETS, GRID, GRX, REC, Movement, issuer
from gridtokenx_backend.core.outcomes import FrameAccepted, Trade, trades_of
from gridtokenx_backend.core.terms import CommunityTerms
from gridtokenx_backend.evidence import decode_leaf, decode_outcome
from gridtokenx_backend.statements.document import Posting
from gridtokenx_backend.statements.journal_rows import Row, terms_of
from gridtokenx_backend.statements.months import Month
from gridtokenx_backend.statements.spool import Part, Spool
from gridtokenx_backend.statements.trade_lines import Side, side_of, trade_line
from gridtokenx_wire.units import format_grx, format_kwh

_encode = msgspec.json.Encoder(order="sorted").encode
_CHARGES = frozenset(
    {"community:fees", "community:wheeling", "community:losses", "community:congestion"}
)
_GONE = {"community:retired": "retired", "community:fed-in": "fed_in"}
_PART: dict[str, Part] = {GRID: "GRID", GRX: "GRX", REC: "REC"}


class Tally(msgspec.Struct, gc=False):
    """The movements of one kind in one asset."""

    amount: int = 0
    count: int = 0
    first_entry: int = 0
    last_entry: int = 0

    def add(self, amount: int, entry: int) -> None:
        self.amount += amount
        self.count += 1
        self.first_entry = self.first_entry or entry
        self.last_entry = entry


class Wallet:
    """What the fold knows of one wallet. `within` is what the leaves moved in the month.

    `surplus_uwh` is GRID that was minted and is still there: a sale takes it before what was
    bought. `retired` is by interval of the month, `fed_in_uwh` what left for the utility when this
    month became final (-1: it has not).
    """

    __slots__ = (
        "before",
        "bought",
        "fed_in_entry",
        "fed_in_uwh",
        "later",
        "minted_later_uwh",
        "minted_uwh",
        "retired",
        "retired_tally",
        "sold",
        "surplus_uwh",
        "tallies",
        "within",
    )

    def __init__(self) -> None:
        self.before = dict.fromkeys(ASSETS, 0)
        self.within = dict.fromkeys(ASSETS, 0)
        self.later = dict.fromkeys(ASSETS, 0)
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.surplus_uwh = 0
        self.minted_uwh = 0
        self.minted_later_uwh = 0
        self.bought = Side()
        self.sold = Side()
        self.retired: array[int] | None = None
        self.retired_tally = Tally()
        self.fed_in_uwh = -1
        self.fed_in_entry = 0

    @property
    def unsold_uwh(self) -> int:
        """What was minted by the month's end and is still there. Sales take the oldest first."""
        if self.fed_in_uwh >= 0:
            return self.fed_in_uwh
        return max(0, self.surplus_uwh - self.minted_later_uwh)

    def tally(self, asset: str, kind: str) -> Tally:
        """The sum of this kind, from now on there."""
        found = self.tallies.get((asset, kind))
        if found is None:
            found = self.tallies[asset, kind] = Tally()
        return found

    def take(self, quantity_uwh: int) -> None:
        """GRID goes: what was minted first, then what was bought."""
        self.surplus_uwh -= min(self.surplus_uwh, quantity_uwh)


class Readings(msgspec.Struct, gc=False):
    """The month's readings by verdict, by the entries' times."""

    accepted: int = 0
    refused: int = 0


class Fold:
    """The state of the pass. `only` are the wallets whose lines are kept; None is all of them."""

    def __init__(self, month: Month, spool: Spool, only: Container[str] | None = None) -> None:
        self.month = month
        self.spool = spool
        self.seq = 0
        self.wallets: dict[str, Wallet] = {}
        self.readings = Readings()
        self.terms: CommunityTerms | None = None
        self.touched: set[str] = set()
        """Wallets that an entry moved since this was last emptied."""
        self._only = only

    def add_all(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Takes the next entry."""
        self.seq = row.seq
        outcome = decode_outcome(row.outcome) if row.outcome is not None else None
        movements = decode_leaf(row.leaf).movements
        trades = trades_of(outcome) if outcome is not None else []
        inside = self.month.from_ms <= row.at_ms < self.month.to_ms
        for movement in movements:
            self._move(row, movement, inside=inside)
            if not (trades and _is_of_trades(movement)):
                self._post(row, movement, inside=inside)
        for n, trade in enumerate(trades):
            self._trade(row, n, trade, inside=inside)
        if row.kind == "configure" and row.given:
            self.terms = terms_of(row.given)
        if inside and isinstance(outcome, FrameAccepted):
            self.readings.accepted += outcome.readings - len(outcome.verdicts)
            self.readings.refused += len(outcome.verdicts)

    def wallet(self, account: str) -> Wallet:
        known = self.wallets.get(account)
        if known is None:
            known = self.wallets[account] = Wallet()
        return known

    def _move(self, row: Row, movement: Movement, *, inside: bool) -> None:
        for account, amount in (
            (movement.debit, -movement.amount),
            (movement.credit, movement.amount),
        ):
            wallet = self.wallet(account)
            self.touched.add(account)
            if inside:
                wallet.within[movement.asset] += amount
            elif row.at_ms < self.month.from_ms:
                wallet.before[movement.asset] += amount
            else:
                wallet.later[movement.asset] += amount

    def _post(self, row: Row, movement: Movement, *, inside: bool) -> None:
        """A movement that no trade made, as a line of the accounts that it touched."""
        kind_out, kind_in = _kinds(row.kind, movement)
        if _is_wallet(movement.credit):
            self._line(row, movement.credit, movement.asset, kind_in, movement.amount, inside)
        if _is_wallet(movement.debit):
            self._line(row, movement.debit, movement.asset, kind_out, -movement.amount, inside)

    def _line(
        self,
        row: Row,
        account: str,
        asset: str,
        kind: str,
        amount: int,
        inside: bool,  # noqa: FBT001
    ) -> None:
        wallet = self.wallet(account)
        if kind == "minted":
            wallet.surplus_uwh += amount
            wallet.minted_uwh += amount
            if row.at_ms >= self.month.to_ms:
                wallet.minted_later_uwh += amount
        elif kind in {"clawed_back", "fed_in"}:
            wallet.take(-amount)
        if not inside:
            return
        wallet.tally(asset, kind).add(amount, row.seq)
        spell = format_grx if asset == GRX else format_kwh
        self._keep(account, _PART[asset], Posting(row.seq, row.at_ms, kind, spell(amount)))

    def _trade(self, row: Row, n: int, trade: Trade, *, inside: bool) -> None:
        self.wallet(trade.seller).take(trade.quantity_uwh)
        if not inside:
            return
        for account, bought in ((trade.buyer, True), (trade.seller, False)):
            wallet = self.wallet(account)
            side = side_of(trade, self.terms, bought=bought)
            (wallet.bought if bought else wallet.sold).add(side, row.seq)
            kind: Literal["bought", "sold"] = "bought" if bought else "sold"
            moved_uwh = trade.quantity_uwh if bought else -trade.quantity_uwh
            wallet.tally(GRX, kind).add(side.amount_ugrx, row.seq)
            wallet.tally(GRID, kind).add(moved_uwh, row.seq)
            line = trade_line(trade, side, kind, row.seq, n, row.at_ms)
            self._keep(account, "trade", line)

    def _keep(self, account: str, part: Part, line: msgspec.Struct) -> None:
        if self._only is None or account in self._only:
            self.spool.add(account, part, _encode(line))


def _is_wallet(account: str) -> bool:
    return ":" not in account


def _is_of_trades(movement: Movement) -> bool:
    """Whether a trade of the same entry explains it: between wallets, or a charge."""
    return _is_wallet(movement.debit) and (
        _is_wallet(movement.credit) or movement.credit in _CHARGES
    )


def _kinds(entry: str, movement: Movement) -> tuple[str, str]:
    """What a movement is to the account that it leaves, and to the one that it reaches."""
    if _is_wallet(movement.debit) and _is_wallet(movement.credit):
        return "given", "received"
    if movement.debit == issuer(movement.asset):
        issued = {GRID: "minted", GRX: "deposited", REC: "issued"}[movement.asset]
        return "", "opening_balance" if entry == "configure" else issued
    if movement.credit == issuer(movement.asset):
        return {GRID: "clawed_back", GRX: "withdrawn", REC: "cancelled"}[movement.asset], ""
    return _GONE.get(movement.credit, "paid"), "paid_out"
