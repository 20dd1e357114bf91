"""Makes room in an outbox: which frames are thinned next, and to what."""

from __future__ import annotations

import aiosqlite
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store.outbox_schema import Statement, read_frames, rows, write
from gridtokenx_edge.store.thinning import DAY_MS, NEWEST, summarise
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import Frame, decode_frame, seal_frame

# What one step looks at: a Pi is done with it in some hundredths of a second.
_STEP_FRAMES = 64
_STEP_READINGS = 2000
# A summary with fewer readings grows with the next step, so that there are not too many of them.
_FULL_SUMMARY = 500

Stored = list[tuple[Frame, bytes]]


class Thinned(msgspec.Struct, frozen=True):
    """A step: frames `first_seq` to `last_seq` are one now, less so many readings."""

    first_seq: int
    last_seq: int
    readings_left_out: int


class Thinner:
    """Works on the connection of an outbox that nobody else uses meanwhile.

    For every interval it remembers up to where frames were thinned to it.
    """

    def __init__(self, bounds: OutboxConfig, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._age_ms = bounds.max_age_days * DAY_MS
        self._every_ms = (bounds.thin_to_s * 1000, DAY_MS)
        self._reached: dict[int, int] = {}
        self._look_again_ms = 0

    async def load(self, connection: aiosqlite.Connection) -> None:
        self._reached = dict(await rows(connection, "SELECT every_ms, next_seq FROM thinned"))

    async def to_size(self, connection: aiosqlite.Connection, newest: int) -> Thinned | None:
        """One step; the frame `newest` stays. None if nothing is left to be thinned.

        First all there is to the billing interval, then to days, then to the newest reading. A
        step has many frames; few are taken only where there is nothing else. Raises sqlite3.Error.
        """
        for least in (_STEP_FRAMES, 2):
            for every_ms in (*self._every_ms, NEWEST):
                while frames := await self._oldest(connection, newest, every_ms):
                    if not _is_worth(frames, least):
                        break
                    if thinned := await self._replace(connection, frames, every_ms):
                        return thinned
        return None

    async def to_age(
        self, connection: aiosqlite.Connection, newest: int, now_ms: int
    ) -> Thinned | None:
        """One step with what is older than the bound: to a reading a day. Raises sqlite3.Error.

        It looks once a day, as a step with few frames saves nothing.
        """
        if now_ms < self._look_again_ms:
            return None
        frames = await self._oldest(connection, newest, DAY_MS)
        old = [each for each in frames if max(each[0].time_ms) < now_ms - self._age_ms]
        if len(old) > 1 and (thinned := await self._replace(connection, old, DAY_MS)):
            return thinned
        if len(old) < len(frames):
            self._look_again_ms = max(frames[len(old)][0].time_ms) + self._age_ms + DAY_MS
        return None

    async def _oldest(self, connection: aiosqlite.Connection, newest: int, every_ms: int) -> Stored:
        """Some frames, oldest first, of those that were not thinned so far yet."""
        frames: Stored = []
        readings = 0
        start = self._reached.get(every_ms, 0)
        for row in await read_frames(connection, start, _STEP_FRAMES):
            if row.seq >= newest or readings > _STEP_READINGS:
                break
            frame = decode_frame(cose.split(row.message)[2])
            readings += len(frame.time_ms)
            frames.append((frame, row.message))
        return frames

    async def _replace(
        self, connection: aiosqlite.Connection, frames: Stored, every_ms: int
    ) -> Thinned | None:
        """Puts a summary in the place of as many as it can hold; None if that saves nothing."""
        summary, taken = summarise(frames, every_ms)
        replaced = frames[:taken]
        first, last = replaced[0][0].seq, summary.seq
        message = self._sealed(summary)
        if not message or len(message) >= sum(len(original) for _, original in replaced):
            self._reached[every_ms] = last + 1
            return None
        may_grow = taken == len(frames) > 1 and len(summary.time_ms) < _FULL_SUMMARY
        reached = last if may_grow else last + 1
        statements: list[Statement] = [
            ("DELETE FROM frame WHERE seq BETWEEN ? AND ?", (first, last)),
            ("DELETE FROM span WHERE seq BETWEEN ? AND ?", (first, last)),
            ("INSERT INTO frame VALUES (?, ?)", (last, message)),
            ("INSERT INTO span VALUES (?, ?)", (last, summary.first_seq)),
            ("INSERT OR REPLACE INTO thinned VALUES (?, ?)", (every_ms, reached)),
        ]
        await write(connection, statements)
        self._reached[every_ms] = reached
        before = sum(frame.left_out for frame, _ in replaced)
        return Thinned(summary.first_seq, last, summary.left_out - before)

    def _sealed(self, summary: Frame) -> bytes:
        """Nothing for one that is too large: a full frame of which hardly anything is left out."""
        try:
            return seal_frame(summary, self._key)
        except WireError:
            return b""


def _is_worth(frames: Stored, least: int) -> bool:
    readings = sum(len(frame.time_ms) for frame, _ in frames)
    return len(frames) >= least or readings > _STEP_READINGS
