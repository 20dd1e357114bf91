"""One community as the core holds it in memory, and its way to and from a snapshot."""

from __future__ import annotations

from gridtokenx_backend.core.book import Book
from gridtokenx_backend.core.inputs import parse_terms
from gridtokenx_backend.core.ledger import Ledger
from gridtokenx_backend.core.market import Market, MarketRules
from gridtokenx_backend.core.oracle import OracleLimits
from gridtokenx_backend.core.registry import Device, Member, Meter
from gridtokenx_backend.core.state import (
    VERSION,
    Counters,
    Remembered,
    State,
    decode_state,
    encode_state,
)
from gridtokenx_backend.core.terms import CommunityTerms

_NO_LIMITS = OracleLimits(0, 0, 0)
_NO_RULES = MarketRules(1, 1, 0, 0, 0)


class Community:
    """Every attribute is a function of the inputs that were applied, and of nothing else.

    `entries` is the journal's number of the newest input, `at_ms` its time. `members` are by
    wallet, `devices` by id, `meters` by id, `remembered` by wallet and client id.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.at_ms = 0
        self.name = ""
        self.terms_raw = b""
        self.paused = False
        self.next_order = 1
        self.counters = Counters()
        self.members: dict[str, Member] = {}
        self.devices: dict[bytes, Device] = {}
        self.meters: dict[str, Meter] = {}
        self.remembered: dict[str, Remembered] = {}
        self.limits = _NO_LIMITS
        self.order_window_ms = 0
        self.ledger = Ledger()
        self.book = Book()
        self.market = Market(self.ledger, self.book, _NO_RULES)

    def set_terms(self, terms: CommunityTerms, raw: bytes) -> None:
        """Puts the terms of oracle and market into force, as integers."""
        oracle, market = terms.oracle, terms.market
        self.name = terms.community.name
        self.terms_raw = raw
        self.order_window_ms = market.order_window_s * 1000
        self.limits = OracleLimits(
            oracle.future_tolerance_s * 1000,
            oracle.oldest_reading_s * 1000,
            oracle.ratio_window_s * 1000,
        )
        self.market.rules = MarketRules(
            int(market.lot_kwh),
            int(market.tick_grx_per_kwh),
            int(market.highest_price_grx_per_kwh),
            int(market.largest_order_kwh),
            market.fee_bps,
        )

    def snapshot(self) -> bytes:
        """All of it as bytes; equal communities give equal bytes."""
        return encode_state(
            State(
                VERSION,
                self.entries,
                self.at_ms,
                self.terms_raw,
                self.paused,
                self.next_order,
                self.counters,
                self.ledger.state,
                list(self.members.values()),
                list(self.devices.values()),
                list(self.meters.values()),
                list(self.book.orders.values()),
                self.remembered,
            )
        )


def restore(snapshot: bytes) -> Community:
    """The community that `snapshot` was taken of. Raises ValueError for another version's."""
    state = decode_state(snapshot)
    community = Community()
    community.entries = state.entries
    community.at_ms = state.at_ms
    community.paused = state.paused
    community.next_order = state.next_order
    community.counters = state.counters
    community.members = {member.wallet: member for member in state.members}
    community.devices = {device.id: device for device in state.devices}
    community.meters = {meter.id: meter for meter in state.meters}
    community.remembered = state.remembered
    community.ledger = Ledger(state.ledger)
    community.market = Market(community.ledger, community.book, _NO_RULES)
    for order in state.orders:
        community.book.rest(order)
    if state.terms:
        community.set_terms(parse_terms(state.terms), state.terms)
    return community
