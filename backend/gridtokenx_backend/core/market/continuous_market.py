"""The realtime segment: a continuous double auction in which every match is settled at once.

Orders trade by price and then by time, at the resting order's price. What an order may cost must be
free when it comes and is in escrow while it rests, so an accepted order never fails for lack of
cover. A fill is delivery versus payment: GRID one way and GRX the other, in the journal entry of
the order that matched.
"""

from __future__ import annotations

from gridtokenx_backend.core.market.book import BUY, Book, RestingOrder
from gridtokenx_backend.core.market.charges import TradeCharges, charge
from gridtokenx_backend.core.market.entry_rules import EntryRules
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.matching import Fill, Incoming, MatchPlan, plan
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import (
    OrderAccepted,
    OrderRefused,
    OrderStatus,
    Trade,
)
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import FEES, GRID, GRX, LOSSES, WHEELING, Ledger, Movement
from gridtokenx_wire.units import format_grx


class ContinuousMarket:
    """Places, amends and cancels the orders of the segment realtime."""

    def __init__(self, ledger: Ledger, book: Book, rules: MarketRules) -> None:
        self.ledger = ledger
        self.book = book
        self.entry_rules = EntryRules(ledger, rules)
        self.trading = self.entry_rules.trading
        self.rules = rules

    def apply_terms(self, rules: MarketRules) -> None:
        """Let these rules hold from here on. The caller looks at the orders that rest."""
        self.rules = rules
        self.entry_rules.apply_terms(rules)

    @property
    def due_ms(self) -> int:
        """The time at which an order expires or a pause ends by itself, or NEVER_MS."""
        return min(self.book.next_expiry_ms, self.trading.next_pause_end_ms)

    def place(
        self, order: NewOrder, at_ms: int, replaced: RestingOrder | None = None
    ) -> OrderAccepted | OrderRefused:
        """Trade what can be traded, and rest or drop the remainder.

        Everything that can refuse the order is looked at before it takes the place of `replaced`.
        """
        rules = self.entry_rules
        if refused := rules.closed_zone(order.zone, at_ms) or rules.unacceptable(
            order, self.book, replaced
        ):
            return refused
        planned = self._plan(order, at_ms)
        if refused := self._uncovered(order, planned, replaced):
            return refused
        if order.post_only and (planned.fills or planned.tripped):
            return OrderRefused(OrderRefusal.WOULD_TRADE, _would_trade(planned))
        if planned.traded_uwh < order.min_quantity_uwh:
            planned = MatchPlan(fills=[], cancelled=[], ended=True)
        if replaced is not None:
            self.cancel(replaced)
        return self._carry_out(order, planned, at_ms)

    def reduce(self, order: RestingOrder, quantity_uwh: int) -> None:
        """Make a resting order smaller by `quantity_uwh`; it keeps its place in the queue."""
        self.book.take(order, quantity_uwh)
        order.quantity_uwh -= quantity_uwh
        _, cover = self.entry_rules.cover(order.side, order.price_ugrx, quantity_uwh)
        self.ledger.release(order.number, cover)

    def cancel(self, order: RestingOrder) -> None:
        """Take a resting order out of the book and give back its escrow."""
        self.book.cancel(order)
        self.ledger.close_pending(order.number)

    def expire(self, at_ms: int) -> list[int]:
        """Cancel the orders whose time is over. Return their numbers."""
        expired = self.book.expired(at_ms)
        for order in expired:
            self.cancel(order)
        return [order.number for order in expired]

    def _plan(self, order: NewOrder, at_ms: int) -> MatchPlan:
        trading = self.trading
        incoming = Incoming(
            wallet=order.wallet,
            side=order.side,
            limit_ugrx=order.price_ugrx,
            quantity_uwh=order.quantity_uwh,
            stp=order.stp,
        )
        routes = trading.routes(order.zone, order.side, at_ms)
        bands = trading.bands(at_ms) if trading.has_breakers else None
        return plan(self.book, incoming, routes, bands)

    def _uncovered(
        self, order: NewOrder, planned: MatchPlan, replaced: RestingOrder | None
    ) -> OrderRefused | None:
        asset, cover = self.entry_rules.cover(order.side, order.price_ugrx, order.quantity_uwh)
        if order.is_market and order.side == BUY:
            # It never rests, so it needs no more than what it is about to pay.
            cover = sum(self._charge(fill).gross_ugrx for fill in planned.fills)
        return self.entry_rules.uncovered(order.wallet, asset, cover, replaced)

    def _charge(self, fill: Fill) -> TradeCharges:
        link = fill.link
        if link is None:
            return charge(self.rules, fill.seller_ugrx, fill.quantity_uwh)
        return charge(
            self.rules,
            fill.seller_ugrx,
            fill.quantity_uwh,
            wheeling_per_kwh_ugrx=link.wheeling_ugrx,
            loss_per_kwh_ugrx=link.loss_ugrx,
        )

    def _carry_out(self, order: NewOrder, planned: MatchPlan, at_ms: int) -> OrderAccepted:
        for own in planned.cancelled:
            self.cancel(own)
        trades: list[Trade] = []
        movements: list[Movement] = []
        for fill in planned.fills:
            trade, paid = self._settle(order, fill, at_ms)
            trades.append(trade)
            movements += paid
        for zone in planned.tripped:
            self.trading.trip(zone, at_ms)
        remaining_uwh = order.quantity_uwh - planned.traded_uwh
        return OrderAccepted(
            number=order.number,
            key=order.key,
            status=self._finish(order, remaining_uwh, ended=planned.ended),
            filled_uwh=planned.traded_uwh,
            remaining_uwh=remaining_uwh,
            trades=trades,
            movements=movements,
            cancelled=[own.number for own in planned.cancelled] if planned.cancelled else [],
            paused=planned.tripped,
        )

    def _settle(self, taker: NewOrder, fill: Fill, at_ms: int) -> tuple[Trade, list[Movement]]:
        """Deliver one fill against payment: out of the maker's escrow and the taker's free balance.

        Return the trade and its movements.
        """
        maker, quantity_uwh = fill.maker, fill.quantity_uwh
        bid, ask = (taker, maker) if taker.side == BUY else (maker, taker)
        charges = self._charge(fill)
        ledger, buyer, seller = self.ledger, bid.wallet, ask.wallet
        if quantity_uwh == maker.remaining_uwh:
            ledger.close_pending(maker.number)
        else:
            _, cover = self.entry_rules.cover(maker.side, maker.price_ugrx, quantity_uwh)
            ledger.release(maker.number, cover)
        movements = [ledger.pay(GRX, buyer, seller, charges.net_ugrx)]
        if charges.fee_ugrx:
            movements.append(ledger.pay(GRX, buyer, FEES, charges.fee_ugrx))
        if charges.wheeling_ugrx:
            movements.append(ledger.pay(GRX, buyer, WHEELING, charges.wheeling_ugrx))
        if charges.loss_ugrx:
            movements.append(ledger.pay(GRX, buyer, LOSSES, charges.loss_ugrx))
        movements.append(ledger.pay(GRID, seller, buyer, quantity_uwh))
        self.book.take(maker, quantity_uwh)
        self._note(fill, bid.zone, ask.zone, at_ms)
        trade = Trade(
            maker=maker.number,
            taker=taker.number,
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
        )
        return trade, movements

    def _note(self, fill: Fill, buyer_zone: str, seller_zone: str, at_ms: int) -> None:
        """Note the prices that a fill sets in its zones, and the room that it takes on its link."""
        trading, link = self.trading, fill.link
        trading.note_price(seller_zone, fill.seller_ugrx, at_ms)
        if link is not None:
            trading.note_price(buyer_zone, fill.seller_ugrx + link.charge_ugrx, at_ms)
            trading.pass_through(link, fill.quantity_uwh, at_ms)

    def _finish(self, order: NewOrder, remaining_uwh: int, *, ended: bool) -> OrderStatus:
        """Rest the remainder, with its escrow, if it may rest. Return the order's status."""
        if not remaining_uwh:
            return "filled"
        if ended or not order.rests:
            return "cancelled"
        asset, cover = self.entry_rules.cover(order.side, order.price_ugrx, remaining_uwh)
        refusal = self.ledger.reserve(order.number, order.wallet, asset, cover)
        assert refusal is None
        self.book.rest(
            RestingOrder(
                number=order.number,
                key=order.key,
                wallet=order.wallet,
                side=order.side,
                price_ugrx=order.price_ugrx,
                remaining_uwh=remaining_uwh,
                quantity_uwh=order.quantity_uwh,
                standing=order.standing,
                zone=order.zone,
                expires_ms=order.expires_ms,
                post_only=order.post_only,
            )
        )
        return "resting" if remaining_uwh == order.quantity_uwh else "partly_filled"


def _would_trade(planned: MatchPlan) -> str:
    """Return what the member of a refused post-only order is told.

    Such an order never trips a breaker: otherwise anybody could pause a zone at no cost.
    """
    if not planned.fills:
        zones = ", ".join(planned.tripped)
        return f"it would trade at once, at a price that trips the breaker of {zones}"
    best = format_grx(planned.fills[0].maker.price_ugrx)
    return f"it would trade at once, at {best} GRX/kWh"
