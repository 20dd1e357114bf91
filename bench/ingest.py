"""ingest: readings a second from the broker to a durable, acked, minted entry."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

from bench.rig.community import (
    BackendProcess,
    Gateway,
    community_toml,
    make_gateways,
    make_members,
    write_configs,
)
from bench.rig.load import drive, prepare
from bench.rig.processes import Broker
from gridtokenx_wire import cose
from gridtokenx_wire.frame import decode_frame
from gridtokenx_wire.reading import Reading

GATEWAYS = 100
METERS_EACH = 8
_STEP_MS = 1000
_TIMEOUT_S = 60.0


def run(readings_per_frame: int, frames: int, qos: int) -> dict[str, object]:
    """Return one run on fresh data; `frames` over all gateways."""
    members = make_members(50)
    gateways = make_gateways(GATEWAYS, min(METERS_EACH, readings_per_frame), members)
    each = frames // GATEWAYS
    backlog = [_backlog(gateway, each, readings_per_frame) for gateway in gateways]
    before = verify_limit()
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        with Broker(folder) as broker:
            assert isinstance(broker, Broker)
            config = write_configs(folder, broker.port, community_toml(gateways, members), qos=qos)
            with BackendProcess(folder, config) as backend:
                assert isinstance(backend, BackendProcess)
                backend.api()
                loads = [
                    prepare(gateway, signed, broker.port, qos)
                    for gateway, signed in zip(gateways, backlog, strict=True)
                ]
                elapsed_s = drive(loads, _TIMEOUT_S)
        lost, doubled = _count_stored(folder / "data" / "journal.db", gateways, each)
    verdicts = sum(load.verdicts for load in loads)
    assert verdicts == 0, f"{verdicts} readings were not accepted"
    limit = (before + verify_limit()) / 2
    return {
        "readings_per_frame": readings_per_frame,
        "readings_per_s": round(each * GATEWAYS * readings_per_frame / elapsed_s),
        "frames_per_s": round(each * GATEWAYS / elapsed_s),
        "verify_limit_per_s": round(limit),
        "ratio_to_verify_limit": round(each * GATEWAYS / elapsed_s / limit, 3),
        "lost": lost,
        "doubled": doubled,
        "elapsed_s": round(elapsed_s, 2),
        "qos": qos,
    }


def _backlog(gateway: Gateway, frames: int, readings: int) -> list[bytes]:
    """Return signed frames whose readings are all acceptable, and each bring surplus."""
    start_ms = time.time_ns() // 1_000_000 - 6 * 86_400_000
    made = []
    step = 0
    for _ in range(frames):
        batch = []
        for _ in range(readings):
            meter = gateway.meters[step % len(gateway.meters)]
            energy = 1_000_000 + step * 1_000
            batch.append(
                Reading(
                    meter=meter,
                    time_ms=start_ms + step * _STEP_MS,
                    import_uwh=energy,
                    export_uwh=energy,
                    power_w=-4000,
                )
            )
            step += 1
        made.append(gateway.seal(batch))
    return made


def verify_limit() -> float:
    """Return the Ed25519 verifications a second of this machine on two threads, by libsodium."""
    public, secret = crypto_sign_seed_keypair(bytes(32))
    signed = crypto_sign(bytes(250), secret)
    counts = [0, 0]
    stop = threading.Event()

    def work(which: int) -> None:
        while not stop.is_set():
            crypto_sign_open(signed, public)
            counts[which] += 1

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    stop.wait(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def _count_stored(journal: Path, gateways: list[Gateway], each: int) -> tuple[int, int]:
    """Return (lost, doubled) frames: what was sent against what the journal holds."""
    stored: Counter[tuple[bytes, int]] = Counter()
    with sqlite3.connect(journal) as database:
        for (raw,) in database.execute("SELECT input FROM journal WHERE kind = 'frame'"):
            frame = decode_frame(cose.split(raw)[2])
            stored[frame.device, frame.seq] += 1
    database.close()
    sent = {(gateway.device, seq) for gateway in gateways for seq in range(each)}
    lost = len(sent - stored.keys())
    doubled = sum(count - 1 for count in stored.values())
    return lost, doubled
