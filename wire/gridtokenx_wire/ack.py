"""An ack: the backend's signed receipt, the only thing that lets a gateway forget a frame.

Its payload is a CBOR map: 1 type (2), 2 version (1), 3 device id, 4 chain id, 5 next_seq,
6 verdicts, each [seq, index, reason] for a reading that was not simply accepted.
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
from gridtokenx_wire.frame import CHAIN_ID_BYTES, MAX_READINGS_PER_FRAME
from gridtokenx_wire.keys import DEVICE_ID_BYTES
from gridtokenx_wire.verdict import Reason, Verdict

MAX_VERDICTS = 10_000
_TYPE = 2
_VERSION = 1
_KEYS = frozenset(range(1, 7))
_HEAD = bytes((0xA0 | len(_KEYS), 1, _TYPE, 2, _VERSION))
_REASONS = frozenset(map(int, Reason))


class Ack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every frame of `chain` with a seq below `next_seq` is stored for good.

    `verdicts` speak of the frames that this ack is the first to cover.
    """

    device: bytes
    chain: bytes
    next_seq: int
    verdicts: list[Verdict]


def encode_ack(ack: Ack) -> bytes:
    """Return the payload to be signed.

    Raises WireError if there are more verdicts than a reader takes.
    """
    if len(ack.verdicts) > MAX_VERDICTS:
        raise WireError(f"expected at most {MAX_VERDICTS} verdicts in an ack")
    verdicts = [[verdict.seq, verdict.index, int(verdict.reason)] for verdict in ack.verdicts]
    return cbor.encode(
        {1: _TYPE, 2: _VERSION, 3: ack.device, 4: ack.chain, 5: ack.next_seq, 6: verdicts}
    )


def decode_ack(payload: bytes) -> Ack:
    """Return the content of a payload whose signature has been verified. Raises WireError."""
    if not payload.startswith(_HEAD):
        raise WireError("expected an ack of version 1")
    fields = cbor.decode_map(payload, _KEYS)
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
