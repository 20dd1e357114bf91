"""A published clearing: what `GET /v1/clearings/{zone}/{interval_ms}` answers, and its amounts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gridtokenx_client.problem import Mistake
from gridtokenx_wire.units import parse_grx, parse_kwh


class BookOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the auction found it. Of the same price, the lower number is older."""

    number: int
    wallet: str
    side: str
    price_grx_per_kwh: str
    quantity_kwh: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """All that is bid or asked at this price or a better one."""

    price_grx_per_kwh: str
    quantity_kwh: str


class ClearingTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Between two orders, by number. The zones differ where it came about by the coupling.

    The buyer pays `gross_grx`, and `rent_grx` for links that are full.
    """

    buyer_order: int
    seller_order: int
    quantity_kwh: str
    price_grx_per_kwh: str
    gross_grx: str
    net_grx: str
    fee_grx: str
    wheeling_grx: str
    loss_grx: str
    rent_grx: str
    buyer_zone: str
    seller_zone: str


class ClearingLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link between zones: `capacity_kwh` is what it had left for the coupling."""

    from_zone: str
    to_zone: str
    capacity_kwh: str
    wheeling_grx_per_kwh: str
    loss_grx_per_kwh: str
    flow_kwh: str
    rent_grx_per_kwh: str
    rent_grx: str


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """One zone's auction of one interval, and its part in the coupling.

    A price is None where nothing trades, an end of an interval where there is none. `trades` are
    those of the zone's orders, `links` all of the community's.
    """

    community: str
    zone: str
    interval_ms: int
    journal_seq: int
    rules: str
    tick_grx_per_kwh: str
    book: list[BookOrder]
    book_hash: str
    demand: list[Step]
    supply: list[Step]
    low_grx_per_kwh: str | None
    high_grx_per_kwh: str | None
    price_grx_per_kwh: str | None
    volume_kwh: str
    welfare_grx: str
    exported_kwh: str
    imported_kwh: str
    coupling_low_grx_per_kwh: str | None
    coupling_high_grx_per_kwh: str | None
    coupling_price_grx_per_kwh: str | None
    trades: list[ClearingTrade]
    links: list[ClearingLink]


class ClearingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One zone's result in the list of clearings."""

    zone: str
    interval_ms: int
    journal_seq: int
    orders: int
    price_grx_per_kwh: str | None
    volume_kwh: str
    welfare_grx: str
    exported_kwh: str
    imported_kwh: str
    coupling_price_grx_per_kwh: str | None
    book_hash: str


class Clearings(msgspec.Struct, frozen=True):
    """Newest first. `before_ms` asks for those that come after, None if there are no more."""

    clearings: list[ClearingSummary]
    before_ms: int | None


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """An order in whole µGRX a kWh and µWh."""

    number: int
    wallet: str
    side: str
    price: int
    quantity: int


def plain(order: BookOrder) -> Plain:
    """Return an order of the book in whole base units.

    Raises ValueError for amounts that are none.
    """
    price, quantity = parse_grx(order.price_grx_per_kwh), parse_kwh(order.quantity_kwh)
    return Plain(
        number=order.number, wallet=order.wallet, side=order.side, price=price, quantity=quantity
    )


def price_of(text: str | None) -> int | None:
    return None if text is None else parse_grx(text)


def read_clearings(file: Path) -> list[Clearing]:
    """Return the clearing in a file, or the list of them. Raises Mistake."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise Mistake(f"{file}: cannot be read: {error.strerror}") from None
    try:
        found = msgspec.json.decode(raw, type=Clearing | list[Clearing])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Mistake(f"{file}: expected the JSON of a clearing: {error}") from None
    clearings = found if isinstance(found, list) else [found]
    if not clearings:
        raise Mistake(f"{file}: expected at least one clearing")
    return clearings
