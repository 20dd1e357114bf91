"""The realtime market: a continuous double auction with settlement in the same breath.

Price-time priority at the resting order's price. What an order may cost is free when it comes, and
in escrow while it rests, so an accepted order never fails for lack of cover. A fill is delivery
versus payment: GRID one way and GRX the other, in the entry that matched them.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from gridtokenx_backend.core.market.book import BUY, SELL, Book, RestingOrder
from gridtokenx_backend.core.market.charges import TradeCharges, charge, fee_ugrx, value_ugrx
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.matching import SKIP, Fill, Incoming, MatchPlan, plan
from gridtokenx_backend.core.market.trading_state import TradingState
from gridtokenx_backend.core.messages.outcomes import (
    OrderAccepted,
    OrderRefusal,
    OrderRefused,
    OrderStatus,
    Trade,
)
from gridtokenx_backend.core.model.ledger import FEES, GRID, GRX, LOSSES, WHEELING, Ledger, Movement
from gridtokenx_wire.order import SelfTradePrevention, Side
from gridtokenx_wire.units import format_grx, format_kwh

MAX_OPEN_ORDERS = 1_000_000
BUYER = "buyer"


class NewOrder(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """An order on its way in, in the zone of its owner.

    `rests` tells GTC and GTT from IOC and FOK. Unless at least `min_quantity_uwh` trades at once,
    nothing does: FOK asks for all of it. Of a market order, `price_ugrx` is the worst that the
    zone allows.
    """

    number: int
    key: str
    wallet: str
    side: Side
    price_ugrx: int
    quantity_uwh: int
    rests: bool
    standing: bool = False
    zone: str = ""
    is_market: bool = False
    expires_ms: int = 0
    post_only: bool = False
    min_quantity_uwh: int = 0
    stp: SelfTradePrevention = SKIP


class ContinuousMarket:
    """Places, amends and cancels orders against a ledger and a book."""

    def __init__(self, ledger: Ledger, book: Book, rules: MarketRules) -> None:
        self.ledger = ledger
        self.book = book
        self.trading = TradingState(rules)
        self.apply_terms(rules)

    def apply_terms(self, rules: MarketRules) -> None:
        """From here on these rules hold. Orders that rest are the caller's to look at."""
        self.rules = rules
        self.least_price_ugrx = _least_price_ugrx(rules)
        self._fee_on_top = rules.fee_payer == BUYER
        self.trading.apply_terms(rules)

    @property
    def due_ms(self) -> int:
        """When an order expires or a pause ends by itself; NEVER_MS if neither does."""
        return min(self.book.next_expiry_ms, self.trading.next_pause_end_ms)

    def place(
        self, order: NewOrder, at_ms: int, replaced: RestingOrder | None = None
    ) -> OrderAccepted | OrderRefused:
        """Trades what can be traded, and rests or drops what is left.

        Whatever can refuse it is looked at first; then it takes the place of `replaced`.
        """
        if refused := self._unacceptable(order, at_ms, replaced):
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
        """Makes a resting order smaller by so much; it keeps its place."""
        self.book.take(order, quantity_uwh)
        order.quantity_uwh -= quantity_uwh
        _, cover = self.cover(order.side, order.price_ugrx, quantity_uwh)
        self.ledger.release(order.number, cover)

    def cancel(self, order: RestingOrder) -> None:
        """Takes a resting order out of the book and returns its escrow."""
        self.book.cancel(order)
        self.ledger.close_pending(order.number)

    def expire(self, at_ms: int) -> list[int]:
        """Takes out the orders whose time is over; their numbers."""
        expired = self.book.expired(at_ms)
        for order in expired:
            self.cancel(order)
        return [order.number for order in expired]

    def affordable_uwh(self, wallet: str, price_ugrx: int) -> int:
        """The largest whole number of lots that `wallet` could buy at `price_ugrx`.

        None at a price below a tick, which a standing order may have from before a change of it.
        """
        _, cover = self.cover(BUY, price_ugrx, self.rules.lot_uwh)
        if not cover:
            return 0
        return self.ledger.available(wallet, GRX) // cover * self.rules.lot_uwh

    def cover(self, side: Side, price_ugrx: int, quantity_uwh: int) -> tuple[str, int]:
        """(asset, amount) that fills of so much may cost at most, at `price_ugrx` or better.

        Fees are rounded up fill by fill, and no fill is smaller than a lot.
        """
        if side == SELL:
            return GRID, quantity_uwh
        value = value_ugrx(price_ugrx, quantity_uwh)
        if self._fee_on_top:
            rules = self.rules
            lot_fee = fee_ugrx(value_ugrx(price_ugrx, rules.lot_uwh), rules.fee_bps)
            value += lot_fee * (quantity_uwh // rules.lot_uwh)
        return GRX, value

    def _unacceptable(
        self, order: NewOrder, at_ms: int, replaced: RestingOrder | None
    ) -> OrderRefused | None:
        if reason := self.trading.closed(order.zone, at_ms):
            return OrderRefused(OrderRefusal.ZONE_CLOSED, f"expected an open zone; {reason}")
        if refused := self.bad_quantity(order) or self.bad_price(order.zone, order.price_ugrx):
            return refused
        if replaced is not None:
            return None
        most = self.rules.most_open_orders
        if order.rests and self.book.count_of(order.wallet) >= most:
            return OrderRefused(
                OrderRefusal.BUSY, f"expected fewer than {most} open orders of a wallet"
            )
        if len(self.book.orders) >= MAX_OPEN_ORDERS:
            return OrderRefused(
                OrderRefusal.BUSY, f"expected fewer than {MAX_OPEN_ORDERS} open orders"
            )
        return None

    def bad_quantity(self, order: NewOrder) -> OrderRefused | None:
        """Why no order may have this quantity."""
        rules = self.rules
        if not 0 < order.quantity_uwh <= rules.largest_order_uwh:
            limit = format_kwh(rules.largest_order_uwh)
            return OrderRefused(
                OrderRefusal.BAD_QUANTITY, f"expected above 0 and at most {limit} kWh"
            )
        if order.quantity_uwh % rules.lot_uwh:
            lot = format_kwh(rules.lot_uwh)
            return OrderRefused(OrderRefusal.BAD_QUANTITY, f"expected a multiple of {lot} kWh")
        return None

    def bad_price(self, zone: str, price_ugrx: int) -> OrderRefused | None:
        """Why no order of a zone may have this price."""
        rules, band = self.rules, self.trading.rules_of(zone)
        highest = band.ceiling_ugrx or rules.highest_price_ugrx
        if not 0 < price_ugrx <= rules.highest_price_ugrx:
            limit = format_grx(rules.highest_price_ugrx)
            return OrderRefused(
                OrderRefusal.BAD_PRICE, f"expected above 0 and at most {limit} GRX/kWh"
            )
        if not band.floor_ugrx <= price_ugrx <= highest:
            floor, limit = format_grx(band.floor_ugrx), format_grx(highest)
            detail = f"expected {floor} to {limit} GRX/kWh, the band of zone {zone!r}"
            return OrderRefused(OrderRefusal.BAD_PRICE, detail)
        if price_ugrx % rules.tick_ugrx:
            tick = format_grx(rules.tick_ugrx)
            return OrderRefused(OrderRefusal.BAD_PRICE, f"expected a multiple of {tick} GRX/kWh")
        if price_ugrx < self.least_price_ugrx:
            least = format_grx(self.least_price_ugrx)
            detail = (
                f"expected at least {least} GRX/kWh; below, the fee takes all that a lot brings"
            )
            return OrderRefused(OrderRefusal.NOT_SETTLEABLE, detail)
        return None

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
        asset, cover = self.cover(order.side, order.price_ugrx, order.quantity_uwh)
        if order.is_market and order.side == BUY:
            cover = sum(self._charge(fill).gross_ugrx for fill in planned.fills)
        available = self.ledger.available(order.wallet, asset)
        if replaced is not None:
            available += self.ledger.reserved(replaced.number)
        if available >= cover:
            return None
        return OrderRefused(OrderRefusal.INSUFFICIENT_BALANCE, shortage(asset, cover, available))

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
        movements: list[Movement] = []
        trades = [self._settle(order, fill, movements, at_ms) for fill in planned.fills]
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

    def _settle(self, taker: NewOrder, fill: Fill, movements: list[Movement], at_ms: int) -> Trade:
        """Delivery versus payment for one fill: out of the maker's escrow and the taker's hand."""
        maker, quantity_uwh = fill.maker, fill.quantity_uwh
        bid, ask = (taker, maker) if taker.side == BUY else (maker, taker)
        charges = self._charge(fill)
        ledger, buyer, seller = self.ledger, bid.wallet, ask.wallet
        if quantity_uwh == maker.remaining_uwh:
            ledger.close_pending(maker.number)
        else:
            _, cover = self.cover(maker.side, maker.price_ugrx, quantity_uwh)
            ledger.release(maker.number, cover)
        movements.append(ledger.pay(GRX, buyer, seller, charges.net_ugrx))
        if charges.fee_ugrx:
            movements.append(ledger.pay(GRX, buyer, FEES, charges.fee_ugrx))
        if charges.wheeling_ugrx:
            movements.append(ledger.pay(GRX, buyer, WHEELING, charges.wheeling_ugrx))
        if charges.loss_ugrx:
            movements.append(ledger.pay(GRX, buyer, LOSSES, charges.loss_ugrx))
        movements.append(ledger.pay(GRID, seller, buyer, quantity_uwh))
        self.book.take(maker, quantity_uwh)
        self._note(fill, bid.zone, ask.zone, at_ms)
        return Trade(
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

    def _note(self, fill: Fill, buyer_zone: str, seller_zone: str, at_ms: int) -> None:
        """What a fill leaves behind for those that come: prices, and less room on its link."""
        trading, link = self.trading, fill.link
        trading.note_price(seller_zone, fill.seller_ugrx, at_ms)
        if link is not None:
            trading.note_price(buyer_zone, fill.seller_ugrx + link.charge_ugrx, at_ms)
            trading.pass_through(link, fill.quantity_uwh, at_ms)

    def _finish(self, order: NewOrder, remaining_uwh: int, *, ended: bool) -> OrderStatus:
        """Rests what may rest, with its escrow; the order's status."""
        if not remaining_uwh:
            return "filled"
        if ended or not order.rests:
            return "cancelled"
        asset, cover = self.cover(order.side, order.price_ugrx, remaining_uwh)
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


def _least_price_ugrx(rules: MarketRules) -> int:
    """The lowest limit at which the smallest fill still leaves its seller something.

    Above the highest price if there is none.
    """
    if rules.fee_payer == BUYER or not (rules.fee_bps or rules.min_fee_ugrx):
        return rules.tick_ugrx

    def pays(ticks: int) -> bool:
        return charge(rules, ticks * rules.tick_ugrx, rules.lot_uwh).net_ugrx > 0

    most = rules.highest_price_ugrx // rules.tick_ugrx
    return (bisect_left(range(most + 1), True, key=pays)) * rules.tick_ugrx


def _would_trade(planned: MatchPlan) -> str:
    """What a post-only order is told. It trips no breaker: else that would cost nothing."""
    if not planned.fills:
        zones = ", ".join(planned.tripped)
        return f"it would trade at once, at a price that trips the breaker of {zones}"
    best = format_grx(planned.fills[0].maker.price_ugrx)
    return f"it would trade at once, at {best} GRX/kWh"


def shortage(asset: str, cover: int, available: int) -> str:
    """What a refusal for lack of cover says."""
    spell = format_kwh if asset == GRID else format_grx
    return f"expected {spell(cover)} {asset} available, got {spell(available)}"
