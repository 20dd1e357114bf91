"""An outbox whose caller is cancelled while the disk works: nothing forked, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
from tests.edge.store.outboxes import CLOCK, KEY, check_chain, fill, opened, readings

from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.frame import open_frame


@pytest.mark.parametrize("has_begun", [False, True])
async def test_an_append_that_was_cancelled_is_looked_up_before_the_next(
    tmp_path: Path, has_begun: bool
) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 1)
        thread = outbox._thread
        assert thread
        begun, may_go_on = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection | None) -> None:
            begun.set()
            assert may_go_on.wait(timeout=10)

        if has_begun:
            await thread.call(lambda db: db.create_function("wait", 0, lambda: wait(None)))
            trigger = "CREATE TEMP TRIGGER slow AFTER INSERT ON frame BEGIN SELECT wait(); END"
            await thread.call(lambda db: db.execute(trigger))
            blocking = None
        else:
            blocking = asyncio.create_task(thread.call(wait))
        appending = asyncio.create_task(outbox.append(readings(1), CLOCK))
        assert await asyncio.to_thread(begun.wait, 10)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        may_go_on.set()
        if blocking:
            await blocking
        assert outbox.next_seq == 1
        assert await outbox.append(readings(1), CLOCK) == 1
        assert await outbox.append(readings(2), CLOCK) == 2
        assert await check_chain(outbox) == [0, 1, 2]
        frames = await outbox.frames(1, 1)
        assert open_frame(frames[0].message, KEY.public_key()).readings() == readings(1)


async def test_an_outbox_whose_opening_was_cancelled_is_looked_at_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await fill(outbox, 3)
    outbox = Outbox(tmp_path / "o.db", KEY)
    for steps in range(4):
        opening = asyncio.create_task(outbox.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
    assert await outbox.append(readings(3), CLOCK) == 3
    assert await check_chain(outbox) == [0, 1, 2, 3]
    await outbox.close()
