"""The head of a journal: how far it goes, in a signed message that is kept outside the database.

It is a COSE_Sign1 by the ack key, like an ack. Its payload is a CBOR map: 1 type (7), 2 version
(1), 3 seq, 4 leaf hash, 5 at_ms, 6 frames, 7 trades. A reader passes over further keys.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire import cbor, cose
from gridtokenx_wire.errors import WireError

_TYPE = 7
_VERSION = 1
_KEYS = frozenset(range(1, 8))
_HASH_BYTES = 32


class JournalHead(msgspec.Struct, frozen=True, kw_only=True):
    """The journal had the entry `seq`, of the time `at_ms`, whose leaf has the hash `leaf_hash`.

    `frames` and `trades` are how many of them it then had in all.
    """

    seq: int
    leaf_hash: bytes
    at_ms: int
    frames: int
    trades: int


def seal_head(head: JournalHead, key: Ed25519PrivateKey) -> bytes:
    """Return the signed head."""
    payload = cbor.encode(
        {
            1: _TYPE,
            2: _VERSION,
            3: head.seq,
            4: head.leaf_hash,
            5: head.at_ms,
            6: head.frames,
            7: head.trades,
        }
    )
    return cose.sign(payload, key)


def open_head(message: bytes, keys: Iterable[Ed25519PublicKey]) -> JournalHead:
    """Return the content of a head that one of the keys has signed. Raises WireError."""
    for key in keys:
        try:
            payload = cose.verify(message, key)
        except WireError:
            continue
        return _decode(payload)
    raise WireError("expected a signature by the ack key")


def _decode(payload: bytes) -> JournalHead:
    fields = cbor.decode_open_map(payload, _KEYS)
    if (fields[1], fields[2]) != (_TYPE, _VERSION):
        raise WireError("expected a head of version 1")
    numbers = [fields[key] for key in (3, 5, 6, 7)]
    if any(type(each) is not int or not 0 <= each < 2**63 for each in numbers):
        raise WireError("expected numbers from 0 on")
    leaf_hash = fields[4]
    if type(leaf_hash) is not bytes or len(leaf_hash) != _HASH_BYTES:
        raise WireError("expected a leaf hash")
    seq, at_ms, frames, trades = numbers
    return JournalHead(seq=seq, leaf_hash=leaf_hash, at_ms=at_ms, frames=frames, trades=trades)
