"""How long an uplink waits before it connects again. Pure but for the entropy that it is given."""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.uplink.broker_faults import BrokerFault
from gridtokenx_edge.uplink.troubles import CALM_AFTER_S

# A connection that lasted so long was a good one, and the next fault is a new one. An ack proves
# nothing: a broker may take one frame and hang up.
STEADY_S = 10.0
_BASE_S = 1.0
# Another program that has our key connects again, too. Each that waits longer disturbs less.
_RIVAL_BASE_S = 60.0
_RIVAL_CAP_S = 600.0


class Reconnect:
    """Waits that grow from fault to fault up to `longest_s`, and to more where another program has
    our key.
    """

    def __init__(self, longest_s: float, entropy: Callable[[], float]) -> None:
        self._backoff = Backoff(_BASE_S, longest_s, entropy)
        self._rival_backoff = Backoff(_RIVAL_BASE_S, _RIVAL_CAP_S, entropy)

    def wait_s(self, fault: BrokerFault, lasted_s: float) -> float:
        """Return the wait after a fault. The connection had lasted so long, or 0 s."""
        if lasted_s >= STEADY_S:
            self._backoff.reset()
        if lasted_s >= CALM_AFTER_S:
            self._rival_backoff.reset()
        if fault is BrokerFault.TAKEN_OVER:
            return self._rival_backoff.next_s()
        return self._backoff.next_s()
