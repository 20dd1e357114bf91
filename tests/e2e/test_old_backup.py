"""An old copy of the whole data folder is put back, head and all: the gateways' acks show it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.backend.parts import until
from tests.backend.running import Site, site_in
from tests.edge.uplink.sending_uplink import Bench, sending

from gridtokenx_backend.core.messages.inputs import OracleCommand, oracle_input
from gridtokenx_backend.engine.writer import HistoryLost
from gridtokenx_edge.config.edge_config import BrokerConfig
from gridtokenx_wire.keys import load_private_key


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


@pytest.fixture(name="gateway")
async def _gateway(site: Site, tmp_path: Path) -> AsyncIterator[Bench]:
    """A real uplink whose three frames are acked by a real backend."""
    await site.start()
    pinned = SimpleNamespace(key=load_private_key(site.settings().ack_key))
    broker = BrokerConfig(host="127.0.0.1", port=site.broker.port, insecure=True)
    key = site.village.north.key
    async with sending(tmp_path, key, pinned, broker, 3, ack_timeout_s=0.3) as bench:
        await until(lambda: bench.uplink.counts.acked == 3)
        yield bench


async def command(site: Site, name: str, *more: str) -> tuple[int | None, str]:
    """Run a command of the backend, and return its exit code and what it said."""
    config = str(site.folder / "backend.toml")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gridtokenx_backend", name, "--config", config, *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    lines = [line for line in told.decode().splitlines() if not line.startswith("{")]
    return process.returncode, "\n".join(lines)


async def put_old_copy_back(site: Site, gateway: Bench) -> None:
    """Copy the folder of a stopped backend, go on for 4 frames, and put the copy back."""
    data, copy = site.settings().data, site.folder / "old-copy"
    await site.stop()
    shutil.copytree(data, copy)
    await site.start()
    await gateway.seal(4)
    await until(lambda: gateway.uplink.counts.acked == 7)
    await site.stop()
    shutil.rmtree(data)
    copy.rename(data)


async def test_the_gateways_ack_stops_the_backend_until_the_operator_accepts_the_loss(
    site: Site, gateway: Bench
) -> None:
    await put_old_copy_back(site, gateway)
    backend = await site.start()
    degradation = backend.writer.degradation
    assert not degradation, "nothing in the folder shows it"
    await gateway.seal(1)
    await until(lambda: degradation.obstacle)
    said = str(degradation)
    assert "4 frames of gateway" in said
    assert "up to number 6, and the journal ends with number 2 of " in said
    assert "gridtokenx-backend restore" in said
    assert 'gridtokenx-backend accept-loss --reason "..."' in said
    with pytest.raises(HistoryLost):
        await backend.writer.submit([oracle_input(OracleCommand(True, "a test"))])
    assert gateway.uplink.unacked == 1
    await site.stop()

    code, told = await command(site, "run")
    assert code == 2
    (line,) = told.splitlines()
    assert "4 frames of gateway" in line
    assert line.endswith('or go on without it: gridtokenx-backend accept-loss --reason "..."')
    code, told = await command(site, "accept-loss", "--reason", "the disk died")
    assert code == 0
    assert "accepted: entry" in told
    assert not site.settings().lost_acks.exists()

    backend = await site.start()
    await until(lambda: gateway.uplink.state is None and gateway.uplink.unacked == 0, 60)
    device = backend.writer.community.devices[site.village.north.device]
    await until(lambda: device.next_seq == 8)
    assert not backend.writer.degradation
    await site.stop()
    backend = await site.start()
    await gateway.seal(1)
    await until(lambda: gateway.uplink.unacked == 0)
    assert not backend.writer.degradation
