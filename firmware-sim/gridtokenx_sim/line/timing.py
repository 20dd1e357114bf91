"""When bytes arrive on a half-duplex serial wire of a given speed. Pure: the time is handed in."""

from __future__ import annotations

_BITS_PER_BYTE = 10  # start, 8 data bits, stop
# Modbus over Serial Line V1.02, 2.5.1.1: frames stand 3.5 characters apart, above 19,200 baud
# 1.75 ms.
_SILENCE_CHARACTERS = 3.5
_FAST_BAUD = 19_200
_FAST_SILENCE_S = 0.00175


class WireTiming:
    """The times of bytes on a line, in seconds of one monotonic clock.

    A reply begins one silence after its request at the earliest: only then do the meters know
    that the request has ended. What the simulator needs to answer hides behind that silence.
    """

    def __init__(self, baud: int, silence_s: float | None = None) -> None:
        """Prepare a wire at a rate. `silence_s` is Modbus's for this rate where it is not named."""
        self.set_baud(baud)
        if silence_s is None:
            fits = baud <= _FAST_BAUD
            silence_s = _SILENCE_CHARACTERS * self._byte_s if fits else _FAST_SILENCE_S
        self.silence_s = silence_s
        self._free_at_s = float("-inf")
        self._meters_spoke = False

    def set_baud(self, baud: int) -> None:
        """Change the rate of the bytes that are sent from now on."""
        self._byte_s = _BITS_PER_BYTE / baud

    def request(self, count: int, now_s: float) -> float | None:
        """Return when the last of `count` bytes from the gateway arrives.

        None if they come less than a silence after a reply: the meters hear both as one frame.
        """
        if self._meters_spoke and now_s < self._free_at_s + self.silence_s:
            return None
        self._meters_spoke = False
        return self._carry(count, now_s)

    def reply(self, count: int, now_s: float) -> float:
        """Return when the last of `count` bytes from the meters arrives."""
        begins_s = now_s if self._meters_spoke else max(now_s, self._free_at_s + self.silence_s)
        self._meters_spoke = True
        return self._carry(count, begins_s)

    def _carry(self, count: int, begins_s: float) -> float:
        self._free_at_s = max(self._free_at_s, begins_s) + count * self._byte_s
        return self._free_at_s
