"""The operator's word on the community's time: the only way for it to run backwards.

A wrong clock may have put the time years ahead. What was decided then stays decided: orders that
expired, intervals that were cleared. What would go on waiting for the wrong time ends here.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market import timetable
from gridtokenx_backend.core.messages.clock_records import ClockCommand, ClockConfirmed
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.zones import interval_of
from gridtokenx_backend.core.oracle import registers
from gridtokenx_backend.core.state.community import Community

LONGEST_TOKEN_MS = 30 * 24 * 3_600_000
"""No one-time token is issued for longer."""


def confirm_time(community: Community, command: ClockCommand) -> ClockConfirmed:
    """Take the operator's time; the next entries have it or a later one."""
    from_ms, to_ms = community.at_ms, command.time_ms
    if to_ms < from_ms:
        _set_back(community, to_ms)
    return ClockConfirmed(from_ms=from_ms, to_ms=to_ms)


def _set_back(community: Community, to_ms: int) -> None:
    # An instruction issued before to_ms may have been carried out and forgotten in the wrong time.
    community.forgotten_ms = min(community.forgotten_ms, to_ms)
    _clear_again(community, to_ms)
    community.market.trading.set_back(to_ms)
    for token in community.tokens.values():
        token.expires_ms = min(token.expires_ms, to_ms + LONGEST_TOKEN_MS)
    overlap_ms = community.active_terms.rotation_overlap_ms
    for device in community.devices.values():
        device.retire_ms = min(device.retire_ms, to_ms + overlap_ms)
    for meter in community.meters.values():
        _date_owners(meter, to_ms)
        if meter.last_ms > to_ms + community.limits.future_tolerance_ms:
            _begin_anew(meter, to_ms)


def _date_owners(meter: Meter, to_ms: int) -> None:
    """Let owners who changed in the wrong time have changed in the interval of `to_ms`."""
    until_ms = interval_of(to_ms)
    former = [each for each in meter.former_owners if each.until_ms < until_ms]
    if ahead := meter.former_owners[len(former) :]:
        former.append(msgspec.structs.replace(ahead[0], until_ms=until_ms))
        meter.former_owners = tuple(former)
    meter.owners_from_ms = min(meter.owners_from_ms, until_ms)
    meter.first_ms = min(meter.first_ms, to_ms)
    meter.listed_ms = min(meter.listed_ms, until_ms)
    meter.unlisted_ms = min(meter.unlisted_ms, until_ms)


def _begin_anew(meter: Meter, to_ms: int) -> None:
    """Make the next reading of a meter, whose gateway's clock was wrong as well, a new baseline."""
    registers.begin_anew(meter)
    assert meter.past is not None
    meter.past.changed_ms = to_ms


def _clear_again(community: Community, to_ms: int) -> None:
    """Go on with the interval that is running now; what was cleared of it then is done again.

    What sharing has forgotten because it was final stays final.
    """
    rules = community.active_terms.interval
    if not (rules.enabled and community.cleared_ms):
        return
    forgotten_ms = community.cleared_ms - community.limits.finality_ms
    sharing = community.sharing
    sharing.final_ms = max(sharing.final_ms, min(forgotten_ms, interval_of(to_ms)))
    first_ms = timetable.first_to_clear(rules, to_ms)
    community.cleared_ms = min(community.cleared_ms, first_ms)
