"""What the bytes on a line mean when no valid reply came: nobody, a late reply, an echo, noise."""

from __future__ import annotations

from enum import Enum

import msgspec

from gridtokenx_edge.modbus.codec import crc16

# Address, function, code, checksum: this is the shortest reply.
_SHORTEST = 5
_REPLIES = {0x03, 0x04, 0x83, 0x84}


class ResponseKind(Enum):
    """What came after a request that stayed without a valid reply."""

    NOTHING = "nothing"
    LATE = "late"
    ECHO = "echo"
    GARBLED = "garbled"


class LineResponse(msgspec.Struct, frozen=True):
    """What came, and the address of who answered late."""

    kind: ResponseKind
    address: int = 0


def judge_bytes(request: bytes, heard: bytes) -> LineResponse:
    """Return what `heard` after `request` (both RTU frames) means."""
    if not heard:
        return LineResponse(ResponseKind.NOTHING)
    if heard.startswith(request):
        return LineResponse(ResponseKind.ECHO)
    if is_reply(heard) and request[:1] != heard[:1]:
        return LineResponse(ResponseKind.LATE, heard[0])
    return LineResponse(ResponseKind.GARBLED)


def is_reply(data: bytes) -> bool:
    """Return whether `data` is a whole RTU reply to a read, with the right checksum."""
    if len(data) < _SHORTEST or data[1] not in _REPLIES:
        return False
    size = _SHORTEST if data[1] & 0x80 else _SHORTEST + data[2]
    return len(data) == size and crc16(data[:-2]) == data[-2:]


class ByteRecorder:
    """Collects the bytes of a line since the last request. It is a `hear` for a Line."""

    def __init__(self) -> None:
        self.request = b""
        self.heard = b""
        self.count = 0
        """How many bytes ever came."""

    def __call__(self, is_request: bool, data: bytes) -> None:  # noqa: FBT001 (a Line calls it)
        if is_request:
            self.request, self.heard = data, b""
        else:
            self.heard += data
            self.count += len(data)

    def judge(self) -> LineResponse:
        return judge_bytes(self.request, self.heard)
