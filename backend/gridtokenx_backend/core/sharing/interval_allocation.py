"""Allocates intervals by the community's key when they are cleared, and moves what follows from it.

An interval is allocated at its own clearing, and again at the next clearing after something of it
became known or changed: a late reading, a correction, the operator's decision on energy that was
held, the grid operator's file. The new allocation takes the place of the old one and names the
entry that it corrects, and the ledger moves the difference. What a producer cannot give because its
GRID is not minted yet waits for the next clearing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.messages.sharing_outcomes import (
    Allocation,
    ConsumerAllocation,
    ProducerAllocation,
)
from gridtokenx_backend.core.model import sharing_price
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.model.ledger import GRID, GRX, Movement
from gridtokenx_backend.core.model.local_time import offset_ms
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.rounding import apportion
from gridtokenx_backend.core.model.sharing_keys import (
    Participation,
    SharingKey,
    active_key,
    factor_at,
    interval_shares,
)
from gridtokenx_backend.core.model.sharing_state import GridOperatorEnergy, SharedInterval
from gridtokenx_backend.core.sharing import transfers
from gridtokenx_backend.core.sharing.allocation import (
    AllocatedEnergy,
    MeteredFlow,
    as_imported,
    by_consumption,
    by_shares,
)
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.units import energy_limit_uwh


class IntervalAllocations(NamedTuple):
    """The allocations of one clearing, and the token movements that follow from them."""

    allocations: list[Allocation]
    movements: list[Movement]


def allocate(community: Community, interval_ms: int) -> IntervalAllocations:
    """Allocate the interval, and again the earlier ones of which something changed.

    What is final is forgotten.
    """
    state = community.sharing
    state.forget(interval_ms + INTERVAL_MS - community.limits.finality_ms)
    changed = {*state.new_readings, *state.new_reports}
    allocations: list[Allocation] = []
    movements: list[Movement] = []
    for each_ms in sorted({*changed, *state.waiting, interval_ms}):
        if each_ms > interval_ms:  # its own clearing is still to come
            continue
        key = active_key(state.keys, each_ms)
        if key is None or each_ms < state.final_ms:
            state.new_readings.pop(each_ms, None)
            state.new_reports.pop(each_ms, None)
            continue
        is_new = each_ms == interval_ms or each_ms in changed
        settled = _settle(community, each_ms, key, is_new=is_new)
        if settled is not None:
            allocation, moved = settled
            allocations.append(allocation)
            movements += moved
    return IntervalAllocations(allocations, movements)


def _settle(
    community: Community, interval_ms: int, key: SharingKey, *, is_new: bool
) -> tuple[Allocation, list[Movement]] | None:
    """Allocate one interval as it is known now, and move the difference to what was moved.

    Return None where that is nothing to journal: something of the interval waited to be minted, and
    all of it still does. By rules version 1 such an interval got a revision all the same.
    """
    state = community.sharing
    interval = state.take(interval_ms)
    allocated = allocated_now(community, interval_ms, key, interval)
    if interval.revision < 0:
        interval.price_ugrx = _price(community, allocated)
    lines_out, lines_in = _priced(community, interval_ms, allocated, interval.price_ugrx)
    movements, waiting_uwh = _move(community, interval_ms, interval, allocated, lines_out, lines_in)
    if waiting_uwh:
        state.waiting[interval_ms] = None
    else:
        state.waiting.pop(interval_ms, None)
    is_unchanged = not (is_new or movements)
    if is_unchanged and waiting_uwh and community.rules >= 2:
        return None
    corrects = interval.entry
    interval.revision += 1
    interval.entry = community.entries + 1
    state.store(interval_ms, interval)
    if is_unchanged and community.rules < 2:
        return None
    return (
        Allocation(
            interval_ms=interval_ms,
            revision=interval.revision,
            corrects=corrects,
            key=key.version,
            mode=key.mode,
            quality=allocated.quality,
            price_ugrx=interval.price_ugrx,
            producers=lines_out,
            consumers=lines_in,
            uncovered_uwh=allocated.uncovered_uwh,
            waiting_uwh=waiting_uwh,
            paid_ugrx=dict(interval.paid),
        ),
        movements,
    )


def allocated_now(
    community: Community, interval_ms: int, key: SharingKey, interval: SharedInterval
) -> AllocatedEnergy:
    """Return how an interval is allocated by what is known of it now."""
    producers, consumers = _flows(community, interval_ms, interval)
    if key.mode == "imported":
        made = [_generated(flow, interval.operators.get(flow.id)) for flow in producers]
        used = [_consumed(flow, interval.operators.get(flow.id)) for flow in consumers]
        producers = [flow for flow in made if flow is not None]
        consumers = [flow for flow in used if flow is not None]
    return _allocate(community, interval_ms, key, interval, producers, consumers)


def _flows(
    community: Community, interval_ms: int, interval: SharedInterval
) -> tuple[list[MeteredFlow], list[MeteredFlow]]:
    """Return what every meter exported and imported, as its gateway says.

    A meter that is not in use is not missing, nor is one that was not listed yet. But what the grid
    operator says of a meter is of a time when it was in use, and counts. By rules version 1 it did
    not, and what was listed later was missing.

    Energy that is held is not offered until the operator has decided: it may never have been there.
    """
    is_dated = community.rules >= 2
    reported = interval.operators if is_dated else {}
    producers, consumers = [], []
    factors: dict[str, list[Participation]] = {}
    for version in community.sharing.participation:
        factors.setdefault(version.meter, []).append(version)
    for meter in community.meters.values():
        is_known = meter.id in interval.readings or meter.id in reported
        is_listed = meter.listed_ms <= interval_ms or not is_dated
        if not (is_known or (meter.rules.active and is_listed)):
            continue
        factor_ppm = factor_at(factors.get(meter.id, []), interval_ms)
        if not factor_ppm:
            continue
        reading = interval.readings.get(meter.id)
        rules = meter.rules
        ceiling_uwh = energy_limit_uwh(rules.max_power_w, INTERVAL_MS) + rules.resolution_uwh
        quality = Quality.MISSING if reading is None else Quality(reading.quality)
        imported_uwh = None if reading is None else reading.import_uwh
        offered_uwh, offer_quality = _offer(meter, reading)
        producers.append(
            MeteredFlow(
                id=meter.id,
                energy_uwh=offered_uwh,
                quality=offer_quality,
                factor_ppm=factor_ppm,
                ceiling_uwh=ceiling_uwh,
            )
        )
        consumers.append(
            MeteredFlow(
                id=meter.id,
                energy_uwh=imported_uwh,
                quality=quality,
                factor_ppm=factor_ppm,
                ceiling_uwh=ceiling_uwh,
            )
        )
    return producers, consumers


def _offer(meter: Meter, reading: IntervalEnergy | None) -> tuple[int | None, Quality]:
    """Return what a meter exported in an interval and is not held, and how well that is known."""
    if reading is None:
        return None, Quality.MISSING
    held = meter.guard.held if meter.guard is not None else None
    if held is None or not held.concerns(reading.interval_ms):
        return reading.export_uwh, Quality(reading.quality)
    return held.unheld_uwh(reading.interval_ms, reading.export_uwh), Quality.PROVISIONAL


def _generated(flow: MeteredFlow, reported: GridOperatorEnergy | None) -> MeteredFlow | None:
    """Return a producer with the grid operator's figure in place of the gateway's, if it has one.

    Return None if the operator has only other figures of the meter, and the gateway has none.
    """
    if reported is None:
        return flow
    if reported.generated_uwh is None:
        return None if flow.energy_uwh is None else flow
    return MeteredFlow(
        id=flow.id, energy_uwh=reported.generated_uwh, quality=Quality(reported.quality)
    )


def _consumed(flow: MeteredFlow, reported: GridOperatorEnergy | None) -> MeteredFlow | None:
    """Return a consumer with the grid operator's figure in place of the gateway's, if it has one.

    Return None if the operator says what the meter consumed, but not what it received.
    """
    if reported is None:
        return flow
    if reported.received_uwh is None:
        return None if reported.consumed_uwh is None else flow
    quality = Quality(reported.quality)
    if reported.consumed_uwh is not None:
        return MeteredFlow(id=flow.id, energy_uwh=reported.consumed_uwh, quality=quality)
    return flow if flow.energy_uwh is None else msgspec.structs.replace(flow, quality=quality)


def _allocate(
    community: Community,
    interval_ms: int,
    key: SharingKey,
    interval: SharedInterval,
    producers: Iterable[MeteredFlow],
    consumers: Iterable[MeteredFlow],
) -> AllocatedEnergy:
    match key.mode:
        case "dynamic":
            return by_consumption(producers, consumers)
        case "imported":
            received_uwh = {
                meter: operators.received_uwh
                for meter, operators in interval.operators.items()
                if operators.received_uwh is not None
            }
            return as_imported(producers, consumers, received_uwh)
        case "static" | "time_varying":
            zone = community.active_terms.time_zone
            local_ms = interval_ms + offset_ms(zone, interval_ms)
            return by_shares(producers, consumers, interval_shares(key, interval_ms, local_ms))


def _price(community: Community, allocated: AllocatedEnergy) -> int:
    offered_uwh = sum(line.offered_uwh or 0 for line in allocated.producers)
    consumed_uwh = sum(line.consumed_uwh or 0 for line in allocated.consumers)
    return sharing_price.interval_price(
        community.active_terms.sharing.price, offered_uwh, consumed_uwh
    )


def _priced(
    community: Community, interval_ms: int, allocated: AllocatedEnergy, price_ugrx: int
) -> tuple[list[ProducerAllocation], list[ConsumerAllocation]]:
    """Return the lines of the allocation with what producers earn and consumers owe.

    What the consumers owe is divided over what the producers gave. Energy that no known producer
    covers costs nothing until it is known whose it was.
    """
    meters = community.meters
    covered_uwh: dict[str, int] = {}
    for pair in allocated.pairs:
        covered_uwh[pair.consumer] = covered_uwh.get(pair.consumer, 0) + pair.energy_uwh
    lines_in = [
        ConsumerAllocation(
            meter=line.id,
            wallet=meters[line.id].owner_at(interval_ms),
            consumed_uwh=line.consumed_uwh,
            share_uwh=line.share_uwh,
            received_uwh=line.received_uwh,
            held_uwh=line.held_uwh,
            cost_ugrx=sharing_price.value(covered_uwh.get(line.id, 0), price_ugrx),
            quality=line.quality,
        )
        for line in allocated.consumers
        if line.consumed_uwh != 0 or line.received_uwh
    ]
    cost_ugrx = sum(line.cost_ugrx for line in lines_in)
    earned_ugrx = apportion(cost_ugrx, [line.given_uwh for line in allocated.producers])
    lines_out = [
        ProducerAllocation(
            meter=line.id,
            wallet=meters[line.id].owner_at(interval_ms),
            offered_uwh=line.offered_uwh,
            given_uwh=line.given_uwh,
            held_uwh=line.held_uwh,
            surplus_uwh=line.surplus_uwh,
            earned_ugrx=earned,
            quality=line.quality,
        )
        for line, earned in zip(allocated.producers, earned_ugrx, strict=True)
        if line.offered_uwh != 0 or (line.quality == Quality.PROVISIONAL and community.rules >= 2)
    ]
    return lines_out, lines_in


def _move(
    community: Community,
    interval_ms: int,
    interval: SharedInterval,
    allocated: AllocatedEnergy,
    lines_out: list[ProducerAllocation],
    lines_in: list[ConsumerAllocation],
) -> tuple[list[Movement], int]:
    """Move energy, and money if the terms say so, as one linked list.

    Return the movements, and the energy that waits until it is minted.
    """
    ledger, meters = community.ledger, community.meters
    gives, takes = _by_wallet(interval_ms, allocated, meters)
    moved = transfers.energy(
        gives, takes, interval.gave, interval.took, lambda wallet: ledger.available(wallet, GRID)
    )
    movements = moved.movements
    paid = interval.paid
    if community.active_terms.sharing.settle == "grx" and not moved.waiting_uwh:
        owed: dict[str, int] = {}
        for line in lines_in:
            owed[line.wallet] = owed.get(line.wallet, 0) + line.cost_ugrx
        for out in lines_out:
            owed[out.wallet] = owed.get(out.wallet, 0) - out.earned_ugrx
        payments, paid = transfers.money(
            owed, interval.paid, lambda wallet: ledger.available(wallet, GRX)
        )
        movements = movements + payments
    refusal = ledger.post(movements)
    assert refusal is None, "every source was covered"
    interval.gave, interval.took, interval.paid = moved.gave, moved.took, paid
    return movements, moved.waiting_uwh


def _by_wallet(
    interval_ms: int, allocated: AllocatedEnergy, meters: Mapping[str, Meter]
) -> tuple[dict[str, int], dict[str, int]]:
    gives: dict[str, int] = {}
    takes: dict[str, int] = {}
    for pair in allocated.pairs:
        giver = meters[pair.producer].owner_at(interval_ms)
        taker = meters[pair.consumer].owner_at(interval_ms)
        gives[giver] = gives.get(giver, 0) + pair.energy_uwh
        takes[taker] = takes.get(taker, 0) + pair.energy_uwh
    return gives, takes
