"""What keeps a gateway's readings from being acked, as one sentence for a person. Pure.

The broker's faults come first, because nothing else can be known behind them.
"""

from __future__ import annotations

import msgspec

from gridtokenx_edge.uplink.broker_faults import (
    NO_SUBSCRIBERS,
    TAKEN_OVER_REASON,
    BrokerFault,
    is_denied,
)

# Whoever shares our key comes back within this time, as it waits like this gateway does.
CALM_AFTER_S = 900.0


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: a name for programs, a reason, and what to do about it."""

    name: str
    reason: str
    do: str


FORKED = "forked"
FRAMES_DENIED = Trouble(
    name="frames_denied",
    reason="the broker drops this gateway's frames: its access list does not allow them",
    do=BrokerFault.NOT_AUTHORISED.do,
)
NOBODY_LISTENS = Trouble(
    name="nobody_listens",
    reason="the broker takes the frames, but nobody is there who receives them",
    do="the backend is not connected to this broker, or serves a community of another name",
)
NO_ACK = Trouble(
    name="no_ack",
    reason="the broker takes the frames, but no ack comes",
    do=(
        "the backend does not know this device yet, has it pending or revoked, or is paused; or the"
        " broker's access list keeps the acks from this device: ask the operator"
    ),
)
_COPIED = (
    "is another gateway or agent running with a copy of this key, or was an old outbox put back?"
    " Stop it, and ask the operator. The frames are kept"
)
SILENCES = (FRAMES_DENIED, NOBODY_LISTENS, NO_ACK)


class Troubles:
    """Remembers what went wrong last, until it is known to be over. Times are in seconds."""

    def __init__(self) -> None:
        self._broker: Trouble | None = None
        self._calm_after_s = 0.0
        self._silence: Trouble | None = None
        self._puback: int | None = None
        self._fork: Trouble | None = None
        self._fork_seq = 0

    @property
    def current(self) -> Trouble | None:
        return self._fork or self._broker or self._silence

    def forked(self, seq: int) -> Trouble:
        """Note that the backend acks another frame `seq` than this gateway has."""
        reason = f"the backend has another frame {seq} under this gateway's key, not this gateway's"
        return self._note_fork(seq, reason)

    def ahead(self, seq: int) -> Trouble:
        """Note that the backend acks a frame `seq` that this gateway never made."""
        reason = f"the backend has a frame {seq} under this gateway's key that it never made"
        return self._note_fork(seq, reason)

    def unforked(self, next_seq: int) -> bool:
        """Note that the backend has this gateway's frames below `next_seq`. Return whether that
        ends a fork.
        """
        if self._fork is None or next_seq <= self._fork_seq:
            return False
        self._fork = None
        return True

    def _note_fork(self, seq: int, reason: str) -> Trouble:
        self._fork = Trouble(name=FORKED, reason=reason, do=_COPIED)
        self._fork_seq = seq
        return self._fork

    def broker_lost(self, fault: BrokerFault, reason: str, steady_s: float) -> Trouble:
        """Note that the connection was lost or not made. A later one must last for `steady_s`
        before the trouble is over, or longer where another program has our key.
        """
        trouble = Trouble(name=fault.value, reason=reason, do=fault.do)
        is_rival = fault is BrokerFault.TAKEN_OVER
        if is_rival or not self.has_rival:
            self._broker = trouble
            self._calm_after_s = CALM_AFTER_S if is_rival else steady_s
        self._puback = None
        return trouble

    def rival(self) -> Trouble:
        """Note that another program was connected with this device's key."""
        return self.broker_lost(BrokerFault.TAKEN_OVER, TAKEN_OVER_REASON, CALM_AFTER_S)

    @property
    def has_rival(self) -> bool:
        return self._broker is not None and self._broker.name == BrokerFault.TAKEN_OVER.value

    def lasted(self, connected_s: float) -> None:
        """Note how long there has been a connection now."""
        if connected_s >= self._calm_after_s:
            self._broker = None

    def published(self, puback: int) -> Trouble | None:
        """Take the reason code of a frame's PUBACK. Return the trouble that it tells by itself."""
        self._puback = puback
        if is_denied(puback):
            self._silence = FRAMES_DENIED
            return FRAMES_DENIED
        return None

    def silence(self) -> Trouble:
        """Return why no ack comes, as far as the broker tells."""
        if self._puback is not None and is_denied(self._puback):
            return FRAMES_DENIED
        return NOBODY_LISTENS if self._puback == NO_SUBSCRIBERS else NO_ACK

    def overdue(self) -> Trouble:
        """Note that an ack is overdue, and return why, as far as the broker tells."""
        self._silence = self.silence()
        return self._silence

    def acked(self) -> None:
        """Note an ack that covers more than the one before."""
        self._silence = None
