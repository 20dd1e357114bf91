"""The marker of a SunSpec device and its common model (SunSpec Information Model, model 1)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_edge.meters.plan import Block

MARKER = (0x5375, 0x6E53)  # "SunS"
BASES = (40000, 50000, 0)
_COMMON_MODEL = 1
# ID, L, manufacturer 16, model 16, options 8, version 8, serial number 16.
_COMMON_REGISTERS = 66


class CommonModel(msgspec.Struct, frozen=True):
    """Who made the device, which model it is, and its serial number."""

    manufacturer: str
    model: str
    serial: str


def marker_block(base: int) -> Block:
    return Block(3, base, 2)


def common_block(base: int) -> Block:
    return Block(3, base + 2, _COMMON_REGISTERS)


def parse_common(words: Sequence[int]) -> CommonModel | None:
    """The common model behind the marker, or None if another model stands there."""
    if len(words) < _COMMON_REGISTERS or words[0] != _COMMON_MODEL:
        return None
    return CommonModel(_text(words[2:18]), _text(words[18:34]), _text(words[50:66]))


def _text(words: Sequence[int]) -> str:
    data = b"".join(word.to_bytes(2, "big") for word in words)
    text = data.split(b"\0")[0].decode("ascii", "replace").strip()
    return text if text.isascii() and text.isprintable() else ""
