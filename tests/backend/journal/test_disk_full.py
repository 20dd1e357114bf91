"""A full disk under the running program: said, waited for, and nothing acked that is not stored.

The disk is a limit on the size of the process's files, set and lifted while it runs.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import Broker, Process
from tests.backend.gateway_link import Link, linked
from tests.backend.parts import until
from tests.backend.running import write_configs
from tests.backend.village import Resident, Village, member_terms, reading

from gridtokenx_backend.journal.sqlite_journal import open_journal_readonly
from gridtokenx_backend.replay.replay import verify
from gridtokenx_backend.server import NO_ROOM
from gridtokenx_wire.keys import load_private_key

NOW_MS = time.time_ns() // 1_000_000
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Rig:
    """A real backend and broker, a linked gateway, and a client that waits for no answer."""

    def __init__(self, folder: Path, broker: Broker, village: Village) -> None:
        self.village = village
        config = write_configs(folder, village.document, broker.port, "verify_workers = 0")
        self.backend = BackendProcess(folder, config)
        self.broker = broker
        self.link: Link

    @property
    def journal(self) -> Path:
        return self.backend.data / "journal.db"

    def fill_disk(self) -> None:
        """From here on the process's journal cannot grow."""
        size = self.journal.with_name("journal.db-wal").stat().st_size
        resource.prlimit(self.backend.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free_disk(self) -> None:
        resource.prlimit(self.backend.pid, resource.RLIMIT_FSIZE, UNLIMITED)

    async def start(self, stack: AsyncExitStack) -> None:
        stack.enter_context(self.backend)
        self.api = httpx.AsyncClient(base_url=await asyncio.to_thread(self.backend.api))
        await stack.enter_async_context(self.api)
        key = load_private_key(self.backend.data / "ack.key").public_key()
        self.link = await stack.enter_async_context(
            linked(self.village.north, self.broker.port, key)
        )

    async def health(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get("/v1/health")).json()
        return found

    async def until_degraded(self) -> str:
        async with asyncio.timeout(20):
            while (health := await self.health())["status"] == "ok":  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # another process cannot set an event
        assert health["status"] == "degraded"
        detail: str = health["detail"]
        return detail

    def frame(self, second: int) -> bytes:
        return self.village.north.next([reading("ABB-1", NOW_MS + 1000 * second, second * 1000)])

    def order(self, client_id: str) -> bytes:
        ben = self.village.ben
        return ben.sign(ben.order(client_id, "buy", "1", "0.2", issued_ms=NOW_MS))

    def post(self, order: bytes) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(self.api.post("/v1/orders", content=order, timeout=60))


@pytest.fixture(name="rig")
async def _rig(tmp_path: Path, village: Village) -> AsyncIterator[Rig]:
    with Broker(tmp_path) as broker:
        assert isinstance(broker, Broker)
        rig = Rig(tmp_path, broker, village)
        async with AsyncExitStack() as stack:
            await rig.start(stack)
            yield rig
    assert "Traceback" not in rig.backend.stderr.read_text()


async def entries(path: Path) -> int:
    """How many entries a verification of the journal finds."""
    journal = await open_journal_readonly(path)
    try:
        return (await verify(journal, lambda _: None)).entries
    finally:
        await journal.close()


async def test_a_full_disk_is_said_and_everything_goes_on_when_there_is_space(rig: Rig) -> None:
    await rig.link.publish(rig.frame(0))
    assert (await rig.link.ack()).next_seq == 1
    rig.fill_disk()
    await rig.link.publish(rig.frame(1))
    assert "disk" in await rig.until_degraded()
    order = rig.order("b")
    refused = await rig.post(order)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    headers = {"Authorization": f"Bearer {rig.backend.metrics_token()}"}
    metrics = (await rig.api.get("/metrics", headers=headers)).text
    assert "gridtokenx_journal_degraded 1.0" in metrics
    assert rig.link.no_ack()
    assert await entries(rig.journal) == 2  # the terms, and the first frame
    rig.free_disk()
    assert (await rig.link.ack()).next_seq == 2
    assert (await rig.post(order)).status_code == 201
    assert (await rig.health())["status"] == "ok"
    response = await rig.api.get(f"/v1/balances/{rig.village.anna.wallet}")
    assert response.json()["grid"] == "0.000001000"
    await rig.link.publish(rig.frame(2))
    assert (await rig.link.ack()).next_seq == 3
    assert rig.backend.stop() == 0
    assert await entries(rig.journal) == 5
    log = [json.loads(line) for line in rig.backend.stderr.read_text().splitlines()]
    said = [line["event"] for line in log if line["level"] == "error"]
    assert said == ["journal is not writable; nothing is acked"]
    assert "journal is writable again" in [line["event"] for line in log]


async def test_what_was_never_stored_was_never_acked_and_comes_again(rig: Rig) -> None:
    """Stopped while the disk is full: it stops, and what it had applied is as if it never was."""
    await rig.link.publish(rig.frame(0))
    await rig.link.ack()
    rig.fill_disk()
    frame = rig.frame(1)
    await rig.link.publish(frame)
    await rig.until_degraded()
    assert await asyncio.to_thread(rig.backend.stop) == 0
    assert await entries(rig.journal) == 2
    assert rig.link.no_ack()
    rig.backend.start()
    await asyncio.to_thread(rig.backend.api)
    await rig.link.publish(frame)  # the broker may bring it, too
    assert (await rig.link.acked(2)).verdicts == []
    assert await entries(rig.journal) == 3


def crowded() -> Village:
    """Terms that do not fit beside SQLite's shared memory, which needs 32 KiB."""
    crowd = [member_terms(Resident(f"resident {n}"), "1") for n in range(500)]
    village = Village()
    village.document["member"] += crowd
    return village


async def test_a_first_start_that_waits_for_room_can_be_stopped(tmp_path: Path) -> None:
    config = write_configs(tmp_path, crowded().document, 1, "verify_workers = 0")
    limited = limited_to(36_000, BackendProcess(tmp_path, config))
    with limited:
        await until(lambda: "not writable" in limited.stderr.read_text())
        assert await asyncio.to_thread(limited.stop) == 0
    assert '"ready"' not in limited.stdout.read_text()


async def test_new_terms_that_find_no_room_keep_nobody_from_reading(tmp_path: Path) -> None:
    config = write_configs(tmp_path, Village().document, 1, "verify_workers = 0")
    with BackendProcess(tmp_path, config) as backend:
        await asyncio.to_thread(backend.ready, 60)
    write_configs(tmp_path, crowded().document, 1, "verify_workers = 0")
    with limited_to(36_000, backend) as limited:
        api = (await asyncio.to_thread(limited.ready, 60))["api"]
        async with httpx.AsyncClient(base_url=api) as client:
            health = (await client.get("/v1/health")).json()
        assert (health["status"], health["degraded"]) == ("degraded", ["journal"])
        assert await asyncio.to_thread(limited.stop) == 0


async def test_a_restart_on_a_full_disk_reads_and_goes_on_when_there_is_room(rig: Rig) -> None:
    await rig.link.publish(rig.frame(0))
    await rig.link.ack()
    assert await asyncio.to_thread(rig.backend.stop) == 0
    files = kept_files(rig.backend.data)
    with limited_to(4000, rig.backend) as limited:
        api = (await asyncio.to_thread(limited.ready, 60))["api"]
        async with httpx.AsyncClient(base_url=api) as client:
            health = (await client.get("/v1/health")).json()
            assert (health["status"], health["degraded"]) == ("degraded", ["journal"])
            assert health["detail"] == NO_ROOM
            balance = (await client.get(f"/v1/balances/{rig.village.ben.wallet}")).json()
            assert balance["grx"] == "1000.000000"
            refused = await client.post("/v1/orders", content=rig.order("b"))
            assert refused.status_code == 503
            frame = rig.frame(1)
            await rig.link.publish(frame)
            assert rig.link.no_ack()
            assert kept_files(rig.backend.data) == files
            resource.prlimit(limited.pid, resource.RLIMIT_FSIZE, UNLIMITED)
            assert (await rig.link.acked(2)).verdicts == []
            assert (await client.get("/v1/health")).json()["status"] == "ok"
            assert (await client.post("/v1/orders", content=rig.order("b"))).status_code == 201
        assert await asyncio.to_thread(limited.stop) == 0
    assert await entries(rig.journal) >= 4


def kept_files(data: Path) -> list[str]:
    """The files of a data folder but those that SQLite keeps while it has a file open."""
    names = [path.name for path in data.iterdir()]
    return sorted(name for name in names if not name.endswith(("-wal", "-shm")))


def limited_to(size: int, backend: BackendProcess) -> Process:
    """The same backend, whose files cannot grow beyond a size."""
    return Process(
        "limited", ["prlimit", f"--fsize={size}:unlimited", *backend.command], backend.data.parent
    )


async def test_a_start_without_any_space_is_refused_in_one_line(tmp_path: Path) -> None:
    config = write_configs(tmp_path, Village().document, 1, "verify_workers = 0")
    command = BackendProcess(tmp_path, config).command
    process = await asyncio.create_subprocess_exec(
        "prlimit", "--fsize=2000", *command, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1), err
    assert err.decode().startswith(f"{tmp_path}/data/journal.db: ")
