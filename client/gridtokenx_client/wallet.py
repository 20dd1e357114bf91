"""A wallet: a key file, and the instructions that its key signs.

Everything that is signed is checked here first, with the reader that the backend uses too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_client.answers import Health
from gridtokenx_client.problem import Mistake
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import (
    create_private_key,
    load_private_key,
    parse_public_key,
    public_key_text,
)
from gridtokenx_wire.order import (
    Amend,
    Cancel,
    CancelAll,
    Instruction,
    Order,
    RecRetire,
    RecTransfer,
    Standing,
    Withdraw,
    parse_instruction,
    sign_instruction,
)
from gridtokenx_wire.read_token import ReadToken, sign_read_token
from gridtokenx_wire.units import parse_grx, parse_kwh

Side = Literal["buy", "sell"]
Segment = Literal["realtime", "interval"]
_READ_MS = 300_000


def new_id() -> str:
    """Return a client order id that nobody used before."""
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
        """Create a wallet in a new file. Raises FileExistsError and KeyFileError."""
        return cls(create_private_key(file))

    @classmethod
    def load(cls, file: Path) -> Self:
        """Return the wallet whose key is in `file`. Raises KeyFileError."""
        return cls(load_private_key(file))

    def order(
        self, at: Health, side: Side, quantity_kwh: str, price: str, *, ioc: bool, id_: str
    ) -> str:
        """Return a signed order to buy or sell at `price` GRX for each kWh or better."""
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
        """Return a signed order with anything that an Order may say: type, tif, expiry, segment and
        so on.
        """
        price = terms.get("price_grx_per_kwh") or "1"
        check_amounts(terms["quantity_kwh"], price)
        if minimum := terms.get("min_quantity_kwh"):
            check_amount("least quantity in kWh", minimum)
        return self._sign(Order(**self._common(at, id_), **terms))

    def amend(self, at: Health, order: str, quantity_kwh: str, price: str, *, id_: str) -> str:
        """Return a signed change of an open order. An empty amount stays as it is."""
        check_amounts(quantity_kwh or "1", price or "1")
        amend = Amend(
            **self._common(at, id_),
            order=order,
            quantity_kwh=quantity_kwh,
            price_grx_per_kwh=price,
        )
        return self._sign(amend)

    def cancel_all(self, at: Health, *, id_: str, **which: Any) -> str:
        """Return a signed cancellation of all open orders, or of those of one `side` or
        `segment`.
        """
        return self._sign(CancelAll(**self._common(at, id_), **which))

    def cancel(self, at: Health, order: str, *, id_: str) -> str:
        """Return a signed cancellation of what is left of the order with the id `order`."""
        return self._sign(Cancel(**self._common(at, id_), order=order))

    def standing(
        self,
        at: Health,
        side: Side,
        price: str,
        keep_kwh: str,
        *,
        active: bool,
        id_: str,
        curve: Sequence[tuple[int, str]] = (),
        segment: Segment = "realtime",
        paused: bool = False,
    ) -> str:
        """Return a signed standing order, which trades by itself from now on, or no longer.

        `curve` has (from_hour, price): where its hours begin, other prices than `price` hold.
        """
        for each in (price, *(there for _, there in curve)):
            check_amounts("1", each, keep_kwh)
        standing = Standing(
            **self._common(at, id_),
            side=side,
            price_grx_per_kwh=price,
            keep_kwh=keep_kwh,
            active=active,
            segment=segment,
            curve=list(curve),
            paused=paused,
        )
        return self._sign(standing)

    def withdraw(self, at: Health, amount_grx: str, reference: str, *, id_: str) -> str:
        """Return a signed request to have money paid out by the operator."""
        _check("amount in GRX", amount_grx, parse_grx, 1)
        common = self._common(at, id_)
        return self._sign(Withdraw(**common, amount_grx=amount_grx, reference=reference))

    def rec_transfer(self, at: Health, serial: str, to: str, *, id_: str) -> str:
        """Return a signed transfer of a certificate to another wallet."""
        try:
            parse_public_key(to)
        except ValueError as error:
            raise Mistake(f"address: {error}") from None
        return self._sign(RecTransfer(**self._common(at, id_), serial=serial, to=to))

    def rec_retire(self, at: Health, serial: str, beneficiary: str, *, id_: str) -> str:
        """Return a signed retirement of a certificate in the name of a beneficiary."""
        common = self._common(at, id_)
        return self._sign(RecRetire(**common, serial=serial, beneficiary=beneficiary))

    def read_token(self, at: Health) -> str:
        """Return a signed token to read what is this wallet's. It is good for five minutes."""
        expires_ms = at.time_ms + _READ_MS
        token = ReadToken(
            v=1,
            community=at.community,
            wallet=self.address,
            issued_ms=at.time_ms,
            expires_ms=expires_ms,
        )
        return sign_read_token(token, self._key)

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
    """Raise Mistake, naming the amount, unless an order can say all of these."""
    for name, text, parse, least in (
        ("quantity in kWh", quantity_kwh, parse_kwh, 1),
        ("price in GRX for each kWh", price, parse_grx, 1),
        ("kWh to keep", keep_kwh, parse_kwh, 0),
    ):
        _check(name, text, parse, least)


def check_amount(name: str, text: str) -> None:
    """Raise Mistake, with the amount's name, unless it is an energy above 0 kWh."""
    _check(name, text, parse_kwh, 1)


def _check(name: str, text: str, parse: Callable[[str], int], least: int) -> None:
    try:
        value = parse(text)
    except ValueError as error:
        raise Mistake(f"{name}: {error}") from None
    if value < least:
        what = "expected more than 0" if least else "expected 0 or more"
        raise Mistake(f"{name}: {what}, got {text!r}")


def read_curve(text: str) -> list[tuple[int, str]]:
    """Return `7:0.3,20:0.2` as [(7, "0.3"), (20, "0.2")]. Raises Mistake."""
    curve = []
    for part in text.split(",") if text else ():
        hour, colon, price = part.strip().partition(":")
        if not colon or not (hour.isascii() and hour.isdecimal()) or int(hour) > 23:
            raise Mistake(f"--curve: expected HOUR:GRX,... such as 7:0.3,20:0.2, got {text!r}")
        curve.append((int(hour), price.strip()))
    if [hour for hour, _ in curve] != sorted({hour for hour, _ in curve}):
        raise Mistake(f"--curve: expected ascending hours, got {text!r}")
    return curve
