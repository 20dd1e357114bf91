"""A state notice: what the backend says of a gateway itself, beside the acks of its frames.

It is sent on the topic of the acks, signed by the same key. Its payload is a CBOR map: 1 type (6),
2 version (1), 3 device id, 4 time_ms of the backend's clock, 5 state, 6 retry_ms, 7 reason.

A state has a message of its own because gateways of version 0.2 and before take no ack with further
keys: they log a notice as an ack that they ignore, and go on. To spare later versions that trouble,
a reader passes over keys that it does not know, and takes a state that it does not know as UNKNOWN.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire import cbor, cose
from gridtokenx_wire.ack import Ack, decode_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import DEVICE_ID_BYTES

MAX_REASON = 200
MAX_RETRY_MS = 86_400_000
_TYPE = 6
_VERSION = 1
_KEYS = frozenset(range(1, 8))


class GatewayState(IntEnum):
    """How a gateway stands with the backend. The numbers never change."""

    ACTIVE = 0
    """Its frames are taken. An ack that covers new frames says the same."""
    PENDING = 1
    """The operator has not admitted the device yet."""
    REVOKED = 2
    """The operator, or a rotation, has shut the device out. Its key stays shut out for ever."""
    HELD = 3
    """Another frame came with a number and the key of one that is stored: the key was copied, or
    an old copy of the outbox was put back. Nothing is taken until the operator has decided.
    """
    SLOW_DOWN = 4
    """It sends more than its budget: frames are left unacked until `retry_ms` have passed."""
    PAUSED = 5
    """The backend takes no frames of anybody now."""
    OUT_OF_CHAIN = 6
    """Its frames do not continue the chain that the backend knows of this device."""
    UNKNOWN = 255
    """A state of a later version. It is never sent."""

    @property
    def label(self) -> str:
        """The name in the API, in logs and in metrics: `slow_down`."""
        return self.name.lower()


_STATES = frozenset(map(int, GatewayState)) - {int(GatewayState.UNKNOWN)}


class StateNotice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How the backend sees the gateway `device` at `time_ms`.

    A notice deletes nothing at the gateway: every frame without an ack is kept. Of two notices the
    later one counts, whichever came first. `retry_ms` is how long the gateway should wait before it
    sends again, 0 where it is not said. `reason` is for people.
    """

    device: bytes
    time_ms: int
    state: GatewayState
    retry_ms: int = 0
    reason: str = ""


def encode_notice(notice: StateNotice) -> bytes:
    """Return the payload to be signed. Raises WireError for what a reader would refuse."""
    if int(notice.state) not in _STATES:
        raise WireError("expected a known state in a notice")
    payload = cbor.encode(
        {
            1: _TYPE,
            2: _VERSION,
            3: notice.device,
            4: notice.time_ms,
            5: int(notice.state),
            6: notice.retry_ms,
            7: notice.reason,
        }
    )
    decode_notice(payload)
    return payload


def decode_notice(payload: bytes) -> StateNotice:
    """Return the content of a payload whose signature has been verified. Raises WireError."""
    fields = cbor.decode_open_map(payload, _KEYS)
    if not (_is_number(fields[1], _TYPE, _TYPE) and _is_number(fields[2], _VERSION, _VERSION)):
        raise WireError("expected a state notice of version 1")
    device, time_ms, state, retry_ms, reason = (fields[key] for key in range(3, 8))
    if type(device) is not bytes or len(device) != DEVICE_ID_BYTES:
        raise WireError("expected a device id")
    if not _is_number(time_ms, 0, 2**63 - 1):
        raise WireError("expected a time from 0 on")
    if not _is_number(state, 0, 254):
        raise WireError("expected a state from 0 to 254")
    if not _is_number(retry_ms, 0, MAX_RETRY_MS):
        raise WireError("expected a wait of a day at most")
    if type(reason) is not str or len(reason) > MAX_REASON or not reason.isprintable():
        raise WireError(f"expected a reason of at most {MAX_REASON} printable characters")
    return StateNotice(
        device=device,
        time_ms=time_ms,
        state=GatewayState(state) if state in _STATES else GatewayState.UNKNOWN,
        retry_ms=retry_ms,
        reason=reason,
    )


def _is_number(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def seal_notice(notice: StateNotice, key: Ed25519PrivateKey) -> bytes:
    """Return the signed notice. Raises WireError for what a reader would refuse."""
    return cose.sign(encode_notice(notice), key)


def open_notice(message: bytes, key: Ed25519PublicKey) -> StateNotice:
    """Return the content of a notice signed by `key`. Raises WireError."""
    return decode_notice(cose.verify(message, key))


def open_answer(message: bytes, key: Ed25519PublicKey) -> Ack | StateNotice:
    """Return what the backend sent on the topic of the acks, signed by `key`. Raises WireError."""
    payload = cose.verify(message, key)
    return decode_notice(payload) if payload[1:3] == bytes((1, _TYPE)) else decode_ack(payload)
