"""The outbox: nothing lost, nothing forged, nothing forked."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.edge.store.outboxes import (
    CLOCK,
    KEY,
    check_chain,
    files_of,
    fill,
    opened,
    pragma,
    readings,
)

from gridtokenx_edge.store.clock_status import ClockMark
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_wire.frame import GENESIS_PREV, open_frame
from gridtokenx_wire.sqlite_thread import SqliteFault


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
        (
            "UPDATE chain SET version = 9",
            "expected an outbox of version 2 at most, got 9: install the version",
        ),
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
        raise SqliteFault("disk I/O error")

    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 2)
        for use in (outbox.append(readings(2), CLOCK), outbox.frames(0, 1)):
            await outbox.open()
            monkeypatch.setattr(outbox._thread, "call", fail)
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
        thread = outbox._thread
        assert thread
        call = thread.call

        async def call_and_fail(work: Callable[[sqlite3.Connection], Any]) -> None:
            await call(work)
            raise SqliteFault("disk I/O error")

        monkeypatch.setattr(thread, "call", call_and_fail)
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


_WRITER = """
import asyncio, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading

async def main():
    outbox = Outbox(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    await outbox.open()
    while True:
        reading = Reading(meter="M-0", time_ms=outbox.next_seq, import_uwh=0, export_uwh=0)
        clock = ClockStatus(synchronised=True, stepped=False, source="ntp")
        seq = await outbox.append([reading], clock)
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
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxUnavailableError
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    outbox = Outbox(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    await outbox.open()
    clock = ClockStatus(synchronised=True, stepped=False, source="ntp")
    async def append():
        reading = Reading(meter="M-0", time_ms=outbox.next_seq, import_uwh=0, export_uwh=0)
        return await outbox.append([reading] * 20, clock)
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
