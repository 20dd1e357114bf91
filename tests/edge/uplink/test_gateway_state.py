"""What the backend says of a gateway: it is shown, told with what to do, and sending waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.edge.uplink.sending_uplink import sending

from gridtokenx_edge.commissioning.check.agent_status import finding_of
from gridtokenx_edge.commissioning.check.finding import NAMES
from gridtokenx_edge.commissioning.check.receipt import AckWatch, UplinkResult, judge_receipt
from gridtokenx_edge.config.edge_config import BrokerConfig
from gridtokenx_edge.uplink.standing import Standing
from gridtokenx_edge.uplink.window import Window
from gridtokenx_wire.keys import raw_public_key
from gridtokenx_wire.state_notice import GatewayState, StateNotice, seal_notice

STOPPING = [
    GatewayState.PENDING,
    GatewayState.REVOKED,
    GatewayState.HELD,
    GatewayState.PAUSED,
    GatewayState.OUT_OF_CHAIN,
]


@pytest.fixture
def plain(broker: Any) -> BrokerConfig:
    return BrokerConfig(host="127.0.0.1", port=broker.port, insecure=True)


def notice(backend: Any, state: GatewayState, time_ms: int = 1, **more: Any) -> bytes:
    fields = {"device": backend.device, "key": backend.key, **more}
    key = fields.pop("key")
    return seal_notice(StateNotice(time_ms=time_ms, state=state, **fields), key)


@pytest.mark.parametrize("state", STOPPING, ids=lambda state: state.label)
async def test_a_gateway_that_is_not_taken_says_so_and_stops_sending(
    tmp_path: Path,
    device_key: Any,
    backend: Any,
    plain: BrokerConfig,
    wait_until: Any,
    state: GatewayState,
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 20, max_unacked_frames=2) as bench:
        await wait_until(lambda: backend.received >= 2)
        backend.publish(notice(backend, state, reason="sold"))
        await wait_until(lambda: bench.uplink.trouble)
        trouble = bench.uplink.trouble
        assert trouble is not None
        assert trouble.name == state.label
        assert trouble.reason.endswith("(sold)")
        assert trouble.do
        (told,) = bench.log.named("gateway_state")
        assert (told["fault"], told["do"]) == (state.label, trouble.do)
        so_far, overdue = backend.received, len(bench.log.named("ack_overdue"))
        await asyncio.sleep(1)
        assert backend.received <= so_far + 1, "it would ask each 0.3 s otherwise"
        assert len(bench.log.named("ack_overdue")) == overdue
        assert bench.uplink.unacked == 20, "a notice lets go of nothing"
        backend.is_mute = False
        backend.publish(notice(backend, GatewayState.ACTIVE, time_ms=2))
        await wait_until(lambda: bench.uplink.unacked == 0)
        assert bench.uplink.trouble is None
        assert bench.log.named("gateway_active")


async def test_a_gateway_that_is_to_slow_down_waits_as_long_as_it_is_told(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 5, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 5)
        backend.publish(notice(backend, GatewayState.SLOW_DOWN, retry_ms=1500))
        await wait_until(lambda: bench.uplink.trouble)
        backend.is_mute = False
        await asyncio.sleep(0.7)
        assert backend.received == 5
        await wait_until(lambda: bench.uplink.unacked == 0)


@pytest.mark.parametrize("change", ["key", "device"])
async def test_a_notice_that_is_not_for_us_changes_nothing(
    tmp_path: Path,
    device_key: Any,
    backend: Any,
    plain: BrokerConfig,
    wait_until: Any,
    change: str,
) -> None:
    other = {"key": Ed25519PrivateKey.generate()} if change == "key" else {"device": bytes(16)}
    async with sending(tmp_path, device_key, backend, plain, 1) as bench:
        await wait_until(lambda: bench.uplink.unacked == 0)
        backend.publish(notice(backend, GatewayState.REVOKED, **other))
        await bench.seal(1)
        await wait_until(lambda: bench.uplink.unacked == 0)
        assert bench.uplink.trouble is None


def of(state: GatewayState, time_ms: int, retry_ms: int = 0) -> StateNotice:
    return StateNotice(device=bytes(16), time_ms=time_ms, state=state, retry_ms=retry_ms)


def test_an_older_notice_changes_nothing() -> None:
    standing = Standing(lambda: 0.0)
    assert standing.take(of(GatewayState.ACTIVE, 5))
    assert not standing.take(of(GatewayState.REVOKED, 4))
    assert standing.trouble is None


def test_waits_grow_while_the_state_stays_and_begin_anew_with_another() -> None:
    standing = Standing(lambda: 0.0)
    waits = []
    for time_ms, state in enumerate([GatewayState.REVOKED] * 6 + [GatewayState.HELD]):
        assert standing.take(of(state, time_ms))
        waits.append(standing.wait_s)
    assert waits == [30, 60, 120, 240, 480, 600, 30]


def test_every_state_has_a_meaning_and_a_finding_of_the_check() -> None:
    for number, state in enumerate(GatewayState):
        standing = Standing(lambda: 0.0)
        assert standing.take(of(state, number))
        if state is GatewayState.ACTIVE:
            assert standing.trouble is None
            continue
        assert standing.trouble
        assert standing.trouble.do
        assert finding_of(standing.trouble) == "not_taken"
        assert "not_taken" in NAMES


def test_an_ack_ends_every_state_but_that_of_a_limit() -> None:
    for state in (GatewayState.REVOKED, GatewayState.SLOW_DOWN):
        standing = Standing(lambda: 0.0)
        standing.take(of(state, 1))
        assert standing.acked() is (state is GatewayState.REVOKED)


def test_a_held_window_sends_nothing_and_then_asks_with_one_frame() -> None:
    window = Window(8, 10.0, lambda: 0.0)
    window.restore(0, 20)
    window.opened()
    window.hold(100.0)
    assert (window.room, window.wake_s) == (0, 100.0)
    window.closed()
    window.opened()
    assert window.room == 0, "a new connection is no reason to send"
    assert not window.expire(99.0)
    assert not window.expire(100.0)
    assert window.room == 1
    window.release()
    assert window.room == 8


async def test_a_check_beside_the_agent_says_that_the_gateway_was_revoked(backend: Any) -> None:
    watch = AckWatch([raw_public_key(backend.key.public_key())], backend.device)
    watch.on_message("acks", notice(backend, GatewayState.REVOKED, reason="sold"))
    heard = await watch.wait(1.0)
    assert isinstance(heard, UplinkResult)
    (finding,) = judge_receipt(heard, "lane", 1.0)
    assert finding.name == "not_taken"
    assert "revoked this gateway's key (sold)" in finding.seen
    assert "gridtokenx-edge enrol" in finding.do
