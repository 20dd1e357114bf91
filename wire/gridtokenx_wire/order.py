"""A member's signed instruction: a compact JWS (RFC 7515) with `alg: Ed25519` (RFC 9864 §2.2).

The payload is JSON, told apart by `kind`. The signing key is the wallet that the payload names:
its address is the Base58 of the public key, so whoever can sign for it owns it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire.errors import WireError
from gridtokenx_wire.jws import decode_base64url, encode_base64url
from gridtokenx_wire.keys import parse_public_key
from gridtokenx_wire.units import parse_grx, parse_kwh

MAX_JWS_BYTES = 4096
_TYP = "gridtokenx-order+jws"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class _Instruction(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", gc=False
):
    """What all instructions say. `id` is the client's: a retry repeats it with the same content."""

    v: Literal[1]
    community: str
    wallet: str
    id: str
    issued_ms: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Order(_Instruction, frozen=True, tag="order", gc=False, omit_defaults=True):
    """Buy or sell `quantity_kwh` at `price_grx_per_kwh` or better; a market order has no price.

    GTC rests until it is filled or cancelled, GTT until `expires_ms` at most; IOC trades what it
    can at once, FOK all or nothing. Unless at least `min_quantity_kwh` trades at once, nothing
    does. A `post_only` order never trades at once. `stp` says what happens when it meets an order
    of its own wallet.
    """

    side: Literal["buy", "sell"]
    quantity_kwh: str
    price_grx_per_kwh: str = ""
    tif: Literal["GTC", "IOC", "FOK", "GTT"] = "GTC"
    segment: Literal["realtime", "interval"] = "realtime"
    type: Literal["limit", "market"] = "limit"
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    post_only: bool = False
    min_quantity_kwh: str = ""
    stp: Literal["skip", "cancel_resting", "cancel_incoming"] = "skip"

    @property
    def quantity_uwh(self) -> int:
        return parse_kwh(self.quantity_kwh)

    @property
    def price_ugrx(self) -> int:
        return parse_grx(self.price_grx_per_kwh)

    @property
    def min_quantity_uwh(self) -> int:
        return parse_kwh(self.min_quantity_kwh) if self.min_quantity_kwh else 0


class Amend(_Instruction, frozen=True, tag="amend", gc=False, omit_defaults=True):
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


class Cancel(_Instruction, frozen=True, tag="cancel", gc=False):
    """Withdraw what is left of the order whose client id is `order`."""

    order: str


class CancelAll(_Instruction, frozen=True, tag="cancel_all", gc=False, omit_defaults=True):
    """Withdraw all open orders of the wallet, of one segment or side if it is named."""

    segment: Literal["", "realtime", "interval"] = ""
    side: Literal["", "buy", "sell"] = ""


class Standing(_Instruction, frozen=True, tag="standing", gc=False):
    """Trade without being asked, until `active` is false. One for each wallet and side.

    sell: whatever GRID is free, above `keep_kwh`, at the price or more.
    buy: what the wallet's meters have imported and it has not bought yet, at the price or less.

    In the segment interval each clearing gets what the meters moved since the one before.
    `curve` has [from_hour, price], hours ascending from 0 to 23 in the community's time zone; a
    price holds until the next hour of the curve, and `price_grx_per_kwh` before its first.
    """

    side: Literal["buy", "sell"]
    price_grx_per_kwh: str
    keep_kwh: str = "0"
    active: bool = True
    segment: Literal["realtime", "interval"] = "realtime"
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


class Withdraw(_Instruction, frozen=True, tag="withdraw", gc=False):
    """Pay out `amount_grx`; `reference` says what for, and is told to the operator."""

    amount_grx: str
    reference: str

    @property
    def amount_ugrx(self) -> int:
        return parse_grx(self.amount_grx)


class RecTransfer(_Instruction, frozen=True, tag="rec_transfer", gc=False):
    """Give the certificate with this serial number to the wallet `to`."""

    serial: str
    to: str


class RecRetire(_Instruction, frozen=True, tag="rec_retire", gc=False):
    """Use the certificate with this serial number up, in the name of `beneficiary`."""

    serial: str
    beneficiary: str


Instruction = Order | Cancel | Amend | CancelAll | Standing | Withdraw | RecTransfer | RecRetire


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    typ: Literal["gridtokenx-order+jws"] | None = None
    kid: str | None = None


class SignedInstruction(msgspec.Struct, frozen=True):
    """A parsed JWS: not verified until `signature` over `signed` was, under `public_key`."""

    instruction: Instruction
    public_key: bytes
    signed: bytes
    signature: bytes


_header_decoder = msgspec.json.Decoder(_Header)
_payload_decoder = msgspec.json.Decoder(Instruction)
_HEADER = encode_base64url(msgspec.json.encode({"alg": "Ed25519", "typ": _TYP}))


def sign_instruction(instruction: Instruction, key: Ed25519PrivateKey) -> str:
    """The compact JWS. The caller puts the key's own wallet address into the instruction."""
    signed = _HEADER + b"." + encode_base64url(msgspec.json.encode(instruction))
    return (signed + b"." + encode_base64url(key.sign(signed))).decode()


def parse_instruction(jws: bytes) -> SignedInstruction:
    """Checks everything of a JWS but its signature. Raises WireError saying what was expected."""
    if len(jws) > MAX_JWS_BYTES:
        raise WireError(f"expected a JWS of at most {MAX_JWS_BYTES} bytes")
    parts = jws.split(b".")
    if len(parts) != 3:
        raise WireError("expected a compact JWS: header.payload.signature")
    header, payload, signature = (decode_base64url(part) for part in parts)
    if parts[0] != _HEADER:
        _decode_header(header)
    try:
        instruction = _payload_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"payload: {error}") from None
    if len(signature) != 64:
        raise WireError("expected an Ed25519 signature of 64 bytes")
    if _ID.fullmatch(instruction.id) is None:
        raise WireError("payload: expected an id of 1 to 64 letters, digits, '.', '_' or '-'")
    try:
        public_key = parse_public_key(instruction.wallet)
    except ValueError as error:
        raise WireError(f"payload: wallet: {error}") from None
    return SignedInstruction(instruction, public_key, parts[0] + b"." + parts[1], signature)


def _decode_header(header: bytes) -> None:
    try:
        _header_decoder.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"header: {error}") from None


def open_instruction(jws: bytes) -> Instruction:
    """The instruction of a JWS signed by the wallet that it names. Raises WireError."""
    parsed = parse_instruction(jws)
    try:
        Ed25519PublicKey.from_public_bytes(parsed.public_key).verify(
            parsed.signature, parsed.signed
        )
    except InvalidSignature:
        raise WireError("expected a signature by the wallet") from None
    return parsed.instruction
