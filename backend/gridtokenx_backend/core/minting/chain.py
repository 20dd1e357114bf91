"""A frame's place in its device's chain, and what is remembered to tell frames apart.

The head of a frame is what the frame after it names as `prev`. Of the newest frames the core keeps
the first 16 bytes of each head, one after the other, in `Device.recent`. They end at the number
before `next_seq` and have no gap: behind a summary, which stands for several frames, they begin
anew. A gateway has at most 64 frames on their way by default, so all that an honest one sends again
can be told apart here. For older frames the journal is asked.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.inputs import ForkInput, FrameInput
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.messages.refused_frames import RefusedFrameInput
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_wire.frame import head_after

KEPT_HEADS = 128
HEAD_BYTES = 16
_KEPT_BYTES = KEPT_HEADS * HEAD_BYTES
PlacedInput = FrameInput | ForkInput | RefusedFrameInput
"""An input with a frame, or what is kept of one."""


def place_refusal(device: Device, input_: PlacedInput) -> FrameRefusal | None:
    """Return why a frame is not the next one of its device's chain; None if it is."""
    frame = input_.frame
    if device.chain and frame.chain != device.chain:
        return FrameRefusal.WRONG_CHAIN
    if frame.seq < device.next_seq:
        known = kept_head(device, frame.seq)
        if not known:
            return FrameRefusal.OLD_NUMBER
        is_same = head_of(input_)[:HEAD_BYTES] == known
        return FrameRefusal.DUPLICATE if is_same else FrameRefusal.FORKED
    first_seq = frame.first_seq
    if first_seq > device.next_seq:
        return FrameRefusal.GAP
    if first_seq == device.next_seq:
        return None if frame.prev == device.prev else FrameRefusal.BROKEN_CHAIN
    known = kept_head(device, first_seq - 1)
    if known and frame.prev[:HEAD_BYTES] != known:
        return FrameRefusal.FORKED
    return None


def kept_head(device: Device, seq: int) -> bytes:
    """Return the first 16 bytes of the head of a stored frame; empty if they are not kept."""
    back = device.next_seq - seq
    if back == 1 and seq >= 0:
        return device.prev[:HEAD_BYTES]
    recent = device.recent
    if recent is None or not 1 <= back <= len(recent) // HEAD_BYTES:
        return b""
    start = len(recent) - back * HEAD_BYTES
    return bytes(recent[start : start + HEAD_BYTES])


def head_of(input_: PlacedInput) -> bytes:
    """Return what the frame after this one names as `prev`."""
    if isinstance(input_, RefusedFrameInput):
        return input_.frame.head
    return head_after(input_.frame, input_.raw)


def advance(device: Device, input_: FrameInput | RefusedFrameInput) -> None:
    """Note that a frame is the newest of its device's chain now."""
    frame = input_.frame
    device.chain = frame.chain
    device.next_seq = frame.seq + 1
    device.prev = head_of(input_)


def remember(device: Device, input_: FrameInput | RefusedFrameInput) -> None:
    """Keep the head of the newest frame, which is this one, and forget what is too old."""
    recent = device.recent
    if recent is None or _is_summary(input_):
        recent = device.recent = bytearray()
    recent += device.prev[:HEAD_BYTES]
    if len(recent) > _KEPT_BYTES:
        del recent[:HEAD_BYTES]


def _is_summary(input_: FrameInput | RefusedFrameInput) -> bool:
    if isinstance(input_, RefusedFrameInput):
        return input_.frame.summary is not None
    return input_.frame.gap is not None
