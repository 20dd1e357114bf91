"""State notices: a gateway is told how it stands, at once when that changes and when it asks.

A gateway that is revoked, pending or held sends its frames again and again, and no ack may answer
them. A notice says why, at most every few seconds to each device, and only to the sender of a
frame whose signature was good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from gridtokenx_backend.core.messages.device_outcomes import (
    DeviceApproved,
    DeviceHeld,
    DeviceReleased,
    DeviceRevoked,
)
from gridtokenx_backend.core.messages.outcomes import DevicesRetired
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.writer import Committed
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.state_notice import MAX_REASON, MAX_RETRY_MS, GatewayState, StateNotice

EVERY_S = 5.0
STATES = {
    FrameRefusal.OVER_BUDGET: GatewayState.SLOW_DOWN,
    FrameRefusal.PENDING_DEVICE: GatewayState.PENDING,
    FrameRefusal.REVOKED_DEVICE: GatewayState.REVOKED,
    FrameRefusal.HELD_DEVICE: GatewayState.HELD,
    FrameRefusal.CLOCK_IN_DOUBT: GatewayState.PAUSED,
    FrameRefusal.HISTORY_LOST: GatewayState.PAUSED,
    FrameRefusal.ORACLE_PAUSED: GatewayState.PAUSED,
    FrameRefusal.WRONG_CHAIN: GatewayState.OUT_OF_CHAIN,
}
"""Refusals that are answered with a notice. The others are answered with an ack or not at all."""
_REASONS = {
    FrameRefusal.CLOCK_IN_DOUBT: "nobody knows whether the server's clock is right",
    FrameRefusal.HISTORY_LOST: "the server has lost what it had acked; the operator decides",
    FrameRefusal.OVER_BUDGET: "more was sent than the budget of this gateway or its member allows",
}
log = structlog.get_logger()


class StateNotices:
    """Tells gateways how they stand. `send` takes a device's id as text and a signed message."""

    def __init__(
        self,
        devices: Mapping[bytes, Device],
        signer: AckSigner,
        clock: Clock,
        send: Callable[[str, bytes], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._devices = devices
        self._signer = signer
        self._clock = clock
        self._send = send
        self._now_s = now_s
        self._told_s: dict[bytes, float] = {}

    def follow(self, results: Sequence[Committed]) -> None:
        """Tell devices what durable results mean for them, at once."""
        for committed in results:
            match committed.result:
                case DeviceHeld() as held:
                    log.error(
                        "two frames of one number came under one key; the device is held",
                        device=device_text(held.device),
                        seq=held.seq,
                        next_seq=held.next_seq,
                        entry=committed.seq,
                    )
                    self._tell(held.device)
                case DeviceReleased(device) | DeviceRevoked(device):
                    self._tell(device)
                case DeviceApproved(device, replaced):
                    for each in (device, *replaced):
                        self._tell(each)
                case DevicesRetired(devices=devices):
                    for each in devices:
                        self._tell(each)

    def answer(self, why: FrameRefusal, device: bytes, retry_ms: int = 0) -> None:
        """Answer a frame that was refused because of how its device stands, not too often."""
        state = STATES.get(why)
        if state is None or device not in self._devices:
            return
        told_s = self._told_s.get(device)
        if told_s is None or self._now_s() - told_s >= EVERY_S:
            self._tell(device, state, _REASONS.get(why, ""), retry_ms)

    def _tell(
        self, name: bytes, state: GatewayState | None = None, reason: str = "", retry_ms: int = 0
    ) -> None:
        device = self._devices.get(name)
        if device is None:
            return
        self._told_s[name] = self._now_s()
        notice = StateNotice(
            device=name,
            time_ms=self._clock.now_ms(),
            state=state or state_of(device),
            retry_ms=min(retry_ms, MAX_RETRY_MS),
            reason=printable(reason or device.why or device.held),
        )
        self._send(device_text(name), self._signer.seal_notice(notice))


def state_of(device: Device) -> GatewayState:
    """Return how a device stands, whatever else keeps its frames from being taken."""
    if device.status == "revoked":
        return GatewayState.REVOKED
    if device.status == "pending":
        return GatewayState.PENDING
    return GatewayState.HELD if device.held else GatewayState.ACTIVE


def printable(text: str) -> str:
    """Return a reason in the form that a notice may have."""
    return "".join(each if each.isprintable() else " " for each in text)[:MAX_REASON]
