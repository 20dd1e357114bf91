"""Security suite 0 (Green Book 9.2): AES-128 in Galois/counter mode.

Suite 1 ciphers messages the same way, and is read; its signatures and key agreement are not spoken.

    security control | invocation counter | ciphertext | tag of 12 bytes

A key is used with an invocation counter only once; a counter that does not grow is a replay.
"""

from __future__ import annotations

from enum import Enum

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gridtokenx_dlms.errors import MalformedError, SecurityError, TruncatedError, UnsupportedError

SYSTEM_TITLE_BYTES = 8
KEY_BYTES = 16
TAG_BYTES = 12
MAX_COUNTER = 2**32 - 1
_HEADER_BYTES = 5
_AUTHENTICATED, _ENCRYPTED = 0x10, 0x20
_SUITE_BITS = 0x0F
_SUITES = (0, 1)
_BROADCAST_BIT, _COMPRESSED_BIT = 0x40, 0x80
# GCM's first counter block for data; the one before it makes the tag (NIST SP 800-38D, 7.1).
_FIRST_DATA_BLOCK = (2).to_bytes(4, "big")


class Protection(Enum):
    """What is done to a message; the values are the bits of the security control byte."""

    NONE = 0
    AUTHENTICATED = _AUTHENTICATED
    ENCRYPTED = _ENCRYPTED
    AUTHENTICATED_ENCRYPTED = _AUTHENTICATED | _ENCRYPTED


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The global keys of one client at one meter, 16 bytes each. Never printed."""

    encryption: bytes
    authentication: bytes

    def __post_init__(self) -> None:
        for key in (self.encryption, self.authentication):
            if len(key) != KEY_BYTES:
                raise ValueError(f"expected keys of {KEY_BYTES} bytes, got {len(key)}")

    def __repr__(self) -> str:
        return "Keys(...)"


def check_system_title(title: bytes) -> bytes:
    """Return the title. Raises ValueError unless it has eight bytes."""
    if len(title) != SYSTEM_TITLE_BYTES:
        raise ValueError(f"expected a system title of {SYSTEM_TITLE_BYTES} bytes, got {len(title)}")
    return title


def protect(
    plaintext: bytes, keys: Keys, title: bytes, counter: int, protection: Protection
) -> bytes:
    """Return security header and protected message, by the sender with this system title.

    Raises SecurityError when the counter is used up: the keys must be exchanged then.
    """
    if not 0 <= counter <= MAX_COUNTER:
        raise SecurityError("the invocation counter is used up; the keys must be exchanged")
    header = bytes((protection.value,)) + counter.to_bytes(4, "big")
    nonce = check_system_title(title) + header[1:]
    if protection is Protection.ENCRYPTED:
        return header + _counter_mode(plaintext, keys.encryption, nonce)
    encryptor = Cipher(algorithms.AES(keys.encryption), modes.GCM(nonce)).encryptor()
    if protection is Protection.AUTHENTICATED:
        encryptor.authenticate_additional_data(header[:1] + keys.authentication + plaintext)
        encryptor.finalize()
        return header + plaintext + encryptor.tag[:TAG_BYTES]
    if protection is not Protection.AUTHENTICATED_ENCRYPTED:
        raise ValueError("expected a protection to apply")
    encryptor.authenticate_additional_data(header[:1] + keys.authentication)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return header + ciphertext + encryptor.tag[:TAG_BYTES]


class Unprotected(msgspec.Struct, frozen=True):
    """What was inside, how it was protected, and its invocation counter."""

    plaintext: bytes
    protection: Protection
    counter: int


def unprotect(message: bytes, keys: Keys, title: bytes) -> Unprotected:
    """Open what the sender with this system title protected.

    Raises SecurityError (wrong tag), MalformedError, UnsupportedError (another suite, compression,
    broadcast key).
    """
    if len(message) < _HEADER_BYTES:
        raise TruncatedError("expected a security header of 5 bytes")
    control, header = message[0], message[:_HEADER_BYTES]
    is_known = control & _SUITE_BITS in _SUITES
    if not is_known or control & (_BROADCAST_BIT | _COMPRESSED_BIT):
        raise UnsupportedError(f"expected security suite 0 or 1, got control byte 0x{control:02X}")
    protection = Protection(control & (_AUTHENTICATED | _ENCRYPTED))
    if protection is Protection.NONE:
        raise MalformedError("expected a protected message")
    nonce = check_system_title(title) + header[1:]
    counter = int.from_bytes(header[1:], "big")
    body = message[_HEADER_BYTES:]
    if protection is Protection.ENCRYPTED:
        return Unprotected(_counter_mode(body, keys.encryption, nonce), protection, counter)
    if len(body) < TAG_BYTES:
        raise TruncatedError(f"expected a tag of {TAG_BYTES} bytes")
    body, tag = body[:-TAG_BYTES], body[-TAG_BYTES:]
    mode = modes.GCM(nonce, tag, min_tag_length=TAG_BYTES)
    decryptor = Cipher(algorithms.AES(keys.encryption), mode).decryptor()
    known = header[:1] + keys.authentication
    is_open = protection is Protection.AUTHENTICATED
    decryptor.authenticate_additional_data(known + body if is_open else known)
    try:
        plaintext = (b"" if is_open else decryptor.update(body)) + decryptor.finalize()
    except InvalidTag:
        raise SecurityError("expected a message under the agreed keys; its tag is wrong") from None
    return Unprotected(body if is_open else plaintext, protection, counter)


def _counter_mode(data: bytes, key: bytes, nonce: bytes) -> bytes:
    """Return what Galois/counter mode does to the data when nobody asks for a tag."""
    mode = modes.CTR(nonce + _FIRST_DATA_BLOCK)
    cipher = Cipher(algorithms.AES(key), mode).encryptor()
    return cipher.update(data) + cipher.finalize()


def gmac(challenge: bytes, keys: Keys, title: bytes, counter: int) -> bytes:
    """Return the answer to a challenge in high level security 5 (Green Book 9.2.7.4)."""
    signed = protect(challenge, keys, title, counter, Protection.AUTHENTICATED)
    return signed[:_HEADER_BYTES] + signed[-TAG_BYTES:]


def verify_gmac(answer: bytes, challenge: bytes, keys: Keys, title: bytes) -> int:
    """Return the invocation counter of a right answer. Raises SecurityError, MalformedError."""
    if len(answer) != _HEADER_BYTES + TAG_BYTES or answer[0] != Protection.AUTHENTICATED.value:
        raise MalformedError("expected a control byte, a counter and a tag as answer")
    whole = answer[:_HEADER_BYTES] + challenge + answer[_HEADER_BYTES:]
    return unprotect(whole, keys, title).counter


class ReplayGuard:
    """A guard that lets each invocation counter of a peer pass once, upwards.

    Keep `newest` over restarts.
    """

    def __init__(self, newest: int = -1) -> None:
        self.newest = newest

    def check(self, counter: int) -> None:
        """Take a counter. Raises SecurityError unless it is beyond all before it."""
        if counter <= self.newest:
            raise SecurityError(
                f"expected a counter above {self.newest}, got {counter} (a replay?)"
            )
        self.newest = counter
