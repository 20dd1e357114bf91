"""The realtime market, slowly: one list of orders, sorted anew for each that comes.

It shares no code with the core. Money and energy move between plain dictionaries, and escrow is
what the open orders would cost at most, worked out again each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

KWH = 10**9
QUARTER_MS = 900_000


class Refusal(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Open:
    number: int
    name: str
    who: str
    zone: str
    side: str
    price: int
    total: int
    left: int
    expires: int
    post_only: bool


@dataclass
class Zone:
    floor: int = 0
    ceiling: int = 0
    breaker: int = 0
    pause: int = 0
    status: str = "open"
    paused_until: int = 0
    trades: list[tuple[int, int]] = field(default_factory=list)


class ReferenceMarket:
    """`terms`: lot, tick, highest, fee_bps, fee_payer, network_payer, zones, links, most_open.

    links: (from, to) → (capacity for each quarter of an hour, wheeling, loss).
    """

    def __init__(self, terms: dict[str, Any], homes: dict[str, str]) -> None:
        self.terms = terms
        self.homes = homes
        self.zones = {name: Zone(**zone) for name, zone in terms["zones"].items()}
        self.money = dict.fromkeys([*homes, "fees", "wheeling", "losses"], 0)
        self.energy = dict.fromkeys(homes, 0)
        self.open: list[Open] = []
        self.passed: list[tuple[tuple[str, str], int, int]] = []
        self.number = 1

    # --- money ----------------------------------------------------------------------------------

    def fee(self, value: int) -> int:
        return ceil(Fraction(value * self.terms["fee_bps"], 10_000))

    def whole(self, price: int, quantity: int) -> int:
        value = Fraction(price * quantity, KWH)
        assert value.denominator == 1
        return int(value)

    def cover(self, side: str, price: int, quantity: int) -> int:
        """The most that it can cost, however it is filled: in the worst case lot by lot."""
        if side == "sell":
            return quantity
        lot = self.terms["lot"]
        on_top = self.terms["fee_payer"] == "buyer"
        fees = quantity // lot * self.fee(self.whole(price, lot)) if on_top else 0
        return self.whole(price, quantity) + fees

    def held(self, who: str, side: str) -> int:
        mine = [order for order in self.open if (order.who, order.side) == (who, side)]
        return sum(self.cover(side, order.price, order.left) for order in mine)

    def free(self, who: str, side: str) -> int:
        owned = self.energy if side == "sell" else self.money
        return owned[who] - self.held(who, side)

    # --- time -----------------------------------------------------------------------------------

    def pass_time(self, at_ms: int) -> list[int]:
        """The numbers of the orders that went."""
        gone = [order for order in self.open if order.expires and order.expires <= at_ms]
        self.open = [order for order in self.open if order not in gone]
        for zone in self.zones.values():
            if zone.paused_until <= at_ms:
                zone.paused_until = 0
        return [o.number for o in sorted(gone, key=lambda o: (o.expires, o.number))]

    def is_open(self, zone: str) -> bool:
        return self.zones[zone].status == "open" and not self.zones[zone].paused_until

    # --- orders ---------------------------------------------------------------------------------

    def place(self, who: str, name: str, fields: dict[str, Any], at_ms: int) -> Any:
        """(number, status, trades, own orders taken out, paused zones). Raises Refusal."""
        tif, is_market = fields["tif"], fields["type"] == "market"
        zone, lot = self.homes[who], self.terms["lot"]
        rests, least = tif in ("GTC", "GTT"), fields["minimum"]
        if (is_market and rests) or (fields["post_only"] and (not rests or least)):
            raise Refusal("contradictory")
        if least and tif == "FOK":
            raise Refusal("contradictory")
        if bool(fields["expires"]) != (tif == "GTT"):
            raise Refusal("contradictory")
        if tif == "GTT" and fields["expires"] <= at_ms:
            raise Refusal("bad_expiry")
        if least > fields["quantity"] or least % lot:
            raise Refusal("bad_quantity")
        price = fields["price"]
        if is_market:
            price = self.worst(zone, fields["side"])
        order = Open(
            self.number,
            name,
            who,
            zone,
            fields["side"],
            price,
            fields["quantity"],
            fields["quantity"],
            fields["expires"],
            fields["post_only"],
        )
        least = fields["quantity"] if tif == "FOK" else least
        return self.enter(order, rests, is_market, least, fields["stp"], at_ms, None)

    def worst(self, zone: str, side: str) -> int:
        tick = self.terms["tick"]
        allowed = range(tick, self.terms["highest"] + 1, tick)
        good = [price for price in allowed if self.fault_of_price(zone, price) is None]
        return (max if side == "buy" else min)(good)

    def fault_of_price(self, zone: str, price: int) -> str | None:
        rules, terms = self.zones[zone], self.terms
        highest = rules.ceiling or terms["highest"]
        if not rules.floor <= price <= highest or not price > 0 or price % terms["tick"]:
            return "bad_price"
        value = self.whole(price, terms["lot"])
        if terms["fee_payer"] == "seller" and value <= self.fee(value):
            return "not_settleable"
        return None

    def enter(
        self,
        order: Open,
        rests: bool,
        is_market: bool,
        least: int,
        stp: str,
        at_ms: int,
        replaced: Open | None,
    ) -> Any:
        if not self.is_open(order.zone):
            raise Refusal("zone_closed")
        if order.left <= 0 or order.left % self.terms["lot"]:
            raise Refusal("bad_quantity")
        if fault := self.fault_of_price(order.zone, order.price):
            raise Refusal(fault)
        mine = [other for other in self.open if other.who == order.who]
        if rests and not replaced and len(mine) >= self.terms["most_open"]:
            raise Refusal("busy")
        fills, own, ended, tripped = self.match(order, stp, at_ms)
        cost = self.cover(order.side, order.price, order.left)
        if is_market and order.side == "buy":
            cost = sum(self.charges(*fill[1:])["gross"] for fill in fills)
        back = self.cover(replaced.side, replaced.price, replaced.left) if replaced else 0
        if cost > self.free(order.who, order.side) + back:
            raise Refusal("insufficient_balance")
        if order.post_only and (fills or tripped):
            raise Refusal("would_trade")
        if sum(quantity for _, quantity, *_ in fills) < least:
            fills, own, ended, tripped = [], [], True, []
        self.number += 1
        for other in [*own, *([replaced] if replaced else [])]:
            self.open.remove(other)
        trades = [self.settle(order, *fill, at_ms) for fill in fills]
        for name in tripped:
            self.zones[name].paused_until = at_ms + self.zones[name].pause
            self.zones[name].trades = []
        self.open = [other for other in self.open if other.left]
        status = "filled"
        if order.left:
            status = "resting" if not trades else "partly_filled"
            if ended or not rests:
                status = "cancelled"
            else:
                self.open.append(order)
        return order.number, status, trades, [other.number for other in own], tripped

    def way(self, order: Open, other: Open) -> tuple[str, str] | None:
        """The zones that energy would pass between; None where there is no way."""
        seller, buyer = (order, other) if order.side == "sell" else (other, order)
        pair = seller.zone, buyer.zone
        return pair if pair[0] == pair[1] or pair in self.terms["links"] else None

    def match(self, order: Open, stp: str, at_ms: int) -> Any:
        """([(other, quantity, seller's price, way)], own orders met, ended, zones tripped)."""
        offers = []
        for other in self.open:
            way = self.way(order, other)
            if other.side == order.side or way is None or not self.is_open(other.zone):
                continue
            toll = sum(self.terms["links"][way][1:]) if way[0] != way[1] else 0
            if order.side == "buy" and other.price + toll <= order.price:
                offers.append((other.price + toll, other.number, other, way, other.price, toll))
            if order.side == "sell" and other.price - toll >= order.price:
                seller = other.price - toll
                offers.append((-seller, other.number, other, way, seller, toll))
        first = {name: self.reference(name, at_ms) for name in self.zones}
        room = {
            way: (self.terms["links"][way][0] - self.used(way, at_ms))
            // self.terms["lot"]
            * self.terms["lot"]
            for way in self.terms["links"]
        }
        left, fills, own = order.left, [], []
        for _, _, other, way, seller, toll in sorted(offers, key=lambda offer: offer[:2]):
            if not left:
                break
            fits = room.get(way, left)
            if fits <= 0:
                continue
            if other.who == order.who:
                if stp == "cancel_incoming":
                    return fills, own, True, []
                own += [other] if stp == "cancel_resting" else []
                continue
            tripped = [
                name
                for name, price in {(way[1], seller + toll), (way[0], seller)}
                if self.zones[name].breaker and not self.admits(first, name, price)
            ]
            if tripped:
                return fills, own, True, sorted(tripped)
            quantity = min(left, other.left, fits)
            fills.append((other, quantity, seller, way))
            left -= quantity
            if way in room:
                room[way] -= quantity
        return fills, own, False, []

    def admits(self, first: dict[str, int], zone: str, price: int) -> bool:
        first[zone] = first[zone] or price
        return abs(price - first[zone]) <= Fraction(first[zone] * self.zones[zone].breaker, 10_000)

    def reference(self, zone: str, at_ms: int) -> int:
        """The last price before this quarter of an hour, else the first in it, else 0."""
        trades = self.zones[zone].trades
        before = [price for time, price in trades if time // QUARTER_MS < at_ms // QUARTER_MS]
        within = [price for time, price in trades if time // QUARTER_MS == at_ms // QUARTER_MS]
        return before[-1] if before else (within[0] if within else 0)

    def used(self, way: tuple[str, str], at_ms: int) -> int:
        now = at_ms // QUARTER_MS
        return sum(
            q for which, time, q in self.passed if which == way and time // QUARTER_MS == now
        )

    def charges(self, quantity: int, seller: int, way: tuple[str, str]) -> dict[str, int]:
        _, wheeling, loss = self.terms["links"].get(way, (0, 0, 0))
        value = self.whole(seller, quantity)
        fee = self.fee(value)
        paid = {"wheeling": self.whole(wheeling, quantity), "loss": self.whole(loss, quantity)}
        on_top = fee if self.terms["fee_payer"] == "buyer" else 0
        gross = value + on_top + paid["wheeling"] + paid["loss"]
        landed = wheeling + loss if self.terms["network_payer"] == "seller" else 0
        return paid | {
            "price": seller + landed,
            "gross": gross,
            "fee": fee,
            "net": gross - fee - paid["wheeling"] - paid["loss"],
        }

    def settle(
        self, order: Open, other: Open, quantity: int, seller: int, way: tuple[str, str], at: int
    ) -> tuple[int, int, dict[str, int]]:
        told = self.charges(quantity, seller, way)
        buys, sells = (order, other) if order.side == "buy" else (other, order)
        self.money[buys.who] -= told["gross"]
        self.money[sells.who] += told["net"]
        self.money["fees"] += told["fee"]
        self.money["wheeling"] += told["wheeling"]
        self.money["losses"] += told["loss"]
        self.energy[buys.who] += quantity
        self.energy[sells.who] -= quantity
        order.left -= quantity
        other.left -= quantity
        toll = sum(self.terms["links"].get(way, (0, 0, 0))[1:])
        for name, price in {(way[0], seller), (way[1], seller + toll)}:
            self.zones[name].trades.append((at, price))
        if way[0] != way[1]:
            self.passed.append((way, at, quantity))
        return other.number, quantity, told

    def find(self, who: str, name: str) -> Open:
        for order in self.open:
            if (order.who, order.name) == (who, name):
                if self.zones[order.zone].status == "halted":
                    raise Refusal("zone_closed")
                return order
        raise Refusal("unknown_order")

    def cancel(self, who: str, name: str) -> int:
        order = self.find(who, name)
        self.open.remove(order)
        return order.left

    def cancel_all(self, who: str, side: str) -> list[int]:
        mine = [o for o in self.open if o.who == who and side in ("", o.side)]
        if any(self.zones[order.zone].status == "halted" for order in mine):
            raise Refusal("zone_closed")
        self.open = [order for order in self.open if order not in mine]
        return [order.number for order in mine]

    def amend(self, who: str, name: str, total: int | None, price: int | None, at_ms: int) -> Any:
        """(number, status, trades, paused zones). Raises Refusal."""
        order = self.find(who, name)
        done = order.total - order.left
        total = order.total if total is None else total
        price = order.price if price is None else price
        if total <= done or total % self.terms["lot"]:
            raise Refusal("bad_quantity")
        if price == order.price and total <= order.total:
            if not self.is_open(order.zone):
                raise Refusal("zone_closed")
            order.left, order.total = total - done, total
            return order.number, "partly_filled" if done else "resting", [], []
        left = total - done
        changed = Open(
            self.number,
            name,
            who,
            order.zone,
            order.side,
            price,
            total,
            left,
            order.expires,
            order.post_only,
        )
        number, status, trades, _, paused = self.enter(
            changed, True, False, 0, "skip", at_ms, order
        )
        status = "partly_filled" if status == "resting" and done else status
        return number, status, trades, paused
