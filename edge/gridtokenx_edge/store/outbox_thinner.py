"""Makes room in an outbox: decides which frames are thinned next, and to what interval."""

from __future__ import annotations

import sqlite3

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store.outbox_schema import read_frames
from gridtokenx_edge.store.thinning import DAY_MS, NEWEST, summarise
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import Frame, decode_frame, seal_frame
from gridtokenx_wire.sqlite_thread import transaction

# One step looks at so many: a Pi does it in some hundredths of a second.
_STEP_FRAMES = 64
_STEP_READINGS = 2000
# A summary with fewer readings grows with the next step, so that there are not too many of them.
_FULL_SUMMARY = 500

Stored = list[tuple[Frame, bytes]]


class ThinningStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step: the frames `first_seq` to `last_seq` are one now, with so many readings less."""

    first_seq: int
    last_seq: int
    readings_left_out: int


class Thinner:
    """Thins the frames of one outbox, on the thread that has its file open.

    For every interval it remembers up to which seq frames were thinned to it.
    """

    def __init__(self, bounds: OutboxConfig, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._age_ms = bounds.max_age_days * DAY_MS
        self._every_ms = (bounds.thin_to_s * 1000, DAY_MS)
        self._reached: dict[int, int] = {}
        self._look_again_ms = 0

    def load(self, database: sqlite3.Connection) -> None:
        self._reached = dict(database.execute("SELECT every_ms, next_seq FROM thinned").fetchall())

    def to_size(self, database: sqlite3.Connection, newest: int) -> ThinningStep | None:
        """Thin in one step, and return it; None if no frame can be thinned. `newest` stays.

        First everything is thinned to the billing interval, then to days, then to the newest
        reading. A step takes many frames, and few only if there are no others. Raises
        sqlite3.Error.
        """
        for least in (_STEP_FRAMES, 2):
            for every_ms in (*self._every_ms, NEWEST):
                while frames := self._oldest(database, newest, every_ms):
                    if not _is_worth(frames, least):
                        break
                    if thinned := self._replace(database, frames, every_ms):
                        return thinned
        return None

    def is_due(self, now_ms: int) -> bool:
        """Whether to look for old frames again: once a day, as few frames at once save nothing."""
        return now_ms >= self._look_again_ms

    def to_age(self, database: sqlite3.Connection, newest: int, now_ms: int) -> ThinningStep | None:
        """Thin in one step what is older than the bound, to a reading a day; None if nothing is.

        Raises sqlite3.Error.
        """
        frames = self._oldest(database, newest, DAY_MS)
        old = [each for each in frames if max(each[0].time_ms) < now_ms - self._age_ms]
        if len(old) > 1 and (thinned := self._replace(database, old, DAY_MS)):
            return thinned
        if len(old) < len(frames):
            self._look_again_ms = max(frames[len(old)][0].time_ms) + self._age_ms + DAY_MS
        return None

    def _oldest(self, database: sqlite3.Connection, newest: int, every_ms: int) -> Stored:
        """Return some of the frames that were not thinned to this interval yet, oldest first."""
        frames: Stored = []
        readings = 0
        start = self._reached.get(every_ms, 0)
        for row in read_frames(database, start, _STEP_FRAMES):
            if row.seq >= newest or readings > _STEP_READINGS:
                break
            frame = decode_frame(cose.split(row.message)[2])
            readings += len(frame.time_ms)
            frames.append((frame, row.message))
        return frames

    def _replace(
        self, database: sqlite3.Connection, frames: Stored, every_ms: int
    ) -> ThinningStep | None:
        """Replace as many frames as one summary can hold; return None if that saves nothing."""
        summary, taken = summarise(frames, every_ms)
        replaced = frames[:taken]
        first, last = replaced[0][0].seq, summary.seq
        message = self._sealed(summary)
        if not message or len(message) >= sum(len(original) for _, original in replaced):
            self._reached[every_ms] = last + 1
            return None
        may_grow = taken == len(frames) > 1 and len(summary.time_ms) < _FULL_SUMMARY
        reached = last if may_grow else last + 1
        with transaction(database):
            database.execute("DELETE FROM frame WHERE seq BETWEEN ? AND ?", (first, last))
            database.execute("DELETE FROM span WHERE seq BETWEEN ? AND ?", (first, last))
            database.execute("INSERT INTO frame VALUES (?, ?)", (last, message))
            database.execute("INSERT INTO span VALUES (?, ?)", (last, summary.first_seq))
            values = (every_ms, reached)
            database.execute("INSERT OR REPLACE INTO thinned VALUES (?, ?)", values)
        self._reached[every_ms] = reached
        before = sum(frame.left_out for frame, _ in replaced)
        return ThinningStep(
            first_seq=summary.first_seq,
            last_seq=last,
            readings_left_out=summary.left_out - before,
        )

    def _sealed(self, summary: Frame) -> bytes:
        """Return the signed summary, or nothing if it is too large for a frame.

        That is so where a full frame is to be thinned and hardly a reading can be left out.
        """
        try:
            return seal_frame(summary, self._key)
        except WireError:
            return b""


def _is_worth(frames: Stored, least: int) -> bool:
    readings = sum(len(frame.time_ms) for frame, _ in frames)
    return len(frames) >= least or readings > _STEP_READINGS
