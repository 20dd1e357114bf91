"""Outboxes for tests: opened, filled, and looked at frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_schema import StoredFrame
from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, frame_hash, head_after, open_frame
from gridtokenx_wire.reading import Reading

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CLOCK = ClockStatus(synchronised=True, stepped=False, source="ntp")


def readings(number: int, count: int = 2) -> list[Reading]:
    return [
        Reading(meter=f"M-{meter}", time_ms=number, import_uwh=number, export_uwh=0)
        for meter in range(count)
    ]


@asynccontextmanager
async def opened(
    path: Path, key: Ed25519PrivateKey = KEY, bounds: OutboxConfig | None = None
) -> AsyncIterator[Outbox]:
    outbox = Outbox(path, key, bounds)
    await outbox.open()
    try:
        yield outbox
    finally:
        await outbox.close()


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("o.db*"))


async def fill(outbox: Outbox, count: int) -> None:
    for _ in range(count):
        await outbox.append(readings(outbox.next_seq), CLOCK)


async def check_chain(outbox: Outbox) -> list[int]:
    """The seqs of the frames, after their signatures and links have been verified."""
    frames = await outbox.frames(0, 1_000_000)
    opened_frames = [open_frame(message, KEY.public_key()) for _, _, message in frames]
    for (_, seq, _), frame in zip(frames, opened_frames, strict=True):
        assert (frame.seq, frame.chain, frame.device) == (seq, outbox.chain, outbox.device)
    for (_, _, before), frame in zip(frames, opened_frames[1:], strict=False):
        assert frame.prev == frame_hash(before)
    return [seq for _, seq, _ in frames]


async def pragma(outbox: Outbox, setting: str) -> None:
    """Changes the connection under the outbox, so that the disk seems full or read-only."""
    assert outbox._thread
    await outbox._thread.call(lambda db: db.execute(f"PRAGMA {setting}").fetchall())


def check_links(frames: list[StoredFrame], next_seq: int) -> None:
    """Signatures and links, through summaries, from the first seq to the last."""
    expected, prev = 0, GENESIS_PREV
    for first_seq, seq, message in frames:
        frame = open_frame(message, KEY.public_key())
        assert (frame.first_seq, frame.seq, frame.prev) == (first_seq, seq, prev)
        assert first_seq == expected
        expected, prev = seq + 1, head_after(frame, message)
    assert expected == next_seq
