"""What time it is according to what gateways sign.

A reading cannot have been taken after it arrived. So the newest time that a gateway has signed,
seen from the moment at which it arrived, is at most the true time, and close to it while the
gateway is online. It is kept as an offset to the machine's elapsed time, which no change of the
clock moves.
"""

from __future__ import annotations

import msgspec

FRESH_MS = 15 * 60_000
"""How long a signed time is evidence. Gateways poll once in a few minutes at least."""


class GatewayTime(msgspec.Struct, frozen=True, kw_only=True):
    """The newest time that a gateway signed, less the elapsed time at which it arrived."""

    offset_ms: int
    seen_ms: int


class GatewayTimes:
    """The newest signed times of the gateways whose own clocks are synchronised."""

    def __init__(self) -> None:
        self._times: dict[bytes, GatewayTime] = {}

    def note(self, device: bytes, time_ms: int, elapsed_ms: int) -> None:
        """Note the newest time in a gateway's verified frame, which arrived at `elapsed_ms`.

        A frame that comes late says less than one that is remembered, and changes nothing.
        """
        offset_ms = time_ms - elapsed_ms
        known = self._times.get(device)
        if known is None or offset_ms >= known.offset_ms or not _is_fresh(known, elapsed_ms):
            self._times[device] = GatewayTime(offset_ms=offset_ms, seen_ms=elapsed_ms)

    def fresh(self, elapsed_ms: int) -> dict[bytes, GatewayTime]:
        """Return the times that are still evidence, by the gateway's id."""
        return {
            device: known for device, known in self._times.items() if _is_fresh(known, elapsed_ms)
        }


def _is_fresh(known: GatewayTime, elapsed_ms: int) -> bool:
    return elapsed_ms - known.seen_ms <= FRESH_MS
