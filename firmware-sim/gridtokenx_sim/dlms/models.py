"""The DLMS models: what distinguishes them is how many phases they measure."""

from __future__ import annotations

MAKER = "SIM"
"""The three letters that its logical device name, system title and identification begin with."""

DLMS_MODELS: dict[str, int] = {"dlms_single_phase": 1, "dlms_three_phase": 3}
"""Model → phases."""


def logical_device_name(serial: str) -> bytes:
    """At most 16 bytes, the maker's letters first (Blue Book, 0-0:42.0.0)."""
    return f"{MAKER}{serial}".encode()


def system_title(serial: str) -> bytes:
    """Eight bytes, the maker's letters first; its serial number makes the others."""
    digest = 0
    for byte in serial.encode():
        digest = (digest * 257 + byte) % (1 << 40)
    return MAKER.encode() + digest.to_bytes(5, "big")
