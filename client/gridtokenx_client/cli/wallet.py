"""`gridtokenx wallet ...`: what a member does with a key file and a community's API."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console, Group

from gridtokenx_client.cli import tables
from gridtokenx_client.problem import Mistake
from gridtokenx_client.wallet import Side, Wallet, check_amounts, new_id, read_curve
from gridtokenx_wire.keys import parse_public_key
from gridtokenx_wire.plain_text import escaped_lines

if TYPE_CHECKING:
    from gridtokenx_client.api import Api

wallet_app = typer.Typer(
    help="Show and use a member's key, energy, money and orders.", no_args_is_help=True
)

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        envvar="GRIDTOKENX_KEY",
        metavar="FILE",
        help="The wallet's key file. Without it: wallet.key in your configuration.",
    ),
]
ApiOption = Annotated[
    str,
    typer.Option("--api", envvar="GRIDTOKENX_API", metavar="URL", help="The community's API."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
IdOption = Annotated[
    str | None,
    typer.Option("--id", help="Your own id for the instruction, which is used once.", metavar="ID"),
]
Quantity = Annotated[str, typer.Argument(metavar="KWH", help="Energy, such as 1.5.")]
PriceOption = Annotated[
    str, typer.Option("--price", metavar="GRX", help="GRX for each kWh, such as 0.25.")
]
IocOption = Annotated[
    bool, typer.Option("--ioc", help="Trade what is there, then cancel the rest.")
]

DEFAULT_API = "http://127.0.0.1:8080"


class SegmentName(StrEnum):
    REALTIME = "realtime"
    INTERVAL = "interval"


class SideName(StrEnum):
    SELL = "sell"
    BUY = "buy"


def key_file(chosen: Path | None) -> Path:
    return chosen or Path(typer.get_app_dir("gridtokenx")) / "wallet.key"


def show(answer: Any, pretty: Group | str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    elif isinstance(pretty, str):
        sys.stdout.write(escaped_lines(pretty) + "\n")
    else:
        Console(markup=False).print(pretty)


@wallet_app.command(epilog="Example: gridtokenx wallet new --key anna.key")
def new(key: KeyOption = None, *, as_json: JsonOption = False) -> None:
    """Make a new key and print its address; an existing file is never replaced."""
    file = key_file(key)
    if key is None:
        _make_private_folder(file.parent)
    try:
        address = Wallet.create(file).address
    except FileExistsError:
        raise Mistake(f"{file}: expected no file here; a wallet is never replaced") from None
    show({"wallet": address, "key_file": str(file)}, address, as_json=as_json)


def _make_private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Mistake(f"{folder}: cannot be made: {error.strerror}") from None


@wallet_app.command(epilog="Example: gridtokenx wallet address --key anna.key")
def address(key: KeyOption = None, *, as_json: JsonOption = False) -> None:
    """Print the wallet's address: its public key in Base58."""
    file = key_file(key)
    found = Wallet.load(file).address
    show({"wallet": found, "key_file": str(file)}, found, as_json=as_json)


@wallet_app.command(epilog="Example: gridtokenx wallet balance --key anna.key")
def balance(
    key: KeyOption = None,
    wallet: Annotated[
        str | None, typer.Option("--wallet", metavar="ADDRESS", help="Another wallet's address.")
    ] = None,
    api: ApiOption = DEFAULT_API,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what a wallet owns."""
    owner = address_of(key, wallet)
    with open_api(api) as community:
        found = community.balance(owner)
    show(found, tables.balance_table(found), as_json=as_json)


@wallet_app.command(epilog="Example: gridtokenx wallet orders --key anna.key")
def orders(
    key: KeyOption = None,
    wallet: Annotated[
        str | None, typer.Option("--wallet", metavar="ADDRESS", help="Another wallet's address.")
    ] = None,
    api: ApiOption = DEFAULT_API,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a wallet's open orders and standing orders."""
    owner = address_of(key, wallet)
    with open_api(api) as community:
        found = community.orders(owner)
        zone = tables.community_zone(community.health())
    show(found, tables.orders_table(owner, found, zone), as_json=as_json)


def address_of(key: Path | None, wallet: str | None) -> str:
    if wallet is None:
        return Wallet.load(key_file(key)).address
    try:
        parse_public_key(wallet)
    except ValueError as error:
        raise Mistake(f"--wallet: {error}") from None
    return wallet


@wallet_app.command(epilog="Example: gridtokenx wallet sell 1.5 --price 0.25 --key anna.key")
def sell(
    kwh: Quantity,
    price: PriceOption,
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    ioc: IocOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sell energy at a price or more."""
    _place("sell", kwh, price, key, api, id_, ioc=ioc, as_json=as_json)


@wallet_app.command(epilog="Example: gridtokenx wallet buy 0.75 --price 0.31 --ioc --key ben.key")
def buy(
    kwh: Quantity,
    price: PriceOption,
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    ioc: IocOption = False,
    as_json: JsonOption = False,
) -> None:
    """Buy energy at a price or less."""
    _place("buy", kwh, price, key, api, id_, ioc=ioc, as_json=as_json)


def _place(
    side: Side,
    kwh: str,
    price: str,
    key: Path | None,
    api: str,
    id_: str | None,
    *,
    ioc: bool,
    as_json: bool,
) -> None:
    check_amounts(kwh, price)
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        at = community.health()
        jws = wallet.order(at, side, kwh, price, ioc=ioc, id_=id_ or new_id())
        placed = community.place(jws)
    show(placed, tables.placed_table(placed), as_json=as_json)


@wallet_app.command(epilog="Example: gridtokenx wallet cancel 5f0c2a9b71d34e68 --key anna.key")
def cancel(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The id of an open order.")],
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


@wallet_app.command(epilog="Example: gridtokenx wallet standing sell --price 0.2 --keep 1")
def standing(
    side: Annotated[SideName, typer.Argument(help="What to do without being asked each time.")],
    price: Annotated[
        str | None, typer.Option("--price", metavar="GRX", help="GRX for each kWh, such as 0.25.")
    ] = None,
    keep: Annotated[
        str, typer.Option("--keep", metavar="KWH", help="Energy that is never sold.")
    ] = "0",
    curve: Annotated[
        str,
        typer.Option(
            metavar="HOUR:GRX,...", help="Other prices from these hours on, such as 7:0.3,20:0.2."
        ),
    ] = "",
    segment: Annotated[
        SegmentName, typer.Option(help="The market: trade at once, or in each 15 minutes' auction.")
    ] = SegmentName.REALTIME,
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    pause: Annotated[
        bool, typer.Option("--pause", help="Order nothing until the standing order is set again.")
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="End the standing order.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Sell surplus, or cover consumption, from now on; --off ends it."""
    if off == (price is not None):
        raise Mistake("expected either --price to set the standing order or --off to end it")
    if off and (curve or pause):
        raise Mistake("expected --off alone")
    if side is SideName.BUY and keep != "0":
        raise Mistake("expected --keep only with sell")
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        if price is None:
            price, keep = _now_standing(community, wallet, side)
        at = community.health()
        jws = wallet.standing(
            at,
            side.value,
            price,
            keep,
            active=not off,
            id_=id_ or new_id(),
            curve=read_curve(curve),
            segment=segment.value,
            paused=pause,
        )
        answer = community.set_standing(jws)
    show(answer, tables.standing_line(answer), as_json=as_json)


@wallet_app.command(
    epilog='Example: gridtokenx wallet withdraw 25 --reference "June, Anna" --key anna.key'
)
def withdraw(
    amount: Annotated[str, typer.Argument(metavar="GRX", help="Money, such as 25.5.")],
    reference: Annotated[
        str, typer.Option(metavar="TEXT", help="The reason, which the operator reads.")
    ],
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask the operator to pay money out; it is set aside until they did."""
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        jws = wallet.withdraw(community.health(), amount, reference, id_=id_ or new_id())
        asked = community.withdraw(jws)
    show(asked, tables.withdrawal_line(asked), as_json=as_json)


def open_api(url: str) -> Api:
    """Return the community's API; its HTTP library takes half a second, which `new` need not wait
    for.
    """
    from gridtokenx_client.api import Api  # noqa: PLC0415

    return Api(url)


def _now_standing(community: Api, wallet: Wallet, side: SideName) -> tuple[str, str]:
    """Return (price, keep) of the standing order that is to be ended."""
    for order in community.orders(wallet.address).standing:
        if order.side == side:
            return order.price_grx_per_kwh, order.keep_kwh
    raise Mistake(f"expected a standing order to {side}; this wallet has none")
