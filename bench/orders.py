"""orders: orders a second through book, escrow, matching, settlement, durable commit and reply."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.rig.community import (
    NAME,
    BackendProcess,
    Gateway,
    Member,
    community_toml,
    make_gateways,
    make_members,
    write_configs,
)
from bench.rig.load import drive, prepare
from bench.rig.percentiles import percentile
from bench.rig.processes import Broker, python
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import FrameInput, OrderInput, configuration_input
from gridtokenx_backend.core.messages.outcomes import NotJournaled
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine.waiting_inputs import MAX_BATCH
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.memory import collect_rarely
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.frame import open_frame
from gridtokenx_wire.order import Order, sign_instruction
from gridtokenx_wire.reading import Reading

MEMBERS = 1000
_IN_FLIGHT = 4  # batches that wait while one is in the writer
_ENERGY_UWH = 10**15


def funding(gateway: Gateway, now_ms: int) -> list[bytes]:
    """Return two frames that give every meter's owner a million kWh: a baseline, then
    the export.
    """
    frames = []
    for time_ms, export_uwh in ((now_ms - 3_600_000, 0), (now_ms - 1000, _ENERGY_UWH)):
        readings = [
            Reading(meter=meter, time_ms=time_ms, import_uwh=0, export_uwh=export_uwh)
            for meter in gateway.meters
        ]
        frames.append(gateway.seal(readings))
    return frames


def market(gateways: list[Gateway], members: list[Member]) -> str:
    """Return `community.toml` whose meters may deliver the funding within an hour."""
    text = community_toml(gateways, members)
    return text.replace('max_power_kw = "100000"', 'max_power_kw = "2000000"')


def make_order(member: Member, number: int, chance: random.Random, now_ms: int) -> Order:
    """Return an order around one price; about half of them trade at once."""
    return Order(
        v=1,
        community=NAME,
        wallet=member.wallet,
        id=f"bench-{number}",
        issued_ms=now_ms,
        side=chance.choice(("buy", "sell")),
        quantity_kwh=f"{chance.randint(1, 5000) / 1000:.3f}",
        price_grx_per_kwh=f"{chance.randint(150, 250) / 1000:.3f}",
    )


def run_writer(orders: int) -> dict[str, object]:
    """Measure in process: writer, core and SQLite journal, without signatures and HTTP."""
    collect_rarely()
    members = make_members(MEMBERS)
    gateways = make_gateways(1, MEMBERS, members)
    now_ms = SystemClock().now_ms()
    chance = random.Random(7)
    inputs = []
    for number in range(orders):
        order = make_order(chance.choice(members), number, chance, now_ms)
        inputs.append(OrderInput(b"x" * 500, order))
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        config = write_configs(folder, 1883, market(gateways, members))
        terms = load_terms(load_settings(config).community)
        community = Community()
        machine.apply(community, configuration_input(terms), now_ms - 7_200_000)
        for frame in funding(gateways[0], now_ms):
            opened = open_frame(frame, gateways[0].key.public_key())
            machine.apply(community, FrameInput(frame, opened), now_ms)
        community.entries = 0  # the journal starts with the orders
        elapsed_s, latencies_ms = asyncio.run(_submit(community, folder, inputs))
        stored, trades = _stored(folder / "journal.db")
    assert stored == orders, f"{orders} orders in, {stored} stored"
    return _report("writer", orders, elapsed_s, trades, latencies_ms)


async def _submit(
    community: Community, folder: Path, inputs: list[OrderInput]
) -> tuple[float, list[float]]:
    journal = await open_journal(folder / "journal.db")
    writer = Writer(community, journal, SystemClock(), snapshot_every=10**9)
    running = asyncio.create_task(writer.run())
    batches = [inputs[start : start + MAX_BATCH] for start in range(0, len(inputs), MAX_BATCH)]
    waiting = iter(batches)
    latencies_ms: list[float] = []

    async def submit() -> None:
        for batch in waiting:
            sent = time.perf_counter()
            settled = await writer.submit(batch)
            latency_ms = 1000 * (time.perf_counter() - sent)
            latencies_ms.extend(latency_ms for _ in batch)
            refused = [each.result for each in settled if isinstance(each.result, NotJournaled)]
            assert not refused, refused[0]

    started = time.perf_counter()
    await asyncio.gather(*(submit() for _ in range(_IN_FLIGHT)))
    elapsed_s = time.perf_counter() - started
    writer.stop()
    await running
    await journal.close()
    return elapsed_s, latencies_ms


def run_http(orders: int, connections: int) -> dict[str, object]:
    """Measure signed orders over HTTP to the real backend, from another process."""
    members = make_members(MEMBERS)
    gateways = make_gateways(1, MEMBERS, members)
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        with Broker(folder) as broker:
            assert isinstance(broker, Broker)
            config = write_configs(folder, broker.port, market(gateways, members))
            with BackendProcess(folder, config) as backend:
                assert isinstance(backend, BackendProcess)
                api = backend.api()
                now_ms = SystemClock().now_ms()
                load = prepare(gateways[0], funding(gateways[0], now_ms), broker.port, qos=1)
                drive([load], 60)
                bodies = folder / "orders.txt"
                bodies.write_text(_signed(members, orders, now_ms))
                report = _post_all(api, bodies, connections)
        stored, trades = _stored(folder / "data" / "journal.db")
    assert stored == orders, f"{orders} orders in, {stored} stored"
    return _report("http", orders, report["elapsed_s"], trades, report["latencies_ms"])


def _signed(members: list[Member], orders: int, now_ms: int) -> str:
    chance = random.Random(7)
    lines = []
    for number in range(orders):
        member = chance.choice(members)
        lines.append(sign_instruction(make_order(member, number, chance, now_ms), member.key))
    return "\n".join(lines) + "\n"


def _post_all(api: str, bodies: Path, connections: int) -> dict[str, Any]:
    """Run the HTTP load in a process of its own."""
    command = python("bench.rig.http_load", api, str(bodies), str(connections))
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _stored(journal: Path) -> tuple[int, int]:
    """Return (orders, trades) that the journal holds."""
    database = sqlite3.connect(journal)
    orders = database.execute("SELECT count(*) FROM journal WHERE kind = 'order'").fetchone()[0]
    trades = database.execute("SELECT count(*) FROM trade").fetchone()[0]
    database.close()
    return orders, trades


def _report(
    via: str, orders: int, elapsed_s: float, trades: int, latencies_ms: list[float]
) -> dict[str, object]:
    return {
        "via": via,
        "orders_per_s": round(orders / elapsed_s),
        "trades_per_s": round(trades / elapsed_s),
        "p50_ms": round(percentile(latencies_ms, 50), 2),
        "p99_ms": round(percentile(latencies_ms, 99), 2),
        "orders": orders,
        "trades": trades,
        "elapsed_s": round(elapsed_s, 2),
    }
