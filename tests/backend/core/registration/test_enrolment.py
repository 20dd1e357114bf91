"""How gateways come, change their key and go, as the core decides it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.backend.newcomers import DAY_MS, SITE, Gate, refusal
from tests.backend.village import (
    CHAIN,
    HOUR_MS,
    START_MS,
    Gateway,
    Village,
    device_terms,
    member_terms,
    meter_terms,
    reading,
)

from gridtokenx_backend.core.messages.device_outcomes import (
    DeviceApproved,
    DeviceEnrolled,
    DeviceRevoked,
    DeviceRotated,
    TokenChanged,
)
from gridtokenx_backend.core.messages.outcomes import (
    AlreadyEnrolled,
    DevicesRetired,
    FrameAccepted,
    FrameRefused,
    Result,
    Ticked,
)
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal, FrameRefusal
from gridtokenx_backend.core.registration.enrolment import MAX_TOKENS
from gridtokenx_backend.core.state.community import restore
from gridtokenx_wire.verdict import Reason

NO = EnrolmentRefusal
Attempt = Callable[[], Result]
EAST, WEST = Gateway("east"), Gateway("west")


@pytest.fixture
def gate(village: Village) -> Gate:
    return Gate(village)


def heard(village: Village, gateway: Gateway, *meters: str) -> list[int] | FrameRefusal:
    """The verdicts on a reading of each meter, or why the frame was not taken."""
    readings = [reading(meter, village.at_ms) for meter in meters]
    result = village.send(gateway, *readings)
    if isinstance(result, FrameRefused):
        return result.reason
    assert isinstance(result, FrameAccepted)
    refused = dict(result.verdicts)
    return [refused.get(index, Reason.ACCEPTED) for index in range(len(meters))]


# --- tokens -------------------------------------------------------------------------------------


def test_a_token_lets_one_key_in_and_answers_it_again(village: Village, gate: Gate) -> None:
    assert isinstance(gate.issue("t"), TokenChanged)
    east = Gateway("east")
    assert gate.enrol(east, "t") == DeviceEnrolled(device=east.device, site=SITE, status="active")
    entries = village.community.entries
    assert gate.enrol(east, "t") == AlreadyEnrolled(east.device)
    assert refusal(gate.enrol(WEST, "t")) is NO.TOKEN_USED
    assert village.community.entries == entries
    assert heard(village, east, "ABB-9") == [Reason.UNBOUND_METER]


def expired(gate: Gate) -> Attempt:
    gate.issue("t", hours=1)
    gate.village.at_ms += HOUR_MS
    return lambda: gate.enrol(EAST, "t")


def withdrawn(gate: Gate) -> Attempt:
    gate.issue("t")
    assert isinstance(gate.withdraw("t"), TokenChanged)
    return lambda: gate.enrol(EAST, "t")


def revoked_key(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.revoke(EAST)
    gate.issue("t")
    return lambda: gate.enrol(EAST, "t")


def revoked_since(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.revoke(EAST)
    return lambda: gate.enrol(EAST, EAST.name)


def elsewhere(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.issue("t", "Lane 2")
    return lambda: gate.enrol(EAST, "t")


def used_withdrawal(gate: Gate) -> Attempt:
    gate.admit(EAST)
    return lambda: gate.withdraw(EAST.name)


def too_many(gate: Gate) -> Attempt:
    for number in range(MAX_TOKENS):
        gate.issue(f"t{number}")
    return lambda: gate.issue("one more")


def same_again(gate: Gate) -> Attempt:
    gate.issue("t")
    return lambda: gate.issue("t")


def follow_stranger(gate: Gate) -> Attempt:
    return lambda: gate.rotate(EAST, WEST)


def follow_revoked(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.revoke(EAST)
    return lambda: gate.rotate(EAST, WEST)


def follow_pending(gate: Gate) -> Attempt:
    gate.admit(WEST)
    gate.admit(EAST)
    return lambda: gate.rotate(EAST, Gateway("other"))


def follow_with_a_known_key(gate: Gate) -> Attempt:
    gate.admit(EAST)
    return lambda: gate.rotate(EAST, gate.village.north)


def follow_with_a_revoked_key(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.admit(WEST, "Lane 2")
    gate.revoke(WEST)
    return lambda: gate.rotate(EAST, WEST)


def follow_twice(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.rotate(EAST, WEST)
    return lambda: gate.rotate(EAST, Gateway("other"))


def approve_active(gate: Gate) -> Attempt:
    gate.admit(EAST)
    return lambda: gate.approve(EAST)


def approve_revoked(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.revoke(EAST)
    return lambda: gate.approve(EAST)


def revoke_twice(gate: Gate) -> Attempt:
    gate.admit(EAST)
    gate.revoke(EAST)
    return lambda: gate.revoke(EAST)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda gate: lambda: gate.enrol(EAST, "t"), NO.UNKNOWN_TOKEN),
        (lambda gate: lambda: gate.withdraw("t"), NO.UNKNOWN_TOKEN),
        (expired, NO.TOKEN_EXPIRED),
        (withdrawn, NO.TOKEN_WITHDRAWN),
        (used_withdrawal, NO.TOKEN_USED),
        (same_again, NO.TOKEN_USED),
        (too_many, NO.TOO_MANY_TOKENS),
        (revoked_key, NO.DEVICE_REVOKED),
        (revoked_since, NO.DEVICE_REVOKED),
        (elsewhere, NO.DEVICE_ELSEWHERE),
        (follow_stranger, NO.UNKNOWN_DEVICE),
        (follow_revoked, NO.DEVICE_REVOKED),
        (follow_pending, NO.DEVICE_PENDING),
        (follow_with_a_known_key, NO.DEVICE_ELSEWHERE),
        (follow_with_a_revoked_key, NO.DEVICE_REVOKED),
        (follow_twice, NO.ALREADY_FOLLOWED),
        (lambda gate: lambda: gate.approve(EAST), NO.UNKNOWN_DEVICE),
        (approve_active, NO.DEVICE_ACTIVE),
        (approve_revoked, NO.DEVICE_REVOKED),
        (lambda gate: lambda: gate.revoke(EAST), NO.UNKNOWN_DEVICE),
        (revoke_twice, NO.DEVICE_REVOKED),
    ],
)
def test_what_is_refused_changes_nothing(
    gate: Gate, prepare: Callable[[Gate], Attempt], reason: EnrolmentRefusal
) -> None:
    attempt = prepare(gate)
    before = gate.village.community.snapshot()
    assert refusal(attempt()) is reason
    assert gate.village.community.snapshot() == before


def test_a_used_token_is_remembered_for_a_week_after_it_expires(
    village: Village, gate: Gate
) -> None:
    gate.admit(EAST)
    village.tick(START_MS + 8 * DAY_MS - 1)
    assert gate.enrol(EAST, EAST.name) == AlreadyEnrolled(EAST.device)
    village.tick(START_MS + 8 * DAY_MS)
    assert refusal(gate.enrol(EAST, EAST.name)) is NO.UNKNOWN_TOKEN


# --- sites --------------------------------------------------------------------------------------


def at_sites() -> Village:
    """North at Lane 1 with a meter of its own; a second meter is the site's."""
    village = Village()
    village.configure(
        device=[device_terms(village.north, site=SITE)],
        meter=[
            meter_terms("ABB-1", village.north, village.anna),
            meter_terms("ABB-2", village.north, village.ben) | {"device": "", "site": SITE},
        ],
    )
    return village


def test_a_second_gateway_waits_until_it_is_approved_in_place_of_the_first() -> None:
    village = at_sites()
    gate, east, north = Gate(village), Gateway("east", b"chain-02"), village.north
    assert heard(village, north, "ABB-1", "ABB-2") == [Reason.ACCEPTED] * 2
    assert gate.admit(east) == DeviceEnrolled(device=east.device, site=SITE, status="pending")
    assert heard(village, east, "ABB-1") is FrameRefusal.PENDING_DEVICE
    assert gate.approve(east) == DeviceApproved(east.device, [north.device])
    village.at_ms += HOUR_MS
    assert heard(village, north, "ABB-1") is FrameRefusal.REVOKED_DEVICE
    east.seq, east.prev = 0, bytes(32)
    # It has the site's meters, and the one that was bound to what it replaces.
    assert heard(village, east, "ABB-2", "ABB-1") == [Reason.ACCEPTED] * 2


def test_a_gateway_may_work_beside_another_with_the_sites_meters_only() -> None:
    village = at_sites()
    gate, east = Gate(village), Gateway("east")
    gate.admit(east)
    assert gate.approve(east, beside=True) == DeviceApproved(east.device, [])
    assert heard(village, east, "ABB-1", "ABB-2") == [Reason.UNBOUND_METER, Reason.ACCEPTED]
    village.at_ms += HOUR_MS
    assert heard(village, village.north, "ABB-1", "ABB-2") == [Reason.ACCEPTED] * 2


def test_a_gateway_of_another_site_does_not_speak_for_a_sites_meters() -> None:
    village = at_sites()
    east = Gateway("east")
    Gate(village).admit(east, "Lane 2")
    assert heard(village, east, "ABB-1", "ABB-2") == [Reason.UNBOUND_METER] * 2


def test_an_enrolled_gateway_outlives_changes_of_the_terms_and_a_restart(
    village: Village, gate: Gate
) -> None:
    east = Gateway("east")
    gate.admit(east)
    village.configure(member=[*village.document["member"], member_terms(village.cleo)][:3])
    village.community = restore(village.community.snapshot())
    assert heard(village, east, "ABB-9") == [Reason.UNBOUND_METER]
    assert gate.enrol(east, east.name) == AlreadyEnrolled(east.device)


def test_what_the_operator_revoked_stays_so_whatever_the_terms_say(
    village: Village, gate: Gate
) -> None:
    assert gate.revoke(village.north, "stolen") == DeviceRevoked(village.north.device)
    village.configure()
    assert gate.status(village.north) == "revoked"
    assert village.community.devices[village.north.device].why == "stolen"


def test_a_listed_gateway_may_be_given_a_certificate_with_a_token() -> None:
    village = at_sites()
    gate = Gate(village)
    assert gate.admit(village.north) == DeviceEnrolled(
        device=village.north.device, site=SITE, status="active"
    )
    assert village.community.devices[village.north.device].origin == "config"


# --- rotation -----------------------------------------------------------------------------------


def test_both_keys_are_heard_until_the_overlap_after_the_new_ones_first_frame() -> None:
    village = at_sites()
    village.configure(rotation={"overlap_hours": 2})
    gate, north, later = Gate(village), village.north, Gateway("north, later", b"chain-02")
    heard(village, north, "ABB-1")
    assert gate.rotate(north, later) == DeviceRotated(device=later.device, former=north.device)
    assert gate.rotate(north, later) == AlreadyEnrolled(later.device)
    village.tick(START_MS + 30 * DAY_MS)  # nothing runs before the new key is used
    assert heard(village, north, "ABB-1", "ABB-2") == [Reason.ACCEPTED] * 2
    village.at_ms += 1000
    assert heard(village, later, "ABB-1", "ABB-2") == [Reason.ACCEPTED] * 2
    ends_ms = village.at_ms + 2 * HOUR_MS
    assert isinstance(village.tick(ends_ms - 1), Ticked)
    assert heard(village, north, "ABB-1") == [Reason.ACCEPTED]
    assert heard(village, later, "ABB-1") == [Reason.NOT_AFTER_LAST]
    assert village.tick(ends_ms) == DevicesRetired(orders=[], devices=[north.device])
    assert heard(village, north, "ABB-1") is FrameRefusal.REVOKED_DEVICE
    village.at_ms += 1000
    village.configure()  # which still lists the former key
    assert heard(village, north, "ABB-1") is FrameRefusal.REVOKED_DEVICE
    assert heard(village, later, "ABB-1") == [Reason.ACCEPTED]
    assert isinstance(village.tick(), Ticked)


def test_a_meter_follows_a_line_of_keys_and_no_other(village: Village, gate: Gate) -> None:
    second, third = Gateway("second", b"chain-02"), Gateway("third", b"chain-03")
    gate.rotate(village.north, second)
    heard(village, second, "ABB-1")
    gate.rotate(second, third)
    village.at_ms += 1000
    assert heard(village, third, "ABB-1", "ABB-2") == [Reason.ACCEPTED, Reason.UNBOUND_METER]


def test_a_key_that_follows_takes_the_chain_that_it_begins(village: Village, gate: Gate) -> None:
    later = Gateway("later", b"chain-02")
    gate.rotate(village.north, later)
    heard(village, village.north, "ABB-1")
    village.at_ms += 1000
    heard(village, later, "ABB-1")
    devices = village.community.devices
    assert devices[village.north.device].chain == CHAIN
    assert (devices[later.device].chain, devices[later.device].next_seq) == (b"chain-02", 1)
