"""Memory: Python's cycle collector, told to look rarely, and glibc, told to give back.

What comes and goes by the thousand here (inputs, outcomes, entries) holds no cycles and is freed
by reference counting. Looking for cycles in it took a third of an order's time.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def collect_rarely() -> None:
    gc.set_threshold(100_000, 50, 50)


def give_back() -> None:
    """Returns freed memory to the system: reading a snapshot leaves some in glibc's heap."""
    with suppress(AttributeError, OSError):  # malloc_trim(3) is glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
