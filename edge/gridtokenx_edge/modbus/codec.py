"""Read requests and their replies as bytes, for RTU and Modbus TCP. Without I/O.

Sources: Modbus Application Protocol V1.1b3 (6.3 and 6.4: functions 3 and 4; 7: exceptions), Modbus
over Serial Line V1.02 (2.5.1: RTU) and Modbus Messaging on TCP/IP V1.0b (3.1.3: MBAP). A gateway
asks one thing at a time, so a codec holds one request. Bytes that do not answer it are dropped and
only counted; `give_up` says what they were once the time is up.
"""

from __future__ import annotations

import struct
from typing import Protocol

import msgspec

from gridtokenx_edge.meters.plan import Block

_EXCEPTION = 0x80
_CHECKSUM_BYTES = 2
_REFUSAL_BYTES = 5
_READS = (3, 4)
# V1.02, 2.5.1: an RTU frame has at most 256 bytes. Of bytes that are no frame, as many are kept as
# could still become one, with an echo in front.
_LONGEST_RTU = 256
_LONGEST_HEARD = 2 * _LONGEST_RTU
_MBAP = struct.Struct(">HHHB")
_TRY_RTU = "set rtu_over_tcp = true"
_TRY_MBAP = "set rtu_over_tcp = false"
_MBAP_LENGTHS = range(3, 255)  # address, function code and at least one byte


class Words(msgspec.Struct, frozen=True):
    """The registers that were asked for."""

    words: list[int]


class Refusal(msgspec.Struct, frozen=True):
    """An exception reply and its code."""

    code: int


Answer = Words | Refusal


class NonAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came instead of an answer; the text is empty if nothing came.

    `is_reply`: it was a sound reply of this meter, but to another request.
    """

    text: str = ""
    is_reply: bool = False
    is_out_of_step: bool = False
    """The server's replies carry other numbers than the requests: on this connection it will go on
    so."""


class NotModbus(Exception):
    """Bytes came that no Modbus TCP server sends; what follows them cannot be told apart either."""


class Codec(Protocol):
    """One connection's side of the protocol."""

    is_echoed: bool
    """Whether the last answer came behind an echo of its request."""

    def ask(self, address: int, block: Block) -> bytes:
        """Return the bytes of a request, which from now on is the one to be answered."""

    def feed(self, data: bytes) -> Answer | None:
        """Return the answer once the bytes up to `data` hold it, otherwise None. Raises
        NotModbus.
        """

    def give_up(self) -> NonAnswer:
        """End the request, and return what came instead of an answer."""


class RtuCodec:
    """RTU frames, told apart by address, function code, length and checksum.

    An answer may stand behind noise or behind an echo of the request. A frame of another shape (a
    late reply, another meter's) is passed over, and the right one may still follow it.
    """

    def __init__(self) -> None:
        self.is_echoed = False
        self._request = b""
        self._block = Block(fc=3, address=0, count=1)
        self._received = bytearray()
        self._dropped = 0

    def ask(self, address: int, block: Block) -> bytes:
        body = struct.pack(">BBHH", address, block.fc, block.address, block.count)
        self._request = body + crc16(body)
        self._block = block
        self._received.clear()
        self._dropped = 0
        self.is_echoed = False
        return self._request

    def feed(self, data: bytes) -> Answer | None:
        if not self._request:
            return None
        self._received += data
        self._drop_echo()
        if self._request.startswith(self._received):
            return None  # nothing yet, or half an echo
        if answer := self._find():
            self._request = b""
            return answer
        if (excess := len(self._received) - _LONGEST_HEARD) > 0:
            self._dropped += excess
            del self._received[:excess]
        return None

    def give_up(self) -> NonAnswer:
        request, self._request = self._request, b""
        if _is_mbap(bytes(self._received)):
            return NonAnswer(text=f"Modbus TCP: {_TRY_MBAP}")
        if not self._received:
            return NonAnswer(text="only the echo of the request" if self.is_echoed else "")
        return _what_is(bytes(self._received), request, self._dropped)

    def _drop_echo(self) -> None:
        """Drop the request where it comes back, as it does from adapters with local echo."""
        if not self.is_echoed and self._received.startswith(self._request):
            self.is_echoed = True
            del self._received[: len(self._request)]

    def _find(self) -> Answer | None:
        data, address, count = self._received, self._request[0], self._block.count
        fc = self._block.fc
        good = bytes((address, fc, 2 * count))
        refused = bytes((address, fc | _EXCEPTION))
        if frame := _framed(data, good, 2 * count + _REFUSAL_BYTES):
            return Words(list(struct.unpack_from(f">{count}H", frame, 3)))
        if frame := _framed(data, refused, _REFUSAL_BYTES):
            return Refusal(frame[2])
        return None


class MbapCodec:
    """Modbus TCP, where a reply carries its request's number, so that a late one is recognised."""

    def __init__(self) -> None:
        self.is_echoed = False
        self._number = 0
        self._is_asking = False
        self._address = 0
        self._block = Block(fc=3, address=0, count=1)
        self._buffer = bytearray()
        self._received = NonAnswer()
        self._other_number: int | None = None

    def ask(self, address: int, block: Block) -> bytes:
        self._number = self._number % 0xFFFF + 1
        self._is_asking = True
        self._address, self._block = address, block
        self._received = NonAnswer()
        self._other_number = None
        pdu = struct.pack(">BHH", block.fc, block.address, block.count)
        return _MBAP.pack(self._number, 0, len(pdu) + 1, address) + pdu

    def feed(self, data: bytes) -> Answer | None:
        self._buffer += data
        answer: Answer | None = None
        while len(self._buffer) >= _MBAP.size:
            number, protocol, length, address = _MBAP.unpack_from(self._buffer)
            if protocol or length not in _MBAP_LENGTHS:
                start = bytes(self._buffer[: _MBAP.size]).hex(" ")
                what = f"RTU frames: {_TRY_RTU}" if _is_rtu(bytes(self._buffer)) else start
                raise NotModbus(f"expected Modbus TCP, got {what}")
            end = _MBAP.size - 1 + length
            if len(self._buffer) < end:
                break
            pdu = bytes(self._buffer[_MBAP.size : end])
            del self._buffer[:end]
            if self._is_asking and number == self._number:
                answer = self._judge(address, pdu)
            elif self._is_asking:
                self._other_number = number
        return answer

    def give_up(self) -> NonAnswer:
        self._is_asking = False
        other = self._other_number
        if other is None or self._received.text:
            return self._received
        if other == self._number - 1:
            why = "the server is a step behind"
        else:
            why = "the server does not repeat the request's number"
        text = f"replies with number {other} to request {self._number}: {why}"
        return NonAnswer(text=text, is_out_of_step=True)

    def _judge(self, address: int, pdu: bytes) -> Answer | None:
        fc, count = self._block.shape
        if address != self._address:
            self._received = NonAnswer(text=f"a reply of address {address}")
        elif pdu[0] == fc | _EXCEPTION and len(pdu) == 2:
            self._is_asking = False
            return Refusal(pdu[1])
        elif pdu[0] == fc and pdu[1] == 2 * count == len(pdu) - 2:
            self._is_asking = False
            return Words(list(struct.unpack_from(f">{count}H", pdu, 2)))
        else:
            self._received = _other_reply(pdu[0], pdu[1])
        return None


def _is_rtu(data: bytes) -> bool:
    """Return whether `data` begins with a whole RTU reply to a read, with its checksum."""
    if len(data) < _REFUSAL_BYTES or data[1] & ~_EXCEPTION not in _READS:
        return False
    length = _REFUSAL_BYTES + (0 if data[1] & _EXCEPTION else data[2])
    frame = data[:length]
    return len(frame) == length and crc16(frame[:-2]) == frame[-2:]


def _is_mbap(data: bytes) -> bool:
    """Return whether `data` is one whole message of Modbus TCP."""
    if len(data) < _MBAP.size:
        return False
    _, protocol, length, _ = _MBAP.unpack_from(data)
    return bool(protocol == 0 and length in _MBAP_LENGTHS and len(data) == _MBAP.size - 1 + length)


def _framed(data: bytearray, head: bytes, length: int) -> bytes | None:
    """Return the first frame in `data` that begins with `head` and has the right checksum."""
    at = data.find(head)
    while at >= 0:
        frame = bytes(data[at : at + length])
        if len(frame) == length and crc16(frame[:-_CHECKSUM_BYTES]) == frame[-_CHECKSUM_BYTES:]:
            return frame
        at = data.find(head, at + 1)
    return None


def _what_is(received: bytes, request: bytes, dropped: int) -> NonAnswer:
    """Return what bytes without an answer look like, for the person who has to mend the wiring."""
    for at in range(len(received) - _REFUSAL_BYTES + 1):
        length = _REFUSAL_BYTES + (received[at + 2] if received[at + 1] in _READS else 0)
        frame = received[at : at + length]
        if len(frame) == length and crc16(frame[:-2]) == frame[-2:]:
            if frame[0] != request[0]:
                return NonAnswer(text=f"a reply of address {frame[0]}")
            return _other_reply(frame[1], frame[2])
    expected = _REFUSAL_BYTES + 2 * int.from_bytes(request[4:6], "big")
    count = len(received) + dropped
    if received[:3] != request[:2] + bytes((expected - _REFUSAL_BYTES,)):
        return NonAnswer(text=f"{count} bytes that are no reply")
    if count < expected:
        return NonAnswer(text=f"only {count} bytes of a reply of {expected}")
    return NonAnswer(text="a reply with a wrong checksum")


def _other_reply(fc: int, byte_count: int) -> NonAnswer:
    if fc in _READS:
        return NonAnswer(text=f"{byte_count // 2} with function code {fc}", is_reply=True)
    return NonAnswer(text=f"a reply with function code {fc:#04x}", is_reply=True)


def _table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1  # noqa: PLW2901
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _table()


def crc16(data: bytes) -> bytes:
    """Return the checksum of an RTU frame, low byte first (V1.02, 6.2.2)."""
    crc = 0xFFFF
    table = _CRC_TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")
