"""The check sequence of frames and headers (ISO/IEC 13239 4.2.5; RFC 1662 C): CRC-16/X-25."""

from __future__ import annotations

_POLYNOMIAL = 0x8408  # x^16 + x^12 + x^5 + 1, low bit first


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ _POLYNOMIAL if value & 1 else value >> 1
    return value


_TABLE = [_entry(value) for value in range(256)]


def check_sequence(data: bytes | bytearray) -> bytes:
    """Return the two bytes that follow `data`, low byte first."""
    crc = 0xFFFF
    table = _TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return (crc ^ 0xFFFF).to_bytes(2, "little")
