"""A village with zones and links, where members hold what they need, and whose intervals clear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from tests.backend.village import KWH, NAME, START_MS, Resident, Village, member_terms

from gridtokenx_backend.api.clearing_views import clearing_view
from gridtokenx_backend.core.messages.inputs import Input, clearing_input
from gridtokenx_backend.core.messages.outcomes import IntervalCleared, Result
from gridtokenx_backend.core.model.ledger import (
    ASSETS,
    CONGESTION,
    FEES,
    GRID,
    GRX,
    LOSSES,
    WHEELING,
    Movement,
    issuer,
)
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_client.verification.auction_check import check_auction
from gridtokenx_client.verification.clearing_document import Clearing
from gridtokenx_client.verification.coupling_check import check_coupling
from gridtokenx_wire.order import Order

FIRST_MS = START_MS - START_MS % INTERVAL_MS
GRACE_MS = 300_000
NAMES = ("anna", "ben", "cleo", "dan", "emil", "finn")
ACCOUNTS = (FEES, WHEELING, LOSSES, CONGESTION)


class IntervalVillage(Village):
    """anna and ben live in north, cleo and dan in south, emil and finn in west."""

    def __init__(self, links: Sequence[dict[str, Any]] = (), **terms: Any) -> None:
        self.people = {name: Resident(name) for name in NAMES}
        zones = ("north", "north", "south", "south", "west", "west")
        members = [
            member_terms(self.people[name], "1000") | {"zone": zone}
            for name, zone in zip(NAMES, zones, strict=True)
        ]
        document: dict[str, Any] = {
            "zone": [{"name": "north"}, {"name": "south"}, {"name": "west"}],
            "link": list(links),
            "member": members,
            "meter": [],
            **terms,
        }
        super().__init__(**document)
        self.applied: list[tuple[Input, int]] = []
        for resident in self.people.values():
            grid = Movement(
                asset=GRID, debit=issuer(GRID), credit=resident.wallet, amount=1000 * KWH
            )
            assert self.community.ledger.post([grid]) is None

    def apply(self, input_: Input, at_ms: int | None = None) -> Result:
        result = super().apply(input_, at_ms)
        if hasattr(self, "applied"):
            self.applied.append((input_, self.at_ms))
        return result

    def order(self, text: str, client_id: str = "", **other: Any) -> Order:
        """`"anna sells 5 at 0.2"`, in the segment interval; without `at` it is a market order."""
        name, verb, quantity, *price = text.split()
        resident = self.people[name]
        return Order(
            v=1,
            community=NAME,
            wallet=resident.wallet,
            id=client_id or f"o{len(self.applied)}",
            issued_ms=self.at_ms,
            side={"sells": "sell", "buys": "buy"}[verb],
            quantity_kwh=quantity,
            price_grx_per_kwh=price[1] if price else "",
            **({"type": "limit" if price else "market", "segment": "interval"} | other),
        )

    def place(self, *texts: str) -> None:
        for text in texts:
            self.accept(self.order(text))

    def clear(self, at_ms: int | None = None) -> IntervalCleared:
        """Clears the next interval when its time has come."""
        community = self.community
        at = at_ms if at_ms is not None else max(self.at_ms, community.clear_due_ms)
        outcome = self.apply(clearing_input(community.cleared_ms), at)
        assert isinstance(outcome, IntervalCleared), outcome
        return outcome

    def documents(self, cleared: IntervalCleared) -> list[Clearing]:
        """What the API says of it, as the client reads it."""
        views = [clearing_view(NAME, 1, cleared, zone) for zone in cleared.zones]
        return [msgspec.json.decode(msgspec.json.encode(view), type=Clearing) for view in views]

    def assert_verified(self, cleared: IntervalCleared) -> None:
        """The client computes the same of it, and finds nobody paired with itself."""
        documents = self.documents(cleared)
        verdicts = [each for document in documents for each in check_auction(document)]
        verdicts += check_coupling(documents)
        assert [each for each in verdicts if not each.holds] == []

    def assert_balanced(self) -> None:
        """Assets sum to zero, nobody is below it, and escrow is the cover of open orders."""
        ledger, market = self.community.ledger, self.community.market
        wallets = [resident.wallet for resident in self.people.values()]
        books = (self.community.book, self.community.interval.book)
        orders = [order for book in books for order in book.orders.values()]
        for asset in ASSETS:
            accounts = [*wallets, *ACCOUNTS, issuer(asset)]
            assert sum(ledger.posted(account, asset) for account in accounts) == 0
            for wallet in wallets:
                covers = [
                    market.entry_rules.cover(order.side, order.price_ugrx, order.remaining_uwh)
                    for order in orders
                    if order.wallet == wallet
                ]
                held = sum(amount for kind, amount in covers if kind == asset)
                assert ledger.held(wallet, asset) == held
                assert ledger.available(wallet, asset) >= 0

    def change(self, name: str) -> tuple[int, int]:
        """(µWh, µGRX) that a member has more than at the beginning."""
        wallet, ledger = self.people[name].wallet, self.community.ledger
        return ledger.posted(wallet, GRID) - 1000 * KWH, ledger.posted(wallet, GRX) - 1000 * 10**6
