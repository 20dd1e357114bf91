"""The frames of a file: checked like those from the broker, up to the first that is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.backend.parts import journal_at, writer_on
from tests.backend.village import (
    CHAIN,
    NTP,
    START_MS,
    Gateway,
    Village,
    convert_terms,
    private_key,
    reading,
)

from gridtokenx_backend.core.messages.inputs import configuration_input
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_backend.ingest.frame_file import store_frames
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_wire import cbor, cose
from gridtokenx_wire.frame import MAX_FRAME_BYTES, build_frame, seal_frame


@pytest.fixture(name="intake")
async def _intake(tmp_path: Path, village: Village) -> AsyncIterator[FrameIntake]:
    async with journal_at(tmp_path / "journal.db") as journal, writer_on(journal) as writer:
        await writer.submit([configuration_input(convert_terms(village.document), b"source")])
        signer = AckSigner(seed=bytes(32), public_key=bytes(32))
        yield FrameIntake(writer, Verifier(0), signer, journal)


def frames(gateway: Gateway, count: int) -> list[bytes]:
    return [gateway.next([reading("ABB-1", START_MS + 1000 * second)]) for second in range(count)]


async def test_frames_are_stored_in_their_order(intake: FrameIntake, village: Village) -> None:
    device = intake.devices[village.north.device]
    outcome = await store_frames(frames(village.north, 3), device, intake)
    assert (outcome.accepted, outcome.duplicates, outcome.refusal) == (3, 0, None)
    assert device.next_seq == 3


async def test_frames_that_are_stored_already_are_counted(
    intake: FrameIntake, village: Village
) -> None:
    device = intake.devices[village.north.device]
    messages = frames(village.north, 3)
    await store_frames(messages[:2], device, intake)
    outcome = await store_frames(messages, device, intake)
    assert (outcome.accepted, outcome.duplicates, outcome.refusal) == (1, 2, None)


async def test_a_gap_is_refused(intake: FrameIntake, village: Village) -> None:
    device = intake.devices[village.north.device]
    outcome = await store_frames(frames(village.north, 3)[1:], device, intake)
    assert (outcome.accepted, outcome.refusal) == (0, FrameRefusal.GAP)


async def test_frames_of_an_unknown_device_are_refused(
    intake: FrameIntake, village: Village
) -> None:
    outcome = await store_frames(frames(village.north, 1), None, intake)
    assert (outcome.results, outcome.refusal) == ([], FrameRefusal.UNKNOWN_DEVICE)


def _forged(village: Village) -> bytes:
    at = reading("ABB-1", START_MS)
    frame = build_frame(
        device=village.north.device,
        chain=CHAIN,
        seq=1,
        prev=bytes(32),
        clock=NTP,
        readings=[at],
    )
    return seal_frame(frame, private_key("a forger"))


BAD: list[tuple[Callable[[Village], bytes], FrameRefusal]] = [
    (_forged, FrameRefusal.BAD_SIGNATURE),
    (lambda _: b"", FrameRefusal.MALFORMED),
    (lambda v: cose.sign(cbor.encode({}), v.north.key), FrameRefusal.MALFORMED),
    (lambda _: bytes(MAX_FRAME_BYTES + 1), FrameRefusal.OVERSIZED),
    (
        lambda v: v.north.seal([reading("ABB-1", START_MS)], device=v.south.device),
        FrameRefusal.WRONG_DEVICE,
    ),
]


@pytest.mark.parametrize(("make", "reason"), BAD)
async def test_the_frames_behind_a_bad_one_are_left_out(
    intake: FrameIntake,
    village: Village,
    make: Callable[[Village], bytes],
    reason: FrameRefusal,
) -> None:
    device = intake.devices[village.north.device]
    first, third = frames(village.north, 2)
    outcome = await store_frames([first, make(village), third], device, intake)
    assert (outcome.accepted, outcome.refusal) == (1, reason)
    assert device.next_seq == 1
