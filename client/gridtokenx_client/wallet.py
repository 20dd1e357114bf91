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
from gridtokenx_wire.order import Cancel, Order, Standing, parse_instruction, sign_instruction
from gridtokenx_wire.read_token import ReadToken, sign_read_token
from gridtokenx_wire.units import parse_grx, parse_kwh

Side = Literal["buy", "sell"]
_READ_MS = 300_000


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

    def read_token(self, at: Health) -> str:
        """Good for five minutes, to read what is this wallet's."""
        expires_ms = at.time_ms + _READ_MS
        token = ReadToken(1, at.community, self.address, at.time_ms, expires_ms)
        return sign_read_token(token, self._key)

    def _common(self, at: Health, id_: str) -> dict[str, Any]:
        return {
            "v": 1,
            "community": at.community,
            "wallet": self.address,
            "id": id_,
            "issued_ms": at.time_ms,
        }

    def _sign(self, instruction: Order | Cancel | Standing) -> str:
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
