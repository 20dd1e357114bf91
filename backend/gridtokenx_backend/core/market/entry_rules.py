"""The rules that an order must keep to enter the book of either segment, and the cover it needs.

Both segments ask in the same order: the zone, the quantity, the price, the room in the book, and
last the cover.
"""

from __future__ import annotations

from bisect import bisect_left

from gridtokenx_backend.core.market.book import BUY, SELL, Book, RestingOrder
from gridtokenx_backend.core.market.charges import charge, fee_ugrx, value_ugrx
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.market.trading_state import TradingState
from gridtokenx_backend.core.messages.outcomes import OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import GRID, GRX, Asset, Ledger
from gridtokenx_wire.order import Side
from gridtokenx_wire.units import format_grx, format_kwh

MAX_OPEN_ORDERS = 1_000_000
"""How many orders a book holds at most."""


class EntryRules:
    """The market's rules as they are now, asked against a ledger and the state of the zones.

    Only `apply_terms` changes something. The other methods return a refusal, None if there is
    nothing to refuse, or a value.
    """

    def __init__(self, ledger: Ledger, rules: MarketRules) -> None:
        self.ledger = ledger
        self.trading = TradingState(rules)
        self.apply_terms(rules)

    def apply_terms(self, rules: MarketRules) -> None:
        """Let these rules hold from here on."""
        self.rules = rules
        self.least_price_ugrx = _least_price_ugrx(rules)
        self._is_fee_on_top = rules.fee_payer == "buyer"
        self.trading.apply_terms(rules)

    def closed_zone(self, zone: str, at_ms: int) -> OrderRefused | None:
        """Refuse every order of a zone that is halted, cancel-only, or paused by its breaker."""
        if reason := self.trading.closed(zone, at_ms):
            return OrderRefused(OrderRefusal.ZONE_CLOSED, f"expected an open zone; {reason}")
        return None

    def unacceptable(
        self, order: NewOrder, book: Book, replaced: RestingOrder | None
    ) -> OrderRefused | None:
        """Refuse an order for its quantity, its price, or a book that has no room for it.

        An order that takes the place of `replaced` needs no room of its own.
        """
        refused = self.bad_quantity(order.quantity_uwh) or self.bad_price(
            order.zone, order.price_ugrx
        )
        if refused or replaced is not None:
            return refused
        most = self.rules.most_open_orders
        if order.rests and book.count_of(order.wallet) >= most:
            detail = f"expected fewer than {most} open orders of a wallet"
            return OrderRefused(OrderRefusal.BUSY, detail)
        if len(book.orders) >= MAX_OPEN_ORDERS:
            detail = f"expected fewer than {MAX_OPEN_ORDERS} open orders"
            return OrderRefused(OrderRefusal.BUSY, detail)
        return None

    def bad_quantity(self, quantity_uwh: int) -> OrderRefused | None:
        """Refuse a quantity that is not above 0, too large, or not a whole number of lots."""
        rules = self.rules
        if not 0 < quantity_uwh <= rules.largest_order_uwh:
            limit = format_kwh(rules.largest_order_uwh)
            detail = f"expected above 0 and at most {limit} kWh"
            return OrderRefused(OrderRefusal.BAD_QUANTITY, detail)
        if quantity_uwh % rules.lot_uwh:
            lot = format_kwh(rules.lot_uwh)
            return OrderRefused(OrderRefusal.BAD_QUANTITY, f"expected a multiple of {lot} kWh")
        return None

    def bad_amended_quantity(self, quantity_uwh: int, filled_uwh: int) -> OrderRefused | None:
        """Refuse a new quantity for an order of which `filled_uwh` has traded already."""
        rules = self.rules
        if (
            filled_uwh < quantity_uwh <= rules.largest_order_uwh
            and not quantity_uwh % rules.lot_uwh
        ):
            return None
        filled, lot = format_kwh(filled_uwh), format_kwh(rules.lot_uwh)
        largest = format_kwh(rules.largest_order_uwh)
        detail = f"expected a multiple of {lot} kWh above {filled} (traded) and at most {largest}"
        return OrderRefused(OrderRefusal.BAD_QUANTITY, detail)

    def bad_minimum(self, minimum_uwh: int, quantity_uwh: int) -> OrderRefused | None:
        """Refuse a least quantity that no fill of the order could have; 0 asks for none."""
        lot_uwh = self.rules.lot_uwh
        if not minimum_uwh or (0 < minimum_uwh <= quantity_uwh and minimum_uwh % lot_uwh == 0):
            return None
        lot = format_kwh(lot_uwh)
        detail = f"expected min_quantity_kwh as a multiple of {lot} kWh, at most the quantity"
        return OrderRefused(OrderRefusal.BAD_QUANTITY, detail)

    def is_regular_price(self, price_ugrx: int) -> bool:
        """Return whether a price is above 0, not too high, and a whole number of ticks."""
        rules = self.rules
        return 0 < price_ugrx <= rules.highest_price_ugrx and not price_ugrx % rules.tick_ugrx

    def bad_price(self, zone: str, price_ugrx: int) -> OrderRefused | None:
        """Refuse a price that no order of this zone may have."""
        rules, band = self.rules, self.trading.rules_of(zone)
        highest = band.ceiling_ugrx or rules.highest_price_ugrx
        if not 0 < price_ugrx <= rules.highest_price_ugrx:
            limit = format_grx(rules.highest_price_ugrx)
            detail = f"expected above 0 and at most {limit} GRX/kWh"
            return OrderRefused(OrderRefusal.BAD_PRICE, detail)
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

    def worst_price_ugrx(self, zone: str, side: Side) -> int:
        """Return the limit of a market order: the highest bid, or the lowest ask, of its zone."""
        rules, band = self.rules, self.trading.rules_of(zone)
        if side == BUY:
            highest = band.ceiling_ugrx or rules.highest_price_ugrx
            return highest // rules.tick_ugrx * rules.tick_ugrx
        lowest = max(band.floor_ugrx, self.least_price_ugrx)
        return -(-lowest // rules.tick_ugrx) * rules.tick_ugrx

    def cover(self, side: Side, price_ugrx: int, quantity_uwh: int) -> tuple[Asset, int]:
        """Return (asset, amount): what fills at `price_ugrx` or better may cost at most.

        Each fill's fee is rounded up, and no fill is smaller than a lot, so the fee of a buyer is
        counted lot by lot.
        """
        if side == SELL:
            return GRID, quantity_uwh
        value = value_ugrx(price_ugrx, quantity_uwh)
        if self._is_fee_on_top:
            rules = self.rules
            lot_fee = fee_ugrx(value_ugrx(price_ugrx, rules.lot_uwh), rules.fee_bps)
            value += lot_fee * (quantity_uwh // rules.lot_uwh)
        return GRX, value

    def uncovered(
        self, wallet: str, asset: Asset, cover: int, replaced: RestingOrder | None
    ) -> OrderRefused | None:
        """Refuse an order whose cover is neither free in the wallet nor held for `replaced`."""
        available = self.ledger.available(wallet, asset)
        if replaced is not None:
            available += self.ledger.reserved(replaced.number)
        if available >= cover:
            return None
        spell = format_kwh if asset == GRID else format_grx
        detail = f"expected {spell(cover)} {asset} available, got {spell(available)}"
        return OrderRefused(OrderRefusal.INSUFFICIENT_BALANCE, detail)

    def affordable_uwh(self, wallet: str, price_ugrx: int) -> int:
        """Return how much, in whole lots, a wallet could buy at this price.

        It is 0 at a price below a tick, which a standing order from before a change of the tick
        can have.
        """
        _, cover = self.cover(BUY, price_ugrx, self.rules.lot_uwh)
        if not cover:
            return 0
        return self.ledger.available(wallet, GRX) // cover * self.rules.lot_uwh

    def whole_lots(self, quantity_uwh: int) -> int:
        """Return the part of a quantity that one order may have: whole lots, never below 0."""
        rules = self.rules
        quantity_uwh = min(quantity_uwh, rules.largest_order_uwh)
        return max(0, quantity_uwh // rules.lot_uwh * rules.lot_uwh)


def _least_price_ugrx(rules: MarketRules) -> int:
    """Return the lowest limit at which the smallest fill still brings its seller something.

    It is above the highest price if there is no such limit.
    """
    if rules.fee_payer == "buyer" or not (rules.fee_bps or rules.min_fee_ugrx):
        return rules.tick_ugrx

    def brings_something(ticks: int) -> bool:
        return charge(rules, ticks * rules.tick_ugrx, rules.lot_uwh).net_ugrx > 0

    most = rules.highest_price_ugrx // rules.tick_ugrx
    return bisect_left(range(most + 1), True, key=brings_something) * rules.tick_ugrx
