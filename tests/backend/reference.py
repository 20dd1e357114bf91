"""What the core ought to do, written to be read: lists, sorted(), fractions, and no cleverness.

It shares no code with the core. A balance is the sum of all transfers there ever were, escrow is
the cover of all open orders, and a verdict is looked up in the list of all accepted readings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.backend.reference_meters import KWH, QUARTER_MS, Metered, has_open_bound, whole

GRX = 10**6
WINDOW_MS = 3_600_000
TOLERANCE_MS = 60_000
OLDEST_MS = 7 * 24 * 3_600_000


@dataclass
class Open:
    number: int
    client_id: str
    who: str
    side: str
    price: int
    left: int
    standing: bool

    @property
    def cover(self) -> tuple[str, int]:
        if self.side == "sell":
            return "GRID", self.left
        return "GRX", exactly(Fraction(self.price * self.left, KWH))


def exactly(value: Fraction) -> int:
    assert value.denominator == 1
    return int(value)


@dataclass
class Stands:
    price: int
    keep: int
    covered: int = 0


class Refusal(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reference:
    """The community, slowly. People and devices go by their names."""

    def __init__(self) -> None:
        self.transfers: list[tuple[str, str, str, int]] = []
        self.open: list[Open] = []
        self.members: list[str] = []
        self.imported: dict[str, int] = {}
        self.sells: dict[str, Stands] = {}
        self.buys: dict[str, Stands] = {}
        self.bought: dict[str, int] = {}
        self.chains: dict[str, list[bytes]] = {}
        self.status: dict[str, str] = {}
        self.meters: dict[str, Metered] = {}
        self.seen: dict[tuple[str, str], tuple[Any, int, int]] = {}
        self.next_number = 1
        self.entries = 0
        self.paused = False
        self.market: dict[str, Any] = {}
        self.lot = self.tick = 0

    # --- sums -----------------------------------------------------------------------------------

    def posted(self, account: str, asset: str) -> int:
        mine = [t for t in self.transfers if t[0] == asset]
        return sum(t[3] for t in mine if t[2] == account) - sum(
            t[3] for t in mine if t[1] == account
        )

    def held(self, account: str, asset: str) -> int:
        covers = [order.cover for order in self.open if order.who == account]
        return sum(amount for what, amount in covers if what == asset)

    def free(self, account: str, asset: str) -> int:
        return self.posted(account, asset) - self.held(account, asset)

    # --- terms ----------------------------------------------------------------------------------

    def configure(self, document: dict[str, Any], at_ms: int) -> None:
        self.entries += 1
        self.market = document["market"]
        steps = (
            whole(self.market["lot_kwh"], KWH) or 0,
            whole(self.market["tick_grx_per_kwh"], GRX) or 0,
        )
        highest = whole(self.market["highest_price_grx_per_kwh"], GRX) or 0
        for order in list(self.open):
            is_fit = order.price <= highest and self._pays(order.price, steps[0])
            if steps != (self.lot, self.tick) or not is_fit:
                self._withdraw(order)
        self.lot, self.tick = steps
        for terms in document["member"]:
            if terms["name"] not in self.members:
                self.members.append(terms["name"])
                self.imported[terms["name"]] = 0
                opening = whole(terms["opening_grx"], GRX) or 0
                self.transfers.append(("GRX", "issuer", terms["name"], opening))
        self.status = {name: terms["status"] for name, terms in document["devices"].items()}
        for name, terms in document["meters"].items():
            meter = self.meters.get(name)
            if meter is None:
                self.meters[name] = Metered(terms["device"], terms["owner"], terms)
                continue
            if meter.terms.get("epoch", 0) != terms.get("epoch", 0):
                meter.begin_anew()
            meter.give(terms["owner"], at_ms)
            meter.device, meter.terms = terms["device"], terms

    def _pays(self, price: int, lot: int) -> bool:
        return price * lot // KWH > math.ceil(
            Fraction(price * lot // KWH * self.market["fee_bps"], 10_000)
        )

    def _withdraw(self, order: Open) -> None:
        """Cancels an order that its owner did not: a standing one will want the rest again."""
        self.open.remove(order)
        if order.standing and order.side == "buy" and order.who in self.buys:
            self.buys[order.who].covered -= order.left

    # --- frames ---------------------------------------------------------------------------------

    def frame(
        self,
        device: str,
        seq: int,
        link: tuple[bytes, bytes, bytes],
        synchronised: bool,
        readings: list[tuple[str, int, int, int, int]],
        at_ms: int,
    ) -> list[tuple[int, int]]:
        """The verdicts; `link` is (chain, prev, own hash). Raises Refusal."""
        chain, prev, own = link
        if device not in self.status:
            raise Refusal("unknown_device")
        if self.status[device] != "active":
            raise Refusal(f"{self.status[device]}_device")
        if self.paused:
            raise Refusal("oracle_paused")
        known = self.chains.setdefault(device, [])  # the chain's id, then the hash of each frame
        if known and chain != known[0]:
            raise Refusal("wrong_chain")
        expected = max(0, len(known) - 1)
        if seq != expected:
            if seq > expected:
                raise Refusal("gap")
            raise Refusal("duplicate" if own == known[1 + seq] else "forked")
        if prev != (known[-1] if expected else bytes(32)):
            raise Refusal("broken_chain")
        self.chains[device] = [chain, *known[1:], own]
        self.entries += 1
        verdicts = []
        for index, (name, *reading) in enumerate(readings):
            if reason := self._judge(device, name, reading, synchronised, at_ms):
                verdicts.append((index, reason))
        self._mint()
        return verdicts

    def _judge(
        self, device: str, name: str, reading: list[int], synchronised: bool, at_ms: int
    ) -> int:
        meter = self.meters.get(name)
        if meter is None or meter.device != device:
            return 1
        time_ms, imported, exported, power_w = reading
        terms, accepted = meter.terms, meter.epochs[-1]
        max_w = int(Decimal(terms["max_power_kw"]) * 1000)
        if not terms.get("active", True):
            return 2
        if time_ms > at_ms + TOLERANCE_MS:
            return 3
        if time_ms < at_ms - OLDEST_MS:
            return 4
        if not accepted and time_ms <= meter.changed_ms():
            return 5
        if accepted:
            before_ms = accepted[-1][0]
            if time_ms <= before_ms:
                late = (time_ms, imported, exported)
                return meter.judge_late(late, power_w, synchronised, at_ms)
            if time_ms - before_ms < 1000 * terms["min_interval_s"]:
                return 6
            new = time_ms, imported, exported
            if reason := meter.judge_registers(accepted[-1], new):
                is_sound = synchronised and abs(power_w) <= max_w
                if not (is_sound and meter.doubt(accepted[-1], new)):
                    return reason
                first = meter.line[0]
                meter.begin_anew()
                meter.steps += 1
                meter.held_since = meter.held_since or len(meter.epochs) - 1
                self._accept(meter, first)
                self._accept(meter, new)
                return 0
        if abs(power_w) > max_w:
            return 9
        if not synchronised:
            return 64
        self._accept(meter, (time_ms, imported, exported))
        return 0

    def _accept(self, meter: Metered, reading: tuple[int, int, int]) -> None:
        accepted, time_ms = meter.epochs[-1], reading[0]
        meter.line, meter.jumps = [], []
        accepted.append(reading)
        opened_ms, newest = meter.opened_ms, time_ms - time_ms % QUARTER_MS
        meter.opened_ms = max(opened_ms, newest)
        if len(accepted) > 1:
            gap = accepted[-2], accepted[-1]
            is_long = gap[1][0] - gap[0][0] > QUARTER_MS + 60_000
            if is_long and has_open_bound(*gap) and opened_ms <= gap[0][0]:
                meter.gaps.append(gap)
            self.imported[meter.owner] += reading[1] - accepted[-2][1]

    def _mint(self) -> None:
        for meter in self.meters.values():
            fresh = meter.due() - meter.minted
            for owner, part in meter.parts(fresh):
                self.transfers.append(("GRID", "issuer", owner, part))
            meter.minted += fresh

    # --- orders ---------------------------------------------------------------------------------

    def remember(self, who: str, client_id: str, content: Any, issued_ms: int, at_ms: int) -> int:
        """The entry of the same instruction before, or 0. Raises Refusal."""
        if who not in self.members:
            raise Refusal("unknown_wallet")
        if (who, client_id) in self.seen:
            known, entry, _ = self.seen[who, client_id]
            if known != content:
                raise Refusal("id_reused")
            return entry
        if not at_ms - WINDOW_MS <= issued_ms <= at_ms + TOLERANCE_MS:
            raise Refusal("outside_window")
        return 0

    def carried_out(self, who: str, client_id: str, content: Any, at_ms: int) -> None:
        self.entries += 1
        self.seen[who, client_id] = (content, self.entries, at_ms)

    def place(
        self, who: str, client_id: str, side: str, kwh: str, price: str, *, rests: bool
    ) -> tuple[str, list[tuple[int, int, int, int]]]:
        """(status, trades); a trade is (maker, µWh, gross, fee). Raises Refusal."""
        if any((order.who, order.client_id) == (who, client_id) for order in self.open):
            raise Refusal("id_reused")
        quantity, limit = whole(kwh, KWH), whole(price, GRX)
        highest = whole(self.market["highest_price_grx_per_kwh"], GRX) or 0
        if quantity is None or quantity <= 0 or quantity % self.lot:
            raise Refusal("bad_quantity")
        if limit is None or not 0 < limit <= highest or limit % self.tick:
            raise Refusal("bad_price")
        if not self._pays(limit, self.lot):
            raise Refusal("not_settleable")
        return self._match(who, client_id, side, quantity, limit, rests=rests, standing=False)

    def _match(
        self,
        who: str,
        client_id: str,
        side: str,
        quantity: int,
        limit: int,
        *,
        rests: bool,
        standing: bool,
    ) -> tuple[str, list[tuple[int, int, int, int]]]:
        mine = Open(self.next_number, client_id, who, side, limit, quantity, standing)
        asset, cover = mine.cover
        if cover > self.free(who, asset):
            raise Refusal("insufficient_balance")
        self.next_number += 1
        sign = 1 if side == "buy" else -1
        others = [
            order
            for order in self.open
            if order.side != side and order.who != who and sign * (limit - order.price) >= 0
        ]
        trades = []
        for other in sorted(others, key=lambda order: (sign * order.price, order.number)):
            traded = min(mine.left, other.left)
            if traded:
                trades.append(self._trade(mine, other, traded))
        self.open = [order for order in self.open if order.left]
        if mine.left and rests:
            self.open.append(mine)
        if not mine.left:
            return "filled", trades
        if not rests:
            return "cancelled", trades
        return "partly_filled" if trades else "resting", trades

    def _trade(self, mine: Open, other: Open, quantity: int) -> tuple[int, int, int, int]:
        buyer, seller = (mine.who, other.who) if mine.side == "buy" else (other.who, mine.who)
        gross = exactly(Fraction(other.price * quantity, KWH))
        charged = math.ceil(Fraction(gross * self.market["fee_bps"], 10_000))
        self.transfers.append(("GRX", buyer, seller, gross - charged))
        self.transfers.append(("GRX", buyer, "fees", charged))
        self.transfers.append(("GRID", seller, buyer, quantity))
        self.bought[buyer] = self.bought.get(buyer, 0) + quantity
        self.bought[seller] = min(self.bought.get(seller, 0), self.posted(seller, "GRID"))
        mine.left -= quantity
        other.left -= quantity
        return other.number, quantity, gross, charged

    def cancel(self, who: str, client_id: str) -> int:
        """What was left of the order. Raises Refusal."""
        for order in self.open:
            if (order.who, order.client_id) == (who, client_id):
                self.open.remove(order)
                return order.left
        raise Refusal("unknown_order")

    # --- standing orders ------------------------------------------------------------------------

    def stand(self, who: str, side: str, price: str, keep: str, *, active: bool) -> list[int]:
        """The numbers of the orders that were withdrawn. Raises Refusal."""
        limit, kept = whole(price, GRX), whole(keep, KWH)
        highest = whole(self.market["highest_price_grx_per_kwh"], GRX) or 0
        if kept is None or kept < 0:
            raise Refusal("bad_quantity")
        if limit is None or not 0 < limit <= highest or limit % self.tick:
            raise Refusal("bad_price")
        former = [o for o in self.open if o.standing and o.who == who and o.side == side]
        for order in former:
            self._withdraw(order)
        stands = self.sells if side == "sell" else self.buys
        before = stands.pop(who, None)
        if active:
            covered = before.covered if before else self.imported[who]
            stands[who] = Stands(limit, kept, covered)
        return [order.number for order in former]

    def tick_over(self, at_ms: int) -> list[tuple[int, str]]:
        """(number, status) of the orders that were placed."""
        self.entries += 1
        self.seen = {
            key: seen
            for key, seen in self.seen.items()
            if seen[2] >= at_ms - WINDOW_MS - TOLERANCE_MS
        }
        placed = []
        for who in self.members:
            if stands := self.sells.get(who):
                placed += self._stand_up(who, "sell", stands, self._surplus(who) - stands.keep)
            if stands := self.buys.get(who):
                wanted = self._lots(self.imported[who] - stands.covered)
                payable = self._lots(self.free(who, "GRX") * KWH // stands.price)
                ordered = self._stand_up(who, "buy", stands, min(wanted, payable))
                stands.covered += min(wanted, payable) if ordered else 0
                placed += ordered
        return placed

    def retire(self, who: str, amount: int) -> None:
        """What the core says it retired; which intervals it is for, test_retirement knows."""
        assert 0 < amount <= min(self.bought[who], self.free(who, "GRID"))
        self.transfers.append(("GRID", who, "retired", amount))
        self.bought[who] -= amount
        assert self._sum("retired", who) <= self.imported[who]

    def _sum(self, to: str, who: str) -> int:
        return sum(t[3] for t in self.transfers if t[:3] == ("GRID", who, to))

    def _surplus(self, who: str) -> int:
        """What is free and was not bought."""
        return self.free(who, "GRID") - self.bought.get(who, 0)

    def _lots(self, quantity: int) -> int:
        return max(0, quantity - quantity % self.lot)

    def _stand_up(self, who: str, side: str, stands: Stands, most: int) -> list[tuple[int, str]]:
        quantity, number = self._lots(most), self.next_number
        highest = whole(self.market["highest_price_grx_per_kwh"], GRX) or 0
        fits = not stands.price % self.tick and stands.price <= highest
        if not quantity or not fits or not self._pays(stands.price, self.lot):
            return []
        name = f"standing-{number}"
        status, _ = self._match(who, name, side, quantity, stands.price, rests=True, standing=True)
        return [(number, status)]
