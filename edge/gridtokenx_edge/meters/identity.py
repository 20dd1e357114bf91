"""The serial number by which a meter says who it is."""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_edge.meters.point import join_words
from gridtokenx_edge.meters.profile import Identity


def decode_serial(identity: Identity, words: Sequence[int]) -> str:
    """Return the serial number as text, or "" if the registers hold none.

    ASCII serial numbers come with one or two characters a register, and with zeros or blanks around
    them. BCD ones keep their leading zeros, as on the label.
    """
    if identity.type == "uint32":
        number = join_words(words, "msw_first")
        return "" if number in {0, 0xFFFFFFFF} else str(number)
    if identity.type == "bcd":
        digits = "".join(f"{word:04X}" for word in words)
        return digits if digits.isdecimal() and digits.strip("0") else ""
    characters = b"".join(word.to_bytes(2, "big") for word in words).replace(b"\0", b"")
    text = characters.decode("ascii", "replace").strip()
    return text if text.isascii() and text.isprintable() else ""


def meter_id(maker: str, serial: str) -> str:
    """Return the id of the meter with this serial number, such as `EASTRON-12345678`."""
    return f"{maker}-{serial}"
