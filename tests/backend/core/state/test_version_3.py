"""A community that knows only rules of version 1 has the snapshot that it always had."""

from __future__ import annotations

import msgspec
import pytest
from tests.backend.village import (
    START_MS,
    Gateway,
    Village,
    convert_terms,
    frame_input,
    reading,
)

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import TickInput, configuration_input
from gridtokenx_backend.core.messages.outcomes import FrameRefused
from gridtokenx_backend.core.state import snapshot, version_3
from gridtokenx_backend.core.state.community import Community, restore


def community_by(rules: int) -> Community:
    """A community with a member and a meter; its last entry is by these rules."""
    community = Community()
    terms = configuration_input(convert_terms(Village().document))
    machine.apply(community, terms, START_MS, 1)
    machine.apply(community, TickInput(), START_MS, rules)
    return community


@pytest.mark.parametrize(("rules", "version"), [(1, 3), (2, 4)])
def test_the_rules_of_the_newest_entry_decide_on_the_form(rules: int, version: int) -> None:
    community = community_by(rules)
    stored = community.snapshot()
    assert snapshot.version_of(stored) == version
    again = restore(stored)
    assert again.newest_rules == rules
    assert again.snapshot() == stored


def test_a_refusal_by_newer_rules_leaves_the_form_as_it_is() -> None:
    community = community_by(1)
    before = community.snapshot()
    stranger = frame_input(Gateway("stranger").seal([reading("ABB-1", START_MS)]))
    assert isinstance(machine.apply(community, stranger, START_MS, 2), FrameRefused)
    assert community.snapshot() == before


def test_rules_never_go_back() -> None:
    community = community_by(2)
    with pytest.raises(AssertionError):
        machine.apply(community, TickInput(), START_MS, 1)


@pytest.mark.parametrize("record", [snapshot.State, snapshot.Meter, snapshot.Device])
def test_fields_that_came_later_stand_at_the_end_and_have_a_default(
    record: type[msgspec.Struct],
) -> None:
    fields = msgspec.structs.fields(record)
    later = fields[version_3.FIELDS[record.__name__] :]
    assert all(not field.required for field in later)
