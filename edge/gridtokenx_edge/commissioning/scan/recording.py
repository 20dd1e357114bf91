"""A recording of meters: each request and its reply, to be asked again without them.

It is a TOML file. `request` and `reply` are Modbus PDUs in hex (function code first, no address and
no checksum, so they are the same on every wire). An empty reply is silence.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gridtokenx_edge.commissioning.scan.source import Source
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.polling.faults import BusFault, MeterSilent
from gridtokenx_wire.config import load_toml

_ILLEGAL_ADDRESS = 2


class RecordedExchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A read request and what came back."""

    request: str
    reply: str

    def __post_init__(self) -> None:
        request, reply = bytes.fromhex(self.request), bytes.fromhex(self.reply)
        if len(request) != 5 or request[0] not in {3, 4}:
            raise ValueError("expected a request of function 3 or 4: five bytes in hex")
        if not reply:
            return
        is_exception = reply[0] == request[0] | 0x80 and len(reply) == 2
        count = int.from_bytes(request[3:], "big")
        is_answer = reply[0] == request[0] and len(reply) == 2 + 2 * count
        if not is_exception and not (is_answer and reply[1] == 2 * count):
            raise ValueError(f"expected a reply to {self.request}, got {self.reply}")

    @property
    def block(self) -> Block:
        request = bytes.fromhex(self.request)
        return Block(
            fc=request[0],
            address=int.from_bytes(request[1:3], "big"),
            count=int.from_bytes(request[3:], "big"),
        )

    @property
    def words(self) -> list[int]:
        """The registers of a reply that is no exception."""
        data = bytes.fromhex(self.reply)[2:]
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


class RecordedMeter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[meter]]`: what the meter at an address answered."""

    address: int
    exchange: tuple[RecordedExchange, ...]
    line: str = ""


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    meter: tuple[RecordedMeter, ...]


def load_recording(path: Path) -> Recording:
    """Return the recording in a file. Raises ConfigError."""
    return load_toml(path, Recording)


class Recorder:
    """A source that writes down what another one answers."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.exchanges: list[RecordedExchange] = []

    async def read(self, block: Block) -> list[int]:
        reply = b""
        try:
            words = await self._source.read(block)
            data = b"".join(word.to_bytes(2, "big") for word in words)
            reply = bytes([block.fc, len(data)]) + data
        except MeterRefused as refusal:
            reply = bytes([block.fc | 0x80, refusal.code])
            raise
        except BusFault:
            raise
        else:
            return words
        finally:
            self.exchanges.append(
                RecordedExchange(request=_request(block).hex(" "), reply=reply.hex(" "))
            )


class Replay:
    """A recorded meter as a source. What was not asked then is refused now."""

    def __init__(self, meter: RecordedMeter) -> None:
        self._replies: dict[tuple[int, int, int], RecordedExchange] = {}
        self._words: dict[tuple[int, int], int] = {}
        for exchange in meter.exchange:
            block = exchange.block
            self._replies[block.fc, block.address, block.count] = exchange
            if exchange.reply and exchange.reply[0] != "8":
                for offset, word in enumerate(exchange.words):
                    self._words[block.fc, block.address + offset] = word

    async def read(self, block: Block) -> list[int]:
        exact = self._replies.get((block.fc, block.address, block.count))
        if exact and not exact.reply:
            raise MeterSilent("no reply in the recording")
        if exact and exact.reply[0] == "8":
            raise MeterRefused(int(exact.reply.split()[1], 16))
        if exact:
            return exact.words
        places = [(block.fc, block.address + offset) for offset in range(block.count)]
        if not all(place in self._words for place in places):
            raise MeterRefused(_ILLEGAL_ADDRESS)
        return [self._words[place] for place in places]


def recording_text(meters: list[RecordedMeter]) -> str:
    """Return the text of the file."""
    lines = ["# Requests and replies as Modbus PDUs in hex, without address and checksum.", ""]
    for meter in meters:
        lines += ["[[meter]]", f"address = {meter.address}", f'line = "{meter.line}"']
        for exchange in meter.exchange:
            lines += [
                "[[meter.exchange]]",
                f'request = "{exchange.request}"',
                f'reply = "{exchange.reply}"',
            ]
        lines.append("")
    return "\n".join(lines)


def _request(block: Block) -> bytes:
    return bytes([block.fc]) + block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
