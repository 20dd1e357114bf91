"""A member's signed instruction: a compact JWS (RFC 7515) with `alg: Ed25519` (RFC 9864 §2.2).

The payload is JSON, told apart by `kind`. The signing key is the wallet that the payload names:
its address is the Base58 of the public key, so whoever can sign for it owns it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import jws
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import parse_public_key
from gridtokenx_wire.units import parse_grx, parse_kwh

MAX_JWS_BYTES = 4096
_KIND = jws.Kind(typ="gridtokenx-order+jws", max_bytes=MAX_JWS_BYTES, is_signed_by_others=True)
Side = Literal["buy", "sell"]
Segment = Literal["realtime", "interval"]
"""The market that an order is for: the continuous one, or the auction of each interval."""
TimeInForce = Literal["GTC", "IOC", "FOK", "GTT"]
SelfTradePrevention = Literal["skip", "cancel_resting", "cancel_incoming"]
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class _Instruction(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    gc=False,
):
    """The fields of all instructions.

    `id` is the client's: a retry repeats it with the same content.
    """

    v: Literal[1]
    community: str
    wallet: str
    id: str
    issued_ms: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Order(_Instruction, frozen=True, kw_only=True, tag="order", gc=False, omit_defaults=True):
    """Buy or sell `quantity_kwh` at `price_grx_per_kwh` or better; a market order has no price.

    GTC rests until it is filled or cancelled, GTT until `expires_ms` at most; IOC trades what it
    can at once, FOK all or nothing. Unless at least `min_quantity_kwh` trades at once, nothing
    does. A `post_only` order never trades at once. `stp` says what happens when it meets an order
    of its own wallet.
    """

    side: Side
    quantity_kwh: str
    price_grx_per_kwh: str = ""
    tif: TimeInForce = "GTC"
    segment: Segment = "realtime"
    type: Literal["limit", "market"] = "limit"
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    post_only: bool = False
    min_quantity_kwh: str = ""
    stp: SelfTradePrevention = "skip"

    @property
    def quantity_uwh(self) -> int:
        return parse_kwh(self.quantity_kwh)

    @property
    def price_ugrx(self) -> int:
        return parse_grx(self.price_grx_per_kwh)

    @property
    def min_quantity_uwh(self) -> int:
        return parse_kwh(self.min_quantity_kwh) if self.min_quantity_kwh else 0


class Amend(_Instruction, frozen=True, kw_only=True, tag="amend", gc=False, omit_defaults=True):
    """Change the open order whose client id is `order`; what is empty stays.

    `quantity_kwh` is what it is for in all, with what it has traded. Less of it keeps its priority;
    more, or another price, is a new order in the place of the former.
    """

    order: str
    quantity_kwh: str = ""
    price_grx_per_kwh: str = ""

    @property
    def quantity_uwh(self) -> int:
        return parse_kwh(self.quantity_kwh)

    @property
    def price_ugrx(self) -> int:
        return parse_grx(self.price_grx_per_kwh)


class Cancel(_Instruction, frozen=True, kw_only=True, tag="cancel", gc=False):
    """Withdraw what is left of the order whose client id is `order`."""

    order: str


class CancelAll(
    _Instruction, frozen=True, kw_only=True, tag="cancel_all", gc=False, omit_defaults=True
):
    """Withdraw all open orders of the wallet, of one segment or side if it is named."""

    segment: Segment | Literal[""] = ""
    side: Side | Literal[""] = ""


class Standing(_Instruction, frozen=True, kw_only=True, tag="standing", gc=False):
    """An order to trade without being asked, until `active` is false. One for each wallet and side.

    sell: whatever GRID is free, above `keep_kwh`, at the price or more.
    buy: what the wallet's meters have imported and it has not bought yet, at the price or less.

    In the segment interval each clearing gets what the meters moved since the one before.
    `curve` has [from_hour, price], hours ascending from 0 to 23 in the community's time zone; a
    price holds until the next hour of the curve, and `price_grx_per_kwh` before its first.
    """

    side: Side
    price_grx_per_kwh: str
    keep_kwh: str = "0"
    active: bool = True
    segment: Segment = "realtime"
    curve: list[tuple[int, str]] = []
    paused: bool = False

    @property
    def price_ugrx(self) -> int:
        return parse_grx(self.price_grx_per_kwh)

    @property
    def keep_uwh(self) -> int:
        return parse_kwh(self.keep_kwh)

    @property
    def curve_ugrx(self) -> tuple[tuple[int, int], ...]:
        return tuple((from_hour, parse_grx(price)) for from_hour, price in self.curve)


class Withdraw(_Instruction, frozen=True, kw_only=True, tag="withdraw", gc=False):
    """Pay out `amount_grx`; `reference` says what for, and is told to the operator."""

    amount_grx: str
    reference: str

    @property
    def amount_ugrx(self) -> int:
        return parse_grx(self.amount_grx)


class RecTransfer(_Instruction, frozen=True, kw_only=True, tag="rec_transfer", gc=False):
    """Give the certificate with this serial number to the wallet `to`."""

    serial: str
    to: str


class RecRetire(_Instruction, frozen=True, kw_only=True, tag="rec_retire", gc=False):
    """Use the certificate with this serial number up, in the name of `beneficiary`."""

    serial: str
    beneficiary: str


Instruction = Order | Cancel | Amend | CancelAll | Standing | Withdraw | RecTransfer | RecRetire


class SignedInstruction(msgspec.Struct, frozen=True, gc=False):
    """A parsed instruction. It is not verified until `signed` was, under `public_key`."""

    instruction: Instruction
    public_key: bytes
    signed: jws.Signed


_decoder = msgspec.json.Decoder(Instruction)


def sign_instruction(instruction: Instruction, key: Ed25519PrivateKey) -> str:
    """Return the compact JWS. The instruction must name the wallet whose key this is."""
    return jws.sign(msgspec.json.encode(instruction), _KIND, key)


def parse_instruction(message: bytes) -> SignedInstruction:
    """Return the parts of a JWS of which all but the signature has been checked.

    Raises WireError saying what was expected.
    """
    signed = jws.split(message, _KIND)
    try:
        instruction = _decoder.decode(signed.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"payload: {error}") from None
    if _ID.fullmatch(instruction.id) is None:
        raise WireError("payload: expected an id of 1 to 64 letters, digits, '.', '_' or '-'")
    try:
        public_key = parse_public_key(instruction.wallet)
    except ValueError as error:
        raise WireError(f"payload: wallet: {error}") from None
    return SignedInstruction(instruction, public_key, signed)


def open_instruction(message: bytes) -> Instruction:
    """Return the instruction of a JWS that its wallet has signed. Raises WireError."""
    parsed = parse_instruction(message)
    jws.verify(parsed.signed, parsed.public_key, "the wallet")
    return parsed.instruction
