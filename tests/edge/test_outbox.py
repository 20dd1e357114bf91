"""The outbox: nothing lost, nothing forged, nothing forked."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.clock_status import ClockMark
from gridtokenx_edge.config import OutboxConfig
from gridtokenx_edge.outbox import Outbox, OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.outbox_schema import StoredFrame
from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, frame_hash, head_after, open_frame
from gridtokenx_wire.reading import Reading

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CLOCK = ClockStatus(True, False, "ntp")


def readings(number: int, count: int = 2) -> list[Reading]:
    return [Reading(f"M-{meter}", number, number, 0) for meter in range(count)]


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


async def test_frames_form_a_signed_gapless_chain_from_zero(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        assert len(outbox.chain) == 8
        await fill(outbox, 5)
        assert await check_chain(outbox) == [0, 1, 2, 3, 4]
        (first,) = await outbox.frames(0, 1)
        frame = open_frame(first.message, KEY.public_key())
        assert frame.prev == GENESIS_PREV
        assert frame.readings() == readings(0)
        assert frame.clock == CLOCK


async def test_a_restart_continues_the_chain(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 3)
        chain = outbox.chain
    async with opened(tmp_path / "o.db") as outbox:
        assert (outbox.chain, outbox.next_seq) == (chain, 3)
        await fill(outbox, 2)
        assert await check_chain(outbox) == [0, 1, 2, 3, 4]


async def test_two_outboxes_have_two_chains(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "b.db") as other:
        assert one.chain != other.chain


async def test_only_acked_frames_are_deleted_and_the_head_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 100)
        await outbox.discard_below(60)
        assert outbox.oldest_seq == 60
        assert await check_chain(outbox) == list(range(60, 100))
        await outbox.discard_below(40)  # an old ack takes nothing back
        await outbox.discard_below(1000)  # one from nowhere takes nothing that is not there
        assert await check_chain(outbox) == [99]
        await fill(outbox, 1)
        assert await check_chain(outbox) == [99, 100]


async def test_few_acked_frames_wait_to_be_deleted_together(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 10)
        await outbox.discard_below(9)
        assert outbox.oldest_seq == 0, "they can still be sent again"
    async with opened(tmp_path / "o.db") as outbox:
        assert await check_chain(outbox) == [9], "closing deletes them"


async def test_an_outbox_of_another_device_is_refused_untouched(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 1)
    before = (tmp_path / "o.db").read_bytes()
    with pytest.raises(OutboxRefusedError, match="expected an outbox of device"):
        await Outbox(tmp_path / "o.db", Ed25519PrivateKey.generate()).open()
    assert (tmp_path / "o.db").read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("DELETE FROM frame WHERE seq = 2", "without a gap"),
        ("UPDATE chain SET version = 9", "expected version 2, got 9"),
    ],
)
async def test_a_damaged_outbox_is_refused(tmp_path: Path, damage: str, expected: str) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 4)
    database = sqlite3.connect(tmp_path / "o.db")
    database.execute(damage)
    database.commit()
    database.close()
    with pytest.raises(OutboxRefusedError, match=expected):
        await Outbox(tmp_path / "o.db", KEY).open()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.db").write_bytes(b"not a database, by no means at all" * 100)
    with pytest.raises(OutboxRefusedError, match="expected an outbox"):
        await Outbox(tmp_path / "o.db", KEY).open()


async def test_a_second_program_cannot_fork_the_chain(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db"):
        with pytest.raises(OutboxRefusedError, match="another program uses it"):
            await Outbox(tmp_path / "o.db", KEY).open()


async def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 1)
        for file in files_of(tmp_path):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_missing_folder_is_a_fault_that_may_pass(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "mount" / "o.db", KEY)
    with pytest.raises(OutboxUnavailableError, match="No such file"):
        await outbox.open()
    (tmp_path / "mount").mkdir()
    await outbox.open()
    await outbox.close()


async def pragma(outbox: Outbox, setting: str) -> None:
    """Changes the connection under the outbox, so that the disk seems full or read-only."""
    assert outbox._connection
    await outbox._connection.execute(f"PRAGMA {setting}")


async def test_a_full_disk_loses_nothing_that_was_stored_and_passes(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 40)
        await pragma(outbox, "max_page_count = 10")
        for _ in range(3):
            with pytest.raises(OutboxUnavailableError, match="full"):
                await outbox.append(readings(40, 100), CLOCK)
        assert await check_chain(outbox) == list(range(40)), "what is stored can still be sent"
        await outbox.discard_below(35)  # and acks make room
        assert await outbox.append(readings(40, 100), CLOCK) == 40
        assert await check_chain(outbox) == list(range(35, 41))


async def test_a_read_only_disk_loses_nothing_that_was_stored_and_passes(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 40)
        await pragma(outbox, "query_only = ON")
        with pytest.raises(OutboxUnavailableError, match="readonly"):
            await outbox.discard_below(40)
        with pytest.raises(OutboxUnavailableError, match="readonly"):
            await outbox.append(readings(40), CLOCK)
        assert await check_chain(outbox) == list(range(40))
        await pragma(outbox, "query_only = OFF")
        assert await outbox.append(readings(40), CLOCK) == 40
        await outbox.discard_below(40)
        assert await check_chain(outbox) == [40]


async def test_a_disk_that_cannot_even_be_read_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 2)
        for use in (outbox.append(readings(2), CLOCK), outbox.frames(0, 1)):
            await outbox.open()
            monkeypatch.setattr(outbox._connection, "execute", fail)
            monkeypatch.setattr(outbox._connection, "execute_fetchall", fail)
            with pytest.raises(OutboxUnavailableError, match="disk I/O error"):
                await use
            with contextlib.suppress(OutboxUnavailableError):
                await outbox.frames(0, 1)
        assert await outbox.append(readings(2), CLOCK) == 2
        assert await check_chain(outbox) == [0, 1, 2]


async def test_a_commit_whose_outcome_was_unknown_is_not_stored_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 1)
        connection = outbox._connection
        assert connection
        execute = connection.execute

        async def execute_and_fail(*arguments: Any) -> None:
            await execute(*arguments)
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(connection, "execute", execute_and_fail)
        with pytest.raises(OutboxUnavailableError, match="disk I/O error"):
            await outbox.append(readings(1), CLOCK)
        monkeypatch.undo()
        assert await outbox.append(readings(1), CLOCK) == 1
        assert await outbox.append(readings(2), CLOCK) == 2
        assert await check_chain(outbox) == [0, 1, 2]


async def test_an_outbox_that_was_put_back_under_a_running_agent_is_refused(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 2)
    shutil.copy(tmp_path / "o.db", tmp_path / "old.db")
    outbox = Outbox(tmp_path / "o.db", KEY)
    await outbox.open()
    await fill(outbox, 2)
    await outbox._give_up()
    shutil.copy(tmp_path / "old.db", tmp_path / "o.db")
    with pytest.raises(OutboxRefusedError, match="expected frames up to seq 3"):
        await outbox.append(readings(4), CLOCK)
    await outbox.close()


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
        outbox._most_bytes = 15_000
        for number in range(1, 100):
            before, reported = Disk(tmp_path), outbox.next_seq
            if number % 5 or not await outbox.thin(None):
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
    assert thinned > 5


def check_links(frames: list[StoredFrame], next_seq: int) -> None:
    """Signatures and links, through summaries, from the first seq to the last."""
    expected, prev = 0, GENESIS_PREV
    for first_seq, seq, message in frames:
        frame = open_frame(message, KEY.public_key())
        assert (frame.first_seq, frame.seq, frame.prev) == (first_seq, seq, prev)
        assert first_seq == expected
        expected, prev = seq + 1, head_after(frame, message)
    assert expected == next_seq


_WRITER = """
import asyncio, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gridtokenx_edge.outbox import Outbox
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading

async def main():
    outbox = Outbox(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    await outbox.open()
    while True:
        seq = await outbox.append(
            [Reading("M-0", outbox.next_seq, 0, 0)], ClockStatus(True, False, "ntp")
        )
        print(seq, flush=True)
        await outbox.discard_below(seq - 50)

asyncio.run(main())
"""


async def test_a_killed_writer_has_stored_every_frame_that_it_reported(tmp_path: Path) -> None:
    reported = -1
    for kill_after in (1, 40, 97):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITER, str(tmp_path / "o.db"), stdout=subprocess.PIPE
        )
        assert process.stdout
        for _ in range(kill_after):
            reported = int(await process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = await process.stdout.read()
        await process.wait()
        if numbers := rest.decode().split("\n")[:-1]:
            reported = int(numbers[-1])
        async with opened(tmp_path / "o.db") as outbox:
            assert outbox.next_seq in (reported + 1, reported + 2)
            assert (await check_chain(outbox))[-1] == outbox.next_seq - 1


_ON_A_SMALL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gridtokenx_edge.outbox import Outbox, OutboxUnavailableError
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    outbox = Outbox(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    await outbox.open()
    clock = ClockStatus(True, False, "ntp")
    async def append():
        return await outbox.append([Reading("M-0", outbox.next_seq, 0, 0)] * 20, clock)
    for _ in range(10):
        await append()
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, most))
    stored = 10
    try:
        while stored < 1000:
            await append()
            stored += 1
    except OutboxUnavailableError as fault:
        print(fault)
    assert outbox.next_seq == stored < 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert await append() == stored
    print(stored + 1)
    await outbox.close()

asyncio.run(main())
"""


async def test_a_disk_that_takes_no_more_bytes_is_reported_and_recovers(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ON_A_SMALL_DISK, str(tmp_path / "o.db"), stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    fault, count = output.decode().splitlines()
    assert process.returncode == 0
    assert "o.db: " in fault
    async with opened(tmp_path / "o.db") as outbox:
        assert await check_chain(outbox) == list(range(int(count)))


# --- thinning -----------------------------------------------------------------------------------

T0 = 1_782_000_000_000
DAY_MS = 86_400_000
SMALL = OutboxConfig(max_mb=1)
PUBLIC = KEY.public_key()


def polled(at: int, every_ms: int = 10_000, meters: int = 8) -> list[Reading]:
    return [Reading(f"EASTRON-1000000{n}", T0 + at * every_ms, at, at) for n in range(meters)]


async def thin_all(outbox: Outbox, now_ms: int | None = None) -> int:
    steps = 0
    while await outbox.thin(now_ms):
        steps += 1
    return steps


def check_accounts(frames: list[StoredFrame], stored: int) -> list[Reading]:
    """Follows the chain through summaries; every reading of `stored` is kept or said to be missing.

    Returns those kept.
    """
    kept: list[Reading] = []
    missing = 0
    next_seq, prev = frames[0].first_seq, b""
    for first_seq, seq, message in frames:
        frame = open_frame(message, PUBLIC)
        assert (frame.first_seq, frame.seq) == (first_seq, seq)
        assert first_seq == next_seq
        assert not prev or frame.prev == prev
        next_seq, prev = seq + 1, head_after(frame, message)
        kept += frame.readings()
        missing += frame.left_out
    assert len(kept) + missing == stored
    return kept


async def test_a_full_outbox_is_thinned_to_the_billing_interval_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "o.db", bounds=SMALL) as outbox:
        rounds = 0
        while outbox.thinned < 8_000:
            await outbox.append(polled(rounds), CLOCK)
            rounds += 1
            await outbox.thin(None)
            if rounds % 500 == 0:
                assert outbox.used_bytes < 1_000_000
        frames = await outbox.frames(0, 100_000)
        newest = frames[-1]
        assert (newest.first_seq, newest.seq) == (rounds - 1, rounds - 1), "the head stays"
        kept = check_accounts(frames, 8 * rounds)
        times = [each.time_ms for each in kept if each.meter == "EASTRON-10000000"]
        assert times == sorted(set(times))
        assert {each // 900_000 for each in times} == set(
            range(T0 // 900_000, (T0 + (rounds - 1) * 10_000) // 900_000 + 1)
        ), "no billing interval is without a reading"
        summaries = [frame for frame in frames if frame.first_seq < frame.seq]
        assert len(summaries) < 5, "they grow before there is another"
    async with opened(tmp_path / "o.db", bounds=SMALL) as outbox:
        assert await outbox.frames(0, 100_000) == frames
    assert (tmp_path / "o.db").stat().st_size <= 1_000_000


async def test_what_does_not_fit_by_the_billing_interval_is_thinned_further(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db", bounds=SMALL) as outbox:
        for at in range(4_000):
            await outbox.append(polled(at, 900_000), CLOCK)
            await outbox.thin(None)
        assert outbox.used_bytes < 1_000_000
        assert not outbox.is_full
        kept = check_accounts(await outbox.frames(0, 100_000), 32_000)
        assert outbox.thinned == 32_000 - len(kept) > 0
        days = {each.time_ms // DAY_MS for each in kept}
        assert days == set(range(T0 // DAY_MS, (T0 + 3999 * 900_000) // DAY_MS + 1))
        assert kept[-8:] == polled(3999, 900_000)


async def test_what_is_too_old_is_thinned_to_days_once_the_clock_is_known(tmp_path: Path) -> None:
    bounds = OutboxConfig(max_age_days=3)
    now_ms = T0 + 9 * DAY_MS
    async with opened(tmp_path / "o.db", bounds=bounds) as outbox:
        for at in range(9 * 96):
            await outbox.append(polled(at, 900_000, 1), CLOCK)
        assert await thin_all(outbox) == 0, "without a clock nothing is old"
        assert await thin_all(outbox, now_ms) > 0
        kept = check_accounts(await outbox.frames(0, 100_000), 9 * 96)
        old = [each for each in kept if each.time_ms < now_ms - 3 * DAY_MS - 900_000]
        assert len(old) <= 7 + 1
        assert len(kept) - len(old) >= 3 * 96
        assert await thin_all(outbox, now_ms) == 0


async def test_acks_within_a_summary_leave_it_and_beyond_it_remove_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db", bounds=SMALL) as outbox:
        for at in range(3_000):
            await outbox.append(polled(at), CLOCK)
        await thin_all(outbox)
        summary, *rest = await outbox.frames(0, 100_000)
        assert summary.first_seq == 0
        assert summary.seq > 500
        assert (await outbox.frames(400, 1)) == [summary], "it stands for 400 too"
        await outbox.discard_below(400)
        assert outbox.oldest_seq == 0
        await outbox.discard_below(summary.seq + 1)
        assert outbox.oldest_seq == rest[0].first_seq == summary.seq + 1
        assert await outbox.frames(0, 100_000) == rest


async def test_a_copy_taken_between_any_two_writes_of_thinning_is_a_whole_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame that was stored is there or stands in a summary, at every point in time."""
    copies: list[Path] = []
    async with opened(tmp_path / "o.db", bounds=SMALL) as outbox:
        for at in range(2_200):
            await outbox.append(polled(at), CLOCK)
        connection = outbox._connection
        assert connection
        execute = connection.execute

        async def execute_and_copy(*arguments: Any) -> Any:
            result = await execute(*arguments)
            folder = tmp_path / f"cut{len(copies)}"
            folder.mkdir()
            copies.append(folder)
            for file in (tmp_path / "o.db", tmp_path / "o.db-wal"):
                shutil.copy(file, folder)
            return result

        monkeypatch.setattr(connection, "execute", execute_and_copy)
        assert await outbox.thin(None)
        assert await outbox.thin(None)
        monkeypatch.undo()
        chain = outbox.chain
    assert len(copies) == 14
    counts = []
    for folder in copies:
        async with opened(folder / "o.db", bounds=SMALL) as copy:
            assert (copy.chain, copy.next_seq) == (chain, 2_200)
            check_accounts(frames := await copy.frames(0, 100_000), 8 * 2_200)
            counts.append(len(frames))
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 3, "before, between and after"


async def test_a_disk_that_refuses_while_thinning_keeps_every_frame(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db", bounds=SMALL) as outbox:
        for at in range(2_200):
            await outbox.append(polled(at), CLOCK)
        await pragma(outbox, "query_only = ON")
        with pytest.raises(OutboxUnavailableError, match="readonly"):
            await outbox.thin(None)
        await pragma(outbox, "query_only = OFF")
        assert len(await outbox.frames(0, 100_000)) == 2_200
        assert await outbox.thin(None)
        check_accounts(await outbox.frames(0, 100_000), 8 * 2_200)


# --- versions -----------------------------------------------------------------------------------

_VERSION_1 = """
PRAGMA page_size = 512;
PRAGMA journal_mode = WAL;
CREATE TABLE chain (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,
 device BLOB NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE frame (seq INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT;
"""


async def test_an_upgrade_keeps_the_outbox(tmp_path: Path) -> None:
    async with opened(tmp_path / "new.db") as outbox:
        await fill(outbox, 20)
        frames, chain = await outbox.frames(0, 100), outbox.chain
    database = sqlite3.connect(tmp_path / "o.db", isolation_level=None)
    database.executescript(_VERSION_1)
    database.execute("INSERT INTO chain VALUES (1, 1, ?, ?)", (outbox.device, chain))
    rows = [(frame.seq, frame.message) for frame in frames[5:]]
    database.executemany("INSERT INTO frame VALUES (?, ?)", rows)
    database.close()
    for _ in range(2):
        async with opened(tmp_path / "o.db") as outbox:
            assert (outbox.chain, outbox.oldest_seq, outbox.next_seq) == (chain, 5, 20)
            assert await outbox.frames(0, 100) == frames[5:]
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 1)
        assert await check_chain(outbox) == list(range(5, 21))


async def test_the_clocks_mark_is_stored_with_the_frame_that_reports_it(tmp_path: Path) -> None:
    one, two = ClockMark("boot", 5), ClockMark("boot", 9_000)
    async with opened(tmp_path / "o.db") as outbox:
        assert outbox.clock_mark is None
        await outbox.append(readings(0), CLOCK, one)
        await pragma(outbox, "max_page_count = 1")
        with pytest.raises(OutboxUnavailableError):
            await outbox.append(readings(1, 100), CLOCK, two)
        assert outbox.clock_mark == one
    async with opened(tmp_path / "o.db") as outbox:
        assert (outbox.clock_mark, outbox.next_seq) == (one, 1)
        await outbox.append(readings(1), CLOCK, two)
    async with opened(tmp_path / "o.db") as outbox:
        assert (outbox.clock_mark, outbox.next_seq) == (two, 2)
