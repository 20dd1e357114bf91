"""One pass over the journal's entries: what a month was for every wallet.

The balances come from the public leaves' movements, the lines from the private outcomes: that the
two agree is checked on every statement. A fold goes on where it stopped, so what was journaled
meanwhile is added without reading the rest again.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from gridtokenx_backend.core.messages.inputs import GridDataInput, parse
from gridtokenx_backend.core.messages.outcomes import (
    DevicesRetired,
    FrameAccepted,
    IntervalCleared,
    Outcome,
    Ticked,
    Trade,
    intervals_of,
    trades_of,
)
from gridtokenx_backend.core.messages.period_records import ChangePeriod
from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import ASSETS, GRID, GRX, REC, RETIRED, Movement, issuer
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.journal.entry import decode_leaf, decode_outcome
from gridtokenx_backend.statements.fold.allocations import MonthAllocations, moved_by
from gridtokenx_backend.statements.fold.energy import MeterMonth, slot_of
from gridtokenx_backend.statements.fold.journal_rows import JournalRow, terms_of
from gridtokenx_backend.statements.fold.operator_figures import OperatorFigures
from gridtokenx_backend.statements.fold.posting_kinds import (
    about_of,
    is_of_trades,
    is_wallet,
    kinds_of,
    spell,
)
from gridtokenx_backend.statements.fold.prices import TradedVolumes
from gridtokenx_backend.statements.fold.spool import Spool, SpoolPart
from gridtokenx_backend.statements.fold.trade_lines import side_of, trade_line
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import Posting
from gridtokenx_backend.statements.model.months import Month

_encode = msgspec.json.Encoder(order="sorted").encode
_PART: dict[str, SpoolPart] = {GRID: "GRID", GRX: "GRX", REC: "REC"}


def retirements_of(outcome: Outcome) -> Sequence[Retirement]:
    """What bought GRID covered in an entry."""
    return (
        outcome.retirements
        if isinstance(outcome, Ticked | DevicesRetired | IntervalCleared)
        else ()
    )


class ReadingCounts(msgspec.Struct, gc=False):
    """The month's readings by verdict, by the entries' times."""

    accepted: int = 0
    refused: int = 0


class PeriodStep(NamedTuple):
    """A step of the month's period, by the journal's entry."""

    entry: int
    command: ChangePeriod


class MonthFold:
    """The state of the pass. `only` are the wallets whose lines are kept; None is all of them."""

    def __init__(self, month: Month, spool: Spool, only: Container[str] | None = None) -> None:
        self.month = month
        self.spool = spool
        self.seq = 0
        self.wallets: dict[str, WalletMonth] = {}
        self.meters: dict[str, MeterMonth] = {}
        self.readings = ReadingCounts()
        self.trading = TradedVolumes()
        self.shares = MonthAllocations(month)
        self.operator = OperatorFigures(month)
        self.terms: CommunityTerms | None = None
        self.steps: list[PeriodStep] = []
        """Those of this month, oldest first: its documents by revision."""
        self.final_entry = 0
        self.touched: set[str] = set()
        """Accounts and meters that an entry concerned since this was last emptied."""
        self._only = only

    def add_all(self, rows: Iterable[JournalRow]) -> None:
        for row in rows:
            self.add(row)

    def add(self, row: JournalRow) -> None:
        """Takes the next entry."""
        self.seq = row.seq
        outcome = decode_outcome(row.outcome) if row.outcome is not None else None
        movements = decode_leaf(row.leaf).movements
        about = about_of(row, outcome)
        trades = trades_of(outcome) if outcome is not None else []
        inside = self.month.from_ms <= row.at_ms < self.month.to_ms
        for movement in movements:
            self._move(row, movement, inside=inside)
            if not (trades and is_of_trades(movement)):
                self._post(row, movement, about, inside=inside)
        for n, trade in enumerate(trades):
            self._trade(row, n, trade, inside=inside)
        if row.kind == "configure" and row.given:
            self.terms = terms_of(row.given)
        if row.kind == "period" and row.given:
            self._period(row, movements)
        if row.kind == "grid_data" and row.given:
            self._grid_data(row)
        if outcome is not None:
            self._energy_of(outcome, inside=inside)
        if isinstance(outcome, IntervalCleared) and outcome.shared:
            self._share(row, outcome, movements)
        self._count_bought(movements, outcome)

    def unsold_uwh(self, address: str, wallet: WalletMonth) -> int:
        """What was minted by the month's end and nobody bought until the month was final.

        Sales take the oldest first; the key gives what was minted in the same interval.
        """
        if self.final_entry:
            return wallet.fed_in_uwh
        later_uwh = wallet.minted_later_uwh - self.given_later_uwh(address)
        return max(0, wallet.surplus_uwh - max(0, later_uwh))

    def given_later_uwh(self, address: str) -> int:
        """What the key gave of a wallet in intervals after the month."""
        return self.shares.given_later_uwh.get(address, 0)

    def sums(self) -> dict[str, int]:
        """What all accounts own together, by asset; double entry makes it zero."""
        return {
            asset: sum(wallet.owned(asset) for wallet in self.wallets.values()) for asset in ASSETS
        }

    def _period(self, row: JournalRow, movements: Iterable[Movement]) -> None:
        assert row.given
        command = msgspec.json.decode(row.given, type=ChangePeriod)
        if command.month != self.month.name:
            return
        self.steps.append(PeriodStep(row.seq, command))
        if command.status == "final":
            self.final_entry = row.seq
            for movement in movements:
                self.wallet(movement.debit).fed_in_uwh = movement.amount

    def _grid_data(self, row: JournalRow) -> None:
        """What the grid operator says."""
        assert row.given
        given = parse("grid_data", row.given)
        if isinstance(given, GridDataInput) and self.terms is not None:
            self.touched |= self.operator.add(row.seq, given.data, self.terms)

    def _share(
        self, row: JournalRow, cleared: IntervalCleared, movements: Sequence[Movement]
    ) -> None:
        """What the key allocated; it moves what was minted, and not what was bought."""
        moved = moved_by(movements, cleared.retirements)
        assert self.terms is not None
        finality_ms = self.terms.interval.finality_hours * 3_600_000
        self.touched |= self.shares.add(row.seq, cleared, moved, finality_ms)

    def _energy_of(self, outcome: Outcome, *, inside: bool) -> None:
        """What an outcome says of intervals: what they counted, and what covered their import."""
        for meter, rows in intervals_of(outcome):
            self.energy(meter, rows)
        for retirement in retirements_of(outcome):
            self._retire(retirement)
        if not inside:
            return
        if isinstance(outcome, IntervalCleared):
            self.trading.welfare_ugrx += sum(zone.welfare_ugrx for zone in outcome.zones)
        if isinstance(outcome, FrameAccepted):
            self.readings.accepted += outcome.readings - len(outcome.verdicts)
            self.readings.refused += len(outcome.verdicts)

    def _retire(self, retirement: Retirement) -> None:
        """Import that bought GRID covered; it belongs to the month of its interval."""
        if self.month.from_ms <= retirement.interval_ms < self.month.to_ms:
            wallet = self.wallet(retirement.wallet)
            if wallet.retired is None:
                wallet.retired = array("q", bytes(8 * self.month.intervals))
            slot = slot_of(self.month, retirement.interval_ms)
            wallet.retired[slot] += retirement.amount_uwh
            self.touched.add(retirement.wallet)

    def energy(self, meter: str, rows: Sequence[IntervalEnergy]) -> None:
        """Intervals that were closed or changed; those of other months are passed over."""
        month = self.month
        from_ms, to_ms = month.from_ms, month.to_ms
        of_this = [row for row in rows if from_ms <= row.interval_ms < to_ms]
        if not of_this:
            return
        self.touched.add(meter)
        of_month = self.meters.get(meter)
        if of_month is None:
            of_month = self.meters[meter] = MeterMonth(month.intervals)
        of_month.put(from_ms, of_this)

    def wallet(self, account: str) -> WalletMonth:
        known = self.wallets.get(account)
        if known is None:
            known = self.wallets[account] = WalletMonth()
        return known

    def _move(self, row: JournalRow, movement: Movement, *, inside: bool) -> None:
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

    def _post(self, row: JournalRow, movement: Movement, about: str, *, inside: bool) -> None:
        """A movement that no trade made, as a line of the accounts that it touched."""
        asset, amount = movement.asset, movement.amount
        if movement.debit == issuer(GRID):
            wallet = self.wallet(movement.credit)
            wallet.minted_uwh += amount
            wallet.minted_later_uwh += amount if row.at_ms >= self.month.to_ms else 0
        if not inside:
            return
        kind_out, kind_in = kinds_of(row.kind, movement)
        for account, kind, signed in (
            (movement.debit, kind_out, -amount),
            (movement.credit, kind_in, amount),
        ):
            if is_wallet(account):
                self.wallet(account).tally(asset, kind).add(signed, row.seq)
                posting = Posting(row.seq, row.at_ms, kind, spell(asset, signed), about)
                self._keep(account, _PART[asset], posting)

    def _count_bought(self, movements: Iterable[Movement], outcome: Outcome | None) -> None:
        """Tells what is left of bought GRID from what was minted, as the core does.

        Whatever leaves a wallet was minted while it has any of that, but for what covers import.
        Where the outcome was erased, GRID from a member was bought, and what is retired too.
        """
        moved = [each for each in movements if each.asset == GRID]
        if outcome is None:
            for each in moved:
                if is_wallet(each.debit) and is_wallet(each.credit):
                    self.wallet(each.credit).bought_uwh += each.amount
                elif each.credit == RETIRED:
                    self.wallet(each.debit).bought_uwh -= each.amount
        else:
            for trade in trades_of(outcome):
                self.wallet(trade.buyer).bought_uwh += trade.quantity_uwh
            for retirement in retirements_of(outcome):
                self.wallet(retirement.wallet).bought_uwh -= retirement.amount_uwh
        for each in moved:
            wallet = self.wallet(each.debit)
            wallet.bought_uwh = max(0, min(wallet.bought_uwh, wallet.owned(GRID)))

    def _trade(self, row: JournalRow, n: int, trade: Trade, *, inside: bool) -> None:
        if not inside:
            return
        self.trading.add(trade)
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

    def _keep(self, account: str, part: SpoolPart, line: msgspec.Struct) -> None:
        if self._only is None or account in self._only:
            self.spool.add(account, part, _encode(line))
