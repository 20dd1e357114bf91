"""What a power cut leaves of an outbox: every stored frame, and one chain."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from tests.edge.store.outboxes import (
    CLOCK,
    check_chain,
    check_links,
    files_of,
    fill,
    opened,
    pragma,
    readings,
)


class Disk:
    """The bytes of database and log, and what a power cut may leave of writes between two syncs.

    SQLite syncs the log's header before its frames and the log before it writes to the database
    (walLog, sqlite3WalCheckpoint). Within each of these steps a disk writes sectors in any order.
    """

    def __init__(self, folder: Path) -> None:
        self.log = self._read(folder / "o.db-wal")
        self.database = self._read(folder / "o.db")

    @staticmethod
    def _read(path: Path) -> bytes:
        return path.read_bytes() if path.exists() else b""

    def cut(self, after: Disk, chance: random.Random, folder: Path) -> None:
        """Writes what is left if the power goes on the way from here to `after`."""
        folder.mkdir()
        log, database = self.log, self.database
        step = chance.choice(("header", "log", "database"))
        header = after.log[:SECTOR] + log[SECTOR:]
        if step == "header":
            log = chance.choice((log, header))
        elif step == "log":
            log = some_sectors(header, after.log, chance)
        else:
            log, database = after.log, some_sectors(database, after.database, chance)
        (folder / "o.db").write_bytes(database)
        (folder / "o.db-wal").write_bytes(log)


SECTOR = 512


def some_sectors(before: bytes, after: bytes, chance: random.Random) -> bytes:
    """Some sectors of `after`, the others as they were, or empty where the file has grown."""
    share = chance.choice((0.1, 0.5, 0.9))
    size = chance.choice((len(before), len(after))) if len(after) > len(before) else len(before)
    found = bytearray(before.ljust(size, b"\0"))
    for start in range(0, min(len(after), size), SECTOR):
        if chance.random() < share:
            found[start : start + SECTOR] = after[start : start + SECTOR]
    return bytes(found[:size])


async def test_a_power_cut_that_writes_sectors_in_any_order_forks_and_loses_nothing(
    tmp_path: Path,
) -> None:
    chance = random.Random(11)
    cuts = thinned = 0
    async with opened(tmp_path / "o.db") as outbox:
        await pragma(outbox, "wal_autocheckpoint = 25")
        await outbox.append(readings(0), CLOCK)
        outbox._most_bytes = 12_000
        for number in range(1, 80):
            before, reported = Disk(tmp_path), outbox.next_seq
            if number % 3 or not await outbox.thin(None):
                await outbox.append(readings(number, 8), CLOCK)
            else:
                thinned += 1
            after = Disk(tmp_path)
            frames = {message for _, _, message in await outbox.frames(0, 10_000)}
            for _ in range(3):
                folder = tmp_path / f"cut{cuts}"
                cuts += 1
                before.cut(after, chance, folder)
                async with opened(folder / "o.db") as copy:
                    assert reported <= copy.next_seq <= outbox.next_seq, "what was stored is there"
                    stored = await copy.frames(0, 10_000)
                    check_links(stored, copy.next_seq)
                    if copy.next_seq == outbox.next_seq:
                        assert stored[-1].message in frames, "no other frame of that seq"
                    await copy.append(readings(0), CLOCK)
                shutil.rmtree(folder)
    assert thinned > 3


async def test_a_copy_taken_at_any_moment_is_a_whole_chain(tmp_path: Path) -> None:
    """What a power cut leaves behind: the database and its log, as they stand on the disk."""
    async with opened(tmp_path / "o.db") as outbox:
        for number in range(60):
            await outbox.append(readings(number, 1 + number % 7), CLOCK)
            await outbox.discard_below(number - 10)
            folder = tmp_path / f"cut{number}"
            folder.mkdir()
            for file in files_of(tmp_path):
                if file.suffix != ".lock":
                    shutil.copy(file, folder)
            chain = outbox.chain
            async with opened(folder / "o.db") as copy:
                assert copy.chain == chain
                assert copy.next_seq == number + 1, "what was stored is there"
                seqs = await check_chain(copy)
                assert seqs == list(range(copy.oldest_seq, number + 1))
                await fill(copy, 1)
                assert (await check_chain(copy))[-1] == number + 1


async def test_a_log_that_was_cut_off_anywhere_leaves_a_whole_chain(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 12)
        database = (tmp_path / "o.db").read_bytes()
        log = (tmp_path / "o.db-wal").read_bytes()
    seen = []
    for length in range(0, len(log), 97):
        folder = tmp_path / f"cut{length}"
        folder.mkdir()
        (folder / "o.db").write_bytes(database)
        (folder / "o.db-wal").write_bytes(log[:length])
        async with opened(folder / "o.db") as copy:
            seqs = await check_chain(copy)
            assert seqs == list(range(len(seqs)))
            seen.append(len(seqs))
            if len(seqs):
                await fill(copy, 1)
    assert seen == sorted(seen)
    assert seen[-1] >= 11
