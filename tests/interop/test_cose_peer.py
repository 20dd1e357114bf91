"""Frames and acks against `cwt`, a COSE library that is not ours."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire.ack import Ack, seal_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    ClockStatus,
    Gap,
    build_frame,
    encode_frame,
    open_frame,
    seal_frame,
)
from gridtokenx_wire.keys import device_id, raw_private_seed, raw_public_key
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason, Verdict

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-interop" / "bin" / "python"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = raw_public_key(KEY.public_key())
READINGS = [
    Reading(
        meter="EASTRON-12345678",
        time_ms=1_782_036_000_000 + 1000 * n,
        import_uwh=10**12 + n,
        export_uwh=7 * 10**11,
        power_w=-5 * n,
        flags=2,
    )
    for n in range(100)
]
FRAME = build_frame(
    device_id(KEY.public_key()),
    bytes(8),
    41,
    GENESIS_PREV,
    ClockStatus(synchronised=True, stepped=False, source="ntp"),
    READINGS,
)
ACK = Ack(
    device=FRAME.device,
    chain=FRAME.chain,
    next_seq=42,
    verdicts=[Verdict(seq=41, index=99, reason=Reason.STALE_TIME)],
)


@pytest.fixture(scope="module", autouse=True)
def peer_environment() -> None:
    assert PYTHON.exists(), "expected .venv-interop; scripts/test makes it"


def peer(action: str, key: bytes, content: bytes) -> str:
    command = [str(PYTHON), str(HERE / "cwt_peer.py"), action, key.hex()]
    return subprocess.run(
        command, input=content.hex(), capture_output=True, text=True, check=True, timeout=60
    ).stdout


def opened_by_cwt(message: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(peer("open", PUBLIC, message))
    return answer


def column(field: list[Any], tag: int, letter: str) -> list[int]:
    """Return a typed array (RFC 8746), read by the standard library."""
    assert field[0] == tag
    content = bytes.fromhex(field[1])
    return list(struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content))


def test_cwt_opens_our_frame_and_reads_the_same_readings() -> None:
    answer = opened_by_cwt(seal_frame(FRAME, KEY))
    assert answer["protected"] == {"1": -19}
    assert answer["unprotected"] == {}
    fields = answer["payload"]
    assert (fields["1"], fields["2"], fields["5"]) == (1, 1, 41)
    assert fields["3"] == FRAME.device.hex()
    assert fields["7"] == [True, False, "ntp"]
    names = fields["8"]
    rows = zip(
        [names[index] for index in column(fields["9"], 69, "H")],
        column(fields["10"], 79, "q"),
        column(fields["11"], 79, "q"),
        column(fields["12"], 79, "q"),
        column(fields["13"], 78, "i"),
        column(fields["14"], 64, "B"),
        strict=True,
    )
    assert [
        Reading(**dict(zip(Reading.__struct_fields__, row, strict=True))) for row in rows
    ] == READINGS


def test_cwt_opens_our_summary_and_reads_what_it_says_is_missing() -> None:
    gap = Gap(
        first_seq=7,
        head=bytes(range(32)),
        meter_index=(0,),
        count=(2**32 - 1,),
        first_ms=(1_782_000_000_000,),
        last_ms=(1_782_035_999_000,),
    )
    summary = msgspec.structs.replace(FRAME, gap=gap)
    fields = opened_by_cwt(seal_frame(summary, KEY))["payload"]
    assert (fields["1"], fields["5"], fields["15"]) == (3, 41, 7)
    assert fields["16"] == gap.head.hex()
    assert column(fields["10"], 79, "q") == [reading.time_ms for reading in READINGS]
    found = [
        column(fields[key], tag, letter)
        for key, tag, letter in (("17", 69, "H"), ("18", 70, "I"), ("19", 79, "q"), ("20", 79, "q"))
    ]
    assert found == [list(values) for values in gap.columns]


def test_cwt_opens_our_ack() -> None:
    fields = opened_by_cwt(seal_ack(ACK, KEY))["payload"]
    assert (fields["1"], fields["2"], fields["5"]) == (2, 1, 42)
    assert fields["6"] == [[41, 99, int(Reason.STALE_TIME)]]


def test_cwt_refuses_our_frame_with_one_bit_changed() -> None:
    message = bytearray(seal_frame(FRAME, KEY))
    message[100] ^= 1
    assert opened_by_cwt(bytes(message)) == {"refused": "signature"}


def test_a_frame_that_cwt_sealed_is_opened_by_us_and_is_the_same_bytes() -> None:
    message = bytes.fromhex(peer("seal", raw_private_seed(KEY), encode_frame(FRAME)))
    assert open_frame(message, KEY.public_key()) == FRAME
    assert message == seal_frame(FRAME, KEY)


def test_a_message_that_cwt_sealed_with_another_key_is_refused() -> None:
    other = raw_private_seed(Ed25519PrivateKey.generate())
    message = bytes.fromhex(peer("seal", other, encode_frame(FRAME)))
    with pytest.raises(WireError, match="signature by the known key"):
        open_frame(message, KEY.public_key())
