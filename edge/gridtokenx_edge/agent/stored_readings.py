"""The readings that wait in the outbox, for drivers that ask where their meters left off."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.polling.driver import StoredReadingsError
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxUnavailableError
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import open_frame
from gridtokenx_wire.reading import Reading

_FRAMES_AT_ONCE = 64
_MOST_FRAMES = 1024


async def stored_readings(outbox: Outbox, key: Ed25519PublicKey) -> AsyncIterator[Reading]:
    """Yield the readings of the newest frames, which `key` signed, oldest first.

    Raises StoredReadingsError.
    """
    oldest = max(outbox.oldest_seq, outbox.next_seq - _MOST_FRAMES)
    try:
        for first in range(oldest, outbox.next_seq, _FRAMES_AT_ONCE):
            for frame in await outbox.frames(first, _FRAMES_AT_ONCE):
                for reading in open_frame(frame.message, key).readings():
                    yield reading
    except (OutboxUnavailableError, WireError) as error:
        raise StoredReadingsError(str(error)) from None
