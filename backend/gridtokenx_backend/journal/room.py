"""Whether there is room on a disk for what SQLite needs beside a file before it can be read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_PROBE = bytes(128 * 1024)
"""SQLite's shared memory takes 32 KiB and grows; what is asked for here is more than it needs."""


def has_room(folder: Path) -> bool:
    """Return whether a small file can be written in a folder. It is deleted at once."""
    probe = folder / f".room.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        view = memoryview(_PROBE)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
        probe.unlink()
    return True
