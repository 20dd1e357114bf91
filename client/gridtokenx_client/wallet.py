"""A wallet: a key file, and the instructions that its key signs.

Everything that is signed is checked here first, with the reader that the backend uses too.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_client.answers import Health
from gridtokenx_client.problem import Mistake
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import create_private_key, load_private_key, public_key_text
from gridtokenx_wire.order import (
    Amend,
    Cancel,
    CancelAll,
    Instruction,
    Order,
    Standing,
    parse_instruction,
    sign_instruction,
)
from gridtokenx_wire.units import parse_grx, parse_kwh

Side = Literal["buy", "sell"]


def new_id() -> str:
    """A client order id that nobody used before."""
    return secrets.token_hex(8)


class Wallet:
    """Signs for one address. `at` gives the community and its time; amounts are decimal strings.

    Its methods return the compact JWS to send and raise Mistake for what no community takes.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.address = public_key_text(key.public_key())

    @classmethod
    def create(cls, file: Path) -> Self:
        """A new wallet in a new file. Raises FileExistsError and KeyFileError."""
        return cls(create_private_key(file))

    @classmethod
    def load(cls, file: Path) -> Self:
        """Raises KeyFileError."""
        return cls(load_private_key(file))

    def order(
        self, at: Health, side: Side, quantity_kwh: str, price: str, *, ioc: bool, id_: str
    ) -> str:
        """Buy or sell at `price` GRX for each kWh or better."""
        check_amounts(quantity_kwh, price)
        order = Order(
            **self._common(at, id_),
            side=side,
            quantity_kwh=quantity_kwh,
            price_grx_per_kwh=price,
            tif="IOC" if ioc else "GTC",
        )
        return self._sign(order)

    def order_of(self, at: Health, *, id_: str, **terms: Any) -> str:
        """An order with whatever an Order may say: type, tif, expiry, segment and the like."""
        price = terms.get("price_grx_per_kwh") or "1"
        check_amounts(terms["quantity_kwh"], price)
        if minimum := terms.get("min_quantity_kwh"):
            check_amounts(minimum, price)
        return self._sign(Order(**self._common(at, id_), **terms))

    def amend(self, at: Health, order: str, quantity_kwh: str, price: str, *, id_: str) -> str:
        """Change an open order; an empty amount stays."""
        check_amounts(quantity_kwh or "1", price or "1")
        amend = Amend(
            **self._common(at, id_),
            order=order,
            quantity_kwh=quantity_kwh,
            price_grx_per_kwh=price,
        )
        return self._sign(amend)

    def cancel_all(self, at: Health, *, id_: str, **which: Any) -> str:
        """Withdraw all open orders, of one `side` or `segment` if it is named."""
        return self._sign(CancelAll(**self._common(at, id_), **which))

    def cancel(self, at: Health, order: str, *, id_: str) -> str:
        """Withdraw what is left of the order with the id `order`."""
        return self._sign(Cancel(**self._common(at, id_), order=order))

    def standing(
        self, at: Health, side: Side, price: str, keep_kwh: str, *, active: bool, id_: str
    ) -> str:
        """Trade without being asked from now on, or no longer."""
        check_amounts("1", price, keep_kwh)
        standing = Standing(
            **self._common(at, id_),
            side=side,
            price_grx_per_kwh=price,
            keep_kwh=keep_kwh,
            active=active,
        )
        return self._sign(standing)

    def _common(self, at: Health, id_: str) -> dict[str, Any]:
        return {
            "v": 1,
            "community": at.community,
            "wallet": self.address,
            "id": id_,
            "issued_ms": at.time_ms,
        }

    def _sign(self, instruction: Instruction) -> str:
        jws = sign_instruction(instruction, self._key)
        try:
            parse_instruction(jws.encode())
        except WireError as error:
            raise Mistake(str(error).removeprefix("payload: ")) from None
        return jws


def check_amounts(quantity_kwh: str, price: str, keep_kwh: str = "0") -> None:
    """Raises Mistake, naming the amount, unless all are what an order can say."""
    for name, text, parse, least in (
        ("quantity in kWh", quantity_kwh, parse_kwh, 1),
        ("price in GRX for each kWh", price, parse_grx, 1),
        ("kWh to keep", keep_kwh, parse_kwh, 0),
    ):
        try:
            value = parse(text)
        except ValueError as error:
            raise Mistake(f"{name}: {error}") from None
        if value < least:
            what = "expected more than 0" if least else "expected 0 or more"
            raise Mistake(f"{name}: {what}, got {text!r}")
