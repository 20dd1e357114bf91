"""What a real backend says of a gateway stands on the page of a real agent."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.rig.processes import Process, free_port, python
from bench.rig.site import CLOCK
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.backend.parts import until
from tests.backend.running import Site, site_in
from tests.backend.village import Gateway, meter_terms, reading
from tests.e2e.test_enrolment import BUS, METERS

from gridtokenx_backend.core.messages.inputs import DeviceCommand, device_input
from gridtokenx_wire.keys import public_key_text, write_secret

EDGE = """
[site]
community = "lane"
name = "Lane 1"
[device]
key = "edge.key"
outbox = "outbox.db"
[backend]
ack_key = "{ack_key}"
[broker]
host = "127.0.0.1"
port = {broker}
insecure = true
[uplink]
seal_after_s = 0.0
[status]
port = {status}
"""


class Agent:
    """The programs of a site: its meter, and its gateway with a status page."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.config = folder / "edge.toml"
        self.port = free_port()
        now_ms = time.time_ns() // 1_000_000
        clock = CLOCK.format(wall_ms=now_ms, community_ms=now_ms, speed=1)
        (folder / "sim.toml").write_text(METERS + clock)
        pem = site.village.north.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        write_secret(folder / "edge.key", pem)
        self.sim = Process("sim", python("gridtokenx_sim", "run", f"{folder}/sim.toml"), folder)
        self.sim.start()
        text = EDGE.format(
            ack_key=public_key_text(site.key), broker=site.broker.port, status=self.port
        )
        bus = BUS.format(port=self.sim.ready()["buses"][0]["port"])
        self.config.write_text(text + bus + clock)
        self.agent = Process(
            "edge", python("gridtokenx_edge", "run", "-c", str(self.config)), folder
        )
        self.agent.start()

    def page(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    async def trouble(self) -> Any:
        """What the status says keeps readings from being acked."""
        try:
            found = await asyncio.to_thread(self.page, "/status.json")
        except OSError:
            return "no page yet"
        return (json.loads(found)["uplink"]["trouble"] or {}).get("name", "")

    async def becomes(self, name: str) -> None:
        async with asyncio.timeout(60):
            while await self.trouble() != name:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.1)

    def stop(self) -> None:
        for process in (self.agent, self.sim):
            if process.running():
                process.stop()


async def test_a_gateway_that_is_held_or_revoked_is_told_so_on_its_own_page(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with site_in(tmp_path) as site:
        village = site.village
        village.document["meter"] = [
            meter_terms("CARLO-GAVAZZI-KY123", village.north, village.anna, min_interval_s=0)
        ]
        backend = await site.start()
        agent = await asyncio.to_thread(Agent, home, site)
        try:
            device = backend.writer.community.devices[village.north.device]
            await until(lambda: device.next_seq > 2, 60)
            assert await agent.trouble() == ""

            copy = Gateway("north", device.chain)  # somebody has a copy of the key
            copy.seq = 1
            link = await site.link(copy)
            await link.publish(copy.next([reading("CARLO-GAVAZZI-KY123", 1)]))
            await agent.becomes("held")
            page = await asyncio.to_thread(agent.page, "/")
            assert "two frames of number 1" in page
            stored = device.next_seq

            release = DeviceCommand(action="release", device=village.north.name, reason="found it")
            await backend.writer.submit([device_input(release)])
            await agent.becomes("")
            await until(lambda: device.next_seq > stored, 60)

            revoke = DeviceCommand(action="revoke", device=village.north.name, reason="sold")
            await backend.writer.submit([device_input(revoke)])
            await agent.becomes("revoked")
            page = await asyncio.to_thread(agent.page, "/")
            assert "(sold)" in page
            events = [json.loads(line) for line in (home / "edge.err").read_text().splitlines()]
            told = [each["fault"] for each in events if each["event"] == "gateway_state"]
            assert told == ["held", "revoked"]
        finally:
            await asyncio.to_thread(agent.stop)
