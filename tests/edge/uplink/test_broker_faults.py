"""What a broker can do to a gateway, with a real broker: each fault is named, and not hurried."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.edge.uplink.sending_uplink import sending
from tests.edge.uplink.test_uplink_tls import certificate, expire

from gridtokenx_edge.config.edge_config import BrokerConfig
from gridtokenx_edge.uplink.broker_faults import BrokerFault, disconnect_fault, socket_fault
from gridtokenx_edge.uplink.troubles import CALM_AFTER_S, Troubles
from gridtokenx_wire.keys import device_text


@pytest.fixture
def plain(broker: Any) -> BrokerConfig:
    return BrokerConfig(host="127.0.0.1", port=broker.port, insecure=True)


# --- two agents with one key --------------------------------------------------------------------


async def test_two_agents_with_one_key_are_named_and_leave_each_other_alone(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    async with (
        sending(folders[0], device_key, backend, plain) as first,
        sending(folders[1], device_key, backend, plain) as second,
    ):
        both = (first, second)
        await wait_until(lambda: all(each.log.named("broker_lost") for each in both))
        await wait_until(lambda: any(each.log.named("key_used_twice") for each in both))
        aware = next(each for each in both if each.log.named("key_used_twice"))
        told = aware.log.named("key_used_twice")[0]
        assert told["fault"] == "taken_over"
        assert told["reason"] == "another program has connected with this device's key"
        assert "stop it" in told["do"]
        assert aware.uplink.trouble
        assert aware.uplink.trouble.name == "taken_over"
        # Each is disturbed until it knows of the other, and then waits for half a minute or more.
        await asyncio.sleep(8)
        lost = [fields for each in both for fields in each.log.named("broker_lost")]
        assert len(lost) <= 4
        assert "taken_over" in {each["fault"] for each in lost}


async def test_an_agent_that_was_killed_and_starts_again_is_no_rival(
    tmp_path: Path, device_key: Any, backend: Any, broker: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    async with sending(tmp_path, device_key, backend, plain) as bench:
        await wait_until(lambda: bench.uplink.is_connected)
    async with sending(tmp_path, device_key, backend, plain, 1) as bench:
        await wait_until(lambda: bench.uplink.counts.acked == 1)
        broker.stop()
        await wait_until(lambda: bench.log.named("broker_lost"))
        broker.start()
        await bench.seal(1)
        await wait_until(lambda: bench.uplink.counts.acked == 2)
        assert not bench.log.named("key_used_twice")
        assert bench.uplink.trouble is None or bench.uplink.trouble.name != "taken_over"


def test_a_rival_is_not_forgotten_before_it_must_have_come_back() -> None:
    troubles = Troubles()
    troubles.broker_lost(BrokerFault.TAKEN_OVER, "taken", steady_s=10)
    troubles.lasted(60)
    troubles.acked()
    assert troubles.current
    assert troubles.current.name == "taken_over"
    troubles.lasted(CALM_AFTER_S)
    assert troubles.current is None


# --- certificates -------------------------------------------------------------------------------


@pytest.fixture
def tls_broker(tmp_path: Path, broker: Any) -> int:
    """A broker for gateways with a certificate of its authority; three gateways' certificates."""
    certificate(tmp_path, "ca", "ca", "ca")
    certificate(tmp_path, "server", "server", "ca")
    certificate(tmp_path, "old", "device", "ca")
    expire(tmp_path, "old", "ca")
    certificate(tmp_path, "evil", "ca", "evil")
    certificate(tmp_path, "stranger", "device", "evil")
    broker.stop()
    secure = type(broker)(tmp_path).port
    broker.start(
        "per_listener_settings true",
        f"listener {broker.port} 127.0.0.1",
        "allow_anonymous true",
        f"listener {secure} 127.0.0.1",
        "allow_anonymous true",
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/server.pem",
        f"keyfile {tmp_path}/server.key",
        "require_certificate true",
        "user root",
    )
    return int(secure)


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("own", "fault", "reason"),
    [
        ("old", "certificate_expired", "this gateway's certificate has expired"),
        ("stranger", "certificate_refused", "does not know the authority that signed"),
    ],
)
async def test_a_certificate_that_the_broker_refuses_is_named_with_what_to_do(
    tmp_path: Path,
    device_key: Any,
    tls_broker: int,
    backend: Any,
    wait_until: Any,
    own: str,
    fault: str,
    reason: str,
) -> None:
    config = BrokerConfig(
        host="127.0.0.1", port=tls_broker, ca="ca.pem", cert=f"{own}.pem", key=f"{own}.key"
    )
    async with sending(tmp_path, device_key, backend, config) as bench:
        await wait_until(lambda: bench.log.named("broker_lost"))
        told = bench.log.named("broker_lost")[0]
        assert (told["fault"], reason in told["reason"]) == (fault, True), told
        assert bench.uplink.trouble
        assert "certificate" in bench.uplink.trouble.do
    gc.collect()


def test_alerts_are_found_whatever_openssl_calls_them() -> None:
    for name in ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSL/TLS_ALERT_CERTIFICATE_EXPIRED"):
        error = ssl.SSLError(1, name)
        error.reason = name
        assert socket_fault(error)[0] is BrokerFault.CERTIFICATE_EXPIRED


# --- access lists -------------------------------------------------------------------------------


def with_access_list(broker: Any, folder: Path, *rules: str) -> None:
    """Start the broker again with these rules for everyone."""
    broker.stop()
    (folder / "acl").write_text("\n".join(rules) + "\n")
    (folder / "acl").chmod(0o600)
    listener = f"listener {broker.port} 127.0.0.1"
    broker.start(listener, "allow_anonymous true", f"acl_file {folder}/acl", "user root")


async def test_a_broker_that_drops_all_frames_is_named_at_once(
    tmp_path: Path, device_key: Any, backend: Any, broker: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    with_access_list(broker, tmp_path, "topic read #")
    async with sending(tmp_path, device_key, backend, plain, 3, ack_timeout_s=30) as bench:
        await wait_until(lambda: bench.log.named("ack_overdue"))
        told = bench.log.named("ack_overdue")
        assert (told[0]["fault"], told[0]["unacked"]) == ("frames_denied", 3)
        assert "access list" in told[0]["reason"]
        assert bench.log.named("status_denied"), "its status is dropped, too"
        assert bench.uplink.is_connected
        assert len(told) == 1
    assert bench.uplink.trouble
    assert bench.uplink.trouble.name == "frames_denied"


async def test_acks_that_an_access_list_keeps_are_thought_of(
    tmp_path: Path, device_key: Any, backend: Any, broker: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    device = device_text(backend.device)
    branch = f"gridtokenx/v1/lane/devices/{device}"
    with_access_list(
        broker, tmp_path, f"topic {branch}/frames", f"topic {branch}/status", "topic write #"
    )
    async with sending(tmp_path, device_key, backend, plain, 3) as bench:
        await wait_until(lambda: backend.frames)
        await wait_until(lambda: bench.log.named("ack_overdue")[-1]["fault"] == "no_ack")
        assert "access list keeps the acks" in bench.log.named("ack_overdue")[-1]["do"]


async def test_a_broker_without_a_backend_says_that_nobody_listens(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.disconnect()
    async with sending(tmp_path, device_key, backend, plain, 3) as bench:
        await wait_until(lambda: bench.log.named("ack_overdue"))
        assert bench.log.named("ack_overdue")[0]["fault"] == "nobody_listens"
        backend.connect(plain.port)
        await wait_until(lambda: bench.uplink.unacked == 0)
        assert bench.uplink.trouble is None


# --- brokers that hang up -----------------------------------------------------------------------

CONNACK_5 = bytes((0x20, 3, 0, 0, 0))
CONNACK_311 = bytes((0x20, 2, 0, 0))
REFUSED_VERSION = bytes((0x20, 2, 0, 1))
SUBACK = 0x90
PUBACK = 0x40


class FakeBroker:
    """A broker of a few packets: it knows one version of MQTT, or hangs up after some packets."""

    def __init__(self, answers: Callable[[bytes, int], bytes | None]) -> None:
        self._answers = answers
        self.connections = 0
        self.port = 0

    @asynccontextmanager
    async def serve(self) -> Any:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = 0
        try:
            while True:
                head = await reader.readexactly(2)
                size, shift = head[1] & 0x7F, 7
                last = head[1]
                while last & 0x80:
                    last = (await reader.readexactly(1))[0]
                    size |= (last & 0x7F) << shift
                    shift += 7
                packet = head[:1] + await reader.readexactly(size)
                answer = self._answers(packet, number)
                number += 1
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def level(packet: bytes) -> int:
    """The version of MQTT in a CONNECT packet (MQTT 5.0, 3.1.2.2)."""
    return packet[7]


def packet_id(packet: bytes) -> bytes:
    """The packet identifier of a SUBSCRIBE or of a PUBLISH at QoS 1."""
    if packet[0] >> 4 == 8:
        return packet[1:3]
    topic = int.from_bytes(packet[1:3])
    return packet[3 + topic : 5 + topic]


def old_broker(packet: bytes, _number: int) -> bytes | None:
    """Speak MQTT 3.1.1 only, as NATS and older brokers do."""
    match packet[0] >> 4:
        case 1:
            return CONNACK_311 if level(packet) == 4 else REFUSED_VERSION
        case 8:
            return bytes((SUBACK, 3, *packet_id(packet), 1))
        case 3:
            return bytes((PUBACK, 2, *packet_id(packet)))
    return b""


def older_broker(packet: bytes, number: int) -> bytes | None:
    """Hang up on a CONNECT of MQTT 5 without a word."""
    if packet[0] >> 4 == 1 and level(packet) == 5:
        return None
    return old_broker(packet, number)


def fickle_broker(packet: bytes, _number: int) -> bytes | None:
    """Take a connection, its subscriptions and its status, and hang up at a frame."""
    match packet[0] >> 4:
        case 1:
            return CONNACK_5
        case 8:
            return bytes((SUBACK, 4, *packet_id(packet), 0, 1))
        case 3 if packet[0] & 1:  # it is retained
            return bytes((PUBACK, 2, *packet_id(packet)))
    return None


@pytest.mark.parametrize("answers", [old_broker, older_broker])
async def test_a_broker_that_knows_only_the_older_mqtt_is_spoken_to_in_it(
    tmp_path: Path, device_key: Any, backend: Any, wait_until: Any, answers: Any
) -> None:
    async with FakeBroker(answers).serve() as fake:
        config = BrokerConfig(host="127.0.0.1", port=fake.port, insecure=True)
        async with sending(tmp_path, device_key, backend, config, 2) as bench:
            await wait_until(lambda: bench.uplink.counts.sent >= 2)
            assert not bench.log.named("broker_lost")
            assert fake.connections == 2


async def test_a_broker_that_accepts_and_drops_is_asked_at_growing_intervals(
    tmp_path: Path, device_key: Any, backend: Any, wait_until: Any
) -> None:
    async with FakeBroker(fickle_broker).serve() as fake:
        config = BrokerConfig(host="127.0.0.1", port=fake.port, insecure=True)
        async with sending(tmp_path, device_key, backend, config, 2) as bench:
            await wait_until(lambda: fake.connections >= 3)
            await asyncio.sleep(2)
            # The waits are 0.5 to 1 s, 1 to 2 s, 2 to 4 s.
            assert fake.connections <= 4
            told = bench.log.named("broker_lost")
            assert [each["fault"] for each in told] == ["closed"], "one line a minute"
            assert "closed the connection" in told[0]["reason"]
            assert bench.uplink.trouble


async def test_an_ack_before_the_drop_is_no_reason_to_hurry(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    """A relay before the real broker hangs up after each ack, as a broken one did."""
    relayed: list[int] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relayed.append(1)
        there, back = await asyncio.open_connection("127.0.0.1", plain.port)
        pump = asyncio.create_task(_pump(reader, back))
        try:
            while data := await there.read(65_536):
                writer.write(data)
                if b"/acks" in data and relayed:
                    break
        finally:
            await writer.drain()
            pump.cancel()
            for each in (writer, back):
                each.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = BrokerConfig(host="127.0.0.1", port=port, insecure=True)
    async with sending(tmp_path, device_key, backend, config, 40, max_unacked_frames=1) as bench:
        await wait_until(lambda: len(relayed) >= 3)
        await asyncio.sleep(2)
        assert len(relayed) <= 4
        assert bench.uplink.counts.acked
        assert len(bench.log.named("broker_lost")) == 1
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


def test_reasons_of_a_disconnect_are_faults_with_an_advice() -> None:
    cases = {
        0x8E: BrokerFault.TAKEN_OVER,
        0x87: BrokerFault.NOT_AUTHORISED,
        0x8B: BrokerFault.CLOSED,
        0x93: BrokerFault.TOO_MUCH,
        0x80: BrokerFault.CLOSED,
    }
    assert {code: disconnect_fault(code)[0] for code in cases} == cases
    assert all(fault.do for fault in BrokerFault)
