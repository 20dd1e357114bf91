"""A community in which everything happens: two zones, four people, meters, money, months.

Whoever drives it may say anything; after every input the books are looked at (`assert_books`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.backend.village import (
    NAME,
    START_MS,
    Gateway,
    Resident,
    convert_terms,
    device_terms,
    frame_input,
    member_terms,
    meter_terms,
    order_input,
    reading,
)

from gridtokenx_backend.config.terms_checks import check_terms
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import DUE, Input, TickInput
from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    IntervalCleared,
    NotJournaled,
    Result,
    movements_of,
    trades_of,
)
from gridtokenx_backend.core.messages.period_records import FeedIn, PeriodCommand
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.minting.corrections import revision_of
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy
from gridtokenx_backend.core.model.ledger import ASSETS, FED_IN, GRID, REC, RETIRED, issuer
from gridtokenx_backend.core.model.local_time import TimeZone
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.core.settlement.certificates import MWH_UWH
from gridtokenx_backend.core.settlement.periods import unsold_uwh as unsold_uwh_of
from gridtokenx_backend.core.sharing.key_versions import conflicts
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.journal.entry import Entry, decode_outcome, make_entry
from gridtokenx_backend.replay.replay import replay_entry
from gridtokenx_backend.statements.documents.allocation_pairs import PairSums
from gridtokenx_backend.statements.documents.statement import BilledMember, data_of
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.findings import COMMUNITY
from gridtokenx_backend.statements.fold.journal_rows import (
    KINDS_WITH_INPUT,
    DatedTerms,
    JournalRow,
    terms_of,
)
from gridtokenx_backend.statements.fold.month_fold import MonthFold
from gridtokenx_backend.statements.fold.roster import Roster
from gridtokenx_backend.statements.fold.spool import Spool
from gridtokenx_backend.statements.model.months import month_of
from gridtokenx_wire.order import Instruction
from gridtokenx_wire.reading import Reading

PEOPLE = {name: Resident(name) for name in ("anna", "ben", "cleo", "dora")}
OWNERS = {"A1": "anna", "B1": "ben", "C1": "cleo", "D1": "dora"}
FIRST_MS = START_MS - START_MS % INTERVAL_MS
KEY = {"version": 1, "valid_from": "2026-01-01T00:00:00+00:00", "mode": "dynamic"}


class WholeMarket:
    """A core, its double that is restored from snapshots, and the journal that both would keep.

    `registers` are what the meters show, `told` what of it was accepted, `counted` the intervals
    as they were journaled, `accounts` the ledger as the journal's movements make it. By meter,
    `exported` is what it moved, `minted` what came of it, and `added` what of that corrections did.
    """

    def __init__(self) -> None:
        self.core, self.double = Community(), Community()
        self.at_ms = FIRST_MS
        self.named = 0
        self.entries: list[Entry] = []
        self.accounts: dict[tuple[str, str], int] = {}
        self.minted: dict[str, int] = {}
        self.gateways = {"A1": Gateway("north"), "C1": Gateway("south")}
        self.gateways |= {"B1": self.gateways["A1"], "D1": self.gateways["C1"]}
        self.registers = dict.fromkeys(OWNERS, (9 * MWH_UWH, 5 * MWH_UWH))
        self.exported = dict.fromkeys(OWNERS, 0)
        self.added = dict.fromkeys(OWNERS, 0)
        self.told: dict[str, list[tuple[int, int, int]]] = {name: [] for name in OWNERS}
        self.counted: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in OWNERS}
        self.months: list[tuple[int, int]] = []
        self.document: dict[str, Any] = {
            "community": {"name": NAME},
            "market": {},
            "interval": {"enabled": True},
            "zone": [{"name": "east"}, {"name": "west"}],
            "link": [{"from": "east", "to": "west", "capacity_kwh": "5"}],
            "member": [member_terms(each, "1000") for each in PEOPLE.values()],
            "device": [device_terms(self.gateways[name]) for name in ("A1", "C1")],
            "meter": [self._meter(name) for name in OWNERS],
        }

    def _meter(self, name: str) -> dict[str, Any]:
        terms: dict[str, Any] = {"max_power_kw": "10000"}
        if name == "A1":
            terms |= {"renewable": True, "technology": "solar"}
        if name == "B1":
            terms |= {"policy": "net", "renewable": True, "technology": "wind"}
        return meter_terms(name, self.gateways[name], PEOPLE[OWNERS[name]], **terms)

    # --- what may be put to it ------------------------------------------------------------------

    def configure(self, **changed: Any) -> None:
        """New terms, if the operator could bring them."""
        document = self.document | changed
        terms = convert_terms(document)
        if list(check_terms(terms)) or list(conflicts(self.core.sharing, terms, TimeZone())):
            return
        self.document = document
        self.apply(inputs.configuration_input(terms))

    def tell(self, who: str, kind: type[Instruction], **content: Any) -> Result:
        self.named += 1
        person = PEOPLE[who]
        head = person._head(content.pop("id", f"i{self.named}"), self.at_ms, NAME)
        return self.apply(order_input(person.sign(kind(**head, **content))))

    def apply(self, input_: Input) -> Result:
        """As the writer does: first what is due."""
        if self.core.due_ms <= self.at_ms:
            self._apply(TickInput(DUE))
        return self._apply(input_)

    def _apply(self, input_: Input) -> Result:
        outcome = machine.apply(self.core, input_, self.at_ms)
        assert machine.apply(self.double, input_, self.at_ms) == outcome
        if not isinstance(outcome, NotJournaled):
            entry = make_entry(self.core.entries, self.at_ms, input_, outcome, bytes(16))
            assert decode_outcome(entry.outcome) == outcome
            self.entries.append(entry)
            self._post(outcome)
        assert_books(self)
        return outcome

    def _post(self, outcome: Any) -> None:
        for movement in movements_of(outcome):
            assert movement.amount > 0
            for account, sign in ((movement.debit, -1), (movement.credit, 1)):
                at = movement.asset, account
                self.accounts[at] = self.accounts.get(at, 0) + sign * movement.amount
        for trade in trades_of(outcome):
            charges = trade.fee_ugrx + trade.wheeling_ugrx + trade.loss_ugrx
            assert trade.gross_ugrx == trade.net_ugrx + charges
            assert trade.net_ugrx > 0 < trade.quantity_uwh
            assert trade.buyer != trade.seller

    # --- meters ---------------------------------------------------------------------------------

    def read(self, meter: str, import_uwh: int, export_uwh: int) -> None:
        """What the meter moved since its last reading, read now."""
        before = self.registers[meter]
        self.exported[meter] += export_uwh
        self.registers[meter] = before[0] + import_uwh, before[1] + export_uwh
        self.send(meter, [(self.at_ms, *self.registers[meter])])

    def send(self, meter: str, rows: list[tuple[int, int, int]]) -> None:
        """A frame with readings (time, import, export) of one meter."""
        readings: list[Reading] = [
            reading(meter, at_ms, exported, imported) for at_ms, imported, exported in rows
        ]
        before = self.core.counters.minted_uwh
        gateway = self.gateways[meter]
        seq, prev = gateway.seq, gateway.prev
        outcome = self.apply(frame_input(gateway.next(readings)))
        if not isinstance(outcome, FrameAccepted):
            gateway.seq, gateway.prev = seq, prev
            return
        minted = sum(each.amount for each in outcome.movements if each.debit == issuer(GRID))
        self.minted[meter] = self.minted.get(meter, 0) + minted
        assert self.core.counters.minted_uwh - before <= minted
        refused = {index for index, _ in outcome.verdicts}
        taken = [row for index, row in enumerate(rows) if index not in refused]
        self.told[meter] = sorted({*self.told[meter], *taken})
        for name, closed in outcome.intervals:
            self._count(name, closed)

    def _count(self, meter: str, rows: list[IntervalEnergy]) -> None:
        for row in rows:
            self.counted[meter][row.interval_ms] = row.import_uwh, row.export_uwh

    def correct(self, meter: str, ago: int, quarters: int, moved_uwh: tuple[int, int]) -> None:
        known = self.core.meters[meter]
        to_ms = max(0, known.interval_end_ms - (1 + ago) * INTERVAL_MS)
        from_ms = max(0, to_ms - quarters * INTERVAL_MS)
        counted = [
            energy for at_ms, energy in self.counted[meter].items() if from_ms <= at_ms < to_ms
        ]
        command = Correct(
            meter=meter,
            from_ms=from_ms,
            to_ms=to_ms,
            import_uwh=moved_uwh[0],
            export_uwh=moved_uwh[1],
            counted_import_uwh=sum(imported for imported, _ in counted),
            counted_export_uwh=sum(exported for _, exported in counted),
            revision=revision_of(known, from_ms, to_ms),
            reason="it stood still",
        )
        outcome = self.apply(inputs.settlement_input(command))
        if isinstance(outcome, MeterCorrected):
            minted = sum(each.amount for each in outcome.movements if each.debit == issuer(GRID))
            self.minted[meter] = self.minted.get(meter, 0) + minted
            self.added[meter] += minted
            self._count(meter, outcome.rows)

    # --- time -----------------------------------------------------------------------------------

    def clear(self, most: int) -> None:
        """The intervals that are due, as many as that."""
        for _ in range(most):
            if self.core.clear_due_ms > self.at_ms:
                return
            interval_ms = self.core.cleared_ms
            outcome = self.apply(inputs.clearing_input(interval_ms))
            assert isinstance(outcome, IntervalCleared)
            assert self.core.cleared_ms == interval_ms + INTERVAL_MS

    def step(self, status: Any, index: int) -> None:
        """A step of a month that ends now, or of a former one."""
        if index >= len(self.months):
            begin_ms = self.months[-1][1] if self.months else 0
            if begin_ms == self.at_ms:
                return
            self.months.append((begin_ms, self.at_ms))
            index = len(self.months) - 1
        feed_in = [
            FeedIn(
                wallet=wallet,
                minted_uwh=member.minted_uwh,
                fed_in_uwh=unsold_uwh_of(self.core, member, member.minted_uwh),
            )
            for wallet, member in self.core.members.items()
        ]
        month = f"m{index}"
        known = self.core.periods.get(month)
        from_ms, to_ms = self.months[index]
        revision = known.revision + 1 if known else 1
        final = feed_in if status == "final" else []
        command = PeriodCommand(
            month=month,
            status=status,
            revision=revision,
            from_ms=from_ms,
            to_ms=to_ms,
            documents=[],
            feed_in=final,
        )
        self.apply(inputs.period_input(command))

    # --- from the journal and from snapshots ----------------------------------------------------

    def restart(self) -> None:
        snapshot = self.core.snapshot()
        assert self.double.snapshot() == snapshot
        self.double = restore(snapshot)
        assert self.double.snapshot() == snapshot

    def assert_replays(self) -> None:
        replayed = Community()
        for entry in self.entries:
            replay_entry(replayed, entry)
        assert replayed.snapshot() == self.core.snapshot() == self.double.snapshot()


def assert_statements(market: WholeMarket) -> None:
    """Every month's statements, as made from the journal: their lines, and the ledger's state."""
    core = market.core
    found = {month_of(entry.at_ms, "UTC") for entry in market.entries}
    months = sorted(found, key=lambda month: month.from_ms)
    history = [
        DatedTerms(entry.at_ms, terms_of(entry.input))
        for entry in market.entries
        if entry.kind == "configure"
    ]
    for month in months[-2:]:
        spans = Roster(history, month).spans
        with Spool() as spool:
            fold = MonthFold(month, spool)
            for entry in market.entries:
                row = JournalRow(
                    seq=entry.seq,
                    at_ms=entry.at_ms,
                    kind=entry.kind,
                    leaf=entry.leaf,
                    input=entry.input if entry.kind in KINDS_WITH_INPUT else b"",
                    outcome=entry.outcome,
                )
                fold.add(row)
            assert set(fold.totals().values()) == {0}
            for address, member in core.members.items():
                wallet = fold.wallet(address)
                for asset in ASSETS:
                    assert wallet.balance(asset) == core.ledger.posted(address, asset)
                free_uwh = core.ledger.posted(address, GRID) - member.bought_uwh
                assert wallet.surplus_uwh == free_uwh, member.name
                assert wallet.minted_uwh == member.minted_uwh
                if not fold.final_entry:
                    marks = wallet.minted_by_end_uwh, fold.given_later_uwh(address)
                    unsold_uwh = unsold_uwh_of(core, member, *marks)
                    assert fold.unsold_uwh(address, wallet) == unsold_uwh
                meters = [
                    MeteredSpan(span, fold.meters.get(span.meter))
                    for span in spans.get(address, [])
                ]
                person = BilledMember(name=member.name, wallet=address, plan=None, meters=meters)
                data = data_of(fold, person, NAME, spool, PairSums(fold.allocations))
                assert all(check.holds for check in data.checks), data.checks
            assert fold.findings.checks(COMMUNITY) == []


def assert_books(market: WholeMarket) -> None:
    """The ledger, its escrow, the queues and the certificates, each against the others."""
    core = market.core
    state = core.ledger.state
    for asset in ASSETS:
        posted = {name: amount for name, amount in state.posted[asset].items() if amount}
        assert posted == {
            name: amount for (of, name), amount in market.accounts.items() if of == asset and amount
        }
        assert sum(posted.values()) == 0
        assert all(amount > 0 for name, amount in posted.items() if name != issuer(asset))
        held: dict[str, int] = {}
        for each in state.pendings.values():
            if each.asset == asset:
                held[each.account] = held.get(each.account, 0) + each.amount
        assert state.held[asset] == {name: amount for name, amount in held.items() if amount}
        assert all(amount <= posted[name] for name, amount in held.items())
    assert {n: each.amount for n, each in state.pendings.items()} == dict(_escrow(core))
    _assert_energy(core)
    _assert_certificates(market)


def _escrow(core: Community) -> Iterator[tuple[int, int]]:
    """What each open order and each open withdrawal must hold."""
    lot_uwh = core.market.rules.lot_uwh
    for book in (core.book, core.interval.book):
        for order in book.orders.values():
            assert 0 < order.remaining_uwh <= order.quantity_uwh
            assert order.remaining_uwh % lot_uwh == 0
            assert order.zone == core.members[order.wallet].zone
            assert core.market.entry_rules.bad_price(order.zone, order.price_ugrx) is None
            assert not order.expires_ms or order.expires_ms > core.at_ms
            _, cover = core.market.entry_rules.cover(
                order.side, order.price_ugrx, order.remaining_uwh
            )
            yield order.number, cover
    for each in core.settlement.withdrawals.values():
        yield each.number, each.amount_ugrx


def _assert_energy(core: Community) -> None:
    ledger = core.ledger
    minted = -ledger.posted(issuer(GRID), GRID)
    wallets = sum(ledger.posted(wallet, GRID) for wallet in core.members)
    assert minted == wallets + ledger.posted(RETIRED, GRID) + ledger.posted(FED_IN, GRID)
    assert minted == core.counters.minted_uwh
    for member in core.members.values():
        assert 0 <= member.bought_uwh <= ledger.posted(member.wallet, GRID)
        assert member.bought_uwh <= queues.total(member.purchases)
        assert 0 <= member.ahead_uwh <= member.retired_uwh
        assert member.owed_uwh >= 0
        starts = [at_ms for at_ms, amount in queues.pairs(member.open_import) if amount > 0]
        assert starts == sorted({at_ms for at_ms, _ in queues.pairs(member.open_import)})
    for use in core.market.trading.uses.values():
        assert use.used_uwh >= 0


def _assert_certificates(market: WholeMarket) -> None:
    core = market.core
    known = core.settlement.certificates
    assert -core.ledger.posted(issuer(REC), REC) == len(known)
    for wallet in core.members:
        mine = sum(each.owner == wallet and each.status == "issued" for each in known.values())
        assert core.ledger.posted(wallet, REC) == mine
    for meter in core.meters.values():
        spans = sorted((c.from_uwh, c.to_uwh) for c in known.values() if c.meter == meter.id)
        assert spans == [(n * MWH_UWH, (n + 1) * MWH_UWH) for n in range(len(spans))]
        minted_uwh = market.minted.get(meter.id, 0)
        assert len(spans) * MWH_UWH <= minted_uwh
        assert minted_uwh <= market.exported[meter.id] + market.added[meter.id]
