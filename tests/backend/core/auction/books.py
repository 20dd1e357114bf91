"""Small books, written as sentences or drawn, and what a naive reader makes of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hypothesis import strategies as st

from gridtokenx_backend.core.auction.orders import BUY, SELL, AuctionOrder

KWH = 10**9


def order(number: int, text: str) -> AuctionOrder:
    """`"anna sells 10 at 5"` as the order of this number: kWh, and µGRX a kWh."""
    wallet, verb, quantity, _, price = text.split()
    side = {"sells": SELL, "buys": BUY}[verb]
    return AuctionOrder(
        number=number,
        wallet=wallet,
        side=side,
        price_ugrx=int(price),
        quantity_uwh=int(quantity) * KWH,
    )


def book(*texts: str) -> list[AuctionOrder]:
    """Orders that arrived one after the other, numbered from 1."""
    return [order(number, text) for number, text in enumerate(texts, start=1)]


@st.composite
def books(draw: st.DrawFn, members: int = 4, largest: int = 9) -> list[AuctionOrder]:
    """Few members, few prices, small quantities; now and then a member that is everywhere."""
    lines = draw(
        st.lists(
            st.tuples(
                st.integers(0, members - 1),
                st.sampled_from((BUY, SELL)),
                st.integers(1, 12),
                st.one_of(st.integers(1, largest), st.just(50)),
            ),
            max_size=12,
        )
    )
    return [
        AuctionOrder(
            number=number,
            wallet=f"m{member}",
            side=side,
            price_ugrx=price,
            quantity_uwh=quantity * KWH,
        )
        for number, (member, side, price, quantity) in enumerate(lines, start=1)
    ]


def wants(orders: Sequence[AuctionOrder], side: str, price: float) -> dict[str, int]:
    """What each member bids or asks within `price`."""
    found: dict[str, int] = {}
    for each in orders:
        within = each.price_ugrx >= price if side == BUY else each.price_ugrx <= price
        if each.side == side and within:
            found[each.wallet] = found.get(each.wallet, 0) + each.quantity_uwh
    return found


def tradable(buyers: dict[str, int], sellers: dict[str, int]) -> int:
    """The largest flow between different members: shortest augmenting paths, edge by edge."""
    room: dict[tuple[str, str], int] = {}
    for wallet, amount in buyers.items():
        room["source", f"b {wallet}"] = amount
    for wallet, amount in sellers.items():
        room[f"s {wallet}", "sink"] = amount
    for buyer in buyers:
        for seller in sellers:
            if buyer != seller:
                room[f"b {buyer}", f"s {seller}"] = 10**30
    total = 0
    while path := _path(room):
        amount = min(room[edge] for edge in path)
        total += amount
        for start, end in path:
            room[start, end] -= amount
            room[end, start] = room.get((end, start), 0) + amount
    return total


def _path(room: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    came: dict[str, str] = {"source": ""}
    queue = deque(["source"])
    while queue:
        node = queue.popleft()
        for (start, end), left in room.items():
            if start == node and left and end not in came:
                came[end] = node
                queue.append(end)
    path = []
    node = "sink"
    while node in came and node != "source":
        path.append((came[node], node))
        node = came[node]
    return path
