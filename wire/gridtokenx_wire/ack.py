"""An ack: the backend's signed receipt, the only thing that lets a gateway forget a frame.

Its payload is a CBOR map: 1 type (2), 2 version (1 or 2), 3 device id, 4 chain id, 5 next_seq,
6 verdicts, each [seq, index, reason] for a reading that was not simply accepted. Version 2 has
7 head besides: the hash of the last frame that it covers, so that a gateway sees whether it is its
own. Gateways of version 0.2 and before take version 1 only; the others say so in a `hello`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire import cbor, cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import CHAIN_ID_BYTES, HASH_BYTES, MAX_READINGS_PER_FRAME
from gridtokenx_wire.keys import DEVICE_ID_BYTES
from gridtokenx_wire.verdict import Reason, Verdict

MAX_VERDICTS = 10_000
_TYPE = 2
_VERSION, _VERSION_WITH_HEAD = 1, 2
_KEYS = frozenset(range(1, 7))
_KEYS_WITH_HEAD = frozenset(range(1, 8))
_BEGINNING = bytes((0xA0 | len(_KEYS), 1, _TYPE, 2, _VERSION))
_BEGINNING_WITH_HEAD = bytes((0xA0 | len(_KEYS_WITH_HEAD), 1, _TYPE, 2, _VERSION_WITH_HEAD))
_REASONS = frozenset(map(int, Reason))
_MAP_HEADS = [cbor.encode_head(cbor.MAP, len(keys)) for keys in (_KEYS, _KEYS_WITH_HEAD)]
_VERDICT_HEAD = cbor.encode_head(cbor.ARRAY, 3)
_NUMBERS = [cbor.encode_head(cbor.UNSIGNED, number) for number in range(MAX_READINGS_PER_FRAME)]
"""Indices and reasons, encoded."""


class Ack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every frame of `chain` with a seq below `next_seq` is stored for good.

    `verdicts` speak of the frames that this ack is the first to cover. `head` is what the frame
    `next_seq` has to name as `prev`; it is empty in an ack of version 1.
    """

    device: bytes
    chain: bytes
    next_seq: int
    verdicts: list[Verdict]
    head: bytes = b""


def encode_ack(ack: Ack) -> bytes:
    """Return the payload to be signed.

    Raises WireError if there are more verdicts than a reader takes.
    """
    if len(ack.verdicts) > MAX_VERDICTS:
        raise WireError(f"expected at most {MAX_VERDICTS} verdicts in an ack")
    version = _VERSION_WITH_HEAD if ack.head else _VERSION
    first = cbor.encode({1: _TYPE, 2: version, 3: ack.device, 4: ack.chain, 5: ack.next_seq})
    parts = [_MAP_HEADS[bool(ack.head)], first[1:], b"\x06", _encode_verdicts(ack.verdicts)]
    if ack.head:
        parts += (b"\x07", cbor.encode_head(cbor.BYTES, len(ack.head)), ack.head)
    return b"".join(parts)


def _encode_verdicts(verdicts: list[Verdict]) -> bytes:
    """Return the verdicts as CBOR. There may be a thousand of a frame, so it is done by a table."""
    parts = [cbor.encode_head(cbor.ARRAY, len(verdicts))]
    seq, start = -1, b""
    for verdict in verdicts:
        if verdict.seq != seq:
            seq = verdict.seq
            start = _VERDICT_HEAD + cbor.encode_head(cbor.UNSIGNED, seq)
        parts += (start, _NUMBERS[verdict.index], _NUMBERS[verdict.reason])
    return b"".join(parts)


def decode_ack(payload: bytes) -> Ack:
    """Return the content of a payload whose signature has been verified. Raises WireError."""
    if payload.startswith(_BEGINNING):
        fields, head = cbor.decode_map(payload, _KEYS), b""
    elif payload.startswith(_BEGINNING_WITH_HEAD):
        fields = cbor.decode_map(payload, _KEYS_WITH_HEAD)
        head = fields[7]
        if type(head) is not bytes or len(head) != HASH_BYTES:
            raise WireError("expected a head")
    else:
        raise WireError("expected an ack of version 1 or 2")
    device, chain, next_seq, verdicts = fields[3], fields[4], fields[5], fields[6]
    if type(device) is not bytes or len(device) != DEVICE_ID_BYTES:
        raise WireError("expected a device id")
    if type(chain) is not bytes or len(chain) != CHAIN_ID_BYTES:
        raise WireError("expected a chain id")
    if type(next_seq) is not int or not 0 <= next_seq < 2**63:
        raise WireError("expected a next_seq from 0 on")
    if type(verdicts) is not list or len(verdicts) > MAX_VERDICTS:
        raise WireError("expected a list of verdicts")
    return Ack(
        device=device,
        chain=chain,
        next_seq=next_seq,
        verdicts=[_verdict(entry) for entry in verdicts],
        head=head,
    )


def _verdict(entry: Any) -> Verdict:
    match entry:
        case [seq, index, reason] if type(seq) is type(index) is type(reason) is int:
            if 0 <= seq < 2**63 and 0 <= index < MAX_READINGS_PER_FRAME and reason in _REASONS:
                return Verdict(seq=seq, index=index, reason=Reason(reason))
    raise WireError("expected verdicts [seq, index, reason]")


def seal_ack(ack: Ack, key: Ed25519PrivateKey) -> bytes:
    """Return the signed ack."""
    return cose.sign(encode_ack(ack), key)


def open_ack(message: bytes, key: Ed25519PublicKey) -> Ack:
    """Return the content of an ack signed by `key`. Raises WireError."""
    return decode_ack(cose.verify(message, key))
