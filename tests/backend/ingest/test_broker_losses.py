"""A broker that accepts the backend and drops it is tried again at growing intervals."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.backend.parts import until

from gridtokenx_backend.config.settings import BrokerSection
from gridtokenx_backend.ingest import mqtt_source
from gridtokenx_backend.ingest.mqtt_source import MqttSource


@pytest.mark.parametrize("reply", [b"", b"\x20\x02\x00\x00"], ids=["at once", "after CONNACK"])
async def test_a_broker_that_drops_the_backend_is_tried_at_growing_intervals_and_told_once(
    reply: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    really_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)
        await really_sleep(0)

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        writer.close()

    monkeypatch.setattr(mqtt_source.asyncio, "sleep", sleep)
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 1.0)
    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = MqttSource(BrokerSection(port=port, insecure=True), "lane", None)
    running = asyncio.create_task(source.run())
    losses = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0]
    await until(lambda: [each for each in pauses if each in losses][:8] == losses)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.close()
    out, err = capfd.readouterr()
    assert (out + err).count("lost the broker") == 1
