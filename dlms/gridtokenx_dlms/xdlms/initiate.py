"""InitiateRequest and InitiateResponse: what both ends can do (Green Book 9.4.4.4.3)."""

from __future__ import annotations

from enum import IntFlag

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import encode_length
from gridtokenx_dlms.errors import MalformedError

INITIATE_REQUEST_TAG, INITIATE_RESPONSE_TAG = 0x01, 0x08
DLMS_VERSION = 6
LOGICAL_NAMES_VAA = 0x0007
SHORT_NAMES_VAA = 0xFA00
# [APPLICATION 31] IMPLICIT BIT STRING (SIZE(24)): BER, with no unused bits.
_CONFORMANCE_HEADER = bytes.fromhex("5F1F0400")
_OLD_CONFORMANCE_HEADER = bytes.fromhex("5F0400")


class Conformance(IntFlag):
    """The services; bit 0 of the standard is the highest of 24."""

    GENERAL_PROTECTION = 1 << 22
    GENERAL_BLOCK_TRANSFER = 1 << 21
    READ = 1 << 20
    WRITE = 1 << 19
    UNCONFIRMED_WRITE = 1 << 18
    DELTA_VALUE_ENCODING = 1 << 17
    ATTRIBUTE0_SET = 1 << 15
    PRIORITY = 1 << 14
    ATTRIBUTE0_GET = 1 << 13
    BLOCK_TRANSFER_GET = 1 << 12
    BLOCK_TRANSFER_SET = 1 << 11
    BLOCK_TRANSFER_ACTION = 1 << 10
    MULTIPLE_REFERENCES = 1 << 9
    INFORMATION_REPORT = 1 << 8
    DATA_NOTIFICATION = 1 << 7
    ACCESS = 1 << 6
    PARAMETERIZED_ACCESS = 1 << 5
    GET = 1 << 4
    SET = 1 << 3
    SELECTIVE_ACCESS = 1 << 2
    EVENT_NOTIFICATION = 1 << 1
    ACTION = 1 << 0


SPOKEN = (
    Conformance.GENERAL_PROTECTION
    | Conformance.BLOCK_TRANSFER_GET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.ACTION
)
"""What this library does, as a client and as a server."""


class InitiateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A client's proposal of services and sizes.

    `max_pdu_bytes` is what the client can receive; 0 sets no limit.
    """

    conformance: Conformance
    max_pdu_bytes: int
    dedicated_key: bytes = b""
    response_allowed: bool = True
    quality_of_service: int | None = None
    version: int = DLMS_VERSION

    def __repr__(self) -> str:  # the dedicated key is a secret
        return f"InitiateRequest({self.conformance!r}, {self.max_pdu_bytes})"

    def to_bytes(self) -> bytes:
        key = self.dedicated_key
        quality = self.quality_of_service
        return b"".join(
            (
                bytes((INITIATE_REQUEST_TAG,)),
                b"\x01" + encode_length(len(key)) + key if key else b"\x00",
                b"\x00" if self.response_allowed else b"\x01\x00",
                b"\x00" if quality is None else bytes((1, quality)),
                bytes((self.version,)),
                _CONFORMANCE_HEADER,
                self.conformance.to_bytes(3, "big"),
                self.max_pdu_bytes.to_bytes(2, "big"),
            )
        )


class InitiateResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A server's answer to a proposal.

    `max_pdu_bytes` is what the server can receive; `vaa` tells logical from short names.
    """

    conformance: Conformance
    max_pdu_bytes: int
    vaa: int = LOGICAL_NAMES_VAA
    quality_of_service: int | None = None
    version: int = DLMS_VERSION

    def to_bytes(self) -> bytes:
        quality = self.quality_of_service
        return b"".join(
            (
                bytes((INITIATE_RESPONSE_TAG,)),
                b"\x00" if quality is None else bytes((1, quality)),
                bytes((self.version,)),
                _CONFORMANCE_HEADER,
                self.conformance.to_bytes(3, "big"),
                self.max_pdu_bytes.to_bytes(2, "big"),
                self.vaa.to_bytes(2, "big"),
            )
        )


def parse_initiate_request(message: bytes) -> InitiateRequest:
    """Return the request in a message. Raises MalformedError."""
    reader = Reader(message)
    _expect_tag(reader, INITIATE_REQUEST_TAG)
    key = reader.octets() if _is_present(reader) else b""
    allowed = bool(reader.byte()) if _is_present(reader) else True
    quality = reader.byte() if _is_present(reader) else None
    version = reader.byte()
    conformance = _conformance(reader)
    size = int.from_bytes(reader.take(2), "big")
    reader.end()
    return InitiateRequest(
        conformance=conformance,
        max_pdu_bytes=size,
        dedicated_key=key,
        response_allowed=allowed,
        quality_of_service=quality,
        version=version,
    )


def parse_initiate_response(message: bytes) -> InitiateResponse:
    """Return the response in a message. Raises MalformedError."""
    reader = Reader(message)
    _expect_tag(reader, INITIATE_RESPONSE_TAG)
    quality = reader.byte() if _is_present(reader) else None
    version = reader.byte()
    conformance = _conformance(reader)
    size = int.from_bytes(reader.take(2), "big")
    vaa = int.from_bytes(reader.take(2), "big")
    reader.end()
    return InitiateResponse(
        conformance=conformance,
        max_pdu_bytes=size,
        vaa=vaa,
        quality_of_service=quality,
        version=version,
    )


def _expect_tag(reader: Reader, tag: int) -> None:
    found = reader.byte()
    if found != tag:
        raise MalformedError(f"expected the tag 0x{tag:02X}, got 0x{found:02X}")


def _is_present(reader: Reader) -> bool:
    flag = reader.byte()
    if flag not in {0, 1}:
        raise MalformedError(f"expected 0 or 1 before an optional field, got {flag}")
    return bool(flag)


def _conformance(reader: Reader) -> Conformance:
    header = reader.take(3)
    if header != _OLD_CONFORMANCE_HEADER:  # which some meters still write
        header += reader.take(1)
        if header != _CONFORMANCE_HEADER:
            raise MalformedError("expected a conformance block of 24 bits")
    return Conformance(int.from_bytes(reader.take(3), "big") & 0x7FFFFF)
