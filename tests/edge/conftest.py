"""Real parts for the edge's tests: simulated meters, Mosquitto, a backend that only acks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion
from tests.edge.commissioning.check.checked_site import clock_table

from gridtokenx_sim.config.sim_config import MeterConfig, SerialBus, SimConfig, Site, TcpBus
from gridtokenx_sim.simulation import Simulation, serve
from gridtokenx_wire import cose
from gridtokenx_wire.ack import Ack, seal_ack
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.frame import Frame, frame_hash, open_frame
from gridtokenx_wire.hello import Hello, is_hello, open_hello
from gridtokenx_wire.keys import create_private_key, device_id, device_text, public_key_text
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.topics import acks_topic, frames_topic, status_topic

COMMUNITY = "lane"
_START = datetime(2026, 6, 21, tzinfo=UTC)


async def wait_until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Returns when `condition` holds; fails the test if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (another process cannot set an event)
            await asyncio.sleep(0.005)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., Awaitable[None]]:
    return wait_until


# --- meters -------------------------------------------------------------------------------------


class Meters:
    """Makes simulated meters and the edge's config for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def meter(self, model: str, address: int, serial: str = "", **more: Any) -> MeterConfig:
        return msgspec.convert(
            {
                "model": model,
                "address": address,
                "serial": serial or str(1000 + address),
                "import_kwh": 1234 * 10**9,
                "export_kwh": 567 * 10**9,
                "annual_load_kwh": 4000 * 10**9,
                **more,
            },
            MeterConfig,
            dec_hook=lambda kind, value: kind(value),
        )

    def serial(self, *meters: MeterConfig, name: str = "roof", **more: Any) -> SerialBus:
        link = str(self.folder / f"{name}.tty")
        return SerialBus(name=name, link=link, meter=tuple(meters), **more)

    def tcp(self, *meters: MeterConfig, name: str = "hall") -> TcpBus:
        return TcpBus(name=name, meter=tuple(meters))

    @contextlib.asynccontextmanager
    async def serve(self, *buses: SerialBus | TcpBus) -> AsyncIterator[Simulation]:
        site = Site(latitude=48.2, longitude=16.37, start=_START)
        async with serve(SimConfig(site, tuple(buses))) as running:
            yield running


@pytest.fixture
def meters(tmp_path: Path) -> Meters:
    return Meters(tmp_path)


class RtuServer:
    """A meter made of bytes: RTU frames over TCP, each request answered as written down.

    `answer` is called with each request and returns what is to be sent, each part after a delay
    in seconds. It shares no code with the edge or with pymodbus.
    """

    def __init__(self, answer: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        self.requests: list[bytes] = []
        self.port = 0
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> RtuServer:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for _ in range(3):  # a connection may just be on its way in
            await asyncio.sleep(0)
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readexactly(8)  # a read request is 8 bytes long
                self.requests.append(request)
                for delay_s, part in self._answer(request):
                    loop.call_later(delay_s, writer.write, part)


@pytest.fixture(name="rtu_server")
def _rtu_server() -> type[RtuServer]:
    return RtuServer


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS as in Modbus over Serial Line V1.02, 6.2.2, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


@pytest.fixture
def rtu() -> Callable[[str], bytes]:
    """Hex of a PDU with its address → the frame with its checksum."""

    def frame(text: str) -> bytes:
        data = bytes.fromhex(text)
        return data + crc16(data)

    return frame


# --- broker -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker of one's own, that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *lines: str) -> None:
        config = self._folder / "mosquitto.conf"
        listener = lines or (f"listener {self.port} 127.0.0.1", "allow_anonymous true")
        config.write_text("\n".join((*listener, "persistence false", "")))
        self._process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
        raise AssertionError("mosquitto did not start")

    def stop(self, how: int = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process:
            process.send_signal(how)
            process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


# --- backend ------------------------------------------------------------------------------------


class Backend:
    """Stores the frames of one device and acks them, or misbehaves as told."""

    def __init__(self, device_key: Ed25519PrivateKey) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.device_key = device_key.public_key()
        self.device = device_id(self.device_key)
        self.frames: list[Frame] = []
        self.received = 0
        self.hellos: list[Hello] = []
        self.head = bytes(32)
        self.statuses: list[dict[str, Any]] = []
        self.is_mute = False
        self.lose_seqs: set[int] = set()
        self._client: paho.Client | None = None

    @property
    def readings(self) -> list[Reading]:
        return [reading for frame in self.frames for reading in frame.readings()]

    def connect(self, port: int) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, "backend")
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._connected
        client.on_message = self._received
        client.connect("127.0.0.1", port)
        client.loop_start()
        self._client = client

    def disconnect(self) -> None:
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()

    def send_ack(self, next_seq: int, key: Ed25519PrivateKey | None = None, **change: Any) -> None:
        chain = self.frames[0].chain if self.frames else bytes(8)
        fields = {"device": self.device, "chain": chain, "verdicts": [], **change}
        self.publish(seal_ack(Ack(next_seq=next_seq, **fields), key or self.key))

    def publish(self, payload: bytes) -> None:
        assert self._client
        self._client.publish(acks_topic(COMMUNITY, device_text(self.device)), payload, qos=1)

    def _connected(self, client: paho.Client, *_: Any) -> None:
        text = device_text(self.device)
        client.subscribe([(frames_topic(COMMUNITY, text), 1), (status_topic(COMMUNITY, text), 1)])

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            self.statuses.append(json.loads(message.payload))
            return
        if is_hello(cose.split(message.payload)[2]):
            self.hellos.append(open_hello(message.payload, self.device_key))
            return  # as backends of version 0.2 and before do with what they cannot read
        self.received += 1
        frame = open_frame(message.payload, self.device_key)
        if frame.seq in self.lose_seqs:
            self.lose_seqs.discard(frame.seq)
            return
        if frame.seq == len(self.frames) and not self.is_mute:
            assert frame.prev == self.head
            self.frames.append(frame)
            self.head = frame_hash(message.payload)
        if not self.is_mute:
            self.send_ack(len(self.frames))


@pytest.fixture
def device_key(tmp_path: Path) -> Ed25519PrivateKey:
    return create_private_key(tmp_path / "edge.key")


@pytest.fixture
def backend(device_key: Ed25519PrivateKey, broker: Mosquitto) -> Iterator[Backend]:
    backend = Backend(device_key)
    backend.connect(broker.port)
    yield backend
    backend.disconnect()


# --- the edge itself ----------------------------------------------------------------------------


class EdgeSite:
    """Writes edge.toml in a folder and runs the edge's commands with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "edge.toml"
        self.outbox = folder / "outbox.db"
        self._agents: list[subprocess.Popen[str]] = []

    def write(
        self, running: Simulation, ack_key: str, port: int, every_s: float = 0.2, extra: str = ""
    ) -> None:
        lines = [
            f'site = {{community = "{COMMUNITY}"}}',
            'device = {key = "edge.key", outbox = "outbox.db"}',
            f'backend = {{ack_key = "{ack_key}"}}',
            f'broker = {{host = "127.0.0.1", port = {port}, insecure = true}}',
            extra,
        ]
        if "uplink" not in extra:
            # Frames at once, whether or not the machine that tests has a clock that is kept.
            lines.append("uplink = {seal_after_s = 0, hold_unsynchronised_s = 0}")
        for bus in running.buses:
            lines += ["[[bus]]", f'name = "{bus.name}"', f'kind = "{bus.kind}"', "timeout_ms = 150"]
            if bus.kind == "serial":
                lines.append(f'port = "{bus.path}"')
            else:
                lines += [f'host = "{bus.host}"', f"port = {bus.port}"]
            for meter in bus.meters:
                lines += [
                    "[[bus.meter]]",
                    f'id = "{meter.id}"',
                    f'profile = "{meter.model}"',
                    f"address = {meter.address}",
                    f"poll_every_s = {every_s}",
                ]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, **more: Any) -> subprocess.Popen[str]:
        log = (self.folder / "edge.log").open("a")
        agent = subprocess.Popen(
            [sys.executable, "-m", "gridtokenx_edge", "run", "--config", str(self.config)],
            text=True,
            **{"stderr": log, **more},
        )
        log.close()
        self._agents.append(agent)
        return agent

    def has_log(self) -> bool:
        return (self.folder / "edge.log").exists()

    def log(self) -> list[dict[str, Any]]:
        lines = (self.folder / "edge.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]

    def stop_all(self) -> None:
        for agent in self._agents:
            if agent.poll() is None:
                os.kill(agent.pid, signal.SIGKILL)
                agent.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[EdgeSite]:
    site = EdgeSite(tmp_path)
    yield site
    site.stop_all()


@pytest.fixture
def ack_key(backend: Backend) -> str:
    return public_key_text(backend.key.public_key())


@pytest.fixture
def write(site: EdgeSite, broker: Mosquitto, ack_key: str) -> Callable[..., None]:
    """Writes the config of a site whose clock is not the machine's."""

    def write(served: Simulation, clock: ClockConfig, key: str = "") -> None:
        site.write(served, key or ack_key, broker.port, every_s=600, extra=clock_table(clock))

    return write
