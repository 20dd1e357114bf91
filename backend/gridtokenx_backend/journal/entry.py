"""A journal entry: the input verbatim, its outcome, and the public leaf that commits to both.

The leaf is JSON, stored and hashed as the same bytes:

    {"v":2,"seq":7,"at_ms":...,"kind":"frame","rules":2,
     "movements":[["GRID","issuer:GRID","7xK...",1500]],"commitment":"hex"}

`rules` is the version of the rules that made the outcome. Version 1 of the leaf has no such field;
its entries were made by the rules of version 1. Those leaves stay as they are for ever.

`commitment` is SHA-256(salt ‖ length of input as 8 bytes big-endian ‖ input ‖ outcome). Erasing
input, outcome and salt leaves the leaf and the tree whole and says nothing of what was erased.
The leaf hash is RFC 6962 §2.1: SHA-256(0x00 ‖ leaf).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.messages.inputs import Input, kind_of
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, Outcome, movements_of
from gridtokenx_backend.core.messages.refused_frames import RefusedFrameStored
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.rules_version import RULES_VERSION

SALT_BYTES = 16
LEAF_VERSION = 2


class Leaf(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The public part of an entry. Movements are [asset, debit, credit, amount]."""

    v: int
    seq: int
    at_ms: int
    kind: str
    rules: int = 1
    movements: list[Movement]
    commitment: str


class _LeafOfVersion1(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A leaf as version 0.1.0 of the program wrote it."""

    v: int
    seq: int
    at_ms: int
    kind: str
    movements: list[Movement]
    commitment: str


class Entry(NamedTuple):
    """A row of the journal. `previous` is the entry before it of the same device, or 0."""

    seq: int
    at_ms: int
    kind: str
    previous: int
    leaf: bytes
    leaf_hash: bytes
    salt: bytes
    input: bytes
    outcome: bytes


_encode_leaf = msgspec.json.Encoder().encode
_leaf_decoder = msgspec.json.Decoder(Leaf)
_encode_outcome = msgspec.msgpack.Encoder().encode
_outcome_decoder: msgspec.msgpack.Decoder[Outcome] = msgspec.msgpack.Decoder(Outcome)


def make_entry(
    seq: int,
    at_ms: int,
    input_: Input,
    outcome: Outcome,
    salt: bytes,
    *,
    leaf_version: int = LEAF_VERSION,
    rules: int = RULES_VERSION,
) -> Entry:
    """Return the entry for an input that the core has carried out.

    `salt` is 16 fresh random bytes. `leaf_version` and `rules` are other than the newest only where
    a stored entry is made again.
    """
    stored = _encode_outcome(outcome)
    kind = kind_of(input_)
    movements = movements_of(outcome)
    commitment = commit(salt, input_.raw, stored)
    if leaf_version == 1:
        leaf = _encode_leaf(
            _LeafOfVersion1(
                v=1, seq=seq, at_ms=at_ms, kind=kind, movements=movements, commitment=commitment
            )
        )
    else:
        leaf = _encode_leaf(
            Leaf(
                v=leaf_version,
                seq=seq,
                at_ms=at_ms,
                kind=kind,
                rules=rules,
                movements=movements,
                commitment=commitment,
            )
        )
    previous = outcome.previous if isinstance(outcome, FrameAccepted | RefusedFrameStored) else 0
    return Entry(
        seq=seq,
        at_ms=at_ms,
        kind=kind,
        previous=previous,
        leaf=leaf,
        leaf_hash=leaf_hash(leaf),
        salt=salt,
        input=input_.raw,
        outcome=stored,
    )


def commit(salt: bytes, input_: bytes, outcome: bytes) -> str:
    """Return the salted commitment to an entry's private part, in hex."""
    hashed = hashlib.sha256(salt)
    hashed.update(len(input_).to_bytes(8, "big"))
    hashed.update(input_)
    hashed.update(outcome)
    return hashed.hexdigest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def decode_outcome(stored: bytes) -> Outcome:
    """Return the outcome of a stored entry."""
    return _outcome_decoder.decode(stored)


def decode_leaf(stored: bytes) -> Leaf:
    """Return the content of a stored leaf. Raises ValueError."""
    return _leaf_decoder.decode(stored)
