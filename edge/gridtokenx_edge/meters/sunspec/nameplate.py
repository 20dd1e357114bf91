"""The common model: who a device is.

Maker, model and serial number are text of 32 bytes, padded with zeros or blanks. An id such as
`SOLAREDGE-7E1234` is made of letters, digits and a few signs, whatever the device writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.sunspec.chain import ModelAt
from gridtokenx_wire.frame import MAX_METER_ID

# Mn, Md, Opt, Vr and SN: model 1's texts behind its header, as (offset, registers).
_MAKER = (2, 16)
_MODEL = (18, 16)
_OPTIONS = (34, 8)
_VERSION = (42, 8)
_SERIAL = (50, 16)
_COMMON_REGISTERS = 66
_NOT_IN_MAKER = re.compile(r"[^A-Z0-9]+", re.ASCII)
_NOT_IN_SERIAL = re.compile(r"[^A-Za-z0-9._/-]+", re.ASCII)
_NO_SERIAL = re.compile(r"[0.-]*", re.ASCII)


class Nameplate(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says of itself; "" where it says nothing."""

    maker: str
    model: str
    options: str
    version: str
    serial: str

    def meter_id(self, suffix: str) -> str:
        """Return an id such as `SOLAREDGE-7E1234`, or "" without a serial number.

        A maker's name is cut where the id would become too long.
        """
        if not self.serial:
            return ""
        rest = f"-{self.serial}{suffix}"
        return self.maker[: MAX_METER_ID - len(rest)] + rest


def nameplate_block(common: ModelAt) -> Block:
    """Return the request for a common model, its header included."""
    return Block(fc=3, address=common.address, count=_COMMON_REGISTERS)


def decode_nameplate(words: Sequence[int]) -> Nameplate:
    """Return the common model in the registers that `nameplate_block` asks for."""
    maker = _NOT_IN_MAKER.sub("-", _text(words, _MAKER).upper()).strip("-")
    serial = _NOT_IN_SERIAL.sub("-", _text(words, _SERIAL)).strip("-")
    # Meters without one say "0", or as many zeros as it has digits.
    serial = "" if _NO_SERIAL.fullmatch(serial) else serial
    others = [_text(words, place) for place in (_MODEL, _OPTIONS, _VERSION)]
    return Nameplate(
        maker=maker, model=others[0], options=others[1], version=others[2], serial=serial
    )


def _text(words: Sequence[int], place: tuple[int, int]) -> str:
    offset, count = place
    data = b"".join(word.to_bytes(2, "big") for word in words[offset : offset + count])
    text = data.split(b"\0", 1)[0].decode("ascii", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
