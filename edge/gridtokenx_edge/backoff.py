"""How long to wait after a failure: exponential backoff with jitter, up to a cap."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Waits that double from `base_s` to `cap_s`, each shortened by up to half at random.

    `entropy` gives numbers in [0, 1). The jitter keeps the gateways of a street from asking at the
    same moment.
    """

    def __init__(self, base_s: float, cap_s: float, entropy: Callable[[], float]) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._entropy = entropy
        self.failures = 0

    def next_s(self) -> float:
        """Count a failure, and return the wait after it in seconds."""
        exponent = min(self.failures, 32)  # beyond it the cap holds for any base
        self.failures += 1
        wait_s: float = min(self._cap_s, self._base_s * 2**exponent)
        return wait_s * (1 - self._entropy() / 2)

    def reset(self) -> None:
        self.failures = 0
