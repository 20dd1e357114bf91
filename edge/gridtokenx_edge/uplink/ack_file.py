"""The ack file of the offline transfer: acks for a gateway that never comes online."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_wire.ack import Ack, open_ack
from gridtokenx_wire.atomic_file import PRIVATE, replace_file
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.message_file import MAX_ACK_BYTES, FileType, read_header, read_messages
from gridtokenx_wire.state_notice import StateNotice, open_answer


def open_by_any(message: bytes, keys: Sequence[Ed25519PublicKey]) -> Ack:
    """Return the ack, signed by any of the backend's keys. Raises WireError."""
    *others, last = keys
    for key in others:
        with suppress(WireError):
            return open_ack(message, key)
    return open_ack(message, last)


def open_answer_by_any(message: bytes, keys: Sequence[Ed25519PublicKey]) -> Ack | StateNotice:
    """Return the ack or the notice, signed by any of the backend's keys. Raises WireError."""
    *others, last = keys
    for key in others:
        with suppress(WireError):
            return open_answer(message, key)
    return open_answer(message, last)


def read_acks(
    path: Path, keys: Sequence[Ed25519PublicKey], device: bytes, chain: bytes
) -> list[Ack]:
    """Return the acks of an ack file, each verified under one of the backend's keys.

    Raises WireError, OSError.
    """
    with path.open("rb") as stream:
        read_header(stream, FileType.ACKS)
        acks = [open_by_any(message, keys) for message in read_messages(stream, MAX_ACK_BYTES)]
    if not acks:
        raise WireError("expected at least one ack")
    if any((ack.device, ack.chain) != (device, chain) for ack in acks):
        raise WireError("expected acks for this device and the chain of its outbox")
    return acks


def waiting_acks(outbox: Path) -> Path:
    """Return where a running agent looks for an ack file, before each attempt to connect."""
    return outbox.with_name(outbox.name + ".acks")


def leave_acks(outbox: Path, content: bytes) -> None:
    """Put an ack file there, whole or not at all. Raises OSError."""
    replace_file(waiting_acks(outbox), content, PRIVATE)
