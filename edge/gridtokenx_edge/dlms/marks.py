"""The last sealed reading of each DLMS meter, kept on disk: where a gap would begin.

It is saved once a minute, as a card wears; at the start the outbox's newest frames tell the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.log import Logger
from gridtokenx_edge.store.outbox import Outbox, OutboxUnavailableError
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import open_frame
from gridtokenx_wire.reading import Reading

_SAVE_EVERY_S = 60.0
_FRAMES_AT_ONCE = 64
_MOST_FRAMES = 1024


class Mark(msgspec.Struct, frozen=True):
    """The registers of a meter's last reading, as the site sees them."""

    time_ms: int
    import_uwh: int
    export_uwh: int


def mark_of(reading: Reading) -> Mark:
    return Mark(reading.time_ms, reading.import_uwh, reading.export_uwh)


class Marks:
    """Marks of the meters in `meters`."""

    def __init__(self, path: Path, meters: Collection[str], log: Logger) -> None:
        self._path = path
        self._meters = frozenset(meters)
        self._log = log
        self._marks: dict[str, Mark] = {}
        self._saved_at_s = float("-inf")
        self._is_changed = False

    def last(self, meter: str) -> Mark | None:
        return self._marks.get(meter)

    def sealed(self, readings: Iterable[Reading]) -> None:
        """Readings have become a frame on the disk."""
        self._take(readings)
        if self._is_changed and time.monotonic() - self._saved_at_s >= _SAVE_EVERY_S:
            self.save()

    async def load(self, outbox: Outbox, key: Ed25519PublicKey) -> None:
        """Reads the file, and the frames in the outbox, which `key` signed, that are newer."""
        try:
            self._marks = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Mark])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            self._log.warning("marks_unreadable", path=str(self._path), reason=str(error))
        try:
            await self._scan(outbox, key)
        except (OutboxUnavailableError, WireError) as error:
            self._log.warning("marks_unreadable", path="outbox", reason=str(error))

    def save(self) -> None:
        """Replaces the file; what fails is tried again with the next frame."""
        self._saved_at_s = time.monotonic()
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(self._marks))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
        except OSError as error:
            self._log.warning("marks_unsaved", path=str(self._path), reason=str(error))
        else:
            self._is_changed = False

    def _take(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            if reading.meter not in self._meters:
                continue
            known = self._marks.get(reading.meter)
            if known is None or reading.time_ms > known.time_ms:
                self._marks[reading.meter] = mark_of(reading)
                self._is_changed = True

    async def _scan(self, outbox: Outbox, key: Ed25519PublicKey) -> None:
        """The newest frames, as far back as there are some."""
        oldest = max(outbox.oldest_seq, outbox.next_seq - _MOST_FRAMES)
        for first in range(oldest, outbox.next_seq, _FRAMES_AT_ONCE):
            for frame in await outbox.frames(first, _FRAMES_AT_ONCE):
                self._take(open_frame(frame.message, key).readings())
