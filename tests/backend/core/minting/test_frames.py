"""Frames: their place in the chain, verdicts, the mint, and what is remembered of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.village import (
    HOUR_MS,
    KWH,
    NO_NTP,
    START_MS,
    Gateway,
    Village,
    assert_sound,
    device_terms,
    frame_input,
    meter_terms,
    reading,
)

from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.units import MAX_AMOUNT
from gridtokenx_wire.verdict import Reason

NOON = START_MS


def accepted(outcome: object) -> FrameAccepted:
    assert isinstance(outcome, FrameAccepted), outcome
    return outcome


def refused(outcome: object) -> FrameRefused:
    assert isinstance(outcome, FrameRefused), outcome
    return outcome


def baseline(village: Village, export_uwh: int = 5 * KWH, import_uwh: int = 9 * KWH) -> None:
    village.send(village.north, reading("ABB-1", NOON - HOUR_MS, export_uwh, import_uwh))


# --- the chain ----------------------------------------------------------------------------------


def test_every_refusal_hides_those_after_it_and_changes_nothing(village: Village) -> None:
    north, stranger = village.north, Gateway("stranger")
    for hour in (3, 2):
        village.send(north, reading("ABB-1", NOON - hour * HOUR_MS))
    north_terms = device_terms(north)
    frame: dict[str, Any] = {
        "device": stranger.device,
        "chain": b"another.",
        "seq": 0,
        "prev": bytes(32),
    }
    village.configure(device=[north_terms | {"status": "pending"}, device_terms(village.south)])
    village.pause()

    def send() -> FrameRefusal:
        before = village.community.snapshot()
        outcome = village.apply(frame_input(north.seal([reading("ABB-1", NOON)], **frame)))
        assert village.community.snapshot() == before
        return refused(outcome).reason

    assert send() is FrameRefusal.UNKNOWN_DEVICE
    frame["device"] = north.device
    assert send() is FrameRefusal.PENDING_DEVICE
    village.configure(device=[north_terms | {"status": "revoked"}, device_terms(village.south)])
    assert send() is FrameRefusal.REVOKED_DEVICE
    village.configure(device=[north_terms, device_terms(village.south)])
    assert send() is FrameRefusal.ORACLE_PAUSED
    village.pause(False)
    assert send() is FrameRefusal.WRONG_CHAIN
    frame["chain"] = north.chain
    for seq, reason in (
        (0, FrameRefusal.FORKED),
        (1, FrameRefusal.FORKED),
        (2, FrameRefusal.BROKEN_CHAIN),
        (3, FrameRefusal.GAP),
        (2**63 - 1, FrameRefusal.GAP),
    ):
        frame["seq"] = seq
        assert send() is reason, seq
    frame |= {"seq": 2, "prev": north.prev}
    outcome = village.apply(frame_input(north.seal([reading("ABB-1", NOON)], **frame)))
    assert accepted(outcome).seq == 2


@pytest.mark.parametrize(
    ("seq", "reason"), [(0, FrameRefusal.FORKED), (2, FrameRefusal.GAP), (5, FrameRefusal.GAP)]
)
def test_a_refusal_says_where_the_chain_stands(
    village: Village, seq: int, reason: FrameRefusal
) -> None:
    baseline(village)
    outcome = village.apply(frame_input(village.north.seal([reading("ABB-1", NOON)], seq=seq)))
    assert outcome == FrameRefused(
        reason=reason,
        device=village.north.device,
        chain=village.north.chain,
        next_seq=1,
        verdicts=[],
        head=village.north.prev,
    )


@pytest.mark.parametrize("seq", [1, 2**63 - 1])
def test_a_chain_begins_at_seq_0(village: Village, seq: int) -> None:
    outcome = village.apply(frame_input(village.north.seal([reading("ABB-1", NOON)], seq=seq)))
    assert refused(outcome).reason is FrameRefusal.GAP
    assert refused(outcome).next_seq == 0


def test_the_first_frame_follows_none(village: Village) -> None:
    message = village.north.seal([reading("ABB-1", NOON)], prev=b"x" * 32)
    assert refused(village.apply(frame_input(message))).reason is FrameRefusal.BROKEN_CHAIN


def test_the_first_chain_that_comes_is_the_devices_own(village: Village) -> None:
    baseline(village)
    other = Gateway("north", chain=b"chain-02")
    outcome = village.apply(frame_input(other.seal([reading("ABB-1", NOON)])))
    assert refused(outcome).reason is FrameRefusal.WRONG_CHAIN
    assert accepted(village.send(village.north, reading("ABB-1", NOON))).seq == 1


def test_only_the_chain_that_the_terms_name_is_taken() -> None:
    north = Gateway("north", chain=b"chain-02")
    village = Village()
    named = [device_terms(north, chain=b"chain-02".hex()), device_terms(village.south)]
    village.configure(device=named)
    outcome = village.send(village.north, reading("ABB-1", NOON))
    assert refused(outcome).reason is FrameRefusal.WRONG_CHAIN
    assert accepted(village.send(north, reading("ABB-1", NOON))).chain == b"chain-02"


def test_a_frame_names_the_devices_frame_before_it(village: Village) -> None:
    first = accepted(village.send(village.north, reading("ABB-1", NOON - HOUR_MS)))
    entry = village.community.entries
    village.send(village.south, reading("ABB-2", NOON))
    second = accepted(village.send(village.north, reading("ABB-1", NOON)))
    assert (first.previous, second.previous) == (0, entry)


# --- verdicts -----------------------------------------------------------------------------------


def test_only_the_meters_of_the_device_are_taken(village: Village) -> None:
    outcome = village.send(
        village.north,
        reading("ABB-1", NOON),
        reading("ABB-2", NOON),
        reading("ABB-3", NOON),
        reading("ABB-1", NOON + 1000),
    )
    assert accepted(outcome).verdicts == [(1, Reason.UNBOUND_METER), (2, Reason.UNBOUND_METER)]
    assert village.community.counters.accepted == 2


def test_a_refused_reading_is_forgotten_and_the_next_is_judged_without_it(
    village: Village,
) -> None:
    baseline(village)
    outcome = village.send(
        village.north,
        reading("ABB-1", NOON - 1000, 500 * KWH, 9 * KWH),  # a jump
        reading("ABB-1", NOON - 900, 4 * KWH, 9 * KWH),  # back
        reading("ABB-1", NOON, 6 * KWH, 9 * KWH),
    )
    assert accepted(outcome).verdicts == [
        (0, Reason.IMPLAUSIBLE_JUMP),
        (1, Reason.REGISTER_ROLLBACK),
    ]
    assert village.grid(village.anna)[0] == 1 * KWH


def test_an_unsynchronised_frame_is_kept_but_not_minted(village: Village) -> None:
    baseline(village)
    outcome = village.send(village.north, reading("ABB-1", NOON, 6 * KWH, 9 * KWH), clock=NO_NTP)
    assert accepted(outcome).verdicts == [(0, Reason.CLOCK_UNSYNCHRONISED)]
    counters = village.community.counters
    assert (counters.accepted, counters.rejected, counters.quarantined) == (1, 0, 1)
    assert village.grid(village.anna)[0] == 0
    village.send(village.north, reading("ABB-1", NOON + 1, 6 * KWH, 9 * KWH))
    assert village.grid(village.anna)[0] == 1 * KWH  # the register tells it again


def test_verdicts_are_counted_by_reason_and_device(village: Village) -> None:
    for hour, meter in ((3, "ABB-1"), (2, "ABB-2"), (2, "ABB-9")):
        village.send(village.north, reading(meter, NOON - hour * HOUR_MS))
    village.send(village.north, reading("ABB-1", NOON), clock=NO_NTP)
    counters = village.community.counters
    assert counters.refused == {Reason.UNBOUND_METER: 2, Reason.CLOCK_UNSYNCHRONISED: 1}
    assert (counters.frames, counters.accepted, counters.rejected, counters.quarantined) == (
        4,
        1,
        2,
        1,
    )
    device = village.community.devices[village.north.device]
    assert (device.accepted, device.rejected, device.quarantined) == (1, 2, 1)
    assert device.quality_permille == counters.quality_permille == 250
    assert village.community.devices[village.south.device].quality_permille == 1000


def test_a_duplicate_is_told_the_verdicts_from_its_seq_on(village: Village) -> None:
    for hour in range(4):
        meters = ("ABB-1", "ABB-2") if hour % 2 else ("ABB-1",)
        time_ms = NOON + (hour - 9) * HOUR_MS
        village.send(village.north, *(reading(meter, time_ms) for meter in meters))
    for seq, told in (
        (0, [(1, 1, Reason.UNBOUND_METER), (3, 1, Reason.UNBOUND_METER)]),
        (1, [(1, 1, Reason.UNBOUND_METER), (3, 1, Reason.UNBOUND_METER)]),
        (2, [(3, 1, Reason.UNBOUND_METER)]),
        (3, [(3, 1, Reason.UNBOUND_METER)]),
    ):
        outcome = village.apply(frame_input(village.north.sent[seq]))
        assert refused(outcome).verdicts == told


def test_verdicts_of_the_newest_16_frames_are_remembered(village: Village) -> None:
    for second in range(20):
        village.send(village.north, reading("ABB-2", NOON + second * 1000))
    outcome = village.apply(frame_input(village.north.sent[0]))
    assert [seq for seq, _, _ in refused(outcome).verdicts] == list(range(4, 20))


# --- the mint -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "registers", "minted"),
    [
        pytest.param("export", [(5, 9)], [0], id="a baseline mints nothing"),
        pytest.param("export", [(5, 9), (7, 9)], [0, 2], id="what was exported since"),
        pytest.param("export", [(5, 9), (7, 12), (7, 13)], [0, 2, 2], id="import does not count"),
        pytest.param("net", [(5, 9)], [0], id="a net baseline mints nothing"),
        pytest.param("net", [(5, 9), (8, 10)], [0, 2], id="generation less consumption"),
        pytest.param("net", [(5, 9), (6, 12)], [0, 0], id="a deficit mints nothing"),
        pytest.param(
            "net",
            [(5, 9), (8, 10), (8, 12), (10, 12), (11, 12)],
            [0, 2, 2, 2, 3],
            id="and is made good before the next mint",
        ),
    ],
)
def test_surplus_beyond_the_settled_mark_is_minted_once(
    policy: str, registers: list[tuple[int, int]], minted: list[int]
) -> None:
    village = Village()
    terms = meter_terms("ABB-1", village.north, village.anna, policy=policy)
    village.configure(meter=[terms])
    found = []
    for hour, (exported, imported) in enumerate(registers):
        time_ms = NOON + (hour - 9) * HOUR_MS
        village.send(village.north, reading("ABB-1", time_ms, exported * KWH, imported * KWH))
        found.append(village.grid(village.anna)[0] // KWH)
        assert_sound(village.community)
    assert found == minted
    assert village.community.counters.minted_uwh == minted[-1] * KWH


def test_readings_of_one_frame_are_minted_as_one_movement_a_meter(village: Village) -> None:
    meters = [meter_terms(f"ABB-{n}", village.north, village.anna) for n in (1, 2)]
    village.configure(meter=meters)
    minutes = [
        reading(f"ABB-{n}", NOON - HOUR_MS + m * 60_000, m * 100) for m in range(3) for n in (1, 2)
    ]
    outcome = accepted(village.send(village.north, *minutes))
    assert outcome.verdicts == []
    mint = Movement(asset=GRID, debit=issuer(GRID), credit=village.anna.wallet, amount=200)
    assert outcome.movements == [mint, mint]


def test_the_smallest_energy_there_is_is_minted_exactly(village: Village) -> None:
    baseline(village)
    village.send(village.north, reading("ABB-1", NOON, 5 * KWH + 1, 9 * KWH))
    assert village.grid(village.anna) == (1, 0)


def test_what_64_bits_do_not_hold_stays_due() -> None:
    village = Village()
    huge = {"max_power_kw": f"{10**15}", "first_energy_kwh": "9223372036.854775807"}
    village.configure(
        meter=[
            meter_terms("ABB-1", village.north, village.anna, **huge),
            meter_terms("ABB-2", village.south, village.ben, **huge),
        ]
    )
    almost = MAX_AMOUNT - 5
    village.send(
        village.north, Reading(meter="ABB-1", time_ms=NOON - HOUR_MS, import_uwh=0, export_uwh=0)
    )
    village.send(
        village.north, Reading(meter="ABB-1", time_ms=NOON, import_uwh=0, export_uwh=almost)
    )
    village.send(
        village.south, Reading(meter="ABB-2", time_ms=NOON - HOUR_MS, import_uwh=0, export_uwh=0)
    )
    outcome = village.send(
        village.south, Reading(meter="ABB-2", time_ms=NOON - 1000, import_uwh=0, export_uwh=6)
    )
    assert accepted(outcome).verdicts == []
    assert accepted(outcome).movements == []
    assert village.grid(village.ben)[0] == 0
    assert village.community.meters["ABB-2"].settled_uwh == 0
    assert village.grid(village.anna)[0] == almost
    assert_sound(village.community)


def test_imports_of_all_of_a_members_meters_add_up(village: Village) -> None:
    meters = [meter_terms(f"ABB-{n}", village.north, village.anna) for n in (1, 2)]
    village.configure(meter=meters)
    for hour, imported in ((2, 100), (1, 101)):
        time_ms = NOON - hour * HOUR_MS
        pair = [reading(f"ABB-{n}", time_ms, 0, imported * KWH * n // n) for n in (1, 2)]
        village.send(village.north, *pair)
    assert village.community.members[village.anna.wallet].imported_uwh == 2 * KWH
