"""Signed evidence: frames (COSE_Sign1 over CBOR) and instructions (compact JWS over JSON)."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

import base58
import cbor2
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_PROTECTED = bytes.fromhex("a10132")  # { 1 (alg): -19 (Ed25519) }, RFC 9864
# Typed arrays of RFC 8746, little endian: tag → struct format and bytes of an item.
_ARRAYS = {64: ("B", 1), 69: ("H", 2), 78: ("i", 4), 79: ("q", 8)}

# A frame's keys, of one value and of one value a reading.
_FIELDS = {"device": 3, "chain": 4, "seq": 5, "prev": 6, "meters": 8}
_COLUMNS = {"meter_index": 9, "time_ms": 10, "import_uwh": 11, "export_uwh": 12}


class EvidenceError(Exception):
    """A stored message that cannot be read as what it should be."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's frame. The last four are columns: entry i belongs to reading i."""

    device: bytes
    chain: bytes
    seq: int
    prev: bytes
    meters: list[str]
    meter_index: tuple[int, ...]
    time_ms: tuple[int, ...]
    import_uwh: tuple[int, ...]
    export_uwh: tuple[int, ...]

    @property
    def readings(self) -> int:
        return len(self.time_ms)


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit needs of a member's signed instruction."""

    wallet: str
    id: str
    kind: str


def read_frame(message: bytes) -> Frame:
    """Return the content of a signed frame. Raises EvidenceError."""
    _, payload, _ = _sign1(message)
    try:
        fields = cbor2.loads(payload)
        content = {name: fields[key] for name, key in _FIELDS.items()}
        columns = {name: _column(fields[key]) for name, key in _COLUMNS.items()}
        frame = msgspec.convert(content | columns, Frame)
    except (
        cbor2.CBORError,
        msgspec.ValidationError,
        struct.error,
        AttributeError,
        LookupError,
        TypeError,
    ) as error:
        raise EvidenceError(f"expected a frame: {error!r}") from None
    if len({len(column) for column in columns.values()}) != 1 or not frame.time_ms:
        raise EvidenceError("expected a frame with columns of one length")
    if max(frame.meter_index) >= len(frame.meters):
        raise EvidenceError("expected a frame whose readings name its meters")
    return frame


def frame_is_signed(message: bytes, public_key: bytes) -> bool:
    """Return whether the COSE_Sign1 signature (RFC 9052 §4.4) is that key's.

    Raises EvidenceError.
    """
    protected, payload, signature = _sign1(message)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    return _verifies(public_key, signature, signed)


def read_instruction(jws: bytes) -> Instruction:
    """Return the payload of a compact JWS. Raises EvidenceError."""
    try:
        return msgspec.json.decode(_jws_part(jws, 1), type=Instruction)
    except msgspec.DecodeError as error:
        raise EvidenceError(f"expected an instruction: {error}") from None


def instruction_is_signed(jws: bytes) -> bool:
    """Return whether the wallet that it names signed it, with Ed25519 (RFC 9864).

    Raises EvidenceError.
    """
    try:
        header = msgspec.json.decode(_jws_part(jws, 0), type=dict[str, str])
        public_key = base58.b58decode(read_instruction(jws).wallet)
    except (msgspec.DecodeError, ValueError) as error:
        raise EvidenceError(f"expected a signed instruction: {error}") from None
    signed = jws[: jws.rindex(b".")]
    return header.get("alg") == "Ed25519" and _verifies(public_key, _jws_part(jws, 2), signed)


def device_id(public_key: bytes) -> bytes:
    """Return the first 16 bytes of the key's SHA-256."""
    return hashlib.sha256(public_key).digest()[:16]


def device_text(device: bytes) -> str:
    """Return a device id as configs spell it: Base32, lower case, without padding."""
    return base64.b32encode(device).decode().rstrip("=").lower()


def _sign1(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (protected header, payload, signature) of a tagged COSE_Sign1."""
    try:
        tagged = cbor2.loads(message)
    except cbor2.CBORError as error:
        raise EvidenceError(f"expected CBOR: {error}") from None
    match tagged:
        case cbor2.CBORTag(tag=18, value=[protected, {}, bytes(payload), bytes(signature)]):
            if protected == _PROTECTED:
                return protected, payload, signature
    raise EvidenceError("expected a COSE_Sign1 with the algorithm Ed25519 and no other header")


def _column(array: Any) -> tuple[int, ...]:
    letter, width = _ARRAYS[array.tag]
    return struct.unpack(f"<{len(array.value) // width}{letter}", array.value)


def _jws_part(jws: bytes, index: int) -> bytes:
    parts = jws.split(b".")
    if len(parts) != 3:
        raise EvidenceError("expected a compact JWS of three parts")
    try:
        return base64.b64decode(
            parts[index] + b"=" * (-len(parts[index]) % 4), b"-_", validate=True
        )
    except ValueError:
        raise EvidenceError("expected Base64url") from None


def _verifies(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
