"""Log lines about frames: one for each device and reason, and then one a minute with a count.

Whoever may send frames can send very many, so nothing is logged for each.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.repeat_log import RepeatLog
from gridtokenx_wire.frame import Frame
from gridtokenx_wire.keys import device_text

_USUAL = frozenset(
    {
        FrameRefusal.DUPLICATE,
        FrameRefusal.GAP,
        FrameRefusal.CLOCK_IN_DOUBT,
        FrameRefusal.HISTORY_LOST,
        FrameRefusal.ORACLE_PAUSED,
    }
)
"""Lost messages, and what health says for all gateways together: it is counted and not logged."""
_LONGEST_NAME = 26


class FrameLog:
    """Tells of frames that were not taken, and of readings that gateways left out."""

    def __init__(self, repeats: RepeatLog | None = None) -> None:
        self._repeats = repeats or RepeatLog()

    def dropped(self, reason: FrameRefusal, device: str) -> None:
        """Tell that a frame was not taken. `device` is as its topic says: anybody may write it."""
        if reason not in _USUAL:
            name = device if device.isprintable() and len(device) <= _LONGEST_NAME else "?"
            about = f"{name} {reason.value}"
            self._repeats.warn_about("a frame was not taken", about, device=name)

    def left_out(self, frame: Frame) -> None:
        """Tell that a summary which was taken says that readings are missing."""
        name = device_text(frame.device)
        self._repeats.warn_about(
            "a gateway left readings out",
            name,
            device=name,
            first_seq=frame.first_seq,
            last_seq=frame.seq,
            readings=frame.left_out,
        )
