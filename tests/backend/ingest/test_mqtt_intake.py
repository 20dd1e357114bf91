"""From the broker to an ack: bad frames are counted and dropped, good ones are stored once."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from tests.backend.parts import until
from tests.backend.running import Site, site_in
from tests.backend.village import (
    CHAIN,
    KWH,
    NAME,
    NTP,
    Gateway,
    Village,
    device_terms,
    private_key,
    reading,
)

from gridtokenx_backend.core.model.ledger import GRID
from gridtokenx_wire import cbor, cose
from gridtokenx_wire.ack import Ack, seal_ack
from gridtokenx_wire.frame import MAX_FRAME_BYTES, build_frame, seal_frame
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.topics import frames_topic
from gridtokenx_wire.verdict import Reason, Verdict

NOW_MS = time.time_ns() // 1_000_000 - 60_000


def at(second: int, export_uwh: int = 0, meter: str = "ABB-1") -> Reading:
    return reading(meter, NOW_MS + 1000 * second, export_uwh)


@pytest.fixture(name="site")
async def _site(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> AsyncIterator[Site]:
    """A running backend; what it logs must be free of tracebacks."""
    async with site_in(tmp_path) as site:
        yield site
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert "never retrieved" not in out + err


# --- what is dropped ----------------------------------------------------------------------------

Sealed = Callable[[Village], bytes]


def _forged(village: Village) -> bytes:
    frame = build_frame(village.north.device, CHAIN, 0, bytes(32), NTP, [at(0)])
    return seal_frame(frame, private_key("a forger"))


def _altered(village: Village) -> bytes:
    message = bytearray(village.north.seal([at(0)]))
    message[len(message) // 2] ^= 1
    return bytes(message)


def _another_message(village: Village) -> bytes:
    return seal_ack(
        Ack(device=village.north.device, chain=CHAIN, next_seq=1, verdicts=[]), village.north.key
    )


def _signed_cbor(content: dict[int, object]) -> Sealed:
    return lambda village: cose.sign(cbor.encode(content), village.north.key)


BAD: list[tuple[str, Sealed, str]] = [
    ("forged", _forged, "bad_signature"),
    ("altered", _altered, "bad_signature"),
    ("with another signature", lambda v: v.north.seal([at(0)])[:-64] + bytes(64), "bad_signature"),
    ("empty", lambda _: b"", "malformed"),
    ("text", lambda _: b'{"hello": "world"}', "malformed"),
    ("noise", lambda _: random.Random(7).randbytes(5000), "malformed"),
    ("zeros", lambda _: bytes(MAX_FRAME_BYTES), "malformed"),
    ("too large by a byte", lambda _: bytes(MAX_FRAME_BYTES + 1), "oversized"),
    ("far too large", lambda _: bytes(130_000), "oversized"),
    ("cut behind", lambda v: v.north.seal([at(0)])[:-1], "malformed"),
    ("cut in front", lambda v: v.north.seal([at(0)])[1:], "malformed"),
    ("cut to its head", lambda v: v.north.seal([at(0)])[:9], "malformed"),
    ("with something behind", lambda v: v.north.seal([at(0)]) + b"\0", "malformed"),
    ("a signed map of nothing", _signed_cbor({}), "malformed"),
    ("a signed map of something", _signed_cbor({1: 1, 2: 1, 3: b"x"}), "malformed"),
    ("signed, and no CBOR", lambda v: cose.sign(b"\xff" * 40, v.north.key), "malformed"),
    ("an ack", _another_message, "malformed"),
    (
        "in another's name",
        lambda v: v.north.seal([at(0)], device=v.south.device),
        "wrong_device",
    ),
    ("of another chain", lambda v: v.north.seal([at(0)], chain=b"chain-02"), "wrong_chain"),
]


@pytest.mark.parametrize(
    ("make", "reason"), [pytest.param(make, reason, id=name) for name, make, reason in BAD]
)
async def test_a_bad_frame_is_counted_and_the_next_good_one_is_acked(
    site: Site, make: Sealed, reason: str
) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    await north.publish(village.north.next([at(0)]))
    assert (await north.ack()).next_seq == 1
    await north.publish(make(village))
    await north.publish(village.north.next([at(1, KWH // 1000)]))
    ack = await north.ack()
    assert ack == Ack(device=village.north.device, chain=CHAIN, next_seq=2, verdicts=[])
    assert site.dropped() == {reason: 1}
    assert site.backend.writer.community.counters.frames == 2


@pytest.mark.parametrize(
    "device", ["", "x", "a" * 26, Gateway("stranger").name, Gateway("north").name.upper()]
)
async def test_a_topic_of_nobody_is_counted(site: Site, device: str) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    frame = village.north.next([at(0)])
    await north.publish(frame, frames_topic(NAME, device))
    await north.publish(frame)
    assert (await north.ack()).next_seq == 1
    assert site.dropped() == {"unknown_device": 1}


async def test_a_frame_on_anothers_topic_is_not_taken_for_the_others(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    frame = village.north.next([at(0)])
    await north.publish(frame, frames_topic(NAME, village.south.name))
    await north.publish(frame)
    assert (await north.ack()).next_seq == 1
    assert site.dropped() == {"bad_signature": 1}


@pytest.mark.parametrize(
    ("status", "reason"), [("pending", "pending_device"), ("revoked", "revoked_device")]
)
async def test_a_device_that_is_not_active_is_not_acked(
    site: Site, status: str, reason: str
) -> None:
    village = site.village
    village.document["device"][0] = device_terms(village.north, status=status)
    await site.start()
    north, south = await site.link(village.north), await site.link(village.south)
    await north.publish(village.north.next([at(0)]))
    await south.publish(village.south.next([at(0, meter="ABB-2")]))
    assert (await south.ack()).next_seq == 1
    assert site.dropped() == {reason: 1}
    assert north.no_ack()


# --- duplicates, gaps, verdicts -----------------------------------------------------------------


async def test_duplicated_and_reordered_frames_are_settled_once(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    frames = [village.north.next([at(second, second * 1000)]) for second in range(4)]
    for seq, next_seq in ((2, 0), (0, 1), (0, 1), (3, 1), (1, 2), (1, 2), (2, 3), (0, 3), (3, 4)):
        await north.publish(frames[seq])
        if next_seq or seq == 0:
            assert (await north.ack()).next_seq == next_seq, seq
    assert site.dropped() == {"gap": 2, "duplicate": 3}
    async with site.backend.writer.durable_state() as community:
        assert community.counters.frames == 4
        assert community.ledger.posted(village.anna.wallet, GRID) == 3000


async def test_a_gap_is_told_where_to_go_on(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    frames = [village.north.next([at(second)]) for second in range(3)]
    await north.publish(frames[0])
    await north.acked(1)
    await north.publish(frames[2])
    assert await north.ack() == Ack(
        device=village.north.device, chain=CHAIN, next_seq=1, verdicts=[]
    )


async def test_a_duplicate_is_acked_again_with_its_verdicts(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    frame = village.north.next([at(0), at(0, meter="ABB-2"), at(0)])
    verdicts = [
        Verdict(seq=0, index=1, reason=Reason.UNBOUND_METER),
        Verdict(seq=0, index=2, reason=Reason.NOT_AFTER_LAST),
    ]
    for _ in range(2):
        await north.publish(frame)
        assert await north.ack() == Ack(
            device=village.north.device, chain=CHAIN, next_seq=1, verdicts=verdicts
        )


async def test_old_frames_are_known_after_a_restart(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    old = [village.north.next([at(second), at(second, meter="ABB-2")]) for second in range(3)]
    for frame in old:
        await north.publish(frame)
    await north.acked(3)
    before = site.backend.writer.community.snapshot()
    await site.stop()
    await site.start()
    assert site.backend.writer.community.snapshot() == before
    await north.publish(old[1])
    ack = await north.ack()
    assert ack.next_seq == 3
    assert [verdict.seq for verdict in ack.verdicts] == [1, 2]
    await north.publish(village.north.next([at(3)]))
    assert (await north.ack()).next_seq == 4


async def test_the_most_refused_readings_that_fit_are_acked_and_again(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    unbound = [at(0, meter="ABB-9")] * 1000
    frames = [village.north.next(unbound) for _ in range(16)]
    for frame in frames:
        await north.publish(frame)
    await north.acked(16)
    await north.publish(frames[0])
    assert {verdict.seq for verdict in (await north.ack()).verdicts} == {
        15
    }  # only the newest thousand verdicts are kept
    await north.publish(village.north.next([at(0)]))
    assert (await north.acked(17)).verdicts == []


# --- pauses and losses --------------------------------------------------------------------------


async def test_a_paused_oracle_acks_nothing_until_it_is_resumed(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    frame = village.north.next([at(0)])
    await site.pause(True)
    await north.publish(frame)
    await until(lambda: site.dropped() == {"oracle_paused": 1})
    await site.pause(False)
    assert north.no_ack()
    await north.publish(frame)  # a gateway sends it again after a while
    assert (await north.ack()).next_seq == 1


async def test_a_broker_that_is_back_is_found_again(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    await north.publish(village.north.next([at(0)]))
    await north.acked(1)
    site.broker.kill()
    await until(lambda: not site.backend.source.connected)
    await site.unlink()
    site.broker.start()
    await until(lambda: site.backend.source.connected)
    again = await site.link(village.north)
    frame = village.north.next([at(1)])
    # The backend subscribes a moment after it has connected.
    for _ in range(3):
        await again.publish(frame)
    await again.acked(2)


async def test_what_was_sent_while_the_backend_was_away_is_settled(site: Site) -> None:
    """The broker keeps the frames for the backend; gateways would also send them again."""
    await site.start()
    village = site.village
    north = await site.link(village.north)
    await site.stop()
    for second in range(3):
        await north.publish(village.north.next([at(second)]))
    await site.start()
    assert (await north.acked(3)).verdicts == []


async def test_a_retained_frame_is_a_duplicate_after_a_restart(site: Site) -> None:
    await site.start()
    village = site.village
    north = await site.link(village.north)
    await north.publish(village.north.next([at(0)]), retain=True)
    await north.acked(1)
    await site.stop()
    await site.start()
    await until(lambda: site.dropped() == {"duplicate": 1})
    assert (await north.ack()).next_seq == 1


async def test_at_qos_0_it_is_the_same(site: Site) -> None:
    await site.start(qos=0)
    village = site.village
    north = await site.link(village.north)
    for second in range(3):
        await north.publish(village.north.next([at(second)]))
    await north.acked(3)


async def test_many_frames_of_many_gateways_are_all_settled_once(site: Site) -> None:
    village = site.village
    gateways = [Gateway(f"many-{n}") for n in range(20)]
    village.document["device"] += [device_terms(gateway) for gateway in gateways]
    await site.start("verify_workers = 1")
    links = [await site.link(gateway) for gateway in gateways]
    for _ in range(30):
        for gateway, link in zip(gateways, links, strict=True):
            await link.publish(gateway.next([at(0, meter="ABB-9")]))
    for link in links:
        await link.acked(30)
    async with site.backend.writer.durable_state() as community:
        assert community.counters.frames == 600
    assert site.dropped() == {}


async def test_a_signature_worker_that_dies_costs_no_frame(site: Site) -> None:
    await site.start("verify_workers = 1")
    village = site.village
    north = await site.link(village.north)
    await north.publish(village.north.next([at(0)]))
    await north.acked(1)
    (worker,) = (
        child
        for child in psutil.Process().children()
        if "gridtokenx_backend.signatures.verify_worker" in child.cmdline()
    )
    worker.kill()
    forged = _forged(village)
    for second in range(1, 4):
        await north.publish(forged)
        await north.publish(village.north.next([at(second)]))
    await north.acked(4)
    assert site.dropped() == {"bad_signature": 3}
