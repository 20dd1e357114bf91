"""What bytes look like that a line of pushed DLMS messages brings and that make no message. Pure.

An installer sees at once whether the meter speaks another protocol (SML, DSMR P1, M-Bus records),
or the line is set otherwise than the meter (parity, baud). Sources: BSI TR-03109-1 and the SML
specification V1.04, 8 (the escape sequence); DSMR 5.0.2 P1, 5.2 and IEC 62056-21, 6.3 (text);
EN 13757-2 and -3 (M-Bus).
"""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.hdlc.frame import FrameKind, parse_frame

_SML_START = bytes.fromhex("1b1b1b1b01010101")
_TEXT_TELEGRAM = re.compile(rb"/[A-Za-z]{3}[0-9A-Za-z].{0,40}?\r?\n|\d\.\d{1,2}\.\d{1,2}(\*\d+)?\(")
_FLAG, _MBUS_START = 0x7E, 0x68
_SEVEN_BITS = 0x7F
_HIGHEST_DLMS_CI = 0x1F
# So much of the bytes is printable, or one and the same byte, before it is called so.
_MOSTLY = 0.9
# With a parity bit that nobody expects, about half of all characters are lost.
_LOST = 0.25
_PRINTABLE = frozenset(range(32, 127)) | frozenset(b"\r\n\t\x02\x03")


class ForeignBytes(msgspec.Struct, frozen=True, kw_only=True):
    """What bytes look like, and what an installer can do about it. Both are parts of a sentence."""

    what: str
    do: str
    is_dlms: bool = False
    """Whether it is what a push line is for."""

    @property
    def has_form(self) -> bool:
        """Whether the line's settings are the sender's: the bytes have a form."""
        return self not in {_NOISE, _DAMAGED_HDLC, _DAMAGED_MBUS, _PARITY}

    def __str__(self) -> str:
        return f"bytes come, but no DLMS message: {self.what}; {self.do}"


_NOT_READ = "such a meter is not read: let its operator switch DLMS on, or read a meter of your own"
_WRAPPER_ONLY = "a network port takes it in the wrapper of TCP and UDP only: set the meter so"
_SML = ForeignBytes(
    what="SML telegrams",
    do=_NOT_READ,
)
_TEXT = ForeignBytes(
    what="a telegram in text, such as DSMR P1",
    do=_NOT_READ,
)
_TEXT_OF_SEVEN_BITS = ForeignBytes(
    what="text of seven bits with parity (7E1), as meters send it by IEC 62056-21",
    do='it is an optical head: use kind = "serial" with opening = "mode_e"',
)
_MBUS_RECORDS = ForeignBytes(
    what="M-Bus telegrams with data records",
    do="such a meter is not read: DLMS comes over M-Bus in other telegrams",
)
_DLMS_IN_HDLC = ForeignBytes(
    what="DLMS in HDLC frames",
    do=_WRAPPER_ONLY,
    is_dlms=True,
)
_DLMS_IN_MBUS = ForeignBytes(
    what="DLMS in M-Bus frames",
    do=_WRAPPER_ONLY,
    is_dlms=True,
)
_CONVERSATION = ForeignBytes(
    what="HDLC frames of a conversation",
    do="another program asks the meters of this line: give the gateway a line of its own",
)
_DAMAGED_HDLC = ForeignBytes(
    what="HDLC frames with wrong check sequences",
    do='is parity = "E" or "N" what the meter sends? a cable too long, or not well connected?',
)
_DAMAGED_MBUS = ForeignBytes(
    what="M-Bus frames with wrong checksums",
    do='wired M-Bus has parity = "E"; a cable too long, or not well connected?',
)
_PARITY = ForeignBytes(
    what="characters with a parity bit, read without it",
    do='set parity = "E"; meters that push over M-Bus and many optical ones have it',
)
_OTHER_TEXT = ForeignBytes(
    what="text", do="this is no meter's interface, or one that was never set up"
)
_NOISE = ForeignBytes(what="bytes without any form", do="other baud or parity than the meter's?")


def recognise(data: bytes) -> ForeignBytes:
    """Return what `data`, which holds no message, looks like."""
    if _SML_START in data:
        return _SML
    if _TEXT_TELEGRAM.search(data):
        return _TEXT
    bare = bytes(byte & _SEVEN_BITS for byte in data)
    if bare != data and (_TEXT_TELEGRAM.search(bare) or _is_text(bare)) and not _is_text(data):
        return _TEXT_OF_SEVEN_BITS
    return _of_frames(data) or _of_bytes(data)


def _of_frames(data: bytes) -> ForeignBytes | None:
    """Return what the frames are that the bytes seem to hold."""
    for at, byte in enumerate(data):
        if byte == _MBUS_START and (found := _mbus(data[at:])):
            return found
        if byte == _FLAG and (found := _hdlc(data[at + 1 :])):
            return found
    return None


def _mbus(data: bytes) -> ForeignBytes | None:
    if len(data) < 9 or data[1] != data[2] or data[3] != _MBUS_START or data[1] < 3:
        return None
    content, checksum = data[4 : 4 + data[1]], data[4 + data[1] : 5 + data[1]]
    if len(checksum) < 1:
        return None
    if sum(content) & 0xFF != checksum[0]:
        return _DAMAGED_MBUS
    return _MBUS_RECORDS if content[2] > _HIGHEST_DLMS_CI else _DLMS_IN_MBUS


def _hdlc(data: bytes) -> ForeignBytes | None:
    """Judge the bytes behind a flag by their format, length and check sequences."""
    size = int.from_bytes(data[:2], "big") & 0x07FF
    if len(data) < 7 or data[0] & 0xF0 != 0xA0 or not 7 <= size <= len(data):
        return None
    try:
        frame = parse_frame(data[:size])
    except MalformedError:
        return _DAMAGED_HDLC
    return _DLMS_IN_HDLC if frame.kind is FrameKind.UI else _CONVERSATION


def _of_bytes(data: bytes) -> ForeignBytes:
    byte, count = Counter(data).most_common(1)[0] if data else (0, 0)
    if data and count >= _MOSTLY * len(data):
        return ForeignBytes(
            what=f"nothing but {byte:02x}",
            do="are A and B exchanged, is the converter one for this interface, is the baud right?",
        )
    if _is_text(data):
        return _OTHER_TEXT
    return _PARITY if _lacks_parity(data) else _NOISE


def _lacks_parity(data: bytes) -> bool:
    """Return whether these are characters of 8E1, read as 8N1.

    A parity bit of 0 stands where the stop bit is expected, and the driver makes a 0 of such a
    character. So only those come through whose number of ones is odd.
    """
    zeros = data.count(0)
    odd = sum(byte.bit_count() & 1 for byte in data)
    return zeros >= _LOST * len(data) and odd >= _MOSTLY * (len(data) - zeros) > 0


def _is_text(data: bytes) -> bool:
    return bool(data) and sum(byte in _PRINTABLE for byte in data) >= _MOSTLY * len(data)
