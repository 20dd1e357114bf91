"""Python's cycle collector, told to look rarely.

What comes and goes by the thousand here (inputs, outcomes, entries) holds no cycles and is freed
by reference counting. Looking for cycles in it took a third of an order's time.
"""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    gc.set_threshold(100_000, 50, 50)
