"""The interval segment: orders that wait, with their cover in escrow, for the next auction.

An order stays until it is filled, cancelled or expired. It never trades when it comes, so IOC, FOK,
post-only and a least quantity do not exist in this segment.
"""

from __future__ import annotations

from typing import Final

from gridtokenx_backend.core.market.book import Book, RestingOrder
from gridtokenx_backend.core.market.charges import charge
from gridtokenx_backend.core.market.entry_rules import EntryRules
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderAccepted, OrderRefused, Trade
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import (
    CONGESTION,
    FEES,
    GRID,
    GRX,
    LOSSES,
    WHEELING,
    Asset,
    Movement,
)
from gridtokenx_backend.core.model.zones import LinkRules
from gridtokenx_wire.units import UWH_PER_KWH

INTERVAL: Final = "interval"


class IntervalMarket:
    """Keeps and settles the orders of the segment interval, under the rules of both segments."""

    def __init__(self, entry_rules: EntryRules) -> None:
        self.entry_rules = entry_rules
        self.ledger = entry_rules.ledger
        self.book = Book()

    @property
    def due_ms(self) -> int:
        """The time at which an order expires, or NEVER_MS."""
        return self.book.next_expiry_ms

    def place(
        self, order: NewOrder, at_ms: int, replaced: RestingOrder | None = None
    ) -> OrderAccepted | OrderRefused:
        """Put an order with its cover into the book, in the place of `replaced` if there is one."""
        entry_rules = self.entry_rules
        refused = (
            entry_rules.closed_zone(order.zone, at_ms)
            or _contradiction(order)
            or entry_rules.unacceptable(order, self.book, replaced)
        )
        if refused:
            return refused
        asset, cover = entry_rules.cover(order.side, order.price_ugrx, order.quantity_uwh)
        if refused := entry_rules.uncovered(order.wallet, asset, cover, replaced):
            return refused
        if replaced is not None:
            self.cancel(replaced)
        self._rest(order, asset, cover)
        return OrderAccepted(
            number=order.number,
            key=order.key,
            status="resting",
            filled_uwh=0,
            remaining_uwh=order.quantity_uwh,
            trades=[],
            movements=[],
        )

    def _rest(self, order: NewOrder, asset: Asset, cover: int) -> None:
        refusal = self.ledger.reserve(order.number, order.wallet, asset, cover)
        assert refusal is None
        self.book.rest(
            RestingOrder(
                number=order.number,
                key=order.key,
                wallet=order.wallet,
                side=order.side,
                price_ugrx=order.price_ugrx,
                remaining_uwh=order.quantity_uwh,
                quantity_uwh=order.quantity_uwh,
                standing=order.standing,
                zone=order.zone,
                expires_ms=order.expires_ms,
            )
        )

    def reduce(self, order: RestingOrder, quantity_uwh: int) -> None:
        """Make an order smaller by `quantity_uwh`; it keeps its place in the queue."""
        self._release(order, quantity_uwh)
        order.quantity_uwh -= quantity_uwh

    def cancel(self, order: RestingOrder) -> None:
        """Take an order out of the book and give back its escrow."""
        self.book.cancel(order)
        self.ledger.close_pending(order.number)

    def expire(self, at_ms: int) -> list[int]:
        """Cancel the orders whose time is over. Return their numbers."""
        expired = self.book.expired(at_ms)
        for order in expired:
            self.cancel(order)
        return [order.number for order in expired]

    def settle(
        self,
        bid: RestingOrder,
        ask: RestingOrder,
        *,
        quantity_uwh: int,
        seller_ugrx: int,
        way: tuple[LinkRules, ...] = (),
        rent_ugrx_per_kwh: int = 0,
    ) -> tuple[Trade, list[Movement]]:
        """Deliver one pair's energy against payment, out of both escrows.

        The seller gets `seller_ugrx` for each kWh. Over the links of `way` the buyer pays wheeling
        and loss on top, and the rent of the links that are full: all that together is the price of
        the buyer's zone. Return the trade and its movements.
        """
        charges = charge(
            self.entry_rules.rules,
            seller_ugrx,
            quantity_uwh,
            wheeling_per_kwh_ugrx=sum(link.wheeling_ugrx for link in way),
            loss_per_kwh_ugrx=sum(link.loss_ugrx for link in way),
        )
        rent = rent_ugrx_per_kwh * quantity_uwh // UWH_PER_KWH
        self._release(bid, quantity_uwh)
        self._release(ask, quantity_uwh)
        pay, buyer, seller = self.ledger.pay, bid.wallet, ask.wallet
        payments = (
            (seller, charges.net_ugrx),
            (FEES, charges.fee_ugrx),
            (WHEELING, charges.wheeling_ugrx),
            (LOSSES, charges.loss_ugrx),
            (CONGESTION, rent),
        )
        movements = [pay(GRX, buyer, account, amount) for account, amount in payments if amount]
        movements.append(pay(GRID, seller, buyer, quantity_uwh))
        trade = Trade(
            maker=bid.number,
            taker=ask.number,
            buyer=buyer,
            seller=seller,
            price_ugrx=charges.price_ugrx,
            quantity_uwh=quantity_uwh,
            gross_ugrx=charges.gross_ugrx,
            fee_ugrx=charges.fee_ugrx,
            net_ugrx=charges.net_ugrx,
            wheeling_ugrx=charges.wheeling_ugrx,
            loss_ugrx=charges.loss_ugrx,
            buyer_zone=bid.zone,
            seller_zone=ask.zone,
            segment=INTERVAL,
            rent_ugrx=rent,
        )
        return trade, movements

    def _release(self, order: RestingOrder, quantity_uwh: int) -> None:
        """Take a part of an order out of the book, and its cover out of escrow."""
        _, cover = self.entry_rules.cover(order.side, order.price_ugrx, quantity_uwh)
        self.ledger.release(order.number, cover)
        self.book.take(order, quantity_uwh)
        if order.remaining_uwh == 0:
            self.ledger.close_pending(order.number)


def _contradiction(order: NewOrder) -> OrderRefused | None:
    """Refuse what only an order that trades at once can ask for."""
    if order.min_quantity_uwh or order.post_only or not order.rests:
        detail = (
            "expected tif GTC or GTT in the segment interval, "
            "and neither post_only nor min_quantity_kwh"
        )
        return OrderRefused(OrderRefusal.CONTRADICTORY, detail)
    return None
