"""What a start finds lost, as a table: each finding is told, and nothing else is one."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_backend.continuity.journal_head import JournalHead, open_head, seal_head
from gridtokenx_backend.continuity.losses import FoundState, find_losses
from gridtokenx_wire.ack import Ack, seal_ack
from gridtokenx_wire.errors import WireError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEAD = JournalHead(seq=23, leaf_hash=b"\x23" * 32, at_ms=1_782_036_000_000, frames=14, trades=3)
WHOLE = FoundState(
    last_seq=24,
    last_ms=1_782_036_001_000,
    leaf_hash=HEAD.leaf_hash,
    head=HEAD,
    head_fault="",
    known={"ack": "K1", "ca": "C1", "head": "kept"},
    ack_keys=["K1"],
    ca="C1",
    series_seq=24,
)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="all is there"),
        pytest.param({"last_seq": 23, "series_seq": 23}, id="the head is the newest entry"),
        pytest.param({"series_seq": 0}, id="the series is to be built again"),
        pytest.param({"ack_keys": ["K2", "K1"]}, id="the ack key was changed by rotation"),
        pytest.param({"known": {}, "head": None}, id="an older version kept no head"),
        pytest.param({"known": {}, "head": None, "last_seq": 0, "series_seq": 0}, id="new"),
        pytest.param({"known": {"ack": "K1"}}, id="a CA was made since"),
    ],
)
def test_what_is_whole_has_no_finding(changes: dict[str, object]) -> None:
    assert find_losses(msgspec.structs.replace(WHOLE, **changes)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"last_seq": 3, "leaf_hash": b""},
            "the journal ends with entry 3 of 2026-06-21 10:00:01 UTC, and journal.head was signed "
            "for entry 23 of 2026-06-21 10:00:00 UTC with 14 frames and 3 trades in all: 20 "
            "entries are lost",
            id="entries were cut off",
        ),
        pytest.param({"last_seq": 0, "leaf_hash": b""}, "with no entry", id="emptied"),
        pytest.param({"last_seq": 22, "leaf_hash": b""}, "1 entry is lost", id="one entry"),
        pytest.param({"leaf_hash": bytes(32)}, "the journal is another one", id="other entries"),
        pytest.param({"head": None}, "journal.head is lost", id="the head was deleted"),
        pytest.param(
            {"head": None, "head_fault": "expected a signature by the ack key"},
            "journal.head cannot be relied on",
            id="the head was changed",
        ),
        pytest.param({"series_seq": 30}, "intervals.db knows entry 30", id="the series is ahead"),
        pytest.param({"ack_keys": ["K9"]}, "ack.key is lost: expected K1", id="another ack key"),
        pytest.param({"ca": ""}, "the CA is lost: expected", id="the CA was deleted"),
        pytest.param({"ca": "C9"}, "got C9", id="another CA"),
    ],
)
def test_each_loss_is_told_in_one_sentence(changes: dict[str, object], said: str) -> None:
    (found,) = find_losses(msgspec.structs.replace(WHOLE, **changes))
    assert said in found
    assert "\n" not in found


def test_a_head_comes_back_as_it_was_under_any_of_the_keys() -> None:
    others = [Ed25519PrivateKey.generate().public_key(), KEY.public_key()]
    assert open_head(seal_head(HEAD, KEY), others) == HEAD


def test_a_head_with_any_bit_changed_is_refused() -> None:
    sealed = seal_head(HEAD, KEY)
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(WireError):
            open_head(bytes(changed), [KEY.public_key()])


def test_an_ack_of_the_same_key_is_no_head() -> None:
    ack = seal_ack(Ack(device=bytes(16), chain=bytes(8), next_seq=3, verdicts=[]), KEY)
    with pytest.raises(WireError):
        open_head(ack, [KEY.public_key()])
