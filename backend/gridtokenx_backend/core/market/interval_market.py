"""The interval book: orders that wait, with their cover in escrow, for the next auction.

An order stays until it is filled, cancelled or expired. It never trades when it comes, so there is
no IOC, FOK, post-only or minimum here.
"""

from __future__ import annotations

from typing import Final

from gridtokenx_backend.core.market.book import Book, RestingOrder
from gridtokenx_backend.core.market.charges import charge
from gridtokenx_backend.core.market.continuous_market import (
    MAX_OPEN_ORDERS,
    ContinuousMarket,
    NewOrder,
    shortage,
)
from gridtokenx_backend.core.messages.outcomes import (
    OrderAccepted,
    OrderRefusal,
    OrderRefused,
    Trade,
)
from gridtokenx_backend.core.model.ledger import (
    CONGESTION,
    FEES,
    GRID,
    GRX,
    LOSSES,
    WHEELING,
    Movement,
)
from gridtokenx_backend.core.model.zones import LinkRules
from gridtokenx_wire.units import UWH_PER_KWH

INTERVAL: Final = "interval"


class IntervalMarket:
    """Keeps and settles the orders of the segment interval. `market` has rules and ledger."""

    def __init__(self, market: ContinuousMarket, book: Book | None = None) -> None:
        self.market = market
        self.book = book or Book()

    @property
    def due_ms(self) -> int:
        """When an order expires; NEVER_MS if none does."""
        return self.book.next_expiry_ms

    def place(
        self, order: NewOrder, at_ms: int, replaced: RestingOrder | None = None
    ) -> OrderAccepted | OrderRefused:
        """Puts an order with its cover into the book, in the place of `replaced`."""
        refused = self._unacceptable(order, at_ms, replaced) or self._uncovered(order, replaced)
        if refused:
            return refused
        if replaced is not None:
            self.cancel(replaced)
        self.rest(order)
        return OrderAccepted(
            number=order.number,
            key=order.key,
            status="resting",
            filled_uwh=0,
            remaining_uwh=order.quantity_uwh,
            trades=[],
            movements=[],
        )

    def rest(self, order: NewOrder) -> None:
        """Takes an order whose cover is there."""
        asset, cover = self.market.cover(order.side, order.price_ugrx, order.quantity_uwh)
        refusal = self.market.ledger.reserve(order.number, order.wallet, asset, cover)
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
        """Makes an order smaller by so much; it keeps its place."""
        self._release(order, quantity_uwh)
        order.quantity_uwh -= quantity_uwh

    def cancel(self, order: RestingOrder) -> None:
        """Takes an order out of the book and returns its escrow."""
        self.book.cancel(order)
        self.market.ledger.close_pending(order.number)

    def expire(self, at_ms: int) -> list[int]:
        """Takes out the orders whose time is over; their numbers."""
        expired = self.book.expired(at_ms)
        for order in expired:
            self.cancel(order)
        return [order.number for order in expired]

    def _unacceptable(
        self, order: NewOrder, at_ms: int, replaced: RestingOrder | None
    ) -> OrderRefused | None:
        market = self.market
        if reason := market.trading.closed(order.zone, at_ms):
            return OrderRefused(OrderRefusal.ZONE_CLOSED, f"expected an open zone; {reason}")
        if order.min_quantity_uwh or order.post_only or not order.rests:
            detail = (
                "expected tif GTC or GTT in the segment interval, "
                "and neither post_only nor min_quantity_kwh"
            )
            return OrderRefused(OrderRefusal.CONTRADICTORY, detail)
        if refused := market.bad_quantity(order) or market.bad_price(order.zone, order.price_ugrx):
            return refused
        most = market.rules.most_open_orders
        if replaced is None and self.book.count_of(order.wallet) >= most:
            return OrderRefused(
                OrderRefusal.BUSY, f"expected fewer than {most} open orders of a wallet"
            )
        if replaced is None and len(self.book.orders) >= MAX_OPEN_ORDERS:
            return OrderRefused(
                OrderRefusal.BUSY, f"expected fewer than {MAX_OPEN_ORDERS} open orders"
            )
        return None

    def _uncovered(self, order: NewOrder, replaced: RestingOrder | None) -> OrderRefused | None:
        ledger = self.market.ledger
        asset, cover = self.market.cover(order.side, order.price_ugrx, order.quantity_uwh)
        available = ledger.available(order.wallet, asset)
        if replaced is not None:
            available += ledger.reserved(replaced.number)
        if available >= cover:
            return None
        return OrderRefused(OrderRefusal.INSUFFICIENT_BALANCE, shortage(asset, cover, available))

    def settle(
        self,
        bid: RestingOrder,
        ask: RestingOrder,
        quantity_uwh: int,
        seller_ugrx: int,
        movements: list[Movement],
        way: tuple[LinkRules, ...] = (),
        rent_ugrx_per_kwh: int = 0,
    ) -> Trade:
        """Delivery versus payment for one pair, out of both escrows.

        The seller gets `seller_ugrx` for each kWh. Over the links of `way` wheeling and loss come
        on top, and the rent of those that are full: with it the buyer pays its zone's price.
        """
        charges = charge(
            self.market.rules,
            seller_ugrx,
            quantity_uwh,
            wheeling_per_kwh_ugrx=sum(link.wheeling_ugrx for link in way),
            loss_per_kwh_ugrx=sum(link.loss_ugrx for link in way),
        )
        rent = rent_ugrx_per_kwh * quantity_uwh // UWH_PER_KWH
        self._release(bid, quantity_uwh)
        self._release(ask, quantity_uwh)
        pay, buyer, seller = self.market.ledger.pay, bid.wallet, ask.wallet
        payments = (
            (seller, charges.net_ugrx),
            (FEES, charges.fee_ugrx),
            (WHEELING, charges.wheeling_ugrx),
            (LOSSES, charges.loss_ugrx),
            (CONGESTION, rent),
        )
        for account, amount in payments:
            if amount:
                movements.append(pay(GRX, buyer, account, amount))
        movements.append(pay(GRID, seller, buyer, quantity_uwh))
        return Trade(
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

    def _release(self, order: RestingOrder, quantity_uwh: int) -> None:
        """Takes a part of an order out of the book, and its cover out of escrow."""
        _, cover = self.market.cover(order.side, order.price_ugrx, quantity_uwh)
        self.market.ledger.release(order.number, cover)
        self.book.take(order, quantity_uwh)
        if order.remaining_uwh == 0:
            self.market.ledger.close_pending(order.number)
