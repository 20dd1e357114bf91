"""An outbox as another program sees it while an agent works with it: a snapshot without locks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store import outbox_schema as schema
from gridtokenx_edge.store.outbox_errors import OutboxUnreadableError
from gridtokenx_edge.store.outbox_schema import StoredFrame, read_frames, read_used_bytes
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import Frame, decode_frame
from gridtokenx_wire.message_file import FileType, Header, Links, encode_header
from gridtokenx_wire.sqlite_thread import connect

_READ_AT_ONCE = 64
# So many of the newest frames tell how fast the outbox fills.
_RATE_FRAMES = 200
_MS_A_DAY = 86_400_000

Progress = Callable[[int, int], None]
"""It is called now and then with the number of frames that are done and of all frames."""


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an outbox holds. Acked frames are deleted in groups, so a few of them are counted.

    `used_bytes` is what the frames take, `file_bytes` the size of the file and its log.
    `full_in_days` is None if the newest frames do not tell.
    """

    device: str
    chain: str
    frames: int
    first_seq: int
    next_seq: int
    readings: int
    readings_thinned: int
    oldest_ms: int | None
    newest_ms: int | None
    used_bytes: int
    file_bytes: int
    max_bytes: int
    fill_percent: float
    full_in_days: float | None


class VerifiedChain(msgspec.Struct, frozen=True, kw_only=True):
    """What frames say whose signatures and links hold. A summary stands for several frames."""

    frames: int
    summaries: int
    first_seq: int
    next_seq: int
    readings: int
    readings_thinned: int


class OutboxSnapshot:
    """One state of an outbox. `open_snapshot` makes it."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path = path
        self._database = database
        version, device, chain = self._one("SELECT version, device, chain FROM chain")
        self.device: bytes = device
        self.chain: bytes = chain
        if version > schema.VERSION:
            raise OutboxUnreadableError(f"{path}: {schema.newer(version)}")
        if version < schema.VERSION:
            raise OutboxUnreadableError(
                f"{path}: expected version {schema.VERSION}, got {version};"
                " an agent of this version upgrades it when it starts"
            )
        count, newest = self._one("SELECT count(*), max(seq) FROM frame")
        self.count: int = count
        first = next(self._frames(0), None)
        self.first_seq = first.first_seq if first else 0
        self.next_seq = newest + 1 if self.count else 0

    def status(self, device: str, bounds: OutboxConfig, progress: Progress) -> OutboxStatus:
        """Look at every frame and return what the outbox holds.

        Raises OutboxUnreadableError.
        """
        readings = thinned = size = 0
        oldest_ms: int | None = None
        newest: list[tuple[int, int]] = []  # (time, size up to it)
        for frame, message in self._opened(progress):
            readings += len(frame.time_ms)
            thinned += frame.left_out
            size += len(message)
            oldest_ms = min(frame.time_ms) if oldest_ms is None else oldest_ms
            newest = [*newest[-_RATE_FRAMES:], (max(frame.time_ms), size)]
        used = read_used_bytes(self._database)
        most = bounds.max_mb * 1_000_000
        return OutboxStatus(
            device=device,
            chain=self.chain.hex(),
            frames=self.count,
            first_seq=self.first_seq,
            next_seq=self.next_seq,
            readings=readings,
            readings_thinned=thinned,
            oldest_ms=oldest_ms,
            newest_ms=newest[-1][0] if newest else None,
            used_bytes=used,
            file_bytes=sum(file.stat().st_size for file in self._files()),
            max_bytes=most,
            fill_percent=round(100 * used / most, 1),
            full_in_days=_full_in_days((most - used) * size / used, newest),
        )

    def verify(self, key: Ed25519PublicKey, progress: Progress) -> VerifiedChain:
        """Check every signature and link. Raises WireError at the first one that does not hold."""
        links = Links(self.header)
        summaries = readings = thinned = 0
        for done, stored in enumerate(self._frames(0), 1):
            frame = links.follow(stored.message)
            try:
                cose.verify(stored.message, key)
            except WireError as error:
                raise WireError(f"frame {frame.seq}: {error}") from None
            summaries += frame.gap is not None
            readings += len(frame.time_ms)
            thinned += frame.left_out
            progress(done, self.count)
        links.finish()
        return VerifiedChain(
            frames=self.count,
            summaries=summaries,
            first_seq=self.first_seq,
            next_seq=self.next_seq,
            readings=readings,
            readings_thinned=thinned,
        )

    def export(self, stream: BinaryIO, progress: Progress) -> None:
        """Write a frame file (`gridtokenx_wire.message_file`): the frames as they are stored."""
        stream.write(encode_header(self.header))
        for done, stored in enumerate(self._frames(0), 1):
            stream.write(stored.message)
            progress(done, self.count)

    @property
    def header(self) -> Header:
        return Header(
            type=FileType.FRAMES,
            device=self.device,
            chain=self.chain,
            first_seq=self.first_seq,
            next_seq=self.next_seq,
        )

    def _opened(self, progress: Progress) -> Iterator[tuple[Frame, bytes]]:
        for done, (_, seq, message) in enumerate(self._frames(0), 1):
            try:
                yield decode_frame(cose.split(message)[2]), message
            except WireError as error:
                raise OutboxUnreadableError(f"{self._path}: frame {seq}: {error}") from None
            progress(done, self.count)

    def _frames(self, start: int) -> Iterator[StoredFrame]:
        while frames := read_frames(self._database, start, _READ_AT_ONCE):
            yield from frames
            start = frames[-1].seq + 1

    def _files(self) -> Iterator[Path]:
        for ending in ("", "-wal"):
            if (file := self._path.with_name(self._path.name + ending)).exists():
                yield file

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()


def _full_in_days(left_bytes: float, newest: list[tuple[int, int]]) -> float | None:
    """Return the days until the outbox is full at the rate of its newest frames.

    Older frames may be thinned and tell of another rate.
    """
    if len(newest) < 2 or newest[-1][0] <= newest[0][0]:
        return None
    (first_ms, before), (last_ms, after) = newest[0], newest[-1]
    full_ms = max(0.0, left_bytes) / (after - before) * (last_ms - first_ms)
    return round(full_ms / _MS_A_DAY, 1)


@contextmanager
def open_snapshot(path: Path) -> Iterator[OutboxSnapshot]:
    """Open the outbox as it is now. Raises OutboxUnreadableError."""
    if not path.exists():
        raise OutboxUnreadableError(f"{path}: no outbox yet; the agent makes it when it starts")
    database: sqlite3.Connection | None = None
    try:
        database = connect(path, is_readonly=True)
        database.execute("BEGIN")
        yield OutboxSnapshot(path, database)
    except sqlite3.Error as error:
        raise OutboxUnreadableError(f"{path}: cannot be read as an outbox: {error}") from None
    finally:
        if database:
            database.close()
