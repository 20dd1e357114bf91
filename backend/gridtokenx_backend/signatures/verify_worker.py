"""A process that checks Ed25519 signatures: batches come on stdin, a byte for each goes to stdout.

It is a process and not a thread, because a thread would wait for the event loop to release the
interpreter. It ends when its stdin ends, so it never outlives the backend.

    request   length as 4 bytes big-endian, then msgpack [[public key, signature, signed], ...]
    reply     length as 4 bytes big-endian, then 0x01 (valid) or 0x00 for each
"""

from __future__ import annotations

import signal
import sys
from typing import BinaryIO

import msgspec
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

SignatureJob = tuple[bytes, bytes, bytes]
"""Public key (32 bytes), signature (64 bytes), and the bytes that were signed."""

LENGTH_BYTES = 4
_decoder = msgspec.msgpack.Decoder(list[SignatureJob])


def check(job: SignatureJob) -> bool:
    """Return whether a signature is valid (RFC 8032 §5.1.7).

    libsodium also refuses keys and signatures of small order.
    """
    public_key, signature, signed = job
    try:
        crypto_sign_open(signature + signed, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while header := requests.read(LENGTH_BYTES):
        jobs = _decoder.decode(requests.read(int.from_bytes(header, "big")))
        answer = bytes(map(check, jobs))
        replies.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        replies.flush()


if __name__ == "__main__":
    # Ctrl-C and systemd's stop reach the whole group; the backend ends this process itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
