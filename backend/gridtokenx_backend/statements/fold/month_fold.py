"""One pass over the journal's entries: what a month was for every wallet.

The balances come from the movements of the public leaves, the lines from the private outcomes: that
the two agree is checked on every statement. What an entry says that does not fit the entries before
it becomes a finding. A fold goes on where it stopped, so what was journaled meanwhile is added
without reading the rest again.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.messages.inputs import GridDataInput, parse
from gridtokenx_backend.core.messages.outcomes import (
    DevicesRetired,
    IntervalCleared,
    Outcome,
    Ticked,
    Trade,
    intervals_of,
    movements_of,
    reading_counts,
)
from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import (
    ASSETS,
    GRID,
    GRX,
    REC,
    RETIRED,
    Asset,
    Movement,
    issuer,
)
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.statements.fold import balance_checks, retirement_checks
from gridtokenx_backend.statements.fold.allocation_checks import (
    AllocationCheck,
    SharingAgreement,
    wrong_revision,
)
from gridtokenx_backend.statements.fold.allocations import MonthAllocations, moved_by_sharing
from gridtokenx_backend.statements.fold.energy import MeterMonth, slot_of
from gridtokenx_backend.statements.fold.findings import Findings
from gridtokenx_backend.statements.fold.journal_rows import (
    DecodedRow,
    JournalRow,
    decode_row,
    terms_of,
)
from gridtokenx_backend.statements.fold.metering_points import MeteringPoints
from gridtokenx_backend.statements.fold.month_contradictions import MonthContradictions
from gridtokenx_backend.statements.fold.operator_figures import OperatorFigures
from gridtokenx_backend.statements.fold.posting_kinds import (
    held_changes,
    is_of_trades,
    is_wallet,
    kinds_of,
    reason_of,
    spell,
)
from gridtokenx_backend.statements.fold.prices import TradedVolumes
from gridtokenx_backend.statements.fold.spool import Spool, SpoolPart
from gridtokenx_backend.statements.fold.trade_checks import wrong_charges
from gridtokenx_backend.statements.fold.trade_lines import TradeKind, side_of, trade_line
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import Posting
from gridtokenx_backend.statements.model.months import Month

_encode = msgspec.json.Encoder(order="sorted").encode
_PART: dict[str, SpoolPart] = {GRID: "GRID", GRX: "GRX", REC: "REC"}


def retirements_of(outcome: Outcome | None) -> Sequence[Retirement]:
    """Return what bought GRID covered in an entry."""
    return (
        outcome.retirements
        if isinstance(outcome, Ticked | DevicesRetired | IntervalCleared)
        else ()
    )


class ReadingCounts(msgspec.Struct, kw_only=True, gc=False):
    """The month's readings by verdict, by the entries' times."""

    accepted: int = 0
    refused: int = 0


class PeriodStep(NamedTuple):
    """A step of the month's period, and the journal's entry that took it."""

    entry: int
    command: PeriodCommand


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
        self.allocations = MonthAllocations(month)
        self.operator = OperatorFigures(month)
        self.contradictions = MonthContradictions()
        self.findings = Findings()
        """Of this month's entries, or of entries that concern its intervals."""
        self.terms: CommunityTerms | None = None
        self.steps: list[PeriodStep] = []
        """The steps of this month, oldest first; each has a revision of its documents."""
        self.final_entry = 0
        self.touched: set[str] = set()
        """Accounts and meters that an entry concerned since this was last emptied."""
        self._agreement, self._points = SharingAgreement(), MeteringPoints()
        self._at_ms = 0
        self._is_bought_exact = True
        self._is_every_clearing_known = True
        self._only = only

    def add_all(self, rows: Iterable[JournalRow]) -> None:
        """Take entries, in the order of the journal."""
        for row in rows:
            self.add(row)

    def add(self, stored: JournalRow) -> None:
        """Take the next entry."""
        self.seq = stored.seq
        row = decode_row(stored)
        if row.at_ms < self._at_ms:  # a wrong time was ended
            self._agreement.set_back(row.at_ms)
            self._points.set_back(row.at_ms)
        self._at_ms = row.at_ms
        self._move(row)
        self._post(row)
        if self.month.has(row.at_ms):
            for number, trade in enumerate(row.trades):
                self._trade(row, number, trade)
        self._read_input(row)
        if row.outcome is not None:
            self._take_outcome(row, row.outcome)
        elif row.kind == "clear":
            self._is_every_clearing_known = False
        self._count_bought(row)

    def unsold_uwh(self, address: str, wallet: WalletMonth) -> int:
        """Return what was minted by the month's end and nobody bought until the month was final.

        Sales take the oldest first; the key gives what was minted in the same interval.
        """
        if self.final_entry:
            return wallet.fed_in_uwh
        later_uwh = wallet.minted_later_uwh - self.given_later_uwh(address)
        return max(0, wallet.surplus_uwh - max(0, later_uwh))

    def given_later_uwh(self, address: str) -> int:
        """Return what the key gave of a wallet in intervals after the month."""
        return self.allocations.given_later_uwh.get(address, 0)

    def totals(self) -> dict[str, int]:
        """Return what all accounts have together, by asset; double entry makes it zero."""
        return {
            asset: sum(wallet.balance(asset) for wallet in self.wallets.values())
            for asset in ASSETS
        }

    def moved_within(self, account: str, asset: Asset) -> int:
        """Return how much more came into an account in the month than left it."""
        wallet = self.wallets.get(account)
        return wallet.within[asset] if wallet else 0

    def wallet(self, account: str) -> WalletMonth:
        """Return what is known of an account; a new one is kept."""
        known = self.wallets.get(account)
        if known is None:
            known = self.wallets[account] = WalletMonth()
        return known

    def put_energy(self, meter: str, rows: Sequence[IntervalEnergy]) -> None:
        """Store intervals that were closed or changed; those of other months are passed over."""
        month = self.month
        of_month = [row for row in rows if month.from_ms <= row.interval_ms < month.to_ms]
        if not of_month:
            return
        self.touched.add(meter)
        energy = self.meters.get(meter)
        if energy is None:
            energy = self.meters[meter] = MeterMonth(month.intervals)
        energy.put(month.from_ms, of_month)

    def _move(self, row: DecodedRow) -> None:
        """Book the movements of the leaf, and check the balances that they leave."""
        month, at_ms = self.month, row.at_ms
        for movement in row.movements:
            asset = movement.asset
            for account, amount in (
                (movement.debit, -movement.amount),
                (movement.credit, movement.amount),
            ):
                wallet = self.wallet(account)
                self.touched.add(account)
                if at_ms < month.from_ms:
                    wallet.before[asset] += amount
                elif at_ms < month.to_ms:
                    wallet.within[asset] += amount
                else:
                    wallet.later[asset] += amount
        if month.from_ms <= at_ms < month.to_ms:
            for movement in row.movements:
                account, asset = movement.debit, movement.asset
                balance = self.wallets[account].balance(asset)
                if balance < 0 and account != issuer(asset):
                    finding = balance_checks.below_zero(account, asset, balance, row.seq)
                    self.findings.add_all([finding])

    def _post(self, row: DecodedRow) -> None:
        """Put the movements that no trade made into the lines of the accounts that they touched."""
        reason = reason_of(row.kind, row.input, row.outcome)
        inside = self.month.has(row.at_ms)
        for movement in row.movements:
            if row.trades and is_of_trades(movement):
                continue
            if movement.debit == issuer(GRID):
                wallet = self.wallet(movement.credit)
                wallet.minted_uwh += movement.amount
                if row.at_ms >= self.month.to_ms:
                    wallet.minted_later_uwh += movement.amount
            if inside:
                self._post_lines(row, movement, reason)

    def _post_lines(self, row: DecodedRow, movement: Movement, reason: str) -> None:
        asset, amount = movement.asset, movement.amount
        kinds = kinds_of(row.kind, movement)
        for account, kind, signed in (
            (movement.debit, kinds.leaving, -amount),
            (movement.credit, kinds.reaching, amount),
        ):
            if kind is not None and is_wallet(account):
                self.wallet(account).sum_of(asset, kind).add(signed, row.seq)
                posting = Posting(
                    entry=row.seq,
                    time_ms=row.at_ms,
                    kind=kind,
                    amount=spell(asset, signed),
                    about=reason,
                )
                self._keep(account, _PART[asset], posting)

    def _trade(self, row: DecodedRow, number: int, trade: Trade) -> None:
        """Put a trade of the month into the lines of its two sides."""
        self.trading.add(trade)
        if self.terms is not None:
            self.findings.add_all(wrong_charges(trade, self.terms, row.seq))
        sides: tuple[tuple[str, TradeKind, int], ...] = (
            (trade.buyer, "bought", trade.quantity_uwh),
            (trade.seller, "sold", -trade.quantity_uwh),
        )
        for account, kind, moved_uwh in sides:
            wallet = self.wallet(account)
            side = side_of(trade, self.terms, kind)
            (wallet.bought if kind == "bought" else wallet.sold).add(side, row.seq)
            wallet.sum_of(GRX, kind).add(side.amount_ugrx, row.seq)
            wallet.sum_of(GRID, kind).add(moved_uwh, row.seq)
            line = trade_line(trade, side, kind=kind, entry=row.seq, number=number, at_ms=row.at_ms)
            self._keep(account, "trade", line)

    def _read_input(self, row: DecodedRow) -> None:
        """Take what only an entry's input says: terms, a period's step, the operator's file."""
        if not row.input:
            return
        match row.kind:
            case "configure":
                self.terms = terms_of(row.input)
                self._agreement.apply_terms(self.terms, row.at_ms, row.rules)
                self._points.apply_terms(self.terms, row.at_ms)
            case "period":
                command = msgspec.json.decode(row.input, type=PeriodCommand)
                if command.month == self.month.name:
                    self._take_step(row, command)
            case "grid_data":
                data = parse("grid_data", row.input)
                if isinstance(data, GridDataInput) and self.terms is not None:
                    points = self._points if row.rules >= 2 else None
                    self.touched |= self.operator.add(row.seq, data.data, self.terms, points)

    def _take_step(self, row: DecodedRow, command: PeriodCommand) -> None:
        """Take a step of this month; with `final` its unsold surplus left for the utility."""
        self.steps.append(PeriodStep(row.seq, command))
        if command.status == "final":
            self.final_entry = row.seq
            for movement in row.movements:
                self.wallet(movement.debit).fed_in_uwh = movement.amount
            findings = balance_checks.wrong_feed_in(command.feed_in, row.movements, row.seq)
            self.findings.add_all(findings)

    def _take_outcome(self, row: DecodedRow, outcome: Outcome) -> None:
        """Take what an outcome says of intervals: energy, what covered it, how it was shared."""
        self._agreement.held.take(outcome)
        for meter, rows in intervals_of(outcome):
            self.put_energy(meter, rows)
        for retirement in retirements_of(outcome):
            self._retire(retirement)
        for owner, amount_uwh in held_changes(outcome) if row.at_ms < self.month.to_ms else ():
            self.wallet(owner).held_uwh += amount_uwh
            self.touched.add(owner)
        if self.month.has(row.at_ms):
            self._count(row, outcome)
        if isinstance(outcome, IntervalCleared) and outcome.shared:
            self._share(row, outcome)

    def _count(self, row: DecodedRow, outcome: Outcome) -> None:
        """Take what belongs to the month of the entry's time."""
        if isinstance(outcome, IntervalCleared):
            self.trading.welfare_ugrx += sum(zone.welfare_ugrx for zone in outcome.zones)
        accepted, refused = reading_counts(outcome)
        self.readings.accepted += accepted
        self.readings.refused += refused
        leaf_findings = balance_checks.wrong_leaf(movements_of(outcome), row.movements, row.seq)
        self.findings.add_all(leaf_findings)
        if not (isinstance(outcome, IntervalCleared) and outcome.shared):
            retirements = retirements_of(outcome)
            self.findings.add_all(
                retirement_checks.wrong_movements(retirements, row.movements, row.seq)
            )

    def _retire(self, retirement: Retirement) -> None:
        """Take import that bought GRID covered; it belongs to the month of its interval."""
        if self.month.has(retirement.interval_ms):
            wallet = self.wallet(retirement.wallet)
            if wallet.retired is None:
                wallet.retired = array("q", bytes(8 * self.month.intervals))
            slot = slot_of(self.month, retirement.interval_ms)
            wallet.retired[slot] += retirement.amount_uwh
            self.touched.add(retirement.wallet)

    def _share(self, row: DecodedRow, cleared: IntervalCleared) -> None:
        """Take what the key allocated; it moves what was minted, and not what was bought."""
        assert self.terms is not None
        finality_ms = self.terms.interval.finality_hours * 3_600_000
        moved = moved_by_sharing(row.movements, cleared.retirements)
        for allocation in cleared.shared:
            if self.month.has(allocation.interval_ms) and row.rules >= 2:
                slot = slot_of(self.month, allocation.interval_ms)
                if self._is_every_clearing_known:
                    former = self.allocations.slots.get(slot)
                    self.findings.add_all(wrong_revision(row.seq, allocation, former))
                self.contradictions.take(allocation, self.operator.received_at(slot))
        self.touched |= self.allocations.add(row, cleared, moved, finality_ms)
        for allocation in cleared.shared:
            if self.month.has(allocation.interval_ms):
                check = AllocationCheck(
                    entry=row.seq,
                    allocation=allocation,
                    agreement=self._agreement,
                    meters=self.meters,
                    month=self.month,
                )
                self.findings.add_all(check.findings())

    def _count_bought(self, row: DecodedRow) -> None:
        """Count what was bought and what of it is left, apart from what was minted.

        Whatever leaves a wallet was minted while it has any of that, but for what covers import.
        Where the outcome was erased, GRID from a member was bought, and what is retired too.
        """
        moved = [each for each in row.movements if each.asset == GRID]
        if row.outcome is None:
            self._is_bought_exact &= not moved
            for each in moved:
                if is_wallet(each.debit) and is_wallet(each.credit):
                    self.wallet(each.credit).bought_uwh += each.amount
                elif each.credit == RETIRED:
                    self.wallet(each.debit).bought_uwh -= each.amount
        for trade in row.trades:
            self.wallet(trade.buyer).bought_uwh += trade.quantity_uwh
        for retirement in retirements_of(row.outcome):
            wallet = self.wallet(retirement.wallet)
            wallet.bought_uwh -= retirement.amount_uwh
            if wallet.bought_uwh < 0 and self._is_bought_exact and self.month.has(row.at_ms):
                excess_uwh = -wallet.bought_uwh
                finding = retirement_checks.more_than_bought(retirement.wallet, excess_uwh, row.seq)
                self.findings.add_all([finding])
                wallet.bought_uwh = 0
        for each in moved:
            wallet = self.wallet(each.debit)
            wallet.bought_uwh = max(0, min(wallet.bought_uwh, wallet.balance(GRID)))

    def _keep(self, account: str, part: SpoolPart, line: msgspec.Struct) -> None:
        if self._only is None or account in self._only:
            self.spool.add(account, part, _encode(line))
