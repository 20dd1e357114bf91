"""The agent as a process: real lines, a real broker, signals, kills and a full disk."""

from __future__ import annotations

import random
import resource
import signal
import sqlite3
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.frame import open_frame


def check_readings(backend: Any, running: Any) -> None:
    """Every reading is what its meter showed at its time, and none comes twice."""
    seen: set[tuple[str, int]] = set()
    for reading in backend.readings:
        assert (reading.meter, reading.time_ms) not in seen
        seen.add((reading.meter, reading.time_ms))
        truth = running.meter(reading.meter).registers(reading.time_ms)
        assert abs(reading.import_uwh - truth.import_uwh) <= 10**8
    assert [frame.seq for frame in backend.frames] == list(range(len(backend.frames)))


def three_meters(meters: Any) -> tuple[Any, Any]:
    roof = meters.serial(meters.meter("eastron_sdm630", 1), meters.meter("abb_b23", 2))
    return roof, meters.tcp(meters.meter("carlo_gavazzi_em24_e1", 3, "KY123"))


async def test_readings_of_two_buses_reach_the_backend_and_sigterm_ends_it_cleanly(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    async with meters.serve(*three_meters(meters)) as running:
        site.write(running, ack_key, broker.port, every_s=0.5)
        agent = site.start()
        await wait_until(lambda: len(backend.readings) >= 15)
        agent.send_signal(signal.SIGTERM)
        started = time.monotonic()
        await wait_until(lambda: agent.poll() is not None)
        assert time.monotonic() - started < 5
        check_readings(backend, running)
    assert agent.returncode == 0
    ids = {reading.meter for reading in backend.readings}
    assert ids == {"EASTRON-1001", "ABB-1002", "CARLO-GAVAZZI-KY123"}
    rounds = [frame for frame in backend.frames if len(frame.meters) == 3]
    assert len(rounds) >= len(backend.frames) // 2, "what falls due together is one frame"
    await wait_until(lambda: backend.statuses[-1]["state"] == "offline")
    # A machine that is busy with other things may come too late for a grid point.
    events = [line["event"] for line in site.log() if line["event"] != "polls_missed"]
    assert events == ["started", "broker_connected", "stopped"]
    assert site.events("stopped")[0]["held"] == 0
    assert not site.outbox.with_name("outbox.db-wal").exists(), "the outbox is closed"


async def test_sigint_with_nothing_connected_ends_it_within_five_seconds(
    meters: Any, site: Any, device_key: Any, wait_until: Any
) -> None:
    async with meters.serve(*three_meters(meters)) as running:
        site.write(running, "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z", 1)
    agent = site.start()
    await wait_until(lambda: len(site.events("line_down")) >= 2 if site.has_log() else False)
    agent.send_signal(signal.SIGINT)
    started = time.monotonic()
    await wait_until(lambda: agent.poll() is not None)
    assert time.monotonic() - started < 5
    assert agent.returncode == 0
    assert {line["event"] for line in site.log()} == {
        "started",
        "line_down",
        "broker_lost",
        "stopped",
    }


async def test_a_contested_profile_is_told_at_the_start(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    bus = meters.tcp(meters.meter("schneider_iem3155", 1))
    async with meters.serve(bus) as running:
        site.write(running, ack_key, broker.port)
        site.start()
        await wait_until(lambda: backend.readings)
    (warning,) = site.events("profile_contested")
    assert warning["profile"] == "schneider_iem3155"
    assert "Compare with the meter's display" in warning["notes"][0]


async def test_a_killed_agent_loses_no_sealed_frame_and_doubles_none(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    chance = random.Random(7)
    async with meters.serve(*three_meters(meters)) as running:
        site.write(running, ack_key, broker.port, every_s=0.1)
        for _ in range(6):
            agent = site.start()
            count = len(backend.frames) + chance.randrange(1, 8)
            await wait_until(lambda count=count: len(backend.frames) >= count)
            agent.send_signal(signal.SIGKILL)
            agent.wait()
            sealed = await last_seq(site.outbox, backend)
            backend.is_mute = chance.random() < 0.3
        backend.is_mute = False
        agent = site.start()
        await wait_until(lambda: len(backend.frames) > sealed + 3)
        agent.send_signal(signal.SIGTERM)
        await wait_until(lambda: agent.poll() is not None)
        check_readings(backend, running)
    assert all({"online"} <= {status["state"]} for status in backend.statuses[:1])
    states = [status["state"] for status in backend.statuses]
    assert "offline" in states, "the last will speaks for the killed"


async def last_seq(path: Path, backend: Any) -> int:
    """The newest frame in a dead agent's outbox, verified."""
    database = sqlite3.connect(path)
    ((seq, message),) = database.execute(
        "SELECT seq, message FROM frame ORDER BY seq DESC LIMIT 1"
    ).fetchall()
    database.close()
    assert open_frame(message, backend.device_key).seq == seq
    return int(seq)


async def test_a_full_disk_is_told_nothing_is_sent_unstored_and_it_recovers(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    backend.is_mute = True  # so that no space is freed by acks
    uplink = "uplink = {ack_timeout_s = 0.5, seal_after_s = 0, hold_unsynchronised_s = 0}"
    async with meters.serve(*three_meters(meters)) as running:
        site.write(running, ack_key, broker.port, every_s=0.1, extra=uplink)
        agent = site.start()
        await wait_until(lambda: backend.received >= 3)
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
        await wait_until(lambda: site.events("outbox_unavailable"), 60)
        backend.is_mute = False
        stored = await last_seq_of_running(site.outbox)
        await wait_until(lambda: len(backend.frames) >= stored)
        resource.prlimit(
            agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        await wait_until(lambda: site.events("outbox_available"), 60)
        count = len(backend.frames)
        await wait_until(lambda: len(backend.frames) > count + 3)
        check_readings(backend, running)
        times = sorted(
            reading.time_ms for reading in backend.readings if reading.meter == "EASTRON-1001"
        )
        gaps = [after - before for before, after in pairwise(times)]
        assert max(gaps) < 1000, "what was read during the full disk was held"
        agent.send_signal(signal.SIGTERM)
        await wait_until(lambda: agent.poll() is not None)
    assert agent.returncode == 0
    assert all("Traceback" not in str(line) for line in site.log())


async def last_seq_of_running(path: Path) -> int:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    ((seq,),) = database.execute("SELECT max(seq) FROM frame").fetchall()
    database.close()
    return int(seq)


async def test_the_outbox_of_another_device_ends_it_at_once(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    other = Outbox(site.outbox, Ed25519PrivateKey.generate())
    await other.open()
    await other.close()
    async with meters.serve(*three_meters(meters)) as running:
        site.write(running, ack_key, broker.port)
        agent = site.start()
        await wait_until(lambda: agent.poll() is not None)
    assert agent.returncode == 2
    (line,) = (site.folder / "edge.log").read_text().splitlines()
    assert "expected an outbox of device" in line


@pytest.mark.parametrize("meter_count", [8])
async def test_a_running_agent_is_lean(
    meters: Any,
    site: Any,
    broker: Any,
    backend: Any,
    ack_key: str,
    wait_until: Any,
    meter_count: int,
) -> None:
    bus = meters.serial(*(meters.meter("eastron_sdm630", at + 1) for at in range(meter_count)))
    async with meters.serve(bus) as running:
        site.write(running, ack_key, broker.port, every_s=1)
        agent = site.start()
        await wait_until(lambda: len(backend.readings) >= 2 * meter_count)
        process = psutil.Process(agent.pid)
        assert process.memory_info().rss <= 45 * 2**20
        assert "gridtokenx_edge.agent.main" in process.cmdline()
