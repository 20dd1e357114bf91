"""The stored frames of a device, for frames that are older than what the core can tell apart.

Frames that came again after so long are rare: a site's frames were brought as a file and its ack
file was lost, or somebody sends old ones on purpose. So the journal is walked back from the
device's newest frame, in steps, and what was found is kept for the few devices that asked last.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

import msgspec

from gridtokenx_backend.core.messages.inputs import ForkInput, FrameInput
from gridtokenx_backend.core.messages.refused_frames import parse_refused_frame
from gridtokenx_backend.journal.entry import Entry
from gridtokenx_backend.journal.port import Journal
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import Frame, decode_frame, frame_hash, head_after

_STEP = 500
_DEVICES_KEPT = 4
LONGEST_WALK = 200_000
"""So many frames are looked at for one device; those before them are not compared."""


class Comparison(Enum):
    """What the journal says of a frame that comes again."""

    STORED = "stored"
    """It is the stored one, or a summary that ends with it."""
    OTHER = "other"
    """The stored frame of its number is another one."""
    UNKNOWN = "unknown"
    """A stored summary stands for its number, its entry was erased, or it is too old."""


class _Position(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The beginning of a frame's outcome as the journal keeps it."""

    tag: str
    previous: int
    device: bytes
    chain: bytes
    seq: int


class _Walk:
    """What was found so far of the frames of a chain, from the entry `start` backwards."""

    def __init__(self, chain: bytes, start: int) -> None:
        self.chain = chain
        self.behind = start
        """The entry to be looked at next; 0 if there is none."""
        self.entries: dict[int, int] = {}
        """The entry of each frame, by the frame's number."""
        self.lowest = 1 << 63
        self.highest = -1


_position = msgspec.msgpack.Decoder(_Position)


class FrameHistory:
    """Compares frames with those that the journal has of their device."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._walks: OrderedDict[bytes, _Walk] = OrderedDict()

    async def compare(self, input_: FrameInput | ForkInput, newest_entry: int) -> Comparison:
        """Return whether a frame is stored. `newest_entry` is that of its device's newest frame.

        Raises JournalUnavailable.
        """
        frame = input_.frame
        walk = self._walk(frame, newest_entry)
        while walk.behind and frame.seq < walk.lowest and len(walk.entries) < LONGEST_WALK:
            await self._step(walk)
        number = walk.entries.get(frame.seq)
        entry = await self._journal.entry(number) if number is not None else None
        if entry is None or not entry.input:
            return Comparison.UNKNOWN
        is_same = _head(entry) == head_after(frame, input_.raw)
        return Comparison.STORED if is_same else Comparison.OTHER

    def _walk(self, frame: Frame, newest_entry: int) -> _Walk:
        """Return the walk of a frame's device; it begins anew if it does not reach the frame."""
        walk = self._walks.pop(frame.device, None)
        if walk is None or walk.chain != frame.chain or frame.seq > walk.highest:
            walk = _Walk(frame.chain, newest_entry)
        self._walks[frame.device] = walk
        if len(self._walks) > _DEVICES_KEPT:
            self._walks.popitem(last=False)
        return walk

    async def _step(self, walk: _Walk) -> None:
        entries = await self._journal.frames_before(walk.behind, _STEP)
        walk.behind = entries[-1].previous if entries else 0
        for entry in entries:
            position = _position.decode(entry.outcome) if entry.outcome else None
            if position is None:
                continue
            if position.chain != walk.chain:
                walk.behind = 0  # an earlier chain of the device
                return
            walk.entries[position.seq] = entry.seq
            walk.lowest = position.seq
            walk.highest = max(walk.highest, position.seq)


def _head(entry: Entry) -> bytes:
    """Return what the frame after this one names as `prev`."""
    if entry.kind == "refused":
        return parse_refused_frame(entry.input).frame.head
    try:
        return head_after(decode_frame(cose.split(entry.input)[2]), entry.input)
    except WireError:
        return frame_hash(entry.input)
