"""Frames and acks in files, for a site that never comes online.

Both files are CBOR sequences (RFC 8742): a header, then the signed messages one behind the other,
as they would have gone over MQTT. The header is an unsigned map that says what to expect, so that
a file that was cut off is found out:

    1 type: 4 (frames) or 5 (acks)    3 device id    5 first_seq: of the first frame; of acks 0
    2 version: 1                      4 chain id     6 next_seq: behind the last frame, or acked

What the messages say is signed; nothing of the header is taken on trust.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, BinaryIO

import cbor2
import msgspec

from gridtokenx_wire import cbor, cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import (
    CHAIN_ID_BYTES,
    MAX_FRAME_BYTES,
    Frame,
    decode_frame,
    head_after,
)
from gridtokenx_wire.keys import DEVICE_ID_BYTES

_VERSION = 1
_KEYS = set(range(1, 7))
# The longest header: small keys, 16 and 8 bytes, two numbers of 64 bits.
_LONGEST_HEADER = 64
# 10,000 verdicts of at most 14 bytes.
MAX_ACK_BYTES = 1 << 18


class FileType(IntEnum):
    """What the messages of a file are."""

    FRAMES = 4
    ACKS = 5


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a file: what the messages in it are about."""

    type: FileType
    device: bytes
    chain: bytes
    first_seq: int
    next_seq: int


def encode_header(header: Header) -> bytes:
    return cbor.encode(
        {
            1: header.type.value,
            2: _VERSION,
            3: header.device,
            4: header.chain,
            5: header.first_seq,
            6: header.next_seq,
        }
    )


def read_header(stream: BinaryIO, wanted: FileType) -> Header:
    """Return the header of a seekable file of type `wanted`; the messages come next.

    Raises WireError.
    """
    start = io.BytesIO(stream.read(_LONGEST_HEADER))
    what = wanted.name.lower()
    try:
        fields = cbor2.load(start, allow_indefinite=False, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError):
        raise WireError(f"expected a file of {what} of a gateway") from None
    if type(fields) is not dict or fields.keys() != _KEYS or fields[1] != wanted.value:
        raise WireError(f"expected a file of {what} of a gateway")
    if fields[2] != _VERSION:
        raise WireError(f"expected a file of version {_VERSION}, got {fields[2]}")
    stream.seek(start.tell())
    return _header(wanted, fields)


def _header(type_: FileType, fields: dict[int, Any]) -> Header:
    device, chain, first_seq, next_seq = fields[3], fields[4], fields[5], fields[6]
    if type(device) is not bytes or len(device) != DEVICE_ID_BYTES:
        raise WireError("expected a device id in the header")
    if type(chain) is not bytes or len(chain) != CHAIN_ID_BYTES:
        raise WireError("expected a chain id in the header")
    if not type(first_seq) is type(next_seq) is int or not 0 <= first_seq <= next_seq < 2**63:
        raise WireError("expected first_seq and next_seq in the header")
    return Header(type=type_, device=device, chain=chain, first_seq=first_seq, next_seq=next_seq)


def read_messages(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield the messages up to the end of the file, not verified. Raises WireError."""
    while message := cose.read_one(stream, longest):
        yield message


class Links:
    """A follower of the frames of one chain, each linked to the one before.

    It checks no signature.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self.next_seq = header.first_seq
        self._head = b""

    def follow(self, message: bytes) -> Frame:
        """Return the frame in `message`. Raises WireError unless it continues the chain."""
        header, frame = self._header, decode_frame(cose.split(message)[2])
        if (frame.device, frame.chain) != (header.device, header.chain):
            raise WireError(f"frame {self.next_seq}: expected one of this device and chain")
        if frame.first_seq != self.next_seq:
            raise WireError(f"frame {self.next_seq}: missing")
        if self._head and frame.prev != self._head:
            raise WireError(f"frame {frame.seq}: expected the hash of the frame before it")
        self.next_seq = frame.seq + 1
        self._head = head_after(frame, message)
        return frame

    def finish(self) -> None:
        """Raise WireError if frames that the header promises did not come."""
        if self.next_seq != self._header.next_seq:
            raise WireError(
                f"expected frames up to {self._header.next_seq - 1},"
                f" got them up to {self.next_seq - 1}: the file was cut off"
            )


def read_frames(stream: BinaryIO) -> tuple[Header, Iterator[tuple[bytes, Frame]]]:
    """Return a file's header and its frames, each linked to the one before.

    Both raise WireError.
    """
    header = read_header(stream, FileType.FRAMES)
    return header, _frames(stream, header)


def _frames(stream: BinaryIO, header: Header) -> Iterator[tuple[bytes, Frame]]:
    links = Links(header)
    for message in read_messages(stream, MAX_FRAME_BYTES):
        yield message, links.follow(message)
    links.finish()
