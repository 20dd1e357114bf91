"""A copied key over a real broker: the real gateway's frames are never acked as stored."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backend.parts import until
from tests.backend.running import Site, site_in
from tests.backend.village import CHAIN, Gateway, reading

from gridtokenx_backend.api.views import standing_of
from gridtokenx_backend.core.messages.inputs import DeviceCommand, device_input
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.minting.chain import KEPT_HEADS
from gridtokenx_backend.ingest.frame_file import store_frames
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_backend.replay.replay import verify
from gridtokenx_wire import cose
from gridtokenx_wire.hello import Hello, encode_hello, seal_hello
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.state_notice import GatewayState

NOW_MS = time.time_ns() // 1_000_000 - 3_600_000


def at(second: int, export_uwh: int = 0) -> Reading:
    return reading("ABB-1", NOW_MS + 1000 * second, export_uwh)


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


def hello_of(gateway: Gateway) -> bytes:
    return seal_hello(Hello(device=gateway.device, chain=CHAIN), gateway.key)


def status_of(site: Site, gateway: Gateway) -> str:
    return standing_of(site.backend.writer.community.devices[gateway.device])


async def command(site: Site, gateway: Gateway, action: str) -> None:
    told = DeviceCommand(action=action, device=gateway.name, reason="a test")
    await site.backend.writer.submit([device_input(told)])


async def test_a_copy_of_a_key_holds_the_device_and_the_real_gateway_is_told(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    await site.start()
    north, copy = site.village.north, Gateway("north")
    link = await site.link(north)
    await link.publish(copy.next([at(0, export_uwh=9)]))
    await link.acked(1)
    await link.publish(north.next([at(0)]))
    notice = await link.notice()
    assert (notice.state, notice.reason) == (GatewayState.HELD, "two frames of number 0")
    assert link.no_ack()
    assert status_of(site, north) == "held"
    await link.publish(copy.sent[0])
    await until(lambda: site.dropped() == {"forked": 1, "held_device": 1})
    assert link.no_ack()
    told = capfd.readouterr()
    assert f"device={north.name}" in told.out + told.err
    entry = await site.backend.journal.entry(site.backend.writer.durable_seq)
    assert entry is not None
    assert (entry.kind, entry.input) == ("fork", north.sent[0])
    assert decode_outcome(entry.outcome).seq == 0  # type: ignore[union-attr]


async def test_a_frame_that_follows_another_one_than_is_stored_holds_the_device(
    site: Site,
) -> None:
    await site.start()
    north = site.village.north
    link = await site.link(north)
    await link.publish(north.next([at(0)]))
    await link.acked(1)
    await link.publish(north.seal([at(1)], prev=b"x" * 32))
    notice = await link.notice()
    assert (notice.state, notice.reason) == (GatewayState.HELD, "two frames of number 0")
    await link.publish(north.next([at(1)]))
    await until(lambda: site.dropped() == {"broken_chain": 1, "held_device": 1})
    assert link.no_ack()


async def test_an_ack_names_the_head_so_that_the_real_gateway_sees_that_it_is_not_its_own(
    site: Site,
) -> None:
    """The copy is first, and the real gateway hears the ack of it on its own topic."""
    await site.start()
    north, copy = site.village.north, Gateway("north")
    link = await site.link(north)
    await link.publish(hello_of(north))
    await link.publish(copy.next([at(0, export_uwh=9)]))
    north.next([at(0)])
    ack = await link.acked(1)
    assert ack.head == copy.prev != north.prev


async def test_who_says_no_hello_gets_acks_as_ever(site: Site) -> None:
    await site.start()
    north, south = site.village.north, site.village.south
    link, other = await site.link(north), await site.link(south)
    await other.publish(hello_of(south))
    await link.publish(north.next([at(0)]))
    assert (await link.acked(1)).head == b""
    assert site.dropped() == {}


async def test_after_a_restart_of_the_backend_acks_name_no_head_before_the_next_hello(
    site: Site,
) -> None:
    await site.start()
    north = site.village.north
    link = await site.link(north)
    await link.publish(hello_of(north))
    await link.publish(north.next([at(0)]))
    assert (await link.acked(1)).head == north.prev
    await site.stop()
    await site.start()
    await link.publish(north.next([at(1)]))
    assert (await link.acked(2)).head == b""
    await link.publish(hello_of(north))
    await link.publish(north.sent[-1])
    assert [(await link.ack()).head for _ in range(2)] == [north.prev, b""]


async def test_a_hello_that_another_device_signed_or_that_is_cut_off_says_nothing(
    site: Site,
) -> None:
    await site.start()
    north, south = site.village.north, site.village.south
    link = await site.link(north)
    stranger = seal_hello(Hello(device=north.device, chain=CHAIN), south.key)
    wrong = seal_hello(Hello(device=south.device, chain=CHAIN), north.key)
    cut_off = cose.sign(encode_hello(Hello(device=north.device, chain=CHAIN))[:-1], north.key)
    for message in (stranger, wrong, cut_off):
        await link.publish(message)
    await link.publish(north.next([at(0)]))
    assert (await link.acked(1)).head == b""
    assert site.dropped() == {"bad_signature": 1, "wrong_device": 1, "malformed": 1}


async def test_acks_of_a_file_cover_its_own_frames_alone(site: Site) -> None:
    """The copy has gone on behind the frames that were in the file."""
    backend = await site.start()
    north, copy = site.village.north, Gateway("north")
    device = backend.intake.devices[north.device]
    shared = [north.next([at(second)]) for second in range(3)]
    copy.seq, copy.prev = north.seq, north.prev
    await store_frames([*shared, copy.next([at(3, export_uwh=9)])], device, backend.intake)
    again = await store_frames(shared, device, backend.intake)
    assert [ack.next_seq for ack in again.acks()] == [3]
    behind = await store_frames([copy.seal([at(9)], seq=9)], device, backend.intake)
    assert (behind.refusal, behind.acks()) == (FrameRefusal.GAP, [])


async def test_a_released_gateway_is_told_at_once_and_goes_on(site: Site) -> None:
    await site.start()
    north, copy = site.village.north, Gateway("north")
    link = await site.link(north)
    await link.publish(north.next([at(0)]))
    await link.acked(1)
    await link.publish(copy.next([at(0, export_uwh=9)]))
    assert (await link.notice()).state is GatewayState.HELD
    await command(site, north, "release")
    assert (await link.notice()).state is GatewayState.ACTIVE
    await link.publish(north.next([at(1)]))
    await link.acked(2)


async def test_a_copy_that_is_far_ahead_is_found_by_the_journal(site: Site) -> None:
    await site.start()
    north, copy = site.village.north, Gateway("north")
    link = await site.link(north)
    for second in range(KEPT_HEADS + 8):
        await link.publish(copy.next([at(second, export_uwh=9)]))
    await link.acked(KEPT_HEADS + 8)
    await link.publish(north.next([at(0)]))
    assert (await link.notice()).state is GatewayState.HELD
    assert link.no_ack()
    assert site.dropped() == {"old_number": 1}


async def test_an_honest_gateway_whose_acks_were_lost_long_ago_is_acked_again(site: Site) -> None:
    """Its frames were brought as a file, and the ack file never came back."""
    backend = await site.start()
    north = site.village.north
    frames = [north.next([at(second)]) for second in range(2 * KEPT_HEADS)]
    stored = await store_frames(frames, backend.intake.devices[north.device], backend.intake)
    assert stored.accepted == len(frames)
    again = await store_frames(frames, backend.intake.devices[north.device], backend.intake)
    assert (again.duplicates, again.refusal) == (len(frames), None)
    link = await site.link(north)
    for message in frames[:3]:
        await link.publish(message)
        assert (await link.ack()).next_seq == len(frames)
    assert status_of(site, north) == "active"


async def test_a_forked_file_is_refused_and_holds_the_device(site: Site) -> None:
    backend = await site.start()
    north, copy = site.village.north, Gateway("north")
    device = backend.intake.devices[north.device]
    await store_frames(
        [copy.next([at(n, 9)]) for n in range(KEPT_HEADS + 9)], device, backend.intake
    )
    forked = await store_frames([north.next([at(0)])], device, backend.intake)
    assert forked.refusal is not None
    assert forked.refusal.value == "forked"
    assert not forked.acks()
    assert status_of(site, north) == "held"


async def test_a_held_device_is_held_after_a_restart_and_its_journal_verifies(site: Site) -> None:
    await site.start()
    north, copy = site.village.north, Gateway("north")
    link = await site.link(north)
    await link.publish(copy.next([at(0, export_uwh=9)]))
    await link.publish(north.next([at(0)]))
    await until(lambda: status_of(site, north) == "held")
    await site.stop()
    backend = await site.start()
    assert status_of(site, north) == "held"
    assert (await verify(backend.journal, lambda _: None)).entries == backend.writer.durable_seq
