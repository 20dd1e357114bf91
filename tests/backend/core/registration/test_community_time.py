"""The operator sets the community's time back; nothing goes on waiting for the wrong time."""

from __future__ import annotations

import pytest
from tests.backend.interval_village import FIRST_MS, GRACE_MS, IntervalVillage
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, reading

from gridtokenx_backend.core.messages.clock_records import ClockCommand, ClockConfirmed
from gridtokenx_backend.core.messages.inputs import (
    TokenCommand,
    clearing_input,
    clock_input,
    parse,
    token_input,
)
from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    IntervalCleared,
    OrderAccepted,
    Result,
)
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_backend.core.state.community import restore

YEARS_MS = 10 * 365 * 24 * HOUR_MS


def set_time(village: Village, at_ms: int) -> Result:
    command = ClockCommand(time_ms=at_ms, reason="the clock was wrong")
    return village.apply(clock_input(command), at_ms)


@pytest.mark.parametrize("wrong_ms", [HOUR_MS, 24 * HOUR_MS, YEARS_MS])
def test_orders_are_taken_again_after_a_wrong_time_was_set_back(
    village: Village, wrong_ms: int
) -> None:
    village.give_grid(village.north, "ABB-1", 5 * KWH)
    village.tick(START_MS + wrong_ms)
    outcome = set_time(village, START_MS + 1000)
    assert outcome == ClockConfirmed(from_ms=START_MS + wrong_ms, to_ms=START_MS + 1000)
    order = village.anna.order("a", "sell", "1", "0.2", issued_ms=START_MS + 1000)
    assert isinstance(village.tell(order), OrderAccepted)


def test_what_sets_the_time_back_is_read_again_as_it_was_written() -> None:
    given = clock_input(ClockCommand(time_ms=START_MS, reason="the clock was wrong"))
    assert parse("clock", given.raw) == given


def test_a_time_ahead_changes_nothing_but_the_time(village: Village) -> None:
    before = village.community.snapshot()
    set_time(village, START_MS + HOUR_MS)
    village.community.at_ms, village.community.entries = START_MS, 1
    village.community.newest_rules = 2
    assert village.community.snapshot() == before


def test_clearing_goes_on_with_the_interval_that_is_running() -> None:
    village = IntervalVillage()
    wrong_ms = START_MS + 24 * HOUR_MS
    community = village.community
    while community.clear_due_ms <= wrong_ms:
        village.apply(clearing_input(community.cleared_ms), wrong_ms)
    set_time(village, START_MS)
    assert community.cleared_ms == FIRST_MS
    due_ms = FIRST_MS + INTERVAL_MS + GRACE_MS
    outcome = village.apply(clearing_input(FIRST_MS), due_ms)
    assert isinstance(outcome, IntervalCleared)


def test_tokens_and_retiring_devices_do_not_wait_for_the_wrong_time(village: Village) -> None:
    community = village.community
    expires_ms = START_MS + YEARS_MS + HOUR_MS
    command = TokenCommand(action="issue", token="ab" * 32, site="lane 1", expires_ms=expires_ms)
    village.apply(token_input(command), START_MS + YEARS_MS)
    device = community.devices[village.north.device]
    device.retire_ms = START_MS + YEARS_MS + 24 * HOUR_MS
    set_time(village, START_MS)
    (token,) = community.tokens.values()
    assert token.expires_ms == START_MS + 30 * 24 * HOUR_MS
    assert device.retire_ms == START_MS + community.active_terms.rotation_overlap_ms


def test_a_meter_whose_gateway_was_wrong_as_well_begins_anew_and_mints_nothing_twice(
    village: Village,
) -> None:
    village.send(village.north, reading("ABB-1", START_MS, 0))
    village.at_ms = START_MS + YEARS_MS
    village.send(village.north, reading("ABB-1", START_MS + YEARS_MS, 5 * KWH))
    minted, _ = village.grid(village.anna)
    set_time(village, START_MS + HOUR_MS)
    first_ms = START_MS + HOUR_MS + 1000
    village.at_ms = first_ms
    outcome = village.send(village.north, reading("ABB-1", first_ms, 6 * KWH))
    assert isinstance(outcome, FrameAccepted)
    assert outcome.verdicts == []
    assert village.grid(village.anna)[0] == minted
    later_ms = first_ms + HOUR_MS
    village.at_ms = later_ms
    village.send(village.north, reading("ABB-1", later_ms, 7 * KWH))
    assert village.grid(village.anna)[0] == minted + KWH


def test_an_owner_who_changed_in_the_wrong_time_changed_when_it_was_set_back(
    village: Village,
) -> None:
    terms = village.document["meter"]
    meter = village.community.meters["ABB-1"]
    for at_ms, owner in ((YEARS_MS, "ben"), (YEARS_MS + HOUR_MS, "cleo")):
        village.at_ms = START_MS + at_ms
        village.configure(meter=[terms[0] | {"owner": owner}, terms[1]])
    set_time(village, START_MS + HOUR_MS)
    owners = [meter.owner_at(START_MS + hours * HOUR_MS) for hours in (0, 2)]
    assert owners == [village.anna.wallet, village.cleo.wallet]
    village.at_ms = START_MS + 3 * HOUR_MS
    village.configure(meter=terms)
    owners = [meter.owner_at(START_MS + hours * HOUR_MS) for hours in (0, 2, 3)]
    assert owners == [village.anna.wallet, village.cleo.wallet, village.anna.wallet]


def test_a_snapshot_keeps_what_was_final_when_the_time_was_set_back(village: Village) -> None:
    village.community.sharing.final_ms = START_MS
    set_time(village, START_MS)
    assert restore(village.community.snapshot()).sharing.final_ms == START_MS
