"""What gateways show of earlier acks, and when that proves that the journal is an old one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.backend.village import CHAIN, private_key

from gridtokenx_backend.continuity.ack_evidence import (
    AckEvidence,
    AckFile,
    opened_beyond,
    proven_losses,
)
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.degradation import Degradation, DegradedPart
from gridtokenx_wire.ack import Ack, seal_ack
from gridtokenx_wire.errors import WireError

OWN, FORMER, OTHER = (private_key(name) for name in ("backend", "former", "somebody"))
KEYS = [OWN.public_key(), FORMER.public_key()]
A, B = b"A" * 16, b"B" * 16


def device_at(next_seq: int, **other: Any) -> Device:
    """A device of which the journal has the frames below `next_seq`, the newest as entry 50."""
    fields = {"id": A, "chain": CHAIN if next_seq else b"", "last_entry": 50 if next_seq else 0}
    return Device(
        public_key=bytes(32),
        site="",
        status="active",
        next_seq=next_seq,
        prev=bytes(32),
        **(fields | other),
    )


def ack_of(
    next_seq: int,
    *,
    device: bytes = A,
    chain: bytes = CHAIN,
    key: Ed25519PrivateKey = OWN,
    head: bytes = bytes(32),
) -> bytes:
    return seal_ack(Ack(device=device, chain=chain, next_seq=next_seq, verdicts=[], head=head), key)


@pytest.mark.parametrize(
    ("device", "message", "is_proof"),
    [
        pytest.param(device_at(3), ack_of(4), True, id="it covers more"),
        pytest.param(device_at(3), ack_of(4, head=b""), True, id="in version 1"),
        pytest.param(device_at(3), ack_of(4, key=FORMER), True, id="by the key before this one"),
        pytest.param(device_at(0), ack_of(1), True, id="the journal has no frame of it"),
        pytest.param(device_at(3), ack_of(3), False, id="it covers as much"),
        pytest.param(device_at(3), ack_of(1), False, id="it is old"),
        pytest.param(device_at(3), ack_of(4, key=OTHER), False, id="another key signed it"),
        pytest.param(device_at(3), ack_of(4, device=B), False, id="it is another gateway's"),
        pytest.param(device_at(3), ack_of(4, chain=b"chain-00"), False, id="of a former chain"),
        pytest.param(
            device_at(0, chain=CHAIN), ack_of(4, chain=b"chain-00"), False, id="of another outbox"
        ),
        pytest.param(device_at(3), ack_of(4)[:-1], False, id="it is cut off"),
        pytest.param(device_at(3), b"", False, id="it is nothing"),
    ],
)
def test_what_proves_that_the_journal_has_forgotten_frames(
    device: Device, message: bytes, *, is_proof: bool
) -> None:
    assert bool(opened_beyond(device, message, KEYS)) is is_proof


class StoppedWriter:
    """What the evidence touches of a writer."""

    def __init__(self) -> None:
        self.degradation = Degradation()


def evidence_in(folder: Path, writer: StoppedWriter, loss_entry: int = 0) -> AckEvidence:
    return AckEvidence(
        writer,  # type: ignore[arg-type]
        KEYS,
        lost=AckFile(folder / "lost.acks"),
        accepted=AckFile(folder / "accepted.acks"),
        loss_entry=loss_entry,
        how_to_go_on="go on",
    )


def test_a_proof_stops_everything_and_is_kept_for_the_next_start(tmp_path: Path) -> None:
    writer = StoppedWriter()
    evidence = evidence_in(tmp_path, writer)
    evidence.take(device_at(3), ack_of(5))
    evidence.take(device_at(3), ack_of(9))
    evidence.take(device_at(3), ack_of(7))
    assert writer.degradation.stops(DegradedPart.HISTORY)
    assert "2 frames of gateway" in writer.degradation.obstacle
    lost = AckFile(tmp_path / "lost.acks")
    (said,) = proven_losses(lost, {A: device_at(3)}, KEYS)
    assert "6 frames of gateway" in said
    assert "up to number 8, and the journal ends with number 2" in said
    assert proven_losses(lost, {A: device_at(9)}, KEYS) == [], "a newer backup has them all"
    assert proven_losses(lost, {}, KEYS) == []


def test_after_an_accepted_loss_no_gateway_stops_anything_with_what_it_had_before(
    tmp_path: Path,
) -> None:
    """Not even one that shows it only later, while it sends again what it still has."""
    writer = StoppedWriter()
    evidence = evidence_in(tmp_path, writer, loss_entry=60)
    evidence.take(device_at(3), ack_of(9))
    assert not writer.degradation
    again = evidence_in(tmp_path, writer, loss_entry=60)
    again.take(device_at(5, last_entry=70), ack_of(9))
    assert not writer.degradation
    again.take(device_at(5, last_entry=70), ack_of(10))
    assert writer.degradation.stops(DegradedPart.HISTORY), "a frame was stored since, and acked"


def test_what_was_found_in_the_background_does_not_take_the_place_of_a_proof(
    tmp_path: Path,
) -> None:
    writer = StoppedWriter()
    evidence_in(tmp_path, writer).take(device_at(3), ack_of(5))
    writer.degradation.enter(DegradedPart.HISTORY, "an entry was changed", stops=False)
    assert "2 frames of gateway" in writer.degradation.obstacle
    other = Degradation()
    other.enter(DegradedPart.HISTORY, "an entry was changed", stops=False)
    assert (str(other), other.obstacle) == ("an entry was changed", "")


def test_a_file_of_acks_that_was_damaged_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "lost.acks").write_bytes(ack_of(5)[:-3])
    with pytest.raises(WireError):
        AckFile(tmp_path / "lost.acks")


acks = st.tuples(
    st.integers(0, 12),
    st.sampled_from([A, B]),
    st.sampled_from([CHAIN, b"chain-00"]),
    st.sampled_from([OWN, FORMER, OTHER]),
)


@given(has=st.integers(1, 8), shown=st.lists(acks, max_size=6))
def test_only_an_own_ack_of_more_than_the_journal_has_ever_stops_it(
    tmp_path_factory: pytest.TempPathFactory, has: int, shown: list[Any]
) -> None:
    writer = StoppedWriter()
    evidence = evidence_in(tmp_path_factory.mktemp("acks"), writer)
    is_proven = False
    for next_seq, device, chain, key in shown:
        evidence.take(device_at(has), ack_of(next_seq, device=device, chain=chain, key=key))
        is_own = (device, chain) == (A, CHAIN) and key is not OTHER
        is_proven |= is_own and next_seq > has
        assert writer.degradation.stops(DegradedPart.HISTORY) is is_proven
