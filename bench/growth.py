"""growth: what a registered meter costs in memory, and whether readings get dearer with meters.

Each size is made and timed in a process of its own (`python -m bench.growth METERS FOLDER`); then
the real backend starts on the journal that it left, and its resident memory is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rig.community import CHAIN, CLOCK, BackendProcess, write_configs
from bench.rig.processes import Broker, python
from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import FrameInput, Input, configuration_input
from gridtokenx_backend.core.messages.outcomes import NotJournaled
from gridtokenx_backend.core.model.terms import (
    CommunitySection,
    CommunityTerms,
    DeviceTerms,
    MemberTerms,
    MeterTerms,
)
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.journal.entry import Entry, make_entry
from gridtokenx_backend.journal.port import Snapshot
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.memory import collect_rarely
from gridtokenx_wire import cose
from gridtokenx_wire.config import Grx, Kilowatt, PublicKey
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    build_frame,
    decode_frame,
    encode_frame,
    frame_hash,
)
from gridtokenx_wire.keys import device_id, device_text
from gridtokenx_wire.reading import Reading

SMALL, LARGE = 1_000, 100_000
METERS_PER_GATEWAY = 8
_NOW_MS = 1_800_000_000_000
_ROUNDS = 9
_FRAMES_A_ROUND = 500
_SALT = bytes(16)


def run() -> dict[str, object]:
    """Compare a community of 1,000 meters with one of 100,000: a member for each, eight to a
    gateway.
    """
    small, large = _measure(SMALL), _measure(LARGE)
    growth = (large["rss_bytes"] - small["rss_bytes"]) / (LARGE - SMALL)
    return {
        "bytes_per_meter": round(growth),
        "cost_ratio": round(large["reading_us"] / small["reading_us"], 3),
        "reading_us_small": round(small["reading_us"], 2),
        "reading_us_large": round(large["reading_us"], 2),
        "meters": LARGE,
        "meters_per_gateway": METERS_PER_GATEWAY,
    }


def _measure(meters: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        with Broker(folder) as broker:
            assert isinstance(broker, Broker)
            config = write_configs(folder, broker.port, f"# {meters} meters, read before\n")
            prepare_data_folder(load_settings(config))  # a journal without its keys is not run
            command = python("bench.growth", str(meters), str(folder))
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
            found: dict[str, Any] = json.loads(done.stdout)
            with BackendProcess(folder, config) as backend:
                assert isinstance(backend, BackendProcess)
                backend.api()
                return {**found, "rss_bytes": _settled_bytes(backend.pid)}


def _settled_bytes(pid: int) -> int:
    """Return resident memory once the process has started and the interval series has read on."""
    found = [0]
    while len(found) < 5 or len(set(found[-5:])) > 1:
        time.sleep(0.2)
        found.append(_resident_bytes(pid))
        assert len(found) < 300, "expected memory to settle within a minute"
    return found[-1]


def _resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class _Gateways:
    """Gateways: their keys, and the place in each chain, device → (seq, prev)."""

    keys: list[bytes]
    chains: dict[bytes, tuple[int, bytes]]

    def frame(self, which: int, meters: list[str], step: int) -> bytes:
        """Return an unsigned frame with a reading for each of the meters, `step` seconds on."""
        device = device_id(self.keys[which])
        seq, prev = self.chains.get(device, (0, GENESIS_PREV))
        time_ms = _NOW_MS - 86_400_000 + step * 1000
        energy = 10**10 + step * 10**6
        readings = [
            Reading(
                meter=meter, time_ms=time_ms, import_uwh=energy, export_uwh=energy, power_w=-3000
            )
            for meter in meters
        ]
        frame = build_frame(device, CHAIN, seq, prev, CLOCK, readings)
        message = cose.assemble(encode_frame(frame), bytes(64))
        self.chains[device] = (seq + 1, frame_hash(message))
        return message


def make(meters: int, folder: Path) -> dict[str, float]:
    """Return a journal with a snapshot of a community whose meters all have two readings."""
    collect_rarely()  # as the server does
    gateways = _Gateways([os.urandom(32) for _ in range(meters // METERS_PER_GATEWAY)], {})
    community = Community()
    source = hashlib.sha256((folder / "community.toml").read_bytes()).digest()
    entries = [_apply(community, configuration_input(_terms(gateways.keys, meters), source))]
    for which in range(len(gateways.keys)):
        first = which * METERS_PER_GATEWAY
        names = [f"METER-{first + offset}" for offset in range(METERS_PER_GATEWAY)]
        entries += [_ingest(community, gateways.frame(which, names, step)) for step in range(2)]
    state = community.snapshot()
    asyncio.run(_store(folder, entries, Snapshot(community.entries, state, digest(state))))
    return {"reading_us": _cost_us(community, gateways)}


def _apply(community: Community, input_: Input) -> Entry:
    outcome = machine.apply(community, input_, _NOW_MS)
    assert not isinstance(outcome, NotJournaled), outcome
    return make_entry(community.entries, _NOW_MS, input_, outcome, _SALT)


def _ingest(community: Community, message: bytes) -> Entry:
    """Return what the backend does with a frame whose signature was checked, up to the journal."""
    frame = decode_frame(cose.split(message)[2])
    return _apply(community, FrameInput(message, frame))


async def _store(folder: Path, entries: list[Entry], snapshot: Snapshot) -> None:
    journal = await open_journal(folder / "data" / "journal.db")
    await journal.append(entries, [])
    await journal.save_snapshot(snapshot)
    await journal.close()


def _cost_us(community: Community, gateways: _Gateways) -> float:
    """Return the median over rounds of the processor time of a single-reading frame, gateways far
    apart.
    """
    costs = []
    for round_ in range(_ROUNDS):
        messages = []
        for index in range(_FRAMES_A_ROUND):
            which = (round_ * _FRAMES_A_ROUND + index) * 7919 % len(gateways.keys)
            step = 10 + round_ * _FRAMES_A_ROUND + index
            meter = f"METER-{which * METERS_PER_GATEWAY}"
            messages.append(gateways.frame(which, [meter], step))
        started = time.process_time()
        for message in messages:
            _ingest(community, message)
        costs.append(1e6 * (time.process_time() - started) / len(messages))
    assert community.counters.rejected == 0
    return statistics.median(costs)


def _terms(keys: list[bytes], meters: int) -> CommunityTerms:
    names = [device_text(device_id(key)) for key in keys]
    return CommunityTerms(
        community=CommunitySection(name="growth"),
        member=[
            MemberTerms(
                name=f"member{index}", wallet=PublicKey(os.urandom(32)), opening_grx=Grx(1_000_000)
            )
            for index in range(meters)
        ],
        device=[DeviceTerms(public_key=PublicKey(key)) for key in keys],
        meter=[
            MeterTerms(
                id=f"METER-{index}",
                owner=f"member{index}",
                max_power_kw=Kilowatt(20_000),
                starts_at_zero=True,
                device=names[index // METERS_PER_GATEWAY],
            )
            for index in range(meters)
        ],
    )


if __name__ == "__main__":
    print(json.dumps(make(int(sys.argv[1]), Path(sys.argv[2]))))
