"""A hello: what a gateway says of itself when it has connected, before its frames.

It is sent on the topic of the frames, signed by the gateway's key. Its payload is a CBOR map:
1 type (8), 2 version (1), 3 device id, 4 chain id, 5 the newest ack that the gateway has, signed as
it came, or nothing.

Who says hello takes acks with a head. Backends of version 0.2 and before take a hello for a frame
that they cannot read: they count it as malformed, and go on. A reader passes over keys that it does
not know.
"""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire import cbor, cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import CHAIN_ID_BYTES
from gridtokenx_wire.keys import DEVICE_ID_BYTES

MAX_NEWEST_ACK = 1024
"""A gateway keeps no ack that is longer, as one with many verdicts is."""
_TYPE = 8
_VERSION = 1
_KEYS = frozenset(range(1, 6))
_MARK = bytes((1, _TYPE, 2, _VERSION))
# CBOR may say costly things at length; see frame_layout.
_MAX_PAYLOAD = 2 * MAX_NEWEST_ACK


class Hello(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The gateway `device` is there, with the outbox `chain`, and takes acks with a head.

    `newest_ack` is a whole signed ack of this backend, or empty: what the backend has acked once.
    """

    device: bytes
    chain: bytes
    newest_ack: bytes = b""


def is_hello(payload: bytes) -> bool:
    """Return whether a payload claims to be a hello."""
    return payload[1:5] == _MARK


def encode_hello(hello: Hello) -> bytes:
    """Return the payload to be signed. Raises WireError for what a reader would refuse."""
    payload = cbor.encode(
        {1: _TYPE, 2: _VERSION, 3: hello.device, 4: hello.chain, 5: hello.newest_ack}
    )
    decode_hello(payload)
    return payload


def decode_hello(payload: bytes) -> Hello:
    """Return the content of a payload whose signature has been verified. Raises WireError."""
    if not is_hello(payload):
        raise WireError("expected a hello of version 1")
    if len(payload) > _MAX_PAYLOAD:
        raise WireError(f"expected a hello of at most {_MAX_PAYLOAD} bytes")
    fields = cbor.decode_open_map(payload, _KEYS)
    device, chain, newest_ack = fields[3], fields[4], fields[5]
    if type(device) is not bytes or len(device) != DEVICE_ID_BYTES:
        raise WireError("expected a device id")
    if type(chain) is not bytes or len(chain) != CHAIN_ID_BYTES:
        raise WireError("expected a chain id")
    if type(newest_ack) is not bytes or len(newest_ack) > MAX_NEWEST_ACK:
        raise WireError(f"expected an ack of at most {MAX_NEWEST_ACK} bytes")
    return Hello(device=device, chain=chain, newest_ack=newest_ack)


def seal_hello(hello: Hello, key: Ed25519PrivateKey) -> bytes:
    """Return the signed hello. Raises WireError for what a reader would refuse."""
    return cose.sign(encode_hello(hello), key)


def open_hello(message: bytes, key: Ed25519PublicKey) -> Hello:
    """Return the content of a hello signed by `key`. Raises WireError."""
    return decode_hello(cose.verify(message, key))
