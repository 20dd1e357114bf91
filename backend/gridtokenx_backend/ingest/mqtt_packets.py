"""The packets of the hot path (MQTT 3.1.1): PUBLISH in and out, PUBACK out.

paho keeps the connection. These packets do not pass through it, because it takes too long for each
of so many (docs/benchmarks.md).
"""

from __future__ import annotations

import msgspec

PUBLISH = 0x30
_PUBACK = b"\x40\x02"
_MAX_LENGTH_BYTES = 4


class Publication(msgspec.Struct, frozen=True, gc=False):
    """A received PUBLISH. `mid` is the packet identifier, 0 at QoS 0."""

    topic: str
    payload: bytes
    mid: int


def packet_size(buffer: bytes, start: int) -> tuple[int, int]:
    """Return where the body of the packet at `start` begins, and where the packet ends; §2.2.3.

    Both are 0 if the fixed header is not complete. Raises ValueError for a length of over four
    bytes.
    """
    size = shift = 0
    position = start + 1
    while position < len(buffer):
        digit = buffer[position]
        size |= (digit & 0x7F) << shift
        position += 1
        if digit < 0x80:
            return position, position + size
        shift += 7
        if position - start > _MAX_LENGTH_BYTES:
            raise ValueError("expected a remaining length of at most four bytes")
    return 0, 0


def decode_publish(first: int, body: bytes) -> Publication:
    """Return the publication in the body of a packet with this first byte; §3.3.

    Raises ValueError if the body is too short or the topic is not UTF-8.
    """
    topic_end = 2 + int.from_bytes(body[:2], "big")
    qos = (first >> 1) & 3
    payload_start = topic_end + 2 if qos else topic_end
    if len(body) < payload_start or qos > 1:
        raise ValueError("expected a PUBLISH of QoS 0 or 1 with a topic")
    mid = int.from_bytes(body[topic_end:payload_start], "big")
    return Publication(body[2:topic_end].decode(), body[payload_start:], mid)


def encode_publish(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH of QoS 0; §3.3."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    return bytes((PUBLISH,)) + encode_length(len(body)) + body


def encode_puback(mid: int) -> bytes:
    """Return the PUBACK of a packet identifier; §3.4."""
    return _PUBACK + mid.to_bytes(2, "big")


def encode_length(size: int) -> bytes:
    """Return the bytes of a remaining length; §2.2.3."""
    digits = bytearray()
    while True:
        size, digit = divmod(size, 128)
        digits.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(digits)
