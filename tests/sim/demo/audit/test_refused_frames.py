"""The audit of frames that the journal keeps by their hash, which the core itself has refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.backend.core.minting.test_refused_frames import Double

from gridtokenx_sim.demo.audit import frame_checks
from gridtokenx_sim.demo.audit.evidence import Evidence, Outbox
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.records import Entry
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_wire.keys import raw_public_key

CHECKS = (
    frame_checks.frames_are_signed,
    frame_checks.frame_chains_are_gapless,
    frame_checks.no_frame_is_stored_twice,
    frame_checks.outboxes_hold_the_rest,
)


class Refused:
    """The evidence of a gateway that sent a good frame, two refused ones, and a good one again."""

    def __init__(self) -> None:
        double = Double()
        self.gateway = double.sender.gateway
        double.apply(double.sender.first())
        for kind in ("unbound", "mixed"):
            double.village.at_ms += 60_000
            double.apply(double.sender.frame(kind))
        double.village.at_ms += 60_000
        double.apply(double.sender.frame("good"))
        self.rows: list[dict[str, Any]] = [
            {
                **{name: getattr(entry, name) for name in ("seq", "at_ms", "kind", "leaf_hash")},
                **{name: getattr(entry, name) for name in ("previous", "salt", "input")},
                "raw_leaf": entry.leaf,
                "raw_outcome": entry.outcome,
            }
            for entry in double.entries
        ]
        self.sent = list(self.gateway.sent)

    def evidence(self) -> Evidence:
        """What an audit would read of it; the gateway still holds its newest two frames."""
        evidence = Evidence(Folder(Path()))
        gateway, newest = self.gateway, list(enumerate(self.sent))[-2:]
        outbox = Outbox(device=gateway.device, chain=gateway.chain, frames=newest)
        evidence.__dict__ |= {
            "entries": [Entry(**row) for row in self.rows],
            "device_keys": {gateway.device: raw_public_key(gateway.key.public_key())},
            "outboxes": [outbox],
        }
        return evidence


def test_refused_frames_pass_and_their_readings_are_counted() -> None:
    refused = Refused()
    assert [row["kind"] for row in refused.rows] == ["frame", "refused", "refused", "frame"]
    assert [check(refused.evidence()) for check in CHECKS] == [
        "2 signatures of 1 devices",
        "1 chains, 4 frames",
        "4 frames, 3 accepted readings",
        "0 frames wait to be sent",
    ]
    assert frame_checks.verdict_counts(refused.evidence()) == (3, 400, 0)


@pytest.mark.parametrize("row", [1, 2])
def test_a_hash_that_is_not_the_frames_is_found_by_the_frame_behind_it(row: int) -> None:
    with pytest.raises(Violation, match="does not follow the one before it"):
        frame_checks.frame_chains_are_gapless(with_another_hash(row).evidence())


def test_a_hash_that_is_not_the_frames_is_found_by_the_gateway_that_holds_it() -> None:
    with pytest.raises(Violation, match="its frame 2 is another than the journal's"):
        frame_checks.outboxes_hold_the_rest(with_another_hash(2).evidence())


def with_another_hash(row: int) -> Refused:
    refused = Refused()
    frame = Entry(**refused.rows[row]).refused_frame
    changed = refused.rows[row]["input"].replace(frame.frame_hash, bytes(32))
    refused.rows[row]["input"] = changed
    return refused


def test_a_refused_frame_that_is_missing_or_stored_twice_is_found() -> None:
    refused = Refused()
    refused.rows.append(refused.rows[1] | {"seq": 9})
    with pytest.raises(Violation, match="its frame was stored before"):
        frame_checks.no_frame_is_stored_twice(refused.evidence())
    del refused.rows[1]
    with pytest.raises(Violation, match="expected the chain's frame 1"):
        frame_checks.frame_chains_are_gapless(refused.evidence())


def test_an_outcome_with_another_number_of_readings_is_found() -> None:
    refused = Refused()
    refused.rows[1]["raw_outcome"] = refused.rows[1]["raw_outcome"][:-2] + b"\xcc\xc9"
    with pytest.raises(Violation, match="its outcome is not that of its frame"):
        frame_checks.verdict_counts(refused.evidence())
