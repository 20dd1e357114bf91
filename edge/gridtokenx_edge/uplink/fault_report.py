"""What an uplink tells of its faults: lines of the log, and the trouble that the status shows."""

from __future__ import annotations

import random
from collections import Counter

from gridtokenx_edge.log import REPEAT_AFTER_S, FaultLog, Logger
from gridtokenx_edge.uplink.broker_faults import TAKEN_OVER_REASON, BrokerFault
from gridtokenx_edge.uplink.mqtt import MqttError, PublicationDeniedError
from gridtokenx_edge.uplink.reconnect import STEADY_S
from gridtokenx_edge.uplink.standing import Standing
from gridtokenx_edge.uplink.troubles import SILENCES, Trouble, Troubles
from gridtokenx_edge.uplink.window import AckEffect, Window
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.state_notice import GatewayState


class FaultReport:
    """Logs the faults of one uplink, and remembers what keeps its readings from being acked."""

    def __init__(self, log: Logger, window: Window) -> None:
        self.faults = FaultLog(log)
        self.troubles = Troubles()
        self.standing = Standing(random.random)
        self._window = window

    @property
    def trouble(self) -> Trouble | None:
        """What keeps readings from being acked: what the backend says comes first."""
        return self.standing.trouble or self.troubles.current

    def stands(self) -> None:
        """Tell how this gateway stands, where the backend has said something new."""
        if trouble := self.standing.trouble:
            self._warn("gateway_state", trouble)
            return
        for state in GatewayState:
            if self.faults.over("gateway_state", state.label):
                self.faults.info("gateway_active")

    def lost(self, error: MqttError, lasted_s: float) -> BrokerFault:
        """Tell that a connection was lost, which had lasted so long, or 0 if it was not made.

        Returns the fault: where another program has our key, a broker that hangs up means that.
        """
        if lasted_s >= REPEAT_AFTER_S:
            for fault in BrokerFault:
                self.faults.over("broker_lost", fault.value)
        fault, reason = error.fault, str(error)
        if fault is BrokerFault.CLOSED and lasted_s and self.troubles.has_rival:
            fault, reason = BrokerFault.TAKEN_OVER, f"{reason}: {TAKEN_OVER_REASON}"
        steady_s = STEADY_S if lasted_s else 0.0
        self._warn("broker_lost", self.troubles.broker_lost(fault, reason, steady_s))
        return fault

    def rival(self) -> None:
        """Tell that another program was connected with this device's key."""
        self._warn("key_used_twice", self.troubles.rival())

    def overdue(self) -> None:
        """Tell that an ack is overdue, and why, as far as the broker tells."""
        self._warn("ack_overdue", self.troubles.overdue())

    def published(self, puback: int) -> None:
        """Take the reason code of a frame's PUBACK, and tell it where it is a refusal."""
        if trouble := self.troubles.published(puback):
            self._warn("ack_overdue", trouble)

    def status_denied(self, error: PublicationDeniedError) -> None:
        do = BrokerFault.NOT_AUTHORISED.do
        self.faults.warn("status_denied", reason=str(error), do=do)

    def forked(self, seq: int) -> None:
        """Tell that the backend acks another frame than this gateway has. Nothing is deleted."""
        trouble = self.troubles.forked(seq)
        self.faults.error("forked", reason=trouble.reason, do=trouble.do, seq=seq)

    def unforked(self, next_seq: int) -> None:
        """Note that the backend has this gateway's own frames below `next_seq`."""
        if self.troubles.unforked(next_seq):
            self.faults.over("forked")

    def acked(self, ack: Ack, effect: AckEffect) -> bool:
        """Tell what an ack says that does not simply cover more frames. Return whether it says that
        the gateway is active again.
        """
        window = self._window
        is_active_again = False
        match effect:
            case AckEffect.PROGRESS:
                self.troubles.acked()
                if is_active_again := self.standing.acked():
                    self.stands()
                for silence in SILENCES:
                    self.faults.over("ack_overdue", silence.name)
                for fault in ("backend_ahead", "backend_behind"):
                    self.faults.over(fault)
                if not ack.head:
                    self.unforked(ack.next_seq)
            case AckEffect.BEYOND_HEAD:
                self.troubles.ahead(ack.next_seq - 1)
                self.faults.error(
                    "backend_ahead",
                    reason="expected an ack of this outbox; was an old copy put back?",
                    backend_next_seq=ack.next_seq,
                    outbox_next_seq=window.head,
                )
            case AckEffect.FORGOTTEN:
                self.faults.error(
                    "backend_behind",
                    reason="expected an ack of frames still kept; was the backend put back?",
                    backend_next_seq=ack.next_seq,
                    outbox_oldest_seq=window.oldest,
                )
            case AckEffect.WENT_BACK:
                self.faults.warn("frames_lost", seq=ack.next_seq)
        return is_active_again

    def verdicts(self, ack: Ack, counts: Counter[str]) -> None:
        """Tell and count the verdicts of an ack by their reasons."""
        for verdict in ack.verdicts:
            label = verdict.reason.label
            counts[label] += 1
            self.faults.warn("reading_refused", label, reason=label, seq=verdict.seq)

    def _warn(self, event: str, trouble: Trouble) -> None:
        self.faults.warn(
            event,
            trouble.name,
            fault=trouble.name,
            reason=trouble.reason,
            do=trouble.do,
            seq=self._window.base,
            unacked=self._window.head - self._window.base,
        )
