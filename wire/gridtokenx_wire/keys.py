"""Ed25519 keys (RFC 8032): files, device ids and wallet addresses.

A private key is a PKCS #8 PEM file of mode 0600, so `openssl pkey -in FILE -noout -text` reads it.
A device id is the first 16 bytes of SHA-256 of the raw public key: it cannot be claimed without
the key. A wallet's address, and the text form of any public key, is its Base58 (as on Solana).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import os
import re
import stat
from pathlib import Path

import base58
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gridtokenx_wire.atomic_file import PRIVATE, create_file
from gridtokenx_wire.errors import KeyFileError

DEVICE_ID_BYTES = 16
MIN_TOKEN_CHARS = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)  # RFC 6750, 2.1
_KEPT_IDS = 16_384  # spelling one costs 5 to 15 µs, and the same ones come again and again
_FIELD_PRIME = 2**255 - 19
# Points of order 1, 2, 4 and 8 would let one signature verify for many messages. libsodium refuses
# them and OpenSSL does not, so they are refused as keys before either sees them. The y-coordinates,
# non-canonical forms included: "Taming the many EdDSAs" (Chalkias et al., 2020), table 1.
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        _FIELD_PRIME,
        _FIELD_PRIME + 1,
        int("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16),
        int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16),
    }
)


def create_private_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and its file (mode 0600), whole or not at all.

    Raises FileExistsError if there is a file, KeyFileError if none can be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(path, pem)
    return key


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600 that appears complete and durable, or not at all.

    Raises FileExistsError if `path` exists, KeyFileError if it cannot be written.
    """
    if path.exists():  # on a full disk not even a draft can be written
        raise FileExistsError(f"{path}: expected no file")
    try:
        create_file(path, content, PRIVATE)
    except FileExistsError:
        raise
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would wait for a writer


def read_secret(path: Path, *, is_credential: bool = False) -> bytes:
    """Return the content of a file that only its owner can read. Raises KeyFileError.

    `is_credential`: systemd made the file for one user, by an access list on a file of root's
    whose mask shows as the group's right to read (mode 0440).
    """
    others = 0o037 if is_credential else 0o077
    try:
        with io.FileIO(path, "rb", opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: expected a regular file")
            if mode & others:
                got = f"{stat.S_IMODE(mode):04o}"
                raise KeyFileError(f"{path}: expected mode 0600, got {got}; run: chmod 600 {path}")
            return file.read(65_536)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None


def read_token(path: Path) -> str:
    """Return the token in a file, which is what a program shows to an API as a bearer (RFC 6750).

    Raises KeyFileError unless it is one: who may guess a short one, or shows an empty one, would be
    let in.
    """
    text = read_secret(path).decode("latin-1").strip()
    if len(text) < MIN_TOKEN_CHARS:
        raise KeyFileError(
            f"{path}: expected a token of at least {MIN_TOKEN_CHARS} characters, got {len(text)}"
        )
    if not _TOKEN.fullmatch(text):
        raise KeyFileError(f"{path}: expected one line of letters, digits and -._~+/=")
    return text


def load_private_key(path: Path, *, is_credential: bool = False) -> Ed25519PrivateKey:
    """Return the Ed25519 private key in `path`. Raises KeyFileError."""
    content = read_secret(path, is_credential=is_credential)
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: expected an unencrypted PKCS #8 PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: expected an Ed25519 key")
    return key


def raw_public_key(key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of RFC 8032 §5.1.5."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def raw_private_seed(key: Ed25519PrivateKey) -> bytes:
    """Return the 32-byte seed of RFC 8032 §5.1.5, for a signer that is not `cryptography`."""
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def device_id(key: Ed25519PublicKey | bytes) -> bytes:
    """Return the 16 bytes that name the device holding this key."""
    raw = key if isinstance(key, bytes) else raw_public_key(key)
    return hashlib.sha256(raw).digest()[:DEVICE_ID_BYTES]


@functools.lru_cache(maxsize=_KEPT_IDS)
def device_text(device: bytes) -> str:
    """Return a device id as 26 characters of lower-case Base32 (RFC 4648 §6, no padding)."""
    return base64.b32encode(device).decode().rstrip("=").lower()


@functools.lru_cache(maxsize=_KEPT_IDS)
def parse_device(text: str) -> bytes:
    """Return the device id that `device_text` spells, or b"" for anything else."""
    try:
        device = base64.b32decode(text.upper() + "======")
    except ValueError:
        return b""
    return device if device_text(device) == text else b""


def public_key_text(key: Ed25519PublicKey | bytes) -> str:
    """Return a public key as Base58; a wallet's address."""
    raw = key if isinstance(key, bytes) else raw_public_key(key)
    return base58.b58encode(raw).decode()


@functools.lru_cache(maxsize=_KEPT_IDS)
def parse_public_key(text: str) -> bytes:
    """Return the 32 raw bytes of a Base58 public key.

    Raises ValueError saying what was expected.
    """
    if len(text) > 64:
        raise ValueError("expected a Base58 Ed25519 public key of 32 bytes")
    try:
        raw = base58.b58decode(text)
    except ValueError:
        raise ValueError("expected a Base58 Ed25519 public key") from None
    if len(raw) != 32 or base58.b58encode(raw).decode() != text:
        raise ValueError("expected a Base58 Ed25519 public key of 32 bytes")
    if int.from_bytes(raw, "little") & ~(1 << 255) in _SMALL_ORDER_Y:
        raise ValueError("expected a public key that is not of small order")
    return raw
