"""Memory: Python's cycle collector runs rarely, and freed memory goes back to the system.

Inputs, outcomes and entries come and go by the thousand. They hold no cycles, so reference counting
frees them; looking for cycles in them took a third of an order's time.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def collect_rarely() -> None:
    """Make the cycle collector run less often than by default."""
    gc.set_threshold(100_000, 50, 50)


def give_back() -> None:
    """Return freed memory to the system; to read a snapshot leaves some of it in glibc's heap."""
    with suppress(AttributeError, OSError):  # malloc_trim(3) is glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
