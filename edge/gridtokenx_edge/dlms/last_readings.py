"""The last stored reading of each DLMS meter, kept on the disk. A gap would begin there.

The file is saved once a minute at most, because a memory card wears. At the start the newest frames
of the outbox tell what is newer than the file.

The file is named after the gateway's key, because several gateways may keep their files in one
folder, and it is locked while one of them runs. A gateway whose file is missing looks for its
meters in those of other keys, and in the one that all shared before 0.3.0: their last readings are
where a gap begins, whoever stored them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Set
from pathlib import Path

import msgspec

from gridtokenx_edge.file_lock import FileLock, InUseError
from gridtokenx_edge.log import Logger
from gridtokenx_edge.polling.driver import StoredReadingsError
from gridtokenx_wire.atomic_file import PRIVATE, replace_file
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.reading import Reading

_SAVE_EVERY_S = 60.0
_OTHERS = "dlms*.marks"


def marks_file(folder: Path, device: bytes) -> Path:
    """Return where the gateway with this key keeps the last readings of its DLMS meters."""
    return folder / f"dlms-{device_text(device)}.marks"


class LastReading(msgspec.Struct, frozen=True, kw_only=True):
    """The time and the registers of a meter's last reading, as the site sees them."""

    time_ms: int
    import_uwh: int
    export_uwh: int


def last_reading_of(reading: Reading) -> LastReading:
    return LastReading(
        time_ms=reading.time_ms, import_uwh=reading.import_uwh, export_uwh=reading.export_uwh
    )


class LastReadings:
    """The last readings of the meters that are followed."""

    def __init__(self, path: Path, log: Logger) -> None:
        self._path = path
        self._lock = FileLock(path)
        self._meters: Set[str] = frozenset()
        self._log = log
        self._last_readings: dict[str, LastReading] = {}
        self._saved_at_s = float("-inf")
        self._is_changed = False

    def last(self, meter: str) -> LastReading | None:
        """Return the last reading of a meter, or None if none is known."""
        return self._last_readings.get(meter)

    def stored(self, readings: Iterable[Reading]) -> None:
        """Take note of readings that have become a frame on the disk."""
        for reading in readings:
            self._read(reading)
        if self._is_changed and time.monotonic() - self._saved_at_s >= _SAVE_EVERY_S:
            self.save()

    async def follow(
        self, meters: Set[str], stored_readings: Callable[[], AsyncIterator[Reading]]
    ) -> None:
        """Follow these meters from now on.

        Where some of them are new, their last readings come from the file, or from the stored
        readings where those are newer.
        """
        are_known = meters <= self._meters
        self._meters = meters
        if are_known:
            return
        for meter, last in self._first_known().items():
            self._take(meter, last)
        try:
            async for reading in stored_readings():
                self._read(reading)
        except StoredReadingsError as error:
            self._log.warning("marks_unreadable", path="outbox", reason=str(error))

    def _first_known(self) -> dict[str, LastReading]:
        """Return what the file has, or what other files have of our meters if there is none yet."""
        if own := self._load(self._path):
            return own
        found: dict[str, LastReading] = {}
        for path in sorted(self._path.parent.glob(_OTHERS)):
            for meter, last in self._load(path).items():
                known = found.get(meter)
                if meter in self._meters and (known is None or last.time_ms > known.time_ms):
                    found[meter] = last
        return found

    def _load(self, path: Path) -> dict[str, LastReading]:
        try:
            content = path.read_bytes()
            # A lock makes the file before anything is saved.
            return msgspec.json.decode(content or b"{}", type=dict[str, LastReading])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            self._log.warning("marks_unreadable", path=str(path), reason=str(error))
            return {}

    def close(self) -> None:
        """Save the file, and let others use it."""
        self.save()
        self._lock.release()

    def save(self) -> None:
        """Replace the file. If that fails, it is tried again with a later frame."""
        self._saved_at_s = time.monotonic()
        try:
            self._lock.take()
            replace_file(self._path, msgspec.json.encode(self._last_readings), PRIVATE)
        except (InUseError, OSError) as error:
            self._log.warning("marks_unsaved", path=str(self._path), reason=str(error))
        else:
            self._is_changed = False

    def _read(self, reading: Reading) -> None:
        if reading.meter in self._meters and self._take(reading.meter, last_reading_of(reading)):
            self._is_changed = True

    def _take(self, meter: str, reading: LastReading) -> bool:
        """Keep a reading if it is newer than the one before. Return whether it is."""
        known = self._last_readings.get(meter)
        is_newer = known is None or reading.time_ms > known.time_ms
        if is_newer:
            self._last_readings[meter] = reading
        return is_newer
