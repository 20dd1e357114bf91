"""OBIS codes (IEC 62056-61): which quantity an object holds, as six numbers A-B:C.D.E.F."""

from __future__ import annotations

import re
from typing import Self

import msgspec

LOGICAL_NAME_BYTES = 6
_FULL = re.compile(
    r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[.*](\d{1,3}))?", re.ASCII
)
_DOTTED = re.compile(r"(\d{1,3})" + r"\.(\d{1,3})" * 5, re.ASCII)


class Obis(msgspec.Struct, frozen=True, order=True, gc=False):
    """A logical name. Six numbers from 0 to 255; F is 255 where history plays no part."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 255

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the code that a text spells: `1-0:1.8.0.255`, `1-0:1.8.0*255`, `1-0:1.8.0` or
        `1.0.1.8.0.255`. Raises ValueError.

        Raises ValueError.
        """
        matched = _FULL.fullmatch(text) or _DOTTED.fullmatch(text)
        if not matched:
            raise ValueError(f"expected an OBIS code such as 1-0:1.8.0.255, got {text!r}")
        numbers = [int(number or 255) for number in matched.groups()]
        if max(numbers) > 255:
            raise ValueError(f"expected numbers up to 255 in an OBIS code, got {text!r}")
        return cls(*numbers)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the code in six bytes. Raises ValueError."""
        if len(data) != LOGICAL_NAME_BYTES:
            raise ValueError(f"expected {LOGICAL_NAME_BYTES} bytes, got {len(data)}")
        return cls(*data)

    def to_bytes(self) -> bytes:
        return bytes((self.a, self.b, self.c, self.d, self.e, self.f))

    def __str__(self) -> str:
        return f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}.{self.f}"
