"""Frames to a backend through a real broker, and what comes back."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.edge.uplink.certificates import make_certificates
from tests.edge.uplink.sending_uplink import sending

from gridtokenx_edge.config.edge_config import (
    BrokerConfig,
)
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.verdict import Reason, Verdict


@pytest.fixture
def plain(broker: Any) -> BrokerConfig:
    return BrokerConfig(host="127.0.0.1", port=broker.port, insecure=True)


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_backlog_arrives_in_order_and_is_forgotten_when_acked(
    tmp_path: Path, device_key: Any, backend: Any, broker: Any, wait_until: Any, qos: int
) -> None:
    config = BrokerConfig(host="127.0.0.1", port=broker.port, qos=cast(Any, qos), insecure=True)
    async with sending(
        tmp_path, device_key, backend, config, 200, ack_timeout_s=5, max_unacked_frames=20
    ) as bench:
        await wait_until(lambda: len(backend.frames) == 200)
        await wait_until(lambda: bench.uplink.unacked == 0)
        await wait_until(lambda: bench.outbox.oldest_seq > 150)
        assert [frame.seq for frame in backend.frames] == list(range(200))
        assert backend.received == 200, "nothing was sent twice"
        await bench.seal(3)
        await wait_until(lambda: len(backend.frames) == 203 and bench.uplink.unacked == 0)
    assert bench.uplink.counts.sent == 203
    async with reopened(tmp_path, device_key) as outbox:
        assert (outbox.oldest_seq, outbox.next_seq) == (202, 203), "only the head is left"


@asynccontextmanager
async def reopened(folder: Path, key: Ed25519PrivateKey) -> AsyncIterator[Outbox]:
    outbox = Outbox(folder / "outbox.db", key)
    await outbox.open()
    try:
        yield outbox
    finally:
        await outbox.close()


async def test_sending_stops_at_the_window_until_acks_come(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(
        tmp_path, device_key, backend, plain, 50, max_unacked_frames=7, ack_timeout_s=60
    ) as bench:
        await wait_until(lambda: backend.received == 7)
        await bench.seal(5)
        await asyncio.sleep(0.1)
        assert backend.received == 7
        assert await bench.stored() == list(range(55))


async def test_frames_that_get_lost_are_sent_again_from_the_gap(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.lose_seqs = {0, 3, 17, 39}
    async with sending(
        tmp_path, device_key, backend, plain, 40, max_unacked_frames=8, ack_timeout_s=0.3
    ) as bench:
        await wait_until(lambda: bench.uplink.unacked == 0)
    assert [frame.seq for frame in backend.frames] == list(range(40))
    assert bench.uplink.counts.resent


async def test_without_acks_one_frame_asks_again_and_again(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(
        tmp_path, device_key, backend, plain, 10, max_unacked_frames=4, ack_timeout_s=0.05
    ) as bench:
        await wait_until(lambda: backend.received >= 7)
        told = bench.log.named("ack_overdue")[0]
        assert (told["seq"], told["unacked"], told["fault"]) == (0, 10, "no_ack")
        backend.is_mute = False
        await wait_until(lambda: bench.uplink.unacked == 0)
    assert [frame.seq for frame in backend.frames] == list(range(10))


@pytest.mark.parametrize("change", ["key", "device", "chain", "garbage", "frame"])
async def test_an_ack_that_is_not_ours_deletes_nothing(
    tmp_path: Path,
    device_key: Any,
    backend: Any,
    plain: BrokerConfig,
    wait_until: Any,
    change: str,
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 40, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 40)
        chain = bench.outbox.chain
        ((_, _, frame),) = await bench.outbox.frames(0, 1)
        for _ in range(5):
            match change:
                case "key":
                    backend.send_ack(40, Ed25519PrivateKey.generate(), chain=chain)
                case "device":
                    backend.send_ack(40, device=bytes(16), chain=chain)
                case "chain":
                    backend.send_ack(40, chain=bytes(8))
                case "garbage":
                    backend.publish(b"\xff" * 100_000)
                case "frame":
                    backend.publish(frame)
        await wait_until(lambda: bench.log.named("ack_ignored"))
        backend.send_ack(38, chain=chain)  # a good one, so that the others have come
        await wait_until(lambda: bench.outbox.oldest_seq)
        assert await bench.stored() == [38, 39]
    assert len(bench.log.named("ack_ignored")) == 1, "at most one line a minute"


@pytest.mark.parametrize(("next_seq", "event"), [(1000, "backend_ahead"), (3, "backend_behind")])
async def test_an_ack_that_does_not_fit_the_outbox_is_reported_and_deletes_nothing(
    tmp_path: Path,
    device_key: Any,
    backend: Any,
    plain: BrokerConfig,
    wait_until: Any,
    next_seq: int,
    event: str,
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 50, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 50)
        chain = bench.outbox.chain
        backend.send_ack(45, chain=chain)
        await wait_until(lambda: bench.outbox.oldest_seq == 45)
        backend.send_ack(next_seq, chain=chain)
        await wait_until(lambda: bench.log.named(event))
        assert await bench.stored() == [45, 46, 47, 48, 49]
        backend.send_ack(48, chain=chain)
        await wait_until(lambda: bench.uplink.unacked == 2)


async def test_refused_readings_are_counted_and_logged_by_reason(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 3, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 3)
        refused = enumerate((Reason.REGISTER_ROLLBACK, Reason.UNBOUND_METER))
        verdicts = [Verdict(seq=seq, index=0, reason=reason) for seq, reason in refused]
        for next_seq in (2, 3):
            backend.send_ack(next_seq, chain=bench.outbox.chain, verdicts=verdicts)
        await wait_until(lambda: bench.uplink.unacked == 0)
    assert bench.uplink.counts.verdicts == {"register_rollback": 2, "unbound_meter": 2}
    logged = [fields["reason"] for fields in bench.log.named("reading_refused")]
    assert logged == list(bench.uplink.counts.verdicts)


async def test_a_broker_that_is_killed_and_comes_back_loses_and_doubles_nothing(
    tmp_path: Path, device_key: Any, backend: Any, broker: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    async with sending(tmp_path, device_key, backend, plain, ack_timeout_s=0.5) as bench:
        await bench.seal(5)
        await wait_until(lambda: len(backend.frames) == 5)
        broker.stop(signal.SIGKILL)
        await bench.seal(5)
        await wait_until(lambda: bench.log.named("broker_lost"))
        await bench.seal(5)
        broker.start()
        await wait_until(lambda: bench.uplink.unacked == 0, 30)
    assert [frame.seq for frame in backend.frames] == list(range(15))


async def test_birth_and_farewell_are_retained_states(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    async with sending(tmp_path, device_key, backend, plain) as bench:
        await wait_until(lambda: backend.statuses)
        device = device_text(bench.outbox.device)
    await wait_until(lambda: len(backend.statuses) == 2)
    online, offline = backend.statuses
    assert online.pop("time_ms") > 1_700_000_000_000
    assert online.pop("session") == offline.pop("session")
    assert online == {"state": "online", "device": device, "version": "1.2.3"}
    assert offline == {"state": "offline"}


async def test_a_broker_that_does_not_answer_is_no_reason_to_hang(
    tmp_path: Path, device_key: Any, backend: Any, wait_until: Any
) -> None:
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = BrokerConfig(host="127.0.0.1", port=port, insecure=True)
    async with sending(tmp_path, device_key, backend, config) as bench:
        await wait_until(lambda: bench.log.named("broker_lost"))
        assert "no answer within 5 s" in bench.log.named("broker_lost")[0]["reason"]
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


# --- TLS ----------------------------------------------------------------------------------------


def tls_config(port: int, ca: str = "good", own: str = "good") -> BrokerConfig:
    return BrokerConfig(
        host="127.0.0.1",
        port=port,
        ca=f"{ca}-ca.pem",
        cert=f"{own}-device.pem",
        key=f"{own}-device.key",
    )


@pytest.fixture
def tls_port(tmp_path: Path, broker: Any) -> int:
    """A second listener of the broker, for gateways with a certificate."""
    for name in ("good", "evil"):
        make_certificates(tmp_path, name)
    broker.stop()
    port = int(broker.port)
    secure = type(broker)(tmp_path).port
    broker.start(
        "per_listener_settings true",
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"listener {secure} 127.0.0.1",
        "allow_anonymous true",
        f"cafile {tmp_path}/good-ca.pem",
        f"certfile {tmp_path}/good-server.pem",
        f"keyfile {tmp_path}/good-server.key",
        "require_certificate true",
        "user root",
    )
    return int(secure)


async def test_frames_go_over_tls_with_a_client_certificate(
    tmp_path: Path, device_key: Any, broker: Any, tls_port: int, backend: Any, wait_until: Any
) -> None:
    async with sending(
        tmp_path, device_key, backend, tls_config(tls_port), 100, ack_timeout_s=5
    ) as bench:
        await wait_until(lambda: bench.uplink.unacked == 0)
    assert [frame.seq for frame in backend.frames] == list(range(100))


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("ca", "own", "reason"),
    [
        ("evil", "good", "TLS: the broker's certificate is not signed by ca"),
        ("good", "evil", "broker 127.0.0.1"),
    ],
)
async def test_a_broker_or_a_gateway_of_another_authority_is_refused(
    tmp_path: Path,
    device_key: Any,
    broker: Any,
    tls_port: int,
    backend: Any,
    wait_until: Any,
    ca: str,
    own: str,
    reason: str,
) -> None:
    config = tls_config(tls_port, ca, own)
    async with sending(tmp_path, device_key, backend, config, 1) as bench:
        await wait_until(lambda: bench.log.named("broker_lost"))
        assert reason in bench.log.named("broker_lost")[0]["reason"]
        assert backend.received == 0
    gc.collect()
