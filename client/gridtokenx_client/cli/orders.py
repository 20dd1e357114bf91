"""The commands `gridtokenx order ...`: orders of every kind, and what becomes of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from gridtokenx_client.cli import tables
from gridtokenx_client.cli.wallet import (
    DEFAULT_API,
    ApiOption,
    IdOption,
    JsonOption,
    KeyOption,
    Quantity,
    SideName,
    key_file,
    open_api,
    show,
)
from gridtokenx_client.problem import Mistake
from gridtokenx_client.wallet import Wallet, check_amount, check_amounts, new_id

order_app = typer.Typer(help="Place, amend and cancel orders.", no_args_is_help=True)


class Tif(StrEnum):
    """How long an order waits (time in force)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Stp(StrEnum):
    """What happens when an order meets one of its own wallet (self-trade prevention)."""

    SKIP = "skip"
    CANCEL_RESTING = "cancel_resting"
    CANCEL_INCOMING = "cancel_incoming"


class Segment(StrEnum):
    """The market in which an order trades."""

    REALTIME = "realtime"
    INTERVAL = "interval"


_SHORTEST_S = 0.001
_LONGEST_S = 100 * 366 * 86_400
OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="The id of an open order.")]
Price = Annotated[
    str,
    typer.Option(
        "--price",
        metavar="GRX",
        help="GRX for each kWh. An order without a price is a market order.",
    ),
]


@order_app.command(epilog="Example: gridtokenx order place buy 1.5 --price 0.25 --for-s 900")
def place(
    side: Annotated[SideName, typer.Argument(help="Whether to buy or to sell.")],
    kwh: Quantity,
    price: Price = "",
    tif: Annotated[
        Tif | None,
        typer.Option(
            "--tif",
            case_sensitive=False,
            help="How long it is in force. The default is GTC; a market order has IOC.",
        ),
    ] = None,
    for_s: Annotated[
        float, typer.Option("--for-s", min=0, help="Let it rest for so many seconds at most (GTT).")
    ] = 0,
    minimum: Annotated[
        str,
        typer.Option("--min", metavar="KWH", help="Trade at least so much at once, or nothing."),
    ] = "",
    stp: Annotated[
        Stp, typer.Option(help="What happens when it meets an order of your own.")
    ] = Stp.SKIP,
    segment: Annotated[
        Segment, typer.Option(help="The market in which it trades.")
    ] = Segment.REALTIME,
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    post_only: Annotated[
        bool, typer.Option("--post-only", help="Refuse it if it would trade at once.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Buy or sell at a price, or at any price that the zone allows."""
    if for_s and (tif is not None or not price):
        raise Mistake("expected --for-s with a --price and without --tif")
    if for_s and not _SHORTEST_S <= for_s <= _LONGEST_S:
        raise Mistake(f"--for-s: expected {_SHORTEST_S} to {_LONGEST_S}, got {for_s:g}")
    check_amounts(kwh, price or "1")
    if minimum:
        check_amount("--min", minimum)
    terms: dict[str, Any] = {
        "side": side.value,
        "quantity_kwh": kwh,
        "price_grx_per_kwh": price,
        "type": "limit" if price else "market",
        "tif": tif.value if tif else _usual_tif(price, for_s, segment),
        "segment": segment.value,
        "post_only": post_only,
        "min_quantity_kwh": minimum,
        "stp": stp.value,
    }
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        at = community.health()
        if for_s:
            terms["expires_ms"] = at.time_ms + round(1000 * for_s)
        placed = community.place(wallet.order_of(at, id_=id_ or new_id(), **terms))
    show(placed, tables.placed_table(placed, segment.value), as_json=as_json)


def _usual_tif(price: str, for_s: float, segment: Segment) -> str:
    """Return how long an order is in force if its options do not say so."""
    if for_s:
        return "GTT"
    return "GTC" if price or segment is Segment.INTERVAL else "IOC"


@order_app.command(epilog="Example: gridtokenx order amend 5f0c2a9b71d34e68 --kwh 1")
def amend(
    order: OrderId,
    kwh: Annotated[
        str, typer.Option("--kwh", metavar="KWH", help="The order's whole energy, traded or not.")
    ] = "",
    price: Annotated[
        str, typer.Option("--price", metavar="GRX", help="GRX for each kWh, such as 0.25.")
    ] = "",
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Change an open order. Less energy keeps its place; anything else takes a new one."""
    if not kwh and not price:
        raise Mistake("expected --kwh, --price, or both")
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        jws = wallet.amend(community.health(), order, kwh, price, id_=id_ or new_id())
        amended = community.amend(jws)
    show(amended, tables.amended_line(amended), as_json=as_json)


@order_app.command(epilog="Example: gridtokenx order cancel 5f0c2a9b71d34e68 --key anna.key")
def cancel(
    order: OrderId,
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Withdraw what is left of an open order."""
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        cancelled = community.cancel(wallet.cancel(community.health(), order, id_=id_ or new_id()))
    show(cancelled, tables.cancelled_line(cancelled), as_json=as_json)


@order_app.command("cancel-all", epilog="Example: gridtokenx order cancel-all --side sell")
def cancel_all(
    side: Annotated[SideName | None, typer.Option(help="Take only orders of this side.")] = None,
    segment: Annotated[
        Segment | None, typer.Option(help="Take only orders of this market segment.")
    ] = None,
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Withdraw all open orders."""
    which = {"side": side.value if side else "", "segment": segment.value if segment else ""}
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        jws = wallet.cancel_all(community.health(), id_=id_ or new_id(), **which)
        cancelled = community.cancel_all(jws)
    show(cancelled, tables.all_cancelled_line(cancelled), as_json=as_json)
