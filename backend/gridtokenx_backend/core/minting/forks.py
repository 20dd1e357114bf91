"""A fork: two frames of one number under one key. The device is held until the operator decides.

The key was copied, or an old copy of the gateway's outbox was put back. Nobody but the operator
can know which of the two frames is the right one, so neither is taken from here on.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.device_outcomes import DeviceHeld
from gridtokenx_backend.core.messages.inputs import ForkInput
from gridtokenx_backend.core.messages.outcomes import FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.minting.chain import place_refusal
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.core.state.community import Community

EVIDENCE = frozenset({FrameRefusal.FORKED, FrameRefusal.OLD_NUMBER, FrameRefusal.BROKEN_CHAIN})
"""Refusals of frames that may prove a fork. An old number does if the journal's frame differs."""


def hold(community: Community, input_: ForkInput) -> DeviceHeld | FrameRefused:
    """Hold the device of a frame that is another one than the stored frame of its number.

    Where the core no longer knows the stored frame, whoever made the input has compared it with the
    journal, which has both.
    """
    frame = input_.frame
    device = community.devices.get(frame.device)
    if device is None:
        return FrameRefused(reason=FrameRefusal.UNKNOWN_DEVICE, device=frame.device)
    refusal = _refusal(device, input_)
    if refusal is not None:
        return FrameRefused(
            reason=refusal, device=device.id, chain=device.chain, next_seq=device.next_seq
        )
    device.held = f"two frames of number {min(frame.seq, device.next_seq - 1)}"
    return DeviceHeld(device=device.id, chain=frame.chain, seq=frame.seq, next_seq=device.next_seq)


def _refusal(device: Device, input_: ForkInput) -> FrameRefusal | None:
    """Return why this frame is no reason to hold the device."""
    if device.status == "revoked":
        return FrameRefusal.REVOKED_DEVICE
    if device.held:
        return FrameRefusal.HELD_DEVICE
    if not device.next_seq:
        return FrameRefusal.BROKEN_CHAIN
    place = place_refusal(device, input_)
    return None if place in EVIDENCE else place or FrameRefusal.DUPLICATE
