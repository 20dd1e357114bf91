"""Entries: the leaf, its hash, and the commitment to what it does not say."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from tests.backend.village import START_MS, Village, frame_input, reading

from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, Ticked
from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer
from gridtokenx_backend.core.model.rules_version import RULES_VERSION
from gridtokenx_backend.journal.entry import (
    SALT_BYTES,
    commit,
    decode_leaf,
    decode_outcome,
    leaf_hash,
    make_entry,
)

# transparency-dev/merkle@417fb0c testonly/constants.go and rfc6962/rfc6962_test.go
RFC6962_LEAVES = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
    ("10", "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7"),
    ("2021", "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7"),
    ("3031", "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
    ("40414243", "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658"),
    ("5051525354555657", "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"),
    (
        "606162636465666768696a6b6c6d6e6f",
        "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    ),
    (b"L123456".hex(), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"),
]


@pytest.mark.parametrize(("leaf", "expected"), RFC6962_LEAVES)
def test_the_leaf_hash_is_that_of_rfc_6962(leaf: str, expected: str) -> None:
    assert leaf_hash(bytes.fromhex(leaf)).hex() == expected


def test_the_commitment_is_what_the_docstring_says() -> None:
    salt = bytes(range(SALT_BYTES))
    by_hand = hashlib.sha256(salt + bytes([0] * 7 + [5]) + b"input" + b"outcome").hexdigest()
    assert commit(salt, b"input", b"outcome") == by_hand


@pytest.mark.parametrize(
    ("salt", "input_", "outcome"),
    [
        (b"\1" + bytes(15), b"input", b"outcome"),
        (bytes(16), b"Input", b"outcome"),
        (bytes(16), b"input", b"Outcome"),
        (bytes(16), b"inputo", b"utcome"),  # the length keeps the two apart
        (bytes(16), b"", b"inputoutcome"),
    ],
)
def test_nothing_else_gives_the_same_commitment(salt: bytes, input_: bytes, outcome: bytes) -> None:
    assert commit(salt, input_, outcome) != commit(bytes(16), b"input", b"outcome")


def test_a_leaf_tells_the_movements_and_nothing_of_the_frame(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", 7)
    input_ = frame_input(village.north.next([reading("ABB-1", START_MS + 1000, 1507)]))
    outcome = village.apply(input_)
    assert isinstance(outcome, FrameAccepted)
    entry = make_entry(village.community.entries, START_MS, input_, outcome, bytes(16))
    mint = Movement(asset=GRID, debit=issuer(GRID), credit=village.anna.wallet, amount=1500)
    leaf = decode_leaf(entry.leaf)
    assert (leaf.v, leaf.seq, leaf.at_ms, leaf.kind) == (2, entry.seq, START_MS, "frame")
    assert leaf.movements == [mint]
    assert leaf.commitment == commit(bytes(16), input_.raw, entry.outcome)
    assert entry.leaf_hash == leaf_hash(entry.leaf)
    assert entry.input == input_.raw
    assert decode_outcome(entry.outcome) == outcome
    public = msgspec.json.decode(entry.leaf)
    assert set(public) == {"v", "seq", "at_ms", "kind", "rules", "movements", "commitment"}
    assert b"ABB-1" not in entry.leaf


def test_a_leaf_names_the_rules_and_one_of_version_1_is_made_again_as_it_was() -> None:
    entry = make_entry(1, START_MS, TickInput(), Ticked(orders=[]), bytes(16))
    assert decode_leaf(entry.leaf).rules == RULES_VERSION
    first = make_entry(1, START_MS, TickInput(), Ticked(orders=[]), bytes(16), leaf_version=1)
    assert "rules" not in msgspec.json.decode(first.leaf)
    assert (decode_leaf(first.leaf).v, decode_leaf(first.leaf).rules) == (1, 1)
    assert first.outcome == entry.outcome


def test_equal_entries_with_other_salts_have_unrelated_leaves() -> None:
    one, two = (
        make_entry(1, START_MS, TickInput(), Ticked(orders=[]), bytes([n]) * 16) for n in (1, 2)
    )
    assert one.leaf_hash != two.leaf_hash
    assert (one.input, one.outcome) == (two.input, two.outcome)
