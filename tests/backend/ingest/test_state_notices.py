"""A gateway is told how it stands: at once when that changes, and when it asks, not too often."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backend.parts import StandingClock, until
from tests.backend.running import Site, site_in
from tests.backend.village import Gateway, Village, device_terms, private_key, reading

from gridtokenx_backend.core.messages.device_outcomes import DeviceRevoked
from gridtokenx_backend.core.messages.inputs import DeviceCommand, device_input
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.engine.writer import Committed
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_backend.ingest.state_notices import EVERY_S, StateNotices, printable
from gridtokenx_wire.keys import raw_private_seed, raw_public_key
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.state_notice import MAX_REASON, GatewayState, StateNotice, open_notice

NOW_MS = time.time_ns() // 1_000_000 - 60_000
KEY = private_key("backend")


def at(second: int) -> Reading:
    return reading("ABB-1", NOW_MS + 1000 * second)


class Told:
    """Notices of a village, and a clock of seconds."""

    def __init__(self, village: Village) -> None:
        self.sent: list[tuple[str, StateNotice]] = []
        self.now_s = 100.0
        seed, public = raw_private_seed(KEY), raw_public_key(KEY.public_key())
        self.notices = StateNotices(
            village.community.devices,
            AckSigner(seed=seed, public_key=public),
            StandingClock(),
            lambda name, message: self.sent.append((name, open_notice(message, KEY.public_key()))),
            lambda: self.now_s,
        )

    def refuse(self, gateway: Gateway, reason: FrameRefusal) -> list[GatewayState]:
        """Refuse a frame, and return the states that were told."""
        before = len(self.sent)
        self.notices.answer(reason, gateway.device)
        return [notice.state for _, notice in self.sent[before:]]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (FrameRefusal.PENDING_DEVICE, GatewayState.PENDING),
        (FrameRefusal.REVOKED_DEVICE, GatewayState.REVOKED),
        (FrameRefusal.HELD_DEVICE, GatewayState.HELD),
        (FrameRefusal.ORACLE_PAUSED, GatewayState.PAUSED),
        (FrameRefusal.WRONG_CHAIN, GatewayState.OUT_OF_CHAIN),
    ],
)
def test_a_refusal_that_no_ack_answers_is_answered_with_the_state(
    village: Village, reason: FrameRefusal, state: GatewayState
) -> None:
    assert Told(village).refuse(village.north, reason) == [state]


@pytest.mark.parametrize("reason", [FrameRefusal.DUPLICATE, FrameRefusal.GAP])
def test_a_refusal_that_an_ack_answers_needs_no_notice(
    village: Village, reason: FrameRefusal
) -> None:
    assert Told(village).refuse(village.north, reason) == []


def test_a_device_is_answered_once_in_a_while_however_often_it_asks(village: Village) -> None:
    told = Told(village)
    answers = []
    for _ in range(1000):
        answers += told.refuse(village.north, FrameRefusal.REVOKED_DEVICE)
        told.now_s += EVERY_S / 250
    assert len(answers) == 4
    assert told.refuse(village.south, FrameRefusal.REVOKED_DEVICE) == [GatewayState.REVOKED]


def test_a_stranger_is_not_answered(village: Village) -> None:
    assert Told(village).refuse(Gateway("stranger"), FrameRefusal.REVOKED_DEVICE) == []


def test_a_change_is_told_at_once_even_if_a_notice_was_just_sent(village: Village) -> None:
    told = Told(village)
    told.refuse(village.north, FrameRefusal.ORACLE_PAUSED)
    command = DeviceCommand(action="revoke", device=village.north.name, reason="stolen")
    result = village.apply(device_input(command))
    assert isinstance(result, DeviceRevoked)
    told.notices.follow([Committed(result=result, seq=1, at_ms=0)])
    name, notice = told.sent[-1]
    assert (name, notice.state, notice.reason) == (
        village.north.name,
        GatewayState.REVOKED,
        "stolen",
    )


def test_what_is_said_of_a_reason_is_printable_and_short() -> None:
    assert printable("stolen\x1b[2J\n") == "stolen [2J "
    assert len(printable("x" * 500)) == MAX_REASON


# --- over a broker ------------------------------------------------------------------------------


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


async def command(site: Site, gateway: Gateway, action: str) -> None:
    told = DeviceCommand(action=action, device=gateway.name, reason="moved out")
    await site.backend.writer.submit([device_input(told)])


async def test_a_gateway_that_is_revoked_while_it_is_connected_is_told_and_again_when_it_asks(
    site: Site,
) -> None:
    await site.start()
    north = site.village.north
    link = await site.link(north)
    await link.publish(north.next([at(0)]))
    await link.acked(1)
    await command(site, north, "revoke")
    first = await link.notice()
    assert (first.state, first.reason) == (GatewayState.REVOKED, "moved out")
    await site.stop()
    await site.start()
    await link.publish(north.next([at(1)]))
    assert (await link.notice()).state is GatewayState.REVOKED
    assert link.no_ack()


async def test_a_pending_gateway_is_told_so_and_told_when_it_is_approved(site: Site) -> None:
    village = site.village
    village.document["device"][0] = device_terms(village.north, status="pending")
    await site.start()
    link = await site.link(village.north)
    frame = village.north.next([at(0)])
    await link.publish(frame)
    assert (await link.notice()).state is GatewayState.PENDING
    await command(site, village.north, "approve")
    assert (await link.notice()).state is GatewayState.ACTIVE
    await link.publish(frame)
    await link.acked(1)


async def test_a_paused_oracle_says_so_to_a_gateway_that_sends(site: Site) -> None:
    await site.start()
    link = await site.link(site.village.north)
    await site.pause(True)
    await link.publish(site.village.north.next([at(0)]))
    assert (await link.notice()).state is GatewayState.PAUSED


async def test_the_last_frame_of_a_gateway_is_known_even_if_it_was_not_taken(site: Site) -> None:
    await site.start()
    intake = site.backend.mqtt_intake
    north, south = site.village.north, site.village.south
    devices = site.backend.intake.devices
    link = await site.link(north)
    before_ms = time.time_ns() // 1_000_000
    await site.pause(True)
    await link.publish(north.next([at(0)]))
    await until(lambda: intake.last_heard_ms(devices[north.device]) >= before_ms)
    assert intake.last_heard_ms(devices[south.device]) == 0
