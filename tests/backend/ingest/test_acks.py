"""Acks: one for each device of a batch of results, and what a gateway reads in it."""

from __future__ import annotations

import pytest
from tests.backend.village import NTP, private_key

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    FrameRefused,
    OracleSwitched,
    Result,
)
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.ingest.acks import AckSigner, acks_of
from gridtokenx_wire.ack import MAX_VERDICTS, Ack, open_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import build_frame, frame_hash
from gridtokenx_wire.keys import raw_private_seed, raw_public_key
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason, Verdict

A, B = b"A" * 16, b"B" * 16
CHAIN = b"chain-01"


def stored(device: bytes, seq: int, *verdicts: tuple[int, int]) -> FrameAccepted:
    return FrameAccepted(
        previous=0,
        device=device,
        chain=CHAIN,
        seq=seq,
        readings=9,
        verdicts=list(verdicts),
        movements=[],
    )


def refused(
    reason: FrameRefusal, device: bytes, next_seq: int, *verdicts: tuple[int, int, int]
) -> FrameRefused:
    return FrameRefused(
        reason=reason, device=device, chain=CHAIN, next_seq=next_seq, verdicts=list(verdicts)
    )


DUPLICATE, GAP = FrameRefusal.DUPLICATE, FrameRefusal.GAP
ROLLBACK = Reason.REGISTER_ROLLBACK


@pytest.mark.parametrize(
    ("results", "acks"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(
            [stored(A, 0)], [Ack(device=A, chain=CHAIN, next_seq=1, verdicts=[])], id="a frame"
        ),
        pytest.param(
            [stored(A, 4, (2, 7))],
            [
                Ack(
                    device=A,
                    chain=CHAIN,
                    next_seq=5,
                    verdicts=[Verdict(seq=4, index=2, reason=ROLLBACK)],
                )
            ],
            id="a verdict",
        ),
        pytest.param(
            [stored(A, 4), stored(B, 7), stored(A, 5), stored(A, 6)],
            [
                Ack(device=A, chain=CHAIN, next_seq=7, verdicts=[]),
                Ack(device=B, chain=CHAIN, next_seq=8, verdicts=[]),
            ],
            id="one ack a device",
        ),
        pytest.param(
            [stored(A, 4, (0, 7)), stored(A, 5, (1, 7))],
            [
                Ack(
                    device=A,
                    chain=CHAIN,
                    next_seq=6,
                    verdicts=[
                        Verdict(seq=4, index=0, reason=ROLLBACK),
                        Verdict(seq=5, index=1, reason=ROLLBACK),
                    ],
                )
            ],
            id="with the verdicts of all its frames",
        ),
        pytest.param(
            [refused(DUPLICATE, A, 9, (3, 1, 7))],
            [
                Ack(
                    device=A,
                    chain=CHAIN,
                    next_seq=9,
                    verdicts=[Verdict(seq=3, index=1, reason=ROLLBACK)],
                )
            ],
            id="a duplicate is told again",
        ),
        pytest.param(
            [refused(GAP, A, 3)],
            [Ack(device=A, chain=CHAIN, next_seq=3, verdicts=[])],
            id="a gap is told where to go on",
        ),
        pytest.param(
            [refused(DUPLICATE, A, 4), stored(A, 4), refused(GAP, A, 5)],
            [Ack(device=A, chain=CHAIN, next_seq=5, verdicts=[])],
            id="the furthest counts",
        ),
        pytest.param(
            [FrameRefused(reason=GAP, device=A)],
            [],
            id="a chain that never began has nothing to be acked",
        ),
        pytest.param(
            [refused(reason, A, 3) for reason in FrameRefusal if reason not in (DUPLICATE, GAP)],
            [],
            id="no other refusal is answered",
        ),
        pytest.param([OracleSwitched(True)], [], id="nor is what is no frame"),
    ],
)
def test_a_batch_is_acked_device_by_device(results: list[Result], acks: list[Ack]) -> None:
    assert acks_of(results) == acks


@pytest.mark.parametrize(
    "results",
    [
        pytest.param(
            [stored(A, seq, *((index, 1) for index in range(1000))) for seq in range(16)],
            id="a batch of frames in which every reading was refused",
        ),
        pytest.param(
            [refused(DUPLICATE, A, 16, *((s, i, 1) for s in range(16) for i in range(1000)))],
            id="a duplicate behind which 16 such frames are remembered",
        ),
    ],
)
def test_an_ack_never_has_more_verdicts_than_a_gateway_takes(results: list[Result]) -> None:
    acks = acks_of(results)
    assert acks[-1].next_seq == 16
    assert all(len(ack.verdicts) <= MAX_VERDICTS for ack in acks)
    assert all(signer().seal(ack) for ack in acks)
    told = [(verdict.seq, verdict.index) for ack in acks for verdict in ack.verdicts]
    assert told == [(seq, index) for seq in range(16) for index in range(1000)]


def test_many_duplicates_are_told_their_verdicts_once() -> None:
    remembered = [(seq, index, 1) for seq in range(16) for index in range(100)]
    acks = acks_of([refused(DUPLICATE, A, 16, *remembered) for _ in range(20)])
    assert sum(len(ack.verdicts) for ack in acks) == len(remembered)


def frame_of(device: bytes, seq: int) -> FrameInput:
    readings = [Reading(meter="A-1", time_ms=seq, import_uwh=0, export_uwh=0)]
    frame = build_frame(device, CHAIN, seq, bytes(32), NTP, readings)
    return FrameInput(b"signed %d" % seq, frame)


def with_head(reason: FrameRefusal, device: bytes, next_seq: int, head: bytes) -> FrameRefused:
    return FrameRefused(reason=reason, device=device, chain=CHAIN, next_seq=next_seq, head=head)


def test_who_said_hello_is_told_the_head_of_the_newest_frame() -> None:
    results = [stored(A, 4), stored(B, 7), stored(A, 5)]
    inputs = [frame_of(A, 4), frame_of(B, 7), frame_of(A, 5)]
    of_a, of_b = acks_of(results, inputs, {A})
    assert (of_a.next_seq, of_a.head) == (6, frame_hash(b"signed 5"))
    assert (of_b.next_seq, of_b.head) == (8, b"")


def test_a_gap_is_told_with_the_head() -> None:
    (ack,) = acks_of([with_head(GAP, A, 3, b"h" * 32)], [frame_of(A, 9)], {A})
    assert (ack.next_seq, ack.head) == (3, b"h" * 32)


def test_what_is_sent_again_is_acked_with_and_without_the_head() -> None:
    """An older version of the gateway's program takes no ack with a head."""
    again = with_head(DUPLICATE, A, 3, b"h" * 32)
    acks = acks_of([again, again], [frame_of(A, 1), frame_of(A, 2)], {A})
    assert [(ack.next_seq, ack.head) for ack in acks] == [(3, b"h" * 32), (3, b"")]
    assert len(acks_of([again], [frame_of(A, 1)], set())) == 1


def test_the_head_is_that_of_the_furthest_frame_whatever_the_order() -> None:
    results = [with_head(DUPLICATE, A, 4, b"h" * 32), stored(A, 4)]
    named, _ = acks_of(results, [frame_of(A, 3), frame_of(A, 4)], {A})
    assert (named.next_seq, named.head) == (5, frame_hash(b"signed 4"))
    many = [stored(A, seq, *((index, 1) for index in range(1000))) for seq in range(12)]
    acks = acks_of(many, [frame_of(A, seq) for seq in range(12)], {A})
    for ack in acks:
        assert ack.head == frame_hash(b"signed %d" % (ack.next_seq - 1))


def signer() -> AckSigner:
    key = private_key("backend")
    return AckSigner(seed=raw_private_seed(key), public_key=raw_public_key(key.public_key()))


def test_a_sealed_ack_opens_under_the_backends_key_alone() -> None:
    ack = Ack(
        device=A, chain=CHAIN, next_seq=5, verdicts=[Verdict(seq=4, index=2, reason=ROLLBACK)]
    )
    sealed = signer().seal(ack)
    assert open_ack(sealed, private_key("backend").public_key()) == ack
    with pytest.raises(WireError):
        open_ack(sealed, private_key("somebody").public_key())
