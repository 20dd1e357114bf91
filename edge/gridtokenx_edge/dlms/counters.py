"""Invocation counters on the disk: none is ever used twice, however the process ends.

A counter that is used twice under one key gives the key away (NIST SP 800-38D, 8). So a range is
reserved on the disk before its first counter is used. A crash costs what was left of the range.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from gridtokenx_dlms.errors import SecurityError
from gridtokenx_dlms.security import MAX_COUNTER, Keys
from gridtokenx_dlms.session import Ciphering
from gridtokenx_wire.atomic_file import PRIVATE, replace_file

# Enough for some 40 readings of a meter. A memory card writes a page for each range.
RANGE = 1000


class _StoredCounters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file: the first counter that is not reserved, and the newest one of each
    meter.
    """

    next: int = 0
    newest_received: dict[str, int] = msgspec.field(default_factory=dict, name="heard")


class CounterFile:
    """The counters of one key and system title. Raises SecurityError where the disk cannot keep
    them.

    The file is named after the two, and it stays when keys are exchanged. So no counter is used a
    second time if old keys come back, or if several meters share theirs.
    """

    def __init__(self, folder: Path, meter: str, keys: Keys, title: bytes) -> None:
        named = hashlib.sha256(b"counters" + keys.encryption + title).hexdigest()[:16]
        self._path = folder / f"dlms-{named}.counters"
        self._meter = meter

    def reserve(self, at_least: int = 0, newest: int = -1) -> range:
        """Reserve a range of counters for this caller, all of them `at_least` or higher, and return
        it.
        """
        with self._locked():
            kept = self._load()
            first = max(kept.next, at_least)
            last = min(first + RANGE, MAX_COUNTER + 1)
            if first >= last:
                raise SecurityError("the invocation counter is used up; the keys must be exchanged")
            self._store(_StoredCounters(last, self._with_newest(kept, newest)))
            return range(first, last)

    def newest_received(self) -> int:
        """Return the newest counter that the meter is known to have used, or -1."""
        return self._load().newest_received.get(self._meter, -1)

    def keep_newest_received(self, newest: int) -> None:
        """Keep the newest counter of the meter, so that replays are recognised after a restart."""
        with self._locked():
            kept = self._load()
            if newest > kept.newest_received.get(self._meter, -1):
                self._store(_StoredCounters(kept.next, self._with_newest(kept, newest)))

    def _with_newest(self, kept: _StoredCounters, newest: int) -> dict[str, int]:
        newest = max(newest, kept.newest_received.get(self._meter, -1))
        return kept.newest_received | ({self._meter: newest} if newest >= 0 else {})

    def _locked(self) -> _Lock:
        return _Lock(self._path.with_name(f"{self._path.name}.lock"))

    def _load(self) -> _StoredCounters:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_StoredCounters)
        except FileNotFoundError:
            return _StoredCounters()
        except (OSError, msgspec.DecodeError) as error:
            # To begin at zero would use counters twice.
            raise SecurityError(f"{self._path}: expected invocation counters: {error}") from None

    def _store(self, kept: _StoredCounters) -> None:
        """Replace the file. The content is safe on the disk when this returns."""
        try:
            replace_file(self._path, msgspec.json.encode(kept), PRIVATE)
        except OSError as error:
            raise SecurityError(
                f"{self._path}: invocation counters cannot be kept: {error.strerror}"
            ) from None


class _Lock:
    """A lock between processes: the installer's command and the agent may ask the same meter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise SecurityError(f"{self._path}: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class DurableCiphering(Ciphering):
    """Ciphering whose counters come from reserved ranges. MeterAccess.ciphering makes it."""

    counters: CounterFile | None = None
    end: int = 0

    def take_counter(self) -> int:
        """Return the next counter. It comes from a new range where the last one is used up."""
        assert self.counters
        if self.counter >= self.end:
            self.skip_to(0)
        self.counter += 1
        return self.counter - 1

    def skip_to(self, at_least: int) -> None:
        """Go on in a new range, from `at_least` on, because the meter has seen other counters
        meanwhile.
        """
        assert self.counters
        reserved = self.counters.reserve(at_least, self.guard.newest)
        self.counter, self.end = reserved.start, reserved.stop
