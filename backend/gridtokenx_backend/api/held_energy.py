"""Energy that is held: what waits for the operator, and the decision on it."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import SETTLEMENT_REFUSALS
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND
from gridtokenx_backend.api.settlement import operate
from gridtokenx_backend.api.settlement_views import HeldDecisionView, OwnerEnergyView, by_owner
from gridtokenx_backend.core.messages.held_outcomes import HeldDecision
from gridtokenx_backend.core.model.held_energy import HeldEnergy, HoldReason
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.settlement import DecideHeld
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.units import format_kwh


class HeldStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a meter's registers, between two readings, that may never have been measured.

    `reason` is jump or rollback (refused readings went on from where they were) or first_reading
    (the first reading was zero, or the first stretch brought more than the terms allow).
    """

    reason: HoldReason
    from_ms: int
    to_ms: int
    owner: str
    surplus_kwh: str


class HeldEnergyView(msgspec.Struct, frozen=True, kw_only=True):
    """The energy of one meter that is held since the journal's entry `since_entry`.

    `later` is what the meter has counted at its usual pace after the first step, by owner.
    """

    meter: str
    since_entry: int
    steps: list[HeldStepView]
    later: list[OwnerEnergyView]
    total_kwh: str


class HeldDecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision on what is held, as it was looked up.

    `since_entry` and `steps` (their number) say what is decided on: what has changed since is not.
    """

    decision: HeldDecision
    since_entry: int
    steps: int
    reason: str


@get(
    "/v1/operator/held",
    guards=[operator_only],
    **operation("list_held_energy", "List energy that is held", Tag.OPERATION, Access.OPERATOR),
)
async def held_energy(backend: NamedDependency[Backend]) -> list[HeldEnergyView]:
    """Return the meters whose energy is held, in the order of their ids."""
    async with backend.writer.durable_state() as community:
        return [_view(meter, held) for meter, held in held_meters(community)]


@post(
    "/v1/operator/held/{meter:str}",
    **OPERATOR_COMMAND,
    **operation(
        "decide_held_energy",
        "Release or void energy that is held",
        Tag.OPERATION,
        Access.OPERATOR,
        SETTLEMENT_REFUSALS,
    ),
)
async def decide_held_energy(
    backend: NamedDependency[Backend], meter: FromPath[str], data: JSONBody[HeldDecisionBody]
) -> HeldDecisionView:
    """Release or void the energy of a meter that is held."""
    command = DecideHeld(
        meter=meter,
        entry=data.since_entry,
        steps=data.steps,
        decision=data.decision,
        reason=data.reason,
    )
    view = await operate(backend, command)
    assert isinstance(view, HeldDecisionView)
    return view


def held_meters(community: Community) -> list[tuple[Meter, HeldEnergy]]:
    """Return the meters whose energy is held, in the order of their ids, with what it is."""
    found = []
    for name in sorted(community.held_meters):
        meter = community.meters[name]
        assert meter.guard is not None
        assert meter.guard.held is not None
        found.append((meter, meter.guard.held))
    return found


def _view(meter: Meter, held: HeldEnergy) -> HeldEnergyView:
    steps = [
        HeldStepView(
            reason=step.reason,
            from_ms=step.from_ms,
            to_ms=step.to_ms,
            owner=step.owner,
            surplus_kwh=format_kwh(step.surplus_uwh),
        )
        for step in held.steps
    ]
    return HeldEnergyView(
        meter=meter.id,
        since_entry=held.entry,
        steps=steps,
        later=by_owner(held.later_uwh),
        total_kwh=format_kwh(held.total_uwh),
    )
