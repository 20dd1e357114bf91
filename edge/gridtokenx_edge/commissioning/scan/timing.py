"""How long to wait for an answer, and how long a scan will take, in seconds.

This module is pure.
"""

from __future__ import annotations

from gridtokenx_edge.commissioning.scan.settings import LineSettings

# A request has 8 characters, the probe's reply 9, and the longest reply 255. Before and after each
# are 3.5 characters of silence (Modbus over Serial Line V1.02, 2.5.1.1).
_PROBE_CHARACTERS = 8 + 9 + 7
_LONGEST_CHARACTERS = 8 + 255 + 7
# Meters think so long before they answer: most below 100 ms, some up to a quarter of a second.
_THINKING_S = 0.25
_LEAST_THINKING_S = 0.1
_TCP_PROBE_S = 1.0
_TCP_READ_S = 2.0
# A meter on this line may be so much slower than those that answered.
_SLOWER = 2.5


def probe_timeout_s(settings: LineSettings | None, round_trips_s: list[float]) -> float:
    """Return how long to wait for the answer to "is anybody there?".

    It is short, and shorter once it is known how fast this bus answers.
    """
    if settings is None:
        return _TCP_PROBE_S
    wire_s = _PROBE_CHARACTERS * settings.character_s
    if not round_trips_s:
        return wire_s + _THINKING_S
    thinking_s = max(0.0, max(round_trips_s) - wire_s)
    return wire_s + min(_THINKING_S, max(_LEAST_THINKING_S, _SLOWER * thinking_s))


def read_timeout_s(settings: LineSettings | None) -> float:
    """Return how long to wait for a reply of any length from a meter that is there."""
    if settings is None:
        return _TCP_READ_S
    return _LONGEST_CHARACTERS * settings.character_s + 2 * _THINKING_S
