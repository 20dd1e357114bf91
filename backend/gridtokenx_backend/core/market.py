"""The realtime market: a continuous double auction with settlement in the same breath.

Price-time priority at the resting order's price. An order's cover is in escrow before it can
trade, so an accepted order never fails for lack of it. A fill is delivery versus payment: GRID
one way and GRX the other, in the entry that matched them.

Value is price × quantity. Lots and ticks make it a whole number of µGRX, so nothing is rounded.
The fee is the seller's, rounded up to the next µGRX; the remainder is what the seller gets.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.book import BUY, SELL, Book, Fill, RestingOrder
from gridtokenx_backend.core.charges import charge, value_ugrx
from gridtokenx_backend.core.ledger import FEES, GRID, GRX, Ledger, Movement
from gridtokenx_backend.core.market_rules import MarketRules
from gridtokenx_backend.core.outcomes import OrderAccepted, OrderRefusal, Refused, Trade
from gridtokenx_wire.units import UWH_PER_KWH, format_grx, format_kwh

MAX_OPEN_ORDERS = 1_000_000


class NewOrder(msgspec.Struct, frozen=True, gc=False):
    """An order on its way in. `rests` tells GTC from IOC."""

    number: int
    key: str
    wallet: str
    side: str
    price_ugrx: int
    quantity_uwh: int
    rests: bool
    standing: bool = False


class Market:
    """Places and cancels orders against a ledger and a book."""

    def __init__(self, ledger: Ledger, book: Book, rules: MarketRules) -> None:
        self.ledger = ledger
        self.book = book
        self.rules = rules

    def place(self, order: NewOrder) -> OrderAccepted | Refused:
        """Reserves the cover, trades what can be traded, and rests or returns what is left."""
        if refused := self._unacceptable(order):
            return refused
        asset, cover = self._cover(order.side, order.price_ugrx, order.quantity_uwh)
        if self.ledger.reserve(order.number, order.wallet, asset, cover):
            available = self.ledger.available(order.wallet, asset)
            return Refused(OrderRefusal.INSUFFICIENT_BALANCE, _shortage(asset, cover, available))
        trades: list[Trade] = []
        movements: list[Movement] = []
        remaining_uwh = order.quantity_uwh
        fills = self.book.plan(order.wallet, order.side, order.price_ugrx, order.quantity_uwh)
        for fill in fills:
            trades.append(self._settle(order, fill, movements))
            remaining_uwh -= fill.quantity_uwh
        status = self._finish(order, remaining_uwh)
        filled_uwh = order.quantity_uwh - remaining_uwh
        return OrderAccepted(
            order.number, order.key, status, filled_uwh, remaining_uwh, trades, movements
        )

    def cancel(self, order: RestingOrder) -> None:
        """Takes a resting order out of the book and returns its escrow."""
        self.book.cancel(order)
        self.ledger.close_pending(order.number)

    def affordable_uwh(self, wallet: str, price_ugrx: int) -> int:
        """The largest whole number of lots that `wallet` could buy at `price_ugrx`."""
        quantity_uwh = self.ledger.available(wallet, GRX) * UWH_PER_KWH // price_ugrx
        return quantity_uwh // self.rules.lot_uwh * self.rules.lot_uwh

    def _unacceptable(self, order: NewOrder) -> Refused | None:
        rules = self.rules
        if not 0 < order.quantity_uwh <= rules.largest_order_uwh:
            limit = format_kwh(rules.largest_order_uwh)
            return Refused(OrderRefusal.BAD_QUANTITY, f"expected above 0 and at most {limit} kWh")
        if order.quantity_uwh % rules.lot_uwh:
            lot = format_kwh(rules.lot_uwh)
            return Refused(OrderRefusal.BAD_QUANTITY, f"expected a multiple of {lot} kWh")
        if not 0 < order.price_ugrx <= rules.highest_price_ugrx:
            limit = format_grx(rules.highest_price_ugrx)
            return Refused(OrderRefusal.BAD_PRICE, f"expected above 0 and at most {limit} GRX/kWh")
        if order.price_ugrx % rules.tick_ugrx:
            tick = format_grx(rules.tick_ugrx)
            return Refused(OrderRefusal.BAD_PRICE, f"expected a multiple of {tick} GRX/kWh")
        if len(self.book.orders) >= MAX_OPEN_ORDERS:
            return Refused(OrderRefusal.BUSY, f"expected fewer than {MAX_OPEN_ORDERS} open orders")
        return None

    @staticmethod
    def _cover(side: str, price_ugrx: int, quantity_uwh: int) -> tuple[str, int]:
        if side == SELL:
            return GRID, quantity_uwh
        return GRX, value_ugrx(price_ugrx, quantity_uwh)

    def _settle(self, taker: NewOrder, fill: Fill, movements: list[Movement]) -> Trade:
        """Delivery versus payment for one fill, out of both escrows."""
        maker, quantity_uwh = fill.maker, fill.quantity_uwh
        bid, ask = (taker, maker) if taker.side == BUY else (maker, taker)
        price, gross_ugrx, net_ugrx, fee, wheeling, loss = charge(
            self.rules, maker.price_ugrx, quantity_uwh
        )
        ledger = self.ledger
        if net_ugrx:
            movements.append(ledger.post_pending(bid.number, ask.wallet, net_ugrx))
        if fee:
            movements.append(ledger.post_pending(bid.number, FEES, fee))
        movements.append(ledger.post_pending(ask.number, bid.wallet, quantity_uwh))
        if bid.price_ugrx > maker.price_ugrx:  # the taker bought below its limit
            ledger.release(bid.number, value_ugrx(bid.price_ugrx, quantity_uwh) - gross_ugrx)
        self.book.take(fill)
        if maker.remaining_uwh == 0:
            ledger.close_pending(maker.number)
        return Trade(
            maker.number,
            taker.number,
            bid.wallet,
            ask.wallet,
            price,
            quantity_uwh,
            gross_ugrx,
            fee,
            net_ugrx,
            wheeling,
            loss,
        )

    def _finish(self, order: NewOrder, remaining_uwh: int) -> str:
        """Rests what is left of a GTC order, or closes its escrow; the order's status."""
        if remaining_uwh and order.rests:
            self.book.rest(
                RestingOrder(
                    order.number,
                    order.key,
                    order.wallet,
                    order.side,
                    order.price_ugrx,
                    remaining_uwh,
                    order.quantity_uwh,
                    order.standing,
                )
            )
            return "resting" if remaining_uwh == order.quantity_uwh else "partly_filled"
        self.ledger.close_pending(order.number)
        return "cancelled" if remaining_uwh else "filled"


def _shortage(asset: str, cover: int, available: int) -> str:
    spell = format_kwh if asset == GRID else format_grx
    return f"expected {spell(cover)} {asset} available, got {spell(available)}"
