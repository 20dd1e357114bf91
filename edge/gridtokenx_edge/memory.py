"""What the process occupies, and giving back what it no longer needs."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path


def give_back() -> None:
    """Returns freed memory to the system: reading the modules leaves some 5 MiB in glibc's heap."""
    with suppress(AttributeError, OSError):  # malloc_trim(3) is glibc's alone
        ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int:
    """Resident memory of this process, proc(5): the second number of statm, in pages."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
