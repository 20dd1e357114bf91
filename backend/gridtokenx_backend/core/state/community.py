"""One community as the core holds it in memory, and its way to and from a snapshot."""

from __future__ import annotations

from collections import Counter

from gridtokenx_backend.core.market import timetable
from gridtokenx_backend.core.market.book import NEVER_MS, Book, RestingOrder
from gridtokenx_backend.core.market.continuous_market import ContinuousMarket
from gridtokenx_backend.core.market.interval_market import IntervalMarket
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.model.billing_periods import Period
from gridtokenx_backend.core.model.ledger import Ledger
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Device, Member, Meter, Token
from gridtokenx_backend.core.model.rules_version import RULES_VERSION
from gridtokenx_backend.core.model.settlement import Settlement
from gridtokenx_backend.core.model.sharing_state import SharingState
from gridtokenx_backend.core.state.snapshot import (
    ActiveTerms,
    CompletedInstruction,
    Counters,
    State,
    chunked,
    decode_state,
    encode_state,
    store_ledger,
    version_for,
)

_NO_TERMS = ActiveTerms(
    name="",
    source=b"",
    limits=OracleLimits(future_tolerance_ms=0, oldest_reading_ms=0, ratio_window_ms=0),
    rules=MarketRules(lot_uwh=1, tick_ugrx=1, highest_price_ugrx=0, largest_order_uwh=0, fee_bps=0),
    order_window_ms=0,
    tick_ms=0,
)


class Community:
    """All that the core remembers of one community. It depends only on the inputs applied to it.

    `entries` is the journal's number of the newest input, `at_ms` its time. `members` are by
    wallet, `devices` by id, `meters` by id, `tokens` by the hash of their secret.
    `completed_instructions` are by wallet and client id, and `completed_by_wallet` counts them for
    each wallet. Instructions issued before `forgotten_ms` may have been carried out and forgotten.
    `cleared_ms` is the start of the interval to be cleared next; 0 if there is none. `rules` is the
    version of the rules by which the present input is decided, `newest_rules` that of the newest
    entry. `held_meters` are the ids of the meters whose energy is held.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.at_ms = 0
        self.rules = RULES_VERSION
        self.newest_rules = 1
        self.paused = False
        self.next_order = 1
        self.counters = Counters()
        self.members: dict[str, Member] = {}
        self.devices: dict[bytes, Device] = {}
        self.meters: dict[str, Meter] = {}
        self.held_meters: set[str] = set()
        self.completed_instructions: dict[str, CompletedInstruction] = {}
        self.completed_by_wallet: Counter[str] = Counter()
        self.forgotten_ms = 0
        self.tokens: dict[str, Token] = {}
        self.settlement = Settlement()
        self.periods: dict[str, Period] = {}
        self.sharing = SharingState()
        self.ledger = Ledger()
        self.book = Book()
        self.market = ContinuousMarket(self.ledger, self.book, _NO_TERMS.rules)
        self.interval = IntervalMarket(self.market.entry_rules)
        self.cleared_ms = 0
        self.apply_terms(_NO_TERMS)

    def apply_terms(self, terms: ActiveTerms) -> None:
        """Use these terms of oracle and market from here on."""
        self.active_terms = terms
        self.name = terms.name
        self.limits = terms.limits
        self.order_window_ms = terms.order_window_ms
        self.market.apply_terms(terms.rules)
        self.market.trading.time_zone = terms.time_zone

    @property
    def due_ms(self) -> int:
        """The earliest time at which something is due that a tick has to carry out."""
        return min(self.market.due_ms, self.interval.due_ms)

    @property
    def clear_due_ms(self) -> int:
        """When the interval that starts at `cleared_ms` is to be cleared; NEVER_MS if none is."""
        rules = self.active_terms.interval
        if not (rules.enabled and self.cleared_ms):
            return NEVER_MS
        return timetable.due_ms(rules, self.cleared_ms)

    def market_of(self, order: RestingOrder) -> ContinuousMarket | IntervalMarket:
        """Return the market segment in which an open order rests."""
        return self.interval if order.number in self.interval.book.orders else self.market

    def snapshot(self) -> bytes:
        """Return all that the community remembers as bytes; equal communities give equal bytes."""
        version = version_for(self.newest_rules)
        return encode_state(
            State(
                version=version,
                entries=self.entries,
                at_ms=self.at_ms,
                active_terms=self.active_terms,
                paused=self.paused,
                next_order=self.next_order,
                counters=self.counters,
                ledger=store_ledger(self.ledger.state, version),
                members=list(self.members.values()),
                devices=list(self.devices.values()),
                meters=chunked(self.meters.values(), version),
                orders=list(self.book.orders.values()),
                completed_instructions=self.completed_instructions,
                forgotten_ms=self.forgotten_ms,
                tokens=self.tokens,
                settlement=self.settlement,
                zones=list(self.market.trading.zones.values()),
                uses=list(self.market.trading.uses.values()),
                interval_orders=list(self.interval.book.orders.values()),
                cleared_ms=self.cleared_ms,
                periods=self.periods,
                sharing=self.sharing,
                newest_rules=self.newest_rules,
            )
        )


def restore(snapshot: bytes) -> Community:
    """Return the community that `snapshot` was taken of. Raises ValueError for another version."""
    state, ledger, meters = decode_state(snapshot)
    community = Community()
    community.entries = state.entries
    community.at_ms = state.at_ms
    community.newest_rules = state.newest_rules
    community.paused = state.paused
    community.next_order = state.next_order
    community.counters = state.counters
    community.members = {member.wallet: member for member in state.members}
    community.devices = {device.id: device for device in state.devices}
    community.meters = {meter.id: meter for meter in meters}
    community.held_meters = {
        meter.id for meter in meters if meter.guard is not None and meter.guard.held is not None
    }
    community.completed_instructions = state.completed_instructions
    community.completed_by_wallet = Counter(
        key.partition(":")[0] for key in state.completed_instructions
    )
    community.forgotten_ms = state.forgotten_ms
    community.tokens = state.tokens
    community.settlement = state.settlement
    community.periods = state.periods
    community.sharing = state.sharing
    community.ledger = Ledger(ledger)
    community.market = ContinuousMarket(community.ledger, community.book, state.active_terms.rules)
    community.interval = IntervalMarket(community.market.entry_rules)
    for order in state.orders:
        community.book.rest(order)
    for order in state.interval_orders:
        community.interval.book.rest(order)
    community.cleared_ms = state.cleared_ms
    community.market.trading.zones = {zone.name: zone for zone in state.zones}
    community.market.trading.uses = {(use.from_zone, use.to_zone): use for use in state.uses}
    community.apply_terms(state.active_terms)
    return community
