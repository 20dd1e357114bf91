"""A site that never comes online: its frames go to the backend in a file, and acks come back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from bench.rig.processes import free_port, python, wait_for
from bench.rig.site import Site, SitePlan
from tests.e2e import stored

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.keys import load_private_key
from gridtokenx_wire.message_file import encode_header, read_frames
from gridtokenx_wire.reading import Reading

ROUNDS = 400
EVERY_MS = 60_000
NTP = ClockStatus(synchronised=True, stepped=False, source="ntp")


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def unthinned(tmp_path: Path) -> Iterator[Site]:
    """Yield a backend that serves, without any broker; a gateway with frames of six hours."""
    site = Site(tmp_path, SitePlan(lines=1, meters_a_line=2))
    asyncio.run(fill(site))
    site.backend.start()
    try:
        yield site
    finally:
        site.backend.stop()


@pytest.fixture
def site(unthinned: Site) -> Site:
    """Return the frames with most of them thinned to a reading each quarter of an hour."""
    asyncio.run(thin(unthinned))
    return unthinned


async def fill(site: Site) -> None:
    outbox = open_outbox(site)
    await outbox.open()
    start_ms = time.time_ns() // 1_000_000 // EVERY_MS * EVERY_MS - ROUNDS * EVERY_MS
    for at in range(ROUNDS):
        time_ms = start_ms + at * EVERY_MS
        energy_uwh = at * 1_000_000
        await outbox.append(
            [
                Reading(meter=meter, time_ms=time_ms, import_uwh=0, export_uwh=energy_uwh)
                for meter in site.plan.meters
            ],
            NTP,
        )
    await outbox.close()


async def thin(site: Site) -> None:
    outbox = open_outbox(site)
    await outbox.open()
    outbox._most_bytes = 120_000
    while await outbox.thin(None):
        pass
    assert outbox.thinned > 200
    await outbox.close()


def open_outbox(site: Site) -> Outbox:
    return Outbox(site.outbox, load_private_key(site.folder / "device.key"), OutboxConfig())


def run(module: str, *arguments: str | Path) -> Said:
    done = subprocess.run(
        python(module, *map(str, arguments)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def edge(site: Site, command: str, *arguments: str | Path) -> Said:
    config = ("--config", site.folder / "edge.toml")
    return run("gridtokenx_edge", "outbox", command, *arguments, *config, "--json")


def backend_import(site: Site, *arguments: str | Path) -> Said:
    api = site.backend.ready(60)["api"]
    config = ("--config", site.folder / "backend.toml", "--api", api)
    return run("gridtokenx_backend", "import", *arguments, *config, "--json")


def devices(site: Site) -> list[dict[str, Any]]:
    database = sqlite3.connect(f"file:{site.journal}?mode=ro", uri=True)
    rows = database.execute("SELECT count(*) FROM journal WHERE kind = 'frame'").fetchall()
    database.close()
    return [{"frames": rows[0][0]}]


def test_frames_go_in_a_file_and_acks_come_back(site: Site, tmp_path: Path) -> None:
    status = edge(site, "status").json
    frames, thinned = status["frames"], status["readings_thinned"]
    assert (status["first_seq"], status["next_seq"]) == (0, ROUNDS)
    assert status["readings"] + thinned == 2 * ROUNDS
    assert status["newest_ms"] - status["oldest_ms"] > 6 * 3_600_000
    assert 0 < status["used_bytes"] < status["file_bytes"] < status["max_bytes"] == 256_000_000
    assert status["full_in_days"] > 100
    verified = edge(site, "verify").json
    assert verified["ok"]
    assert (verified["frames"], verified["readings_thinned"]) == (frames, thinned)
    assert 0 < verified["summaries"] < frames

    file, acks = tmp_path / "site.frames", tmp_path / "site.acks"
    exported = edge(site, "export", file).json
    assert (exported["frames"], exported["bytes"]) == (frames, file.stat().st_size)
    taken = backend_import(site, file, "--acks", acks).json
    assert (taken["frames"], taken["accepted"], taken["duplicates"]) == (frames, frames, 0)
    assert (taken["next_seq"], taken["readings_thinned"]) == (ROUNDS, thinned)
    again = backend_import(site, file, "--acks", acks).json
    assert (again["accepted"], again["duplicates"]) == (0, frames)
    assert devices(site) == [{"frames": frames}], "nothing was stored twice"

    assert edge(site, "acked", acks).json == {"next_seq": ROUNDS, "taken": "now"}
    status = edge(site, "status").json
    assert (status["frames"], status["first_seq"]) == (1, ROUNDS - 1), "only the head is left"


def test_acks_wait_beside_an_outbox_that_an_agent_works_with(site: Site, tmp_path: Path) -> None:
    file, acks = tmp_path / "site.frames", tmp_path / "site.acks"
    site.edge.start()  # there is no broker for it
    try:
        assert edge(site, "verify").code == 0, "an agent that runs is not in the way"
        edge(site, "export", file)
        backend_import(site, file, "--acks", acks)
        assert edge(site, "acked", acks).json["taken"] == "by_agent"
        deadline = time.monotonic() + 30
        while edge(site, "status").json["first_seq"] < ROUNDS - 1:
            assert time.monotonic() < deadline, site.edge.stderr.read_text()
    finally:
        site.edge.stop()
    assert "carried_acks_taken" in site.edge.stderr.read_text()


def test_what_cannot_be_taken_is_said_in_one_line(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "site.frames"
    edge(site, "export", file)
    content = file.read_bytes()
    bad = tmp_path / "bad.frames"

    bad.write_bytes(content[:-100])
    said = backend_import(site, bad)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "whole message" in said.err

    bad.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
    said = backend_import(site, bad)
    assert (said.code, said.err) == (2, f"{bad}: refused by the backend: bad_signature\n")

    api = f"http://127.0.0.1:{free_port()}"
    config = ("--config", site.folder / "backend.toml")
    said = run("gridtokenx_backend", "import", file, *config, "--api", api)
    assert said.code == 2
    assert "no answer: Connection refused" in said.err

    said = edge(site, "acked", file)
    assert said.code == 2
    assert said.err == f"{file}: expected a file of acks of a gateway\n"

    database = sqlite3.connect(site.outbox)
    database.execute("UPDATE frame SET message = zeroblob(500) WHERE seq = ?", (ROUNDS - 5,))
    database.commit()
    database.close()
    said = edge(site, "verify")
    assert said.code == 1
    assert said.json["ok"] is False


STORED = 50


def test_frames_whose_acks_were_lost_may_be_in_a_summary_when_the_gateway_is_back(
    unthinned: Site, tmp_path: Path
) -> None:
    """The backend has the first frames themselves; then they are thinned with those behind them."""
    site = unthinned
    edge(site, "export", whole := tmp_path / "whole.frames")
    backend_import(site, first_frames(whole, tmp_path / "first.frames"))
    asyncio.run(thin(site))
    with site.broker, site.edge:
        wait_for(lambda: next_seq(site) == ROUNDS, "every frame to be stored", 60)
    frames = stored.read_journal(site.journal)
    kept = Counter(
        (reading.meter, reading.time_ms)
        for _, frame in frames.frames
        for index, reading in enumerate(frame.readings())
        if index not in frames.refused[frame.device, frame.seq]
    )
    assert set(kept.values()) == {1}, "no reading is settled twice"
    summary = frames.frames[STORED][1]
    assert (summary.first_seq, summary.left_out > 0) == (0, True)
    assert stored.check_minted(frames) == len(site.plan.meters) * (ROUNDS - 1) * 1_000_000


def first_frames(whole: Path, part: Path) -> Path:
    """Return a file with the first frames of another."""
    with whole.open("rb") as stream:
        header, frames = read_frames(stream)
        messages = [message for _, (message, _) in zip(range(STORED), frames, strict=False)]
    start = encode_header(msgspec.structs.replace(header, next_seq=STORED))
    part.write_bytes(start + b"".join(messages))
    return part


def next_seq(site: Site) -> int:
    """Behind the newest frame of the journal."""
    frames = stored.read_journal(site.journal).frames
    return frames[-1][1].seq + 1
