"""latency: open loop, from the intended send time, at a steady rate of readings and orders."""

from __future__ import annotations

import asyncio
import random
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench.orders import MEMBERS, funding, make_order, market
from bench.rig.community import (
    NAME,
    BackendProcess,
    Gateway,
    Member,
    make_gateways,
    make_members,
    write_configs,
)
from bench.rig.load import (
    connect_packet,
    drive,
    packets_in,
    prepare,
    publish_packet,
    subscribe_packet,
)
from bench.rig.percentiles import percentile
from bench.rig.processes import Broker
from gridtokenx_wire import cose
from gridtokenx_wire.ack import decode_ack
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.order import sign_instruction
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.topics import acks_topic, frames_topic

READINGS_PER_S = 500
ORDERS_PER_S = 100
_GATEWAYS = 100
_HTTP_CONNECTIONS = 8
_GRACE_S = 5.0


@dataclass(kw_only=True)
class _Sent:
    """A gateway's frames in flight: seq → intended time, and the latencies that came of them."""

    gateway: Gateway
    writer: asyncio.StreamWriter
    due: dict[int, float] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def settled(self) -> None:
        """Wait until nothing is in flight."""
        while self.due:
            self.answered.clear()
            await self.answered.wait()


def run(seconds: float) -> dict[str, object]:
    """Measure readings to verdicts at the gateway, and orders to settled answers, at the
    same time.
    """
    members = make_members(MEMBERS)
    bank, *gateways = make_gateways(1, MEMBERS, members) + make_gateways(_GATEWAYS, 1, members)
    for index, gateway in enumerate(gateways):
        gateway.meters = [f"LATENCY-{index}"]
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        with Broker(folder) as broker:
            assert isinstance(broker, Broker)
            config = write_configs(folder, broker.port, market([bank, *gateways], members))
            with BackendProcess(folder, config) as backend:
                assert isinstance(backend, BackendProcess)
                api = backend.api()
                now_ms = SystemClock().now_ms()
                drive([prepare(bank, funding(bank, now_ms), broker.port, qos=1)], 60)
                orders = _signed_orders(members, round(seconds * ORDERS_PER_S), now_ms)
                work = _measure(gateways, orders, broker.port, api, seconds)
                reading_ms, order_ms = uvloop.run(work)
    return {
        "reading_p50_ms": round(percentile(reading_ms, 50), 2),
        "reading_p99_ms": round(percentile(reading_ms, 99), 2),
        # The mint is in the entry that the ack reports, so the ack's latency bounds the mint's.
        "mint_p99_ms": round(percentile(reading_ms, 99), 2),
        "order_p50_ms": round(percentile(order_ms, 50), 2),
        # An order is answered when what it traded is settled and durable.
        "settle_p99_ms": round(percentile(order_ms, 99), 2),
        "readings": len(reading_ms),
        "orders": len(order_ms),
    }


def _signed_orders(members: list[Member], count: int, now_ms: int) -> list[bytes]:
    chance = random.Random(11)
    signed = []
    for number in range(count):
        member = chance.choice(members)
        order = make_order(member, number, chance, now_ms)
        signed.append(sign_instruction(order, member.key).encode())
    return signed


async def _measure(
    gateways: list[Gateway], orders: list[bytes], port: int, api: str, seconds: float
) -> tuple[list[float], list[float]]:
    sent = [await _connect(gateway, port) for gateway in gateways]
    order_ms: list[float] = []
    start = time.perf_counter() + 0.5
    listeners = [asyncio.create_task(_listen(each, reader)) for each, reader in sent]
    async with asyncio.TaskGroup() as group:
        group.create_task(_send_readings([each for each, _ in sent], start, seconds))
        group.create_task(_send_orders(orders, api, start, order_ms))
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await asyncio.gather(*(each.settled() for each, _ in sent))
    unanswered = sum(len(each.due) for each, _ in sent)
    assert not unanswered, f"{unanswered} readings were not answered"
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    for each, _ in sent:
        each.writer.close()
    return [latency for each, _ in sent for latency in each.latencies_ms], order_ms


async def _connect(gateway: Gateway, port: int) -> tuple[_Sent, asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    writer.write(connect_packet(f"latency-{gateway.name}"))
    await reader.readexactly(4)
    writer.write(subscribe_packet(acks_topic(NAME, gateway.name)))
    await reader.readexactly(5)
    return _Sent(gateway=gateway, writer=writer), reader


async def _listen(sent: _Sent, reader: asyncio.StreamReader) -> None:
    received = bytearray()
    while data := await reader.read(65_536):
        now = time.perf_counter()
        received += data
        for kind, body in packets_in(received):
            if kind & 0xF0 == 0x30:
                size = int.from_bytes(body[:2], "big")
                ack = decode_ack(cose.split(body[2 + size :])[2])
                assert not ack.verdicts, ack.verdicts
                for seq in [seq for seq in sent.due if seq < ack.next_seq]:
                    sent.latencies_ms.append(1000 * (now - sent.due.pop(seq)))
                sent.answered.set()


async def _send_readings(sent: list[_Sent], start: float, seconds: float) -> None:
    """Send one-reading frames at a steady rate. A late one counts from when it was due."""
    for number in range(round(seconds * READINGS_PER_S)):
        due = start + number / READINGS_PER_S
        await asyncio.sleep(due - time.perf_counter())
        each = sent[number % len(sent)]
        gateway = each.gateway
        energy = 1_000_000 + number * 1_000
        now_ms = time.time_ns() // 1_000_000
        frame = gateway.seal(
            [
                Reading(
                    meter=gateway.meters[0],
                    time_ms=now_ms,
                    import_uwh=energy,
                    export_uwh=energy,
                    power_w=-4000,
                )
            ]
        )
        each.due[gateway.seq - 1] = due
        packet = publish_packet(frames_topic(NAME, gateway.name), frame, 1, 1 + number % 65_535)
        each.writer.write(packet)


async def _send_orders(
    orders: list[bytes], api: str, start: float, latencies_ms: list[float]
) -> None:
    host, _, port = api.removeprefix("http://").partition(":")
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(_HTTP_CONNECTIONS):
        idle.put_nowait(await asyncio.open_connection(host, int(port)))
    head = f"POST /v1/orders HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: ".encode()

    async def post(body: bytes, due: float) -> None:
        reader, writer = await idle.get()
        writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        latencies_ms.append(1000 * (time.perf_counter() - due))
        assert answer.startswith(b"HTTP/1.1 201"), content
        idle.put_nowait((reader, writer))

    async with asyncio.TaskGroup() as group:
        for number, body in enumerate(orders):
            due = start + number / ORDERS_PER_S
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(post(body, due))
    while not idle.empty():
        idle.get_nowait()[1].close()
