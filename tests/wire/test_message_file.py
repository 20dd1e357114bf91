"""Files of frames and acks: what was written is read, and nothing else."""

from __future__ import annotations

import io

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.ack import Ack, seal_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    ClockStatus,
    Gap,
    build_frame,
    frame_hash,
    seal_frame,
)
from gridtokenx_wire.message_file import (
    MAX_ACK_BYTES,
    FileType,
    Header,
    encode_header,
    read_frames,
    read_header,
    read_messages,
)
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason, Verdict

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DEVICE, CHAIN = bytes(16), bytes(8)
NTP = ClockStatus(synchronised=True, stepped=False, source="ntp")


def chain(count: int) -> list[bytes]:
    prev, made = GENESIS_PREV, []
    for seq in range(count):
        readings = [
            Reading(meter="M-1", time_ms=at, import_uwh=0, export_uwh=0)
            for at in range(1 + 20 * seq)
        ]
        made.append(seal_frame(build_frame(DEVICE, CHAIN, seq, prev, NTP, readings), KEY))
        prev = frame_hash(made[-1])
    return made


MESSAGES = chain(6)
UNLINKED = seal_frame(
    build_frame(
        DEVICE,
        CHAIN,
        1,
        bytes(32),
        NTP,
        [Reading(meter="M-1", time_ms=1, import_uwh=0, export_uwh=0)],
    ),
    KEY,
)


def file_of(messages: list[bytes], first_seq: int = 0, next_seq: int = 6) -> bytes:
    return encode_header(
        Header(
            type=FileType.FRAMES, device=DEVICE, chain=CHAIN, first_seq=first_seq, next_seq=next_seq
        )
    ) + b"".join(messages)


def read(content: bytes) -> list[bytes]:
    _, frames = read_frames(io.BytesIO(content))
    return [message for message, _ in frames]


def test_frames_come_back_as_they_were() -> None:
    header, _ = read_frames(io.BytesIO(file_of(MESSAGES)))
    assert header == Header(
        type=FileType.FRAMES, device=DEVICE, chain=CHAIN, first_seq=0, next_seq=6
    )
    assert read(file_of(MESSAGES)) == MESSAGES
    assert read(file_of(MESSAGES[2:], 2)) == MESSAGES[2:]
    assert read(file_of([], 0, 0)) == []


def test_a_summary_links_the_frames_around_it() -> None:
    gap = Gap(first_seq=1, head=frame_hash(MESSAGES[4]))
    summary = build_frame(
        DEVICE,
        CHAIN,
        4,
        frame_hash(MESSAGES[0]),
        NTP,
        [Reading(meter="M", time_ms=1, import_uwh=0, export_uwh=0)],
        gap,
    )
    messages = [MESSAGES[0], seal_frame(summary, KEY), MESSAGES[5]]
    assert read(file_of(messages)) == messages


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "a file of frames", id="nothing"),
        pytest.param(b"PK\x03\x04 a zip", "a file of frames", id="another file"),
        pytest.param(
            encode_header(
                Header(type=FileType.ACKS, device=DEVICE, chain=CHAIN, first_seq=0, next_seq=6)
            ),
            "a file of frames",
            id="acks",
        ),
        pytest.param(
            file_of([]).replace(b"\x02\x01", b"\x02\x02", 1), "of version 1, got 2", id="version"
        ),
        pytest.param(file_of(MESSAGES[:5]), "cut off", id="the end is missing"),
        pytest.param(file_of([MESSAGES[0], *MESSAGES[2:]]), "frame 1: missing", id="a gap"),
        pytest.param(file_of([*MESSAGES[:2], MESSAGES[1]]), "frame 2: missing", id="twice"),
        pytest.param(
            encode_header(
                Header(type=FileType.FRAMES, device=b"x" * 16, chain=CHAIN, first_seq=0, next_seq=6)
            )
            + MESSAGES[0],
            "this device and chain",
            id="another device",
        ),
        pytest.param(
            file_of([MESSAGES[0], UNLINKED]),
            "hash of the frame before",
            id="a broken link",
        ),
        pytest.param(file_of([*MESSAGES, b"\x00"]), "COSE_Sign1", id="something behind"),
        pytest.param(file_of([*MESSAGES, MESSAGES[0][:50]]), "whole message", id="half a message"),
    ],
)
def test_what_is_not_whole_is_refused_with_a_reason(content: bytes, expected: str) -> None:
    with pytest.raises(WireError, match=expected):
        read(content)


@given(st.data())
def test_a_file_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    whole = file_of(MESSAGES)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(WireError):
        read(whole[:length])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(WireError):
        read(content)
    with pytest.raises(WireError):
        read(file_of([content or b"\x00"]))


def test_acks_come_back_as_they_were() -> None:
    verdicts = [Verdict(seq=2**62, index=999, reason=Reason.PRODUCTION_RATIO)] * 10_000
    acks = [
        seal_ack(
            Ack(device=DEVICE, chain=CHAIN, next_seq=seq, verdicts=verdicts[: 10_000 * (seq == 2)]),
            KEY,
        )
        for seq in (1, 2)
    ]
    stream = io.BytesIO(
        encode_header(
            Header(type=FileType.ACKS, device=DEVICE, chain=CHAIN, first_seq=0, next_seq=2)
        )
        + b"".join(acks)
    )
    assert read_header(stream, FileType.ACKS).next_seq == 2
    assert list(read_messages(stream, MAX_ACK_BYTES)) == acks
