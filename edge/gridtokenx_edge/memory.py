"""The memory of the process: how much it has, and how it gives back what it no longer needs."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path


def give_back() -> None:
    """Give freed memory back to the system: imports leave some 5 MiB in glibc's heap."""
    with suppress(AttributeError, OSError):  # only glibc has malloc_trim(3)
        ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int:
    """Return the resident memory of this process (proc(5): the second number of statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
