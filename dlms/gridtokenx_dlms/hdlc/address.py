"""HDLC addresses (Green Book 8.4.2.3): 7 bits a byte, the last one's low bit set.

A client has one byte. A server has an upper address (the logical device) and mostly a lower one
(the physical device), in one, two or four bytes.
"""

from __future__ import annotations

from typing import Self

import msgspec

from gridtokenx_dlms.errors import MalformedError

_SIZES = (1, 2, 4)


class HdlcAddress(msgspec.Struct, frozen=True, gc=False):
    """`lower` is None in an address of one byte. `size` is 1, 2 or 4 bytes."""

    upper: int
    lower: int | None = None
    size: int = 1

    @classmethod
    def client(cls, address: int) -> Self:
        """Return a client's address, 0 to 127. Raises ValueError."""
        return cls.server(address)

    @classmethod
    def server(cls, upper: int, lower: int | None = None, size: int = 0) -> Self:
        """Return a server's address, in as few bytes as hold it, or in `size`.

        Raises ValueError.
        """
        if lower is None:
            fitting, highest = 1, 0x7F
        else:
            fitting, highest = (2, 0x7F) if max(upper, lower) <= 0x7F else (4, 0x3FFF)
        if size == 4 and lower is not None:
            fitting, highest = 4, 0x3FFF
        if size not in {0, fitting}:
            raise ValueError(f"expected an address of {fitting} bytes, got {size}")
        if not (0 <= upper <= highest and 0 <= (lower or 0) <= highest):
            raise ValueError(f"expected addresses from 0 to {highest}, got {upper} and {lower}")
        return cls(upper, lower, fitting)

    def to_bytes(self) -> bytes:
        upper = self.upper
        if self.lower is None:
            return bytes((upper << 1 | 1,))
        if self.size == 2:
            return bytes((upper << 1, self.lower << 1 | 1))
        return bytes(
            (
                upper >> 6 & 0xFE,
                upper << 1 & 0xFE,
                self.lower >> 6 & 0xFE,
                self.lower << 1 & 0xFE | 1,
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read an address that ends with `data`. Raises MalformedError."""
        if len(data) == 1:
            return cls(data[0] >> 1, None, 1)
        if len(data) == 2:
            return cls(data[0] >> 1, data[1] >> 1, 2)
        if len(data) == 4:
            a, b, c, d = (byte >> 1 for byte in data)
            return cls(a << 7 | b, c << 7 | d, 4)
        raise MalformedError(f"expected an address of 1, 2 or 4 bytes, got {len(data)}")


def address_size(data: bytes | bytearray, at: int) -> int:
    """Return how many bytes the address at `at` has; 0 where `data` ends before it does.

    Raises MalformedError.
    """
    for size in range(1, 5):
        if at + size > len(data):
            return 0
        if data[at + size - 1] & 1:
            if size not in _SIZES:
                raise MalformedError(f"expected an address of 1, 2 or 4 bytes, got {size}")
            return size
    raise MalformedError("expected an address of at most 4 bytes")
