"""A broker that takes us in and throws us out, again and again."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise
from typing import Any

CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03"


async def hot_and_cold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """CONNECT, SUBSCRIBE, the hello and the status are answered (MQTT 3.1.1), then it hangs up."""
    published = 0
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            kind = (await reader.readexactly(1))[0] >> 4
            length, shift = 0, 0
            while True:
                (byte,) = await reader.readexactly(1)
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            body = await reader.readexactly(length)
            if kind == 1:
                writer.write(CONNACK)
            elif kind == 8:
                writer.write(SUBACK + body[:2] + b"\x01")
            elif kind == 3:
                at = 2 + int.from_bytes(body[:2])
                writer.write(b"\x40\x02" + body[at : at + 2])
                await writer.drain()
                published += 1
                if published == 2:
                    break
    writer.close()


async def test_it_is_tried_ever_more_slowly_and_told_once_a_minute(
    meters: Any, site: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    async with (
        meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running,
        await asyncio.start_server(hot_and_cold, "127.0.0.1", 0) as server,
    ):
        site.write(running, ack_key, server.sockets[0].getsockname()[1])
        site.start()
        await wait_until(lambda: site.has_log() and len(site.events("broker_connected")) == 3)
        times = [line["timestamp"] for line in site.events("broker_connected")]
        assert len(site.events("broker_lost")) == 1
    seconds = [float(text[-10:-1]) for text in times]
    waits = [(after - before) % 60 for before, after in pairwise(seconds)]
    assert waits[0] >= 0.4  # half of the first wait at least, and of twice that
    assert waits[1] >= 0.9
