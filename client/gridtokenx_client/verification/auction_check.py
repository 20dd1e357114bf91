"""A zone's auction computed again, the slow and obvious way, and compared with what is published.

Shares no code with the backend. Every price is tried, and every price between two; who gets what
is found order by order. Amounts are whole µWh, prices whole µGRX a kWh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gridtokenx_client.verification.clearing_document import Clearing, Plain, Step, plain, price_of
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx, parse_kwh

RULES = "gridtokenx-auction/1"
UWH_PER_KWH = 10**9


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One thing compared. `holds` says whether what is published is what comes out."""

    zone: str
    check: str
    published: str
    computed: str
    holds: bool


def check_auction(clearing: Clearing) -> Iterator[Comparison]:
    """Yield a comparison for everything that the document says of the zone's own auction.

    Raises ValueError for amounts that are none.
    """
    zone = clearing.zone
    orders = [plain(order) for order in clearing.book]
    yield comparison(zone, "rules", clearing.rules, RULES)
    yield comparison(zone, "book hash", clearing.book_hash, book_hash(clearing, orders))
    yield comparison(
        zone, "demand curve", steps(clearing.demand), spell_curve(curve(orders, "buy"))
    )
    yield comparison(
        zone, "supply curve", steps(clearing.supply), spell_curve(curve(orders, "sell"))
    )
    volume, low, high = equilibrium(orders)
    yield comparison(zone, "volume", clearing.volume_kwh, format_kwh(volume))
    yield comparison(zone, "lowest price", spell(price_of(clearing.low_grx_per_kwh)), spell(low))
    yield comparison(zone, "highest price", spell(price_of(clearing.high_grx_per_kwh)), spell(high))
    price = None
    if volume and low is not None and high is not None:
        tick = parse_grx(clearing.tick_grx_per_kwh)
        price = (low + high) // 2 // tick * tick
    yield comparison(zone, "price", spell(price_of(clearing.price_grx_per_kwh)), spell(price))
    filled = fills(orders, price) if price is not None else {}
    yield comparison(zone, "welfare", clearing.welfare_grx, format_grx(welfare(orders, filled)))
    yield comparison(zone, "trades", spell_fills(traded(clearing)), spell_fills(filled))
    yield comparison(zone, "members paired with themselves", self_trades(clearing, orders), 0)
    yield comparison(zone, "charges that do not add up", unbalanced(clearing), 0)


def comparison(zone: str, check: str, published: object, computed: object) -> Comparison:
    return Comparison(
        zone=zone,
        check=check,
        published=str(published),
        computed=str(computed),
        holds=published == computed,
    )


def spell(price: int | None) -> str:
    return "none" if price is None else format_grx(price)


def steps(published: Sequence[Step]) -> str:
    """Return a published curve as text to compare."""
    return spell_curve(
        (parse_grx(step.price_grx_per_kwh), parse_kwh(step.quantity_kwh)) for step in published
    )


def spell_curve(steps: Iterable[tuple[int, int]]) -> str:
    spelled = [f"{format_kwh(quantity)} at {format_grx(price)}" for price, quantity in steps]
    return ", ".join(spelled) or "none"


def spell_fills(filled: dict[int, int]) -> str:
    """Return which orders trade how much, as text to compare."""
    parts = [f"{number}: {format_kwh(filled[number])}" for number in sorted(filled)]
    return ", ".join(parts) or "none"


def book_hash(clearing: Clearing, orders: Iterable[Plain]) -> str:
    """Return the SHA-256 of the book in its published form: a line for each order, by number."""
    lines = [RULES, f"zone {clearing.zone}", f"interval {clearing.interval_ms}"]
    lines += [
        f"{order.number} {order.wallet} {order.side} {order.price} {order.quantity}"
        for order in sorted(orders, key=lambda order: order.number)
    ]
    text = "\n".join(lines) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()


def curve(orders: Iterable[Plain], side: str) -> list[tuple[int, int]]:
    """Return the steps of a curve: a price, and what is bid or asked at it or at a better one.

    The price that is served first comes first.
    """
    mine = [order for order in orders if order.side == side]
    prices = sorted({order.price for order in mine}, reverse=side == "buy")
    return [
        (price, sum(order.quantity for order in mine if within(order, price))) for price in prices
    ]


def within(order: Plain, price: float) -> bool:
    """Return whether an order may trade at a price."""
    return order.price >= price if order.side == "buy" else order.price <= price


def by_member(orders: Iterable[Plain]) -> dict[str, int]:
    found: dict[str, int] = {}
    for order in orders:
        found[order.wallet] = found.get(order.wallet, 0) + order.quantity
    return found


def tradable(buyers: dict[str, int], sellers: dict[str, int]) -> int:
    """Return the most that different members can trade: the smallest cut between the two sides."""
    wanted, offered = sum(buyers.values()), sum(sellers.values())
    most = min(wanted, offered)
    for member, amount in buyers.items():
        if member in sellers:
            most = min(most, (wanted - amount) + (offered - sellers[member]))
    return most


def equilibrium(orders: Sequence[Plain]) -> tuple[int, int | None, int | None]:
    """Return (volume, lowest, highest equilibrium price).

    Every price is tried, and one between two.
    """
    bids = [order for order in orders if order.side == "buy"]
    asks = [order for order in orders if order.side == "sell"]
    if not bids or not asks:
        low = max((order.price for order in bids), default=None)
        return 0, low, min((order.price for order in asks), default=None)
    prices = sorted({order.price for order in orders})
    places: list[float] = []
    for price, following in zip(prices, [*prices[1:], None], strict=True):
        places.append(price)
        if following is not None:
            places.append(price + 0.5 if following == price + 1 else price + 1)
    volumes = [tradable(members(bids, place), members(asks, place)) for place in places]
    volume = max(volumes)
    fair = [
        here == volume and not left_out(bids, asks, place)
        for place, here in zip(places, volumes, strict=True)
    ]
    low, high = widest(places, fair)
    return volume, low, high


def widest(places: Sequence[float], fair: Sequence[bool]) -> tuple[int, int]:
    """Return the widest unbroken range of fair prices, of equally wide ones the lowest."""
    runs: list[list[float]] = []
    former = False
    for place, is_fair in zip(places, fair, strict=True):
        if is_fair and former:
            runs[-1].append(place)
        elif is_fair:
            runs.append([place])
        former = is_fair
    best = max(runs, key=lambda run: (run[-1] - run[0], -run[0]))
    return int(best[0]), int(best[-1])


def members(orders: Iterable[Plain], place: float) -> dict[str, int]:
    return by_member(order for order in orders if within(order, place))


def left_out(bids: Sequence[Plain], asks: Sequence[Plain], place: float) -> bool:
    """Return whether the price is too low or too high for somebody who could have traded."""
    buyers, sellers = members(bids, place), members(asks, place)
    above = by_member(bid for bid in bids if bid.price > place)
    below = by_member(ask for ask in asks if ask.price < place)
    return claims(above, sellers) > sum(sellers.values()) or claims(below, buyers) > sum(
        buyers.values()
    )


def claims(strict: dict[str, int], others: dict[str, int]) -> int:
    """Return what members want of the other side; who is there itself, at most what the others
    have.
    """
    total = sum(others.values())
    return sum(
        min(amount, total - others[member]) if member in others else amount
        for member, amount in strict.items()
    )


def fills(orders: Sequence[Plain], price: int) -> dict[int, int]:
    """Return what each order trades at the price: by price, then by number, as far as it is
    possible.
    """
    filled: dict[int, int] = {}
    for side, sign in (("buy", -1), ("sell", 1)):
        mine = sorted(
            (order for order in orders if order.side == side and within(order, price)),
            key=lambda order: (sign * order.price, order.number),
        )
        others = members((order for order in orders if order.side != side), price)
        filled.update(served(mine, others))
    return filled


def served(first_served: Iterable[Plain], others: dict[str, int]) -> Iterator[tuple[int, int]]:
    """Yield (number, quantity) of the orders that get something."""
    got: dict[str, int] = {}
    before = 0
    for order in first_served:
        tried = {**got, order.wallet: got.get(order.wallet, 0) + order.quantity}
        reached = tradable(tried, others)
        if reached > before:
            yield order.number, reached - before
            got[order.wallet] = got.get(order.wallet, 0) + reached - before
            before = reached


def welfare(orders: Iterable[Plain], filled: dict[int, int]) -> int:
    """Return the buyers' limits less the sellers', in µGRX."""
    total = 0
    for order in orders:
        amount = order.price * filled.get(order.number, 0)
        total += amount if order.side == "buy" else -amount
    return total // UWH_PER_KWH


def traded(clearing: Clearing) -> dict[int, int]:
    """Return what the trades within the zone say that each order traded."""
    found: dict[int, int] = {}
    for trade in clearing.trades:
        if trade.buyer_zone == trade.seller_zone == clearing.zone:
            quantity = parse_kwh(trade.quantity_kwh)
            for number in (trade.buyer_order, trade.seller_order):
                found[number] = found.get(number, 0) + quantity
    return found


def self_trades(clearing: Clearing, orders: Iterable[Plain]) -> int:
    """Return how many trades are between two orders of one wallet."""
    wallets = {order.number: order.wallet for order in orders}
    return sum(
        trade.buyer_zone == trade.seller_zone
        and wallets.get(trade.buyer_order) == wallets.get(trade.seller_order)
        for trade in clearing.trades
    )


def unbalanced(clearing: Clearing) -> int:
    """Return how many trades do not fulfil gross = net + fee + wheeling + loss, to the µGRX."""
    count = 0
    for trade in clearing.trades:
        parts = (trade.net_grx, trade.fee_grx, trade.wheeling_grx, trade.loss_grx)
        count += parse_grx(trade.gross_grx) != sum(map(parse_grx, parts))
    return count
