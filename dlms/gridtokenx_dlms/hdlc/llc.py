"""The LLC bytes before each message in HDLC (Green Book 8.3): destination, source, quality."""

from __future__ import annotations

LLC_REQUEST, LLC_RESPONSE = bytes.fromhex("E6E600"), bytes.fromhex("E6E700")


def without_llc(message: bytes) -> bytes:
    """Return what a meter sends unasked; some put the request's bytes before it, some none."""
    return message[3:] if message[:3] in {LLC_REQUEST, LLC_RESPONSE} else message
