"""The allocation rules: who received how much of whose energy in one interval.

The order of the participants does not matter: all of it is done by ascending id.

Missing energy is not counted as zero. The interval is then provisional, and only that part of the
known energy is allocated which no missing consumer can still claim. The claim of a missing consumer
is held back: the most that its connection can carry in the interval (`ceiling_uwh`). If that is
unknown, proportional sharing holds everything back. A missing producer adds nothing, so what it
turns out to have produced can only raise what consumers get. When the missing energy is known, the
same rule gives the final allocation, and the difference is a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.rounding import apportion
from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM


class MeteredFlow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What a meter exported, or imported, in one interval.

    `energy_uwh` is None if, and only if, the quality is missing. `factor_ppm` is the part of it
    that takes part in sharing. `ceiling_uwh` is the most that it can have been, None if unknown.
    """

    id: str
    energy_uwh: int | None
    quality: Quality = Quality.MEASURED
    factor_ppm: int = WHOLE_PPM
    ceiling_uwh: int | None = None


class ProducerEnergy(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What became of a producer's energy: `offered == given + held + surplus`.

    Of a missing producer `offered_uwh` is None and the others are 0.
    """

    id: str
    offered_uwh: int | None
    given_uwh: int
    held_uwh: int
    surplus_uwh: int
    quality: Quality


class ConsumerEnergy(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What a consumer received, at most `consumed_uwh`: its consumption that takes part.

    `share_uwh` is what the key sets aside before that cap, None in a mode without shares. A missing
    consumer has neither `consumed_uwh` nor `received_uwh`, and `held_uwh` is held back for it. A
    consumer whose energy only the grid operator knows has no `consumed_uwh`.
    """

    id: str
    consumed_uwh: int | None
    share_uwh: int | None
    received_uwh: int | None
    held_uwh: int
    quality: Quality


class AllocationPair(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The energy of one producer that one consumer used."""

    producer: str
    consumer: str
    energy_uwh: int


class AllocatedEnergy(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The allocated energy of an interval: `offered == allocated + held + surplus`.

    `pairs` are the pairs with energy, by producer and then by consumer. They add up to what was
    allocated less `uncovered_uwh`: what a grid operator allocated beyond the known offers.
    """

    quality: Quality
    producers: list[ProducerEnergy]
    consumers: list[ConsumerEnergy]
    pairs: list[AllocationPair]
    uncovered_uwh: int


def of_slot(qualities: Iterable[Quality]) -> Quality:
    """Return the quality of what follows from all of them: the worst, and at least provisional.

    Without any quality the result is measured, because nothing is unknown.
    """
    return max(Quality.PROVISIONAL, min(qualities, default=Quality.MEASURED))


def part_of(energy_uwh: int, factor_ppm: int) -> int:
    """Return the part of an energy that takes part in sharing, rounded down."""
    return energy_uwh * factor_ppm // WHOLE_PPM


def by_shares(
    producers: Iterable[MeteredFlow],
    consumers: Iterable[MeteredFlow],
    shares_ppm: Mapping[str, int],
) -> AllocatedEnergy:
    """Allocate by the modes `static` and `time_varying`: each consumer has its share.

    What a consumer does not use of its share is surplus, and no other consumer gets it (ElWOG 2010
    § 16e (3); RD 244/2019 annex I). What the shares leave below 100 % is surplus, too. A consumer
    that the key does not name has no share.
    """
    exporting, importing = _ordered(producers), _ordered(consumers)
    offered_uwh = sum(_participating(flow) or 0 for flow in exporting)
    shares = [shares_ppm.get(flow.id, 0) for flow in importing]
    rest_ppm = WHOLE_PPM - sum(shares)
    assert rest_ppm >= 0, "shares were checked to be 100 % at most"
    parts_uwh = apportion(offered_uwh, [*shares, rest_ppm])[: len(importing)]
    received = [
        _received(flow, share_uwh, share_uwh)
        for flow, share_uwh in zip(importing, parts_uwh, strict=True)
    ]
    return _attributed(exporting, received)


def by_consumption(
    producers: Iterable[MeteredFlow], consumers: Iterable[MeteredFlow]
) -> AllocatedEnergy:
    """Allocate by the mode `dynamic`: in proportion to consumption.

    The smaller of what was offered and what was consumed is allocated (ElWOG 2010 § 16e (3); EnWG
    § 42b (5); TIAD, "energia elettrica condivisa").
    """
    exporting, importing = _ordered(producers), _ordered(consumers)
    offered_uwh = sum(_participating(flow) or 0 for flow in exporting)
    claims_uwh = [_claim(flow) for flow in importing]
    if any(claim_uwh is None for claim_uwh in claims_uwh):
        return _all_held(exporting, importing)
    known_uwh = [claim_uwh or 0 for claim_uwh in claims_uwh]
    parts_uwh = apportion(min(offered_uwh, sum(known_uwh)), known_uwh)
    received = [
        _received(flow, part_uwh, None) for flow, part_uwh in zip(importing, parts_uwh, strict=True)
    ]
    return _attributed(exporting, received)


def as_imported(
    producers: Iterable[MeteredFlow],
    consumers: Iterable[MeteredFlow],
    allocated_uwh: Mapping[str, int],
) -> AllocatedEnergy:
    """Allocate by the mode `imported`: what the grid operator says that each consumer received.

    No consumer gets more than it consumed. A consumer for which the operator has no figure is
    missing, whatever the gateway measured.
    """
    exporting, importing = _ordered(producers), _ordered(consumers)
    received = []
    for flow in importing:
        part_uwh = allocated_uwh.get(flow.id)
        if part_uwh is None:
            received.append(
                ConsumerEnergy(
                    id=flow.id,
                    consumed_uwh=None,
                    share_uwh=None,
                    received_uwh=None,
                    held_uwh=0,
                    quality=Quality.MISSING,
                )
            )
        elif flow.energy_uwh is None:  # only the grid operator knows this consumer's energy
            received.append(
                ConsumerEnergy(
                    id=flow.id,
                    consumed_uwh=None,
                    share_uwh=None,
                    received_uwh=part_uwh,
                    held_uwh=0,
                    quality=Quality.PROVISIONAL,
                )
            )
        else:
            received.append(_received(flow, part_uwh, None))
    return _attributed(exporting, received)


def _ordered(flows: Iterable[MeteredFlow]) -> list[MeteredFlow]:
    return sorted(flows, key=lambda flow: flow.id)


def _participating(flow: MeteredFlow) -> int | None:
    return None if flow.energy_uwh is None else part_of(flow.energy_uwh, flow.factor_ppm)


def _claim(flow: MeteredFlow) -> int | None:
    """Return the most that a consumer can claim, None if that is unknown."""
    most_uwh = flow.ceiling_uwh if flow.energy_uwh is None else flow.energy_uwh
    return None if most_uwh is None else part_of(most_uwh, flow.factor_ppm)


def _received(flow: MeteredFlow, part_uwh: int, share_uwh: int | None) -> ConsumerEnergy:
    claim_uwh = _claim(flow)
    capped_uwh = part_uwh if claim_uwh is None else min(part_uwh, claim_uwh)
    if flow.energy_uwh is None:
        return ConsumerEnergy(
            id=flow.id,
            consumed_uwh=None,
            share_uwh=share_uwh,
            received_uwh=None,
            held_uwh=capped_uwh,
            quality=Quality.MISSING,
        )
    return ConsumerEnergy(
        id=flow.id,
        consumed_uwh=claim_uwh,
        share_uwh=share_uwh,
        received_uwh=capped_uwh,
        held_uwh=0,
        quality=flow.quality,
    )


def _all_held(
    exporting: Sequence[MeteredFlow], importing: Sequence[MeteredFlow]
) -> AllocatedEnergy:
    """Hold everything back, because the claim of a missing consumer has no bound."""
    producers = []
    for flow in exporting:
        offered_uwh = _participating(flow)
        producers.append(
            ProducerEnergy(
                id=flow.id,
                offered_uwh=offered_uwh,
                given_uwh=0,
                held_uwh=offered_uwh or 0,
                surplus_uwh=0,
                quality=flow.quality,
            )
        )
    consumers = []
    for flow in importing:
        consumed_uwh = _participating(flow)
        nothing = None if consumed_uwh is None else 0
        consumers.append(
            ConsumerEnergy(
                id=flow.id,
                consumed_uwh=consumed_uwh,
                share_uwh=None,
                received_uwh=nothing,
                held_uwh=0,
                quality=flow.quality,
            )
        )
    return AllocatedEnergy(
        quality=Quality.PROVISIONAL,
        producers=producers,
        consumers=consumers,
        pairs=[],
        uncovered_uwh=0,
    )


def _attributed(
    exporting: Sequence[MeteredFlow], received: list[ConsumerEnergy]
) -> AllocatedEnergy:
    """Take what was received and held back from the producers, in proportion to their offers."""
    offers_uwh = [_participating(flow) for flow in exporting]
    known_uwh = [offer_uwh or 0 for offer_uwh in offers_uwh]
    wanted_uwh = sum(line.received_uwh or 0 for line in received)
    allocated_uwh = min(wanted_uwh, sum(known_uwh))
    given_uwh = apportion(allocated_uwh, known_uwh)
    left_uwh = [known - given for known, given in zip(known_uwh, given_uwh, strict=True)]
    held_uwh = apportion(min(sum(line.held_uwh for line in received), sum(left_uwh)), left_uwh)
    producers = [
        ProducerEnergy(
            id=flow.id,
            offered_uwh=offer,
            given_uwh=given,
            held_uwh=held,
            surplus_uwh=left - held,
            quality=flow.quality,
        )
        for flow, offer, given, left, held in zip(
            exporting, offers_uwh, given_uwh, left_uwh, held_uwh, strict=True
        )
    ]
    quality = of_slot([*(flow.quality for flow in exporting), *(line.quality for line in received)])
    pairs = pair_up(
        [(line.id, line.given_uwh) for line in producers],
        [(line.id, line.received_uwh or 0) for line in received],
    )
    return AllocatedEnergy(
        quality=quality,
        producers=producers,
        consumers=received,
        pairs=pairs,
        uncovered_uwh=wanted_uwh - allocated_uwh,
    )


def pair_up(
    producers: Sequence[tuple[str, int]], consumers: Sequence[tuple[str, int]]
) -> list[AllocationPair]:
    """Return who received how much from whom: all consumers in the same proportion from each.

    `producers` are (id, µWh given) and `consumers` (id, µWh received), both by ascending id. What
    each producer gave is apportioned over what the consumers still have to get, so the sums of both
    sides are exact. A meter that gave or received nothing may be left out.
    """
    needs_uwh = [energy_uwh for _, energy_uwh in consumers]
    given_uwh = sum(energy_uwh for _, energy_uwh in producers)
    if sum(needs_uwh) != given_uwh:  # the operator allocated more than was offered
        needs_uwh = apportion(given_uwh, needs_uwh)
    pairs = []
    for producer, energy_uwh in producers:
        if not energy_uwh:
            continue
        parts_uwh = apportion(energy_uwh, needs_uwh)
        for index, part_uwh in enumerate(parts_uwh):
            if part_uwh:
                pairs.append(
                    AllocationPair(
                        producer=producer, consumer=consumers[index][0], energy_uwh=part_uwh
                    )
                )
                needs_uwh[index] -= part_uwh
    return pairs
