"""What protects messages: suites, tags, counters, and whose message it can have been."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gridtokenx_dlms import security
from gridtokenx_dlms.errors import MalformedError, SecurityError, UnsupportedError
from gridtokenx_dlms.security import Keys, Protection, ReplayGuard, Unprotected

KEYS = Keys(encryption=bytes(range(16)), authentication=bytes(range(0xD0, 0xE0)))
TITLE = b"KFM\x10\x20\x02\x98\x02"
PLAIN = bytes.fromhex("0F000000010000")
COUNTER = 0x0A28
NONCE = TITLE + COUNTER.to_bytes(4, "big")


def sealed(control: int) -> bytes:
    """By another implementation of Galois/counter mode, tag cut to 12 bytes."""
    known = bytes((control,)) + KEYS.authentication
    whole = AESGCM(KEYS.encryption).encrypt(NONCE, PLAIN, known)
    tag = whole[-16:-4] if control & 0x10 else b""
    return bytes((control,)) + COUNTER.to_bytes(4, "big") + whole[:-16] + tag


@pytest.mark.parametrize(
    ("control", "protection"),
    [
        (0x20, Protection.ENCRYPTED),
        (0x30, Protection.AUTHENTICATED_ENCRYPTED),
        (0x21, Protection.ENCRYPTED),  # Kaifa MA309 in Tyrol and Poland
        (0x31, Protection.AUTHENTICATED_ENCRYPTED),
    ],
)
def test_suites_0_and_1_are_ciphered_alike(control: int, protection: Protection) -> None:
    opened = security.unprotect(sealed(control), KEYS, TITLE)
    assert opened == Unprotected(PLAIN, protection, COUNTER)


@pytest.mark.parametrize("control", [0x22, 0x3F, 0x60, 0x70, 0xA0, 0xB0])
def test_other_suites_the_broadcast_key_and_compression_are_refused(control: int) -> None:
    with pytest.raises(UnsupportedError, match=f"control byte 0x{control:02X}"):
        security.unprotect(sealed(control), KEYS, TITLE)


@pytest.mark.parametrize("control", [0x00, 0x01])
def test_a_message_that_says_it_is_not_protected_is_malformed(control: int) -> None:
    with pytest.raises(MalformedError, match="expected a protected message"):
        security.unprotect(sealed(control), KEYS, TITLE)


@pytest.mark.parametrize("at", range(30))
def test_each_byte_of_an_authenticated_message_counts(at: int) -> None:
    message = bytearray(sealed(0x30))
    if at < len(message):
        message[at] ^= 0x01
        with pytest.raises(SecurityError):
            security.unprotect(bytes(message), KEYS, TITLE)


def test_a_counter_passes_once_and_upwards() -> None:
    guard = ReplayGuard(7)
    guard.check(8)
    guard.check(100)
    for replayed in (100, 8, 0):
        with pytest.raises(SecurityError, match="a replay"):
            guard.check(replayed)
    assert guard.newest == 100


def test_a_used_up_counter_ends_the_use_of_a_key() -> None:
    with pytest.raises(SecurityError, match="used up"):
        security.protect(PLAIN, KEYS, TITLE, security.MAX_COUNTER + 1, Protection.ENCRYPTED)
