"""How this gateway stands with the backend, as its signed notices say, and what to do about it.

This module is pure but for the entropy that it is given.
"""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.uplink.troubles import Trouble
from gridtokenx_wire.state_notice import GatewayState, StateNotice

# One frame asks again after such a wait, where the backend does not say how long.
_BASE_S = 30.0
_CAP_S = 600.0
_NEW_KEY = (
    "ask the operator why; to come back, move edge.key, edge-tls.key and outbox.db away and enrol"
    " with a new token: gridtokenx-edge enrol"
)
_MEANINGS = {
    GatewayState.PENDING: (
        "the operator has not admitted this gateway yet",
        "ask the operator to approve this device; its readings wait in the outbox",
    ),
    GatewayState.REVOKED: ("the operator has revoked this gateway's key", _NEW_KEY),
    GatewayState.HELD: (
        "the backend holds this gateway: another frame came with its key and the same number",
        "is another gateway or agent running with a copy of this key, or was an old outbox put"
        " back? Stop it, and ask the operator",
    ),
    GatewayState.SLOW_DOWN: (
        "this gateway sends more than its budget",
        "nothing if it passes: frames wait in the outbox; else poll_every_s is too short",
    ),
    GatewayState.PAUSED: (
        "the backend takes no frames at the moment",
        "nothing: frames wait in the outbox; the operator knows",
    ),
    GatewayState.OUT_OF_CHAIN: (
        "this outbox does not continue the chain that the backend knows",
        "is the outbox new, or an old copy? The operator approves a new chain",
    ),
    GatewayState.UNKNOWN: (
        "the backend says something about this gateway that this version does not know",
        "ask the operator, and install a newer version",
    ),
}
# They hold for a gateway that is not connected, too.
_LASTING = {GatewayState.REVOKED, GatewayState.HELD, GatewayState.OUT_OF_CHAIN}


class Standing:
    """The newest notice, and how long to wait because of it."""

    def __init__(self, entropy: Callable[[], float]) -> None:
        self._waits = Backoff(_BASE_S, _CAP_S, entropy)
        self._newest_ms = -1
        self.state = GatewayState.ACTIVE
        self.trouble: Trouble | None = None
        self.wait_s = 0.0
        """How long no frame should be sent, from the notice on."""

    def take(self, notice: StateNotice) -> bool:
        """Take a notice, and return whether it counts: an older one than the newest does not."""
        if notice.time_ms <= self._newest_ms:
            return False
        self._newest_ms = notice.time_ms
        if notice.state is GatewayState.ACTIVE:
            self._be_active()
            return True
        if notice.state is not self.state:
            self._waits.reset()
        self.state = notice.state
        reason, do = _MEANINGS[notice.state]
        said = f"{reason} ({notice.reason})" if notice.reason else reason
        self.trouble = Trouble(name=notice.state.label, reason=said, do=do)
        self.wait_s = notice.retry_ms / 1000 if notice.retry_ms else self._waits.next_s()
        return True

    def acked(self) -> bool:
        """Note that new frames were acked. Return whether that ends a wait."""
        if self.state in {GatewayState.ACTIVE, GatewayState.SLOW_DOWN}:
            return False  # what was sent before the limit was reached is acked, too
        self._be_active()
        return True

    def disconnected(self) -> None:
        """Forget what may have changed meanwhile."""
        if self.state not in _LASTING:
            self._be_active()

    def _be_active(self) -> None:
        self.state = GatewayState.ACTIVE
        self.trouble = None
        self.wait_s = 0.0
        self._waits.reset()
