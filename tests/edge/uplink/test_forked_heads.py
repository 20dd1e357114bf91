"""Acks that name another frame than the gateway's own: nothing is deleted, and it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.edge.uplink.sending_uplink import Bench, sending

from gridtokenx_edge.commissioning.check.agent_status import finding_of
from gridtokenx_edge.commissioning.check.receipt import UplinkResult, judge_receipt
from gridtokenx_edge.config.edge_config import BrokerConfig, OutboxConfig
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.uplink import head_demand
from gridtokenx_edge.uplink.head_demand import AckUse, HeadDemand
from gridtokenx_edge.uplink.troubles import Troubles
from gridtokenx_wire.ack import Ack


@pytest.fixture
def plain(broker: Any) -> BrokerConfig:
    return BrokerConfig(host="127.0.0.1", port=broker.port, insecure=True)


async def head_of(bench: Bench, next_seq: int) -> bytes:
    head = await bench.outbox.head_before(next_seq)
    assert len(head) == 32
    return head


async def test_an_ack_of_a_copys_frame_deletes_nothing_and_is_told_as_a_fork(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 60, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received)
        chain = bench.outbox.chain
        backend.send_ack(40, chain=chain, head=await head_of(bench, 40))
        await wait_until(lambda: bench.outbox.oldest_seq == 40)
        backend.send_ack(60, chain=chain, head=b"copy" * 8)
        await wait_until(lambda: bench.log.named("forked"))
        assert await bench.stored() == list(range(40, 60))
        assert bench.uplink.unacked == 20
        trouble = bench.uplink.trouble
        assert trouble is not None
        assert (trouble.name, finding_of(trouble)) == ("forked", "chain")
        assert "another frame 59 under this gateway's key" in trouble.reason
        assert "copy of this key" in trouble.do
        (told,) = bench.log.named("forked")
        assert (told["seq"], told["reason"], told["do"]) == (59, trouble.reason, trouble.do)
        backend.send_ack(50, chain=chain, head=await head_of(bench, 50))  # it came late
        await wait_until(lambda: bench.uplink.unacked == 10)
        assert bench.uplink.trouble is trouble
        backend.send_ack(60, chain=chain, head=await head_of(bench, 60))
        await wait_until(lambda: bench.uplink.unacked == 0)
        assert bench.uplink.trouble is None


async def test_a_frame_that_was_not_sent_yet_is_kept_when_a_copy_was_first(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    """The copy sends number 1, and the backend acks it before this gateway has sent its own."""
    async with sending(tmp_path, device_key, backend, plain, 1, ack_timeout_s=60) as bench:
        await wait_until(lambda: bench.uplink.unacked == 0)
        backend.is_mute = True
        backend.send_ack(2, chain=bench.outbox.chain, head=b"copy" * 8)
        await wait_until(lambda: bench.uplink.trouble)
        assert bench.uplink.trouble is not None
        assert (
            "a frame 1 under this gateway's key that it never made" in bench.uplink.trouble.reason
        )
        await bench.seal(1)
        backend.send_ack(2, chain=bench.outbox.chain, head=b"copy" * 8)
        await wait_until(lambda: bench.log.named("forked"))
        await wait_until(lambda: backend.received == 2)  # so the backend sees the fork, too
        assert bench.uplink.unacked == 1
    assert 1 in await reopened_seqs(tmp_path, device_key)


async def reopened_seqs(folder: Path, device_key: Any) -> list[int]:
    outbox = Outbox(folder / "outbox.db", device_key, OutboxConfig())
    await outbox.open()
    try:
        return [seq for _, seq, _ in await outbox.frames(0, 100)]
    finally:
        await outbox.close()


def test_a_check_names_the_fork_and_what_to_do() -> None:
    trouble = Troubles().forked(3)
    heard = UplinkResult(ahead=[trouble.reason], trouble=trouble)
    (finding,) = judge_receipt(heard, "lane", 1.0)
    assert (finding.name, finding.seen, finding.do) == ("chain", trouble.reason, trouble.do)


async def test_every_connection_begins_with_a_hello_before_the_frames(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    for hellos in (1, 2):
        async with sending(tmp_path, device_key, backend, plain, 1) as bench:
            await wait_until(lambda: bench.uplink.unacked == 0)
            assert len(backend.hellos) == hellos
            (hello, *_) = backend.hellos
            assert (hello.device, hello.chain) == (bench.outbox.device, bench.outbox.chain)


async def test_a_backend_that_names_heads_no_more_is_asked_and_its_acks_wait(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    """It was started again, and has not heard a hello since."""
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 50, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 50)
        chain = bench.outbox.chain
        backend.send_ack(10, chain=chain, head=await head_of(bench, 10))
        await wait_until(lambda: bench.uplink.unacked == 40)
        backend.send_ack(50, chain=chain)
        await wait_until(lambda: len(backend.hellos) == 2 and backend.received == 51)
        assert (bench.uplink.unacked, bench.outbox.oldest_seq) == (40, 0)
        backend.send_ack(50, chain=chain, head=await head_of(bench, 50))
        await wait_until(lambda: bench.uplink.unacked == 0)


async def test_a_backend_of_an_older_version_is_served_as_ever(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    async with sending(tmp_path, device_key, backend, plain, 100) as bench:
        await wait_until(lambda: bench.uplink.unacked == 0 and bench.outbox.oldest_seq > 60)
        assert len(backend.hellos) == 1
        assert bench.uplink.trouble is None


async def test_an_ack_within_a_summary_deletes_nothing_before_the_summary_is_acked(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 80, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received)
        inner = await head_of(bench, 20)
        step = await thin(bench)
        assert (step.first_seq, step.last_seq) == (0, 63)
        assert await bench.outbox.head_before(20) == b""
        chain = bench.outbox.chain
        backend.send_ack(20, chain=chain, head=inner)
        await wait_until(lambda: bench.uplink.unacked == 60)
        assert (await bench.stored())[0] == 63
        backend.send_ack(70, chain=chain, head=await head_of(bench, 70))
        await wait_until(lambda: bench.outbox.oldest_seq == 70)


async def thin(bench: Bench) -> Any:
    """Thin the oldest frames as if the outbox were full."""
    outbox = bench.outbox
    outbox._most_bytes = 0
    step = await outbox.thin(None)
    assert step is not None
    return step


def ack(next_seq: int, *, head: bool) -> Ack:
    return Ack(
        device=bytes(16),
        chain=bytes(8),
        next_seq=next_seq,
        verdicts=[],
        head=bytes(32) if head else b"",
    )


@pytest.mark.parametrize(
    ("heard", "uses"),
    [
        pytest.param([(0, 5, False), (1, 6, False)], ["take", "take"], id="an older backend"),
        pytest.param(
            [(0, 5, True), (0, 5, False), (9, 5, True)],
            ["take", "ignore", "take"],
            id="both, as of what was sent again",
        ),
        pytest.param(
            [(0, 5, True), (100, 7, False), (101, 7, False), (102, 7, True)],
            ["take", "ask", "ignore", "take"],
            id="a backend that was started again",
        ),
        pytest.param(
            [(0, 5, True), (100, 3, False), (104, 3, False), (105, 3, True)],
            ["take", "ask", "ignore", "take"],
            id="one that was put back as well",
        ),
        pytest.param(
            [(0, 5, True), (10, 7, False), (15, 7, False), (30, 7, False), (130, 7, False)],
            ["take", "ask", "ask", "ask", "take"],
            id="an older version was installed",
        ),
        pytest.param(
            [(0, 5, True), (10, 7, False), (500, 7, False), (501, 7, False)],
            ["take", "ask", "ask", "ignore"],
            id="it was asked too seldom to know",
        ),
    ],
)
def test_what_is_made_of_acks_with_and_without_a_head(
    heard: list[tuple[float, int, bool]], uses: list[str]
) -> None:
    demand = HeadDemand(lambda: 0.0)
    seen = [demand.use_of(ack(seq, head=head), now_s) for now_s, seq, head in heard]
    assert [use.value for use in seen] == uses


def test_a_backend_that_never_named_a_head_is_greeted_again_more_and_more_seldom() -> None:
    """A hello may be lost: it comes before the backend has subscribed, say."""
    demand = HeadDemand(lambda: 0.0)
    demand.connected(0)
    greeted = [
        second
        for second in range(86_400)
        if demand.use_of(ack(second, head=False), second) is AckUse.TAKE_AND_GREET
    ]
    assert greeted[:4] == [5, 15, 35, 75]
    assert len(greeted) < 40


def test_an_older_backend_is_believed_after_time_on_one_connection_only() -> None:
    demand = HeadDemand(lambda: 0.0)
    demand.use_of(ack(5, head=True), 0)
    now_s = 0.0
    for _ in range(20):
        now_s += head_demand.OLDER_AFTER_S - 1
        demand.connected(now_s)
        assert demand.use_of(ack(9, head=False), now_s) is AckUse.ASK
    assert demand.is_named
