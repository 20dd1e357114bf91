"""Opening and closing an association (Green Book 9.4): AARQ, AARE, RLRQ and RLRE in BER."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from gridtokenx_dlms.ber import parse_fields, parse_one, tlv
from gridtokenx_dlms.errors import MalformedError, UnsupportedError

AARQ_TAG, AARE_TAG, RLRQ_TAG, RLRE_TAG = 0x60, 0x61, 0x62, 0x63
# The arcs of the DLMS User Association: 2.16.756.5.8, application context (1), mechanism (2).
_CONTEXT_ARC = bytes.fromhex("608574050801")
_MECHANISM_ARC = bytes.fromhex("608574050802")
_OBJECT_IDENTIFIER, _INTEGER, _OCTET_STRING = 0x06, 0x02, 0x04
_CHARSTRING = 0x80
# Bit 0 of the ACSE requirements: the authentication functional unit.
_AUTHENTICATION_UNIT = bytes.fromhex("0780")


class ContextName(IntEnum):
    """Which referencing, and whether messages are ciphered."""

    LOGICAL_NAMES = 1
    SHORT_NAMES = 2
    LOGICAL_NAMES_CIPHERED = 3
    SHORT_NAMES_CIPHERED = 4


class Mechanism(IntEnum):
    """How the ends prove who they are."""

    NONE = 0
    LOW = 1
    HIGH = 2
    HIGH_MD5 = 3
    HIGH_SHA1 = 4
    HIGH_GMAC = 5
    HIGH_SHA256 = 6
    HIGH_ECDSA = 7


class AssociationResult(IntEnum):
    """Whether an association was established."""

    ACCEPTED = 0
    REJECTED_PERMANENT = 1
    REJECTED_TRANSIENT = 2


class Diagnostic(Enum):
    """Why, by the server's ACSE user (1) or its provider (2)."""

    NULL = (1, 0)
    NO_REASON = (1, 1)
    CONTEXT_NOT_SUPPORTED = (1, 2)
    CALLING_TITLE_NOT_RECOGNISED = (1, 3)
    MECHANISM_NOT_RECOGNISED = (1, 11)
    MECHANISM_REQUIRED = (1, 12)
    AUTHENTICATION_FAILURE = (1, 13)
    AUTHENTICATION_REQUIRED = (1, 14)
    PROVIDER_NULL = (2, 0)
    PROVIDER_NO_REASON = (2, 1)
    NO_COMMON_VERSION = (2, 2)
    OTHER = (0, 0)


_DIAGNOSTICS = {diagnostic.value: diagnostic for diagnostic in Diagnostic}


class Aarq(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an association. `user_information` holds an InitiateRequest."""

    context: ContextName
    user_information: bytes
    mechanism: Mechanism = Mechanism.NONE
    authentication: bytes | None = None
    """The password of low level security, or the client's challenge."""
    calling_title: bytes = b""

    def __repr__(self) -> str:  # the authentication may be a password
        return f"Aarq(context={self.context.name}, mechanism={self.mechanism.name})"

    def to_bytes(self) -> bytes:
        parts = [tlv(0xA1, tlv(_OBJECT_IDENTIFIER, _CONTEXT_ARC + bytes((self.context,))))]
        if self.calling_title:
            parts.append(tlv(0xA6, tlv(_OCTET_STRING, self.calling_title)))
        if self.mechanism is not Mechanism.NONE:
            parts.append(tlv(0x8A, _AUTHENTICATION_UNIT))
            parts.append(tlv(0x8B, _MECHANISM_ARC + bytes((self.mechanism,))))
        if self.authentication is not None:
            parts.append(tlv(0xAC, tlv(_CHARSTRING, self.authentication)))
        parts.append(tlv(0xBE, tlv(_OCTET_STRING, self.user_information)))
        return tlv(AARQ_TAG, b"".join(parts))


class Aare(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `user_information` holds an InitiateResponse, or says why there is none."""

    context: ContextName
    result: AssociationResult
    diagnostic: Diagnostic
    user_information: bytes = b""
    mechanism: Mechanism = Mechanism.NONE
    authentication: bytes | None = None
    """The server's challenge."""
    responding_title: bytes = b""

    def to_bytes(self) -> bytes:
        source, code = self.diagnostic.value
        source_tag = 0xA2 if source == 2 else 0xA1
        parts = [
            tlv(0xA1, tlv(_OBJECT_IDENTIFIER, _CONTEXT_ARC + bytes((self.context,)))),
            tlv(0xA2, tlv(_INTEGER, bytes((self.result,)))),
            tlv(0xA3, tlv(source_tag, tlv(_INTEGER, bytes((code,))))),
        ]
        if self.responding_title:
            parts.append(tlv(0xA4, tlv(_OCTET_STRING, self.responding_title)))
        if self.mechanism is not Mechanism.NONE:
            parts.append(tlv(0x88, _AUTHENTICATION_UNIT))
            parts.append(tlv(0x89, _MECHANISM_ARC + bytes((self.mechanism,))))
        if self.authentication is not None:
            parts.append(tlv(0xAA, tlv(_CHARSTRING, self.authentication)))
        if self.user_information:
            parts.append(tlv(0xBE, tlv(_OCTET_STRING, self.user_information)))
        return tlv(AARE_TAG, b"".join(parts))


def parse_aarq(message: bytes) -> Aarq:
    """Return the request in a message.

    Raises MalformedError, UnsupportedError (an unknown context or mechanism).
    """
    fields = parse_fields(parse_one(message, AARQ_TAG))
    return Aarq(
        context=_context(fields),
        user_information=_user_information(fields),
        mechanism=_mechanism(fields.get(0x8B)),
        authentication=_authentication(fields.get(0xAC)),
        calling_title=_title(fields.get(0xA6)),
    )


def parse_aare(message: bytes) -> Aare:
    """Return the answer in a message.

    Raises MalformedError, UnsupportedError (an unknown context or mechanism).
    """
    fields = parse_fields(parse_one(message, AARE_TAG))
    result = _integer(parse_one(_required(fields, 0xA2), _INTEGER))
    if result not in set(AssociationResult):
        raise MalformedError(f"expected an association result of 0 to 2, got {result}")
    return Aare(
        context=_context(fields),
        result=AssociationResult(result),
        diagnostic=_diagnostic(_required(fields, 0xA3)),
        user_information=_user_information(fields),
        mechanism=_mechanism(fields.get(0x89)),
        authentication=_authentication(fields.get(0xAA)),
        responding_title=_title(fields.get(0xA4)),
    )


def _required(fields: dict[int, bytes], tag: int) -> bytes:
    if tag not in fields:
        raise MalformedError(f"expected the field 0x{tag:02X}")
    return fields[tag]


def _context(fields: dict[int, bytes]) -> ContextName:
    number = _last_arc(parse_one(_required(fields, 0xA1), _OBJECT_IDENTIFIER), _CONTEXT_ARC)
    if number not in set(ContextName):
        raise UnsupportedError(f"expected an application context of 1 to 4, got {number}")
    return ContextName(number)


def _mechanism(value: bytes | None) -> Mechanism:
    if value is None:
        return Mechanism.NONE
    number = _last_arc(value, _MECHANISM_ARC)
    if number not in set(Mechanism):
        raise UnsupportedError(f"expected an authentication mechanism of 0 to 7, got {number}")
    return Mechanism(number)


def _last_arc(identifier: bytes, arc: bytes) -> int:
    if len(identifier) != len(arc) + 1 or identifier[:-1] != arc:
        raise UnsupportedError("expected an object identifier of the DLMS User Association")
    return identifier[-1]


def _authentication(value: bytes | None) -> bytes | None:
    return None if value is None else parse_one(value, _CHARSTRING)


def _title(value: bytes | None) -> bytes:
    return b"" if value is None else parse_one(value, _OCTET_STRING)


def _user_information(fields: dict[int, bytes]) -> bytes:
    return parse_one(fields[0xBE], _OCTET_STRING) if 0xBE in fields else b""


def _diagnostic(value: bytes) -> Diagnostic:
    source = 2 if value[:1] == b"\xa2" else 1
    code = _integer(parse_one(parse_one(value, 0xA0 | source), _INTEGER))
    return _DIAGNOSTICS.get((source, code), Diagnostic.OTHER)


def _integer(value: bytes) -> int:
    if len(value) != 1:
        raise MalformedError("expected an integer of one byte")
    return value[0]


class Release(msgspec.Struct, frozen=True):
    """RLRQ and RLRE. `reason` 0 is normal; `user_information` may hold an Initiate APDU."""

    reason: int | None = 0
    user_information: bytes = b""

    def to_bytes(self, tag: int) -> bytes:
        reason = b"" if self.reason is None else tlv(0x80, bytes((self.reason,)))
        information = b""
        if self.user_information:
            information = tlv(0xBE, tlv(_OCTET_STRING, self.user_information))
        return tlv(tag, reason + information)


def parse_release(message: bytes, tag: int) -> Release:
    """Return a release request (RLRQ_TAG) or response (RLRE_TAG). Raises MalformedError."""
    fields = parse_fields(parse_one(message, tag))
    reason = _integer(fields[0x80]) if 0x80 in fields else None
    return Release(reason, _user_information(fields))
