"""What frames of a thousand refused readings cost: the disk, and others' orders meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import random
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.orders import make_order
from bench.rig.community import BackendProcess, Member, community_toml, make_members, write_configs
from bench.rig.frame_attack import attacker
from bench.rig.percentiles import percentile
from bench.rig.processes import Broker, python
from gridtokenx_wire.order import sign_instruction

CASES: dict[str, float | None] = {"nothing": None, "within_budget": 10.0, "as_fast_as_acked": 0.0}
"""Frames a second of each case; 0 is as fast as acks allow, and then no budget bounds them."""
_RAISED = (
    "[budget]\ndevice_kib_per_s = 1000000\ndevice_burst_mib = 1000\n"
    "device_readings_per_s = 100000000\ndevice_burst_readings = 100000000\n"
)
_PAUSE_S = 0.02
_TIMEOUT_S = 10.0


def run(seconds: float) -> dict[str, object]:
    """Return for each case what the journal grew by, and how long the orders of another took."""
    report: dict[str, object] = {}
    for case, frames_per_s in CASES.items():
        with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
            measured = _run_case(Path(name), seconds, frames_per_s)
        report |= {f"{case}:{figure}": value for figure, value in measured.items()}
    return report


def _run_case(folder: Path, seconds: float, frames_per_s: float | None) -> dict[str, object]:
    seed, members = os.urandom(32).hex(), make_members(2)
    terms = community_toml([attacker(seed)], members)
    with Broker(folder) as broker:
        assert isinstance(broker, Broker)
        after = _RAISED if frames_per_s == 0 else ""
        config = write_configs(folder, broker.port, terms, after=after)
        with BackendProcess(folder, config) as backend:
            assert isinstance(backend, BackendProcess)
            api = backend.api()
            if frames_per_s is None:
                return _orders(place_orders(api, members[1], seconds))
            arguments = (str(broker.port), seed, str(seconds), str(frames_per_s))
            command = python("bench.rig.frame_attack", *arguments)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attack:
                assert attack.stdout is not None
                assert attack.stdout.readline() == "begins\n"
                written, cpu_ms = _written_bytes(backend.pid), _cpu_ms(backend.pid)
                took_ms = place_orders(api, members[1], seconds)
                sent = json.loads(attack.stdout.readline())
            written = _written_bytes(backend.pid) - written
            cpu_ms = _cpu_ms(backend.pid) - cpu_ms
        entry_bytes = _entry_bytes(folder / "data" / "journal.db", sent["frames"])
    return {
        "frames_per_s": round(sent["frames"] / sent["elapsed_s"], 1),
        "entry_bytes": entry_bytes,
        "cpu_ms_per_frame": round(cpu_ms / sent["frames"], 2),
        "mb_written_per_s": round(written / sent["elapsed_s"] / 1e6, 2),
        **_orders(took_ms),
    }


def _orders(took_ms: list[float]) -> dict[str, object]:
    return {
        "order_p50_ms": round(percentile(took_ms, 50), 2),
        "order_p99_ms": round(percentile(took_ms, 99), 2),
        "orders": len(took_ms),
    }


def place_orders(api: str, member: Member, seconds: float) -> list[float]:
    """Place one order after the other; return how long each answer took."""
    chance = random.Random(5)
    took_ms: list[float] = []
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=_TIMEOUT_S)
    until_s = time.monotonic() + seconds
    with closing(connection):
        while time.monotonic() < until_s:
            drawn = make_order(member, len(took_ms), chance, time.time_ns() // 1_000_000)
            body = sign_instruction(msgspec.structs.replace(drawn, side="buy"), member.key)
            began = time.perf_counter()
            connection.request("POST", "/v1/orders", body)
            answer = connection.getresponse()
            content = answer.read()
            took_ms.append(1000 * (time.perf_counter() - began))
            assert answer.status == http.client.CREATED, content
            time.sleep(_PAUSE_S)
    return took_ms


def _written_bytes(pid: int) -> int:
    """Return what a process has written to the disk, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    (written,) = (line.split()[1] for line in lines if line.startswith("write_bytes"))
    return int(written)


def _cpu_ms(pid: int) -> float:
    """Return the processor's time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _entry_bytes(journal: Path, frames: int) -> int:
    """Return the bytes of the entry of a refused frame, in the mean; the last ones are counted."""
    query = (
        "SELECT count(*), sum(length(leaf) + length(leaf_hash) + length(salt) + length(input)"
        " + length(outcome)) FROM journal WHERE kind = 'refused' OR length(input) > 4096"
    )
    with closing(sqlite3.connect(journal)) as database:
        found: tuple[int, int] = database.execute(query).fetchone()
    entries, size = found
    assert entries >= frames, f"expected {frames} entries, got {entries}"
    return round(size / entries)
