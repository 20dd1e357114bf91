"""One interval: exports, imports and a rule give who received how much of whose energy.

The order of participants does not matter: all of it is done by ascending id.

What is missing is not taken for zero. The slot is provisional, and of the known energy only that
is allocated which nobody missing can still claim: a missing consumer's claim is held back, at the
most that its connection can carry in the interval (its `ceiling_uwh`; if that is unknown, in
proportional sharing, everything is held back). A missing producer adds nothing, so that whatever
it turns out to have produced can only raise what consumers get. When the missing energy comes, the
same rule gives the final allocation, and the difference is a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.rounding import apportion
from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM


class MeteredFlow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What a meter gave to the grid, or took from it, in one interval.

    `energy_uwh` is None if, and only if, the quality is missing. `factor_ppm` is how much of it
    takes part. `ceiling_uwh` is the most that it can have been, None if nobody knows.
    """

    id: str
    energy_uwh: int | None
    quality: Quality = Quality.MEASURED
    factor_ppm: int = WHOLE_PPM
    ceiling_uwh: int | None = None


class ProducerEnergy(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """`offered == given + held + surplus`, or, of a missing producer, all None and zeros."""

    id: str
    offered_uwh: int | None
    given_uwh: int
    held_uwh: int
    surplus_uwh: int
    quality: Quality


class ConsumerEnergy(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """`received_uwh` is at most `consumed_uwh`, the part of the consumption that takes part.

    `share_uwh` is what the key sets aside before that cap; None in a mode that has no shares. A
    missing consumer has None for all but it, and `held_uwh` is held back for it; one that the grid
    operator knows and the gateway does not has no `consumed_uwh` either.
    """

    id: str
    consumed_uwh: int | None
    share_uwh: int | None
    received_uwh: int | None
    held_uwh: int
    quality: Quality


class AllocationPair(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Energy of one producer that one consumer used."""

    producer: str
    consumer: str
    energy_uwh: int


class AllocatedEnergy(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """`offered == allocated + held + surplus`, all in µWh.

    `pairs` are those with energy, by producer and then by consumer; they add up to the allocation
    less `uncovered_uwh`: what a grid operator allocated beyond what the known producers offered.
    """

    quality: Quality
    producers: list[ProducerEnergy]
    consumers: list[ConsumerEnergy]
    pairs: list[AllocationPair]
    uncovered_uwh: int


def of_slot(qualities: Iterable[Quality]) -> Quality:
    """The quality of what follows from all of them: the worst; with anything missing provisional.

    Of nothing at all nothing is unknown.
    """
    return max(Quality.PROVISIONAL, min(qualities, default=Quality.MEASURED))


def part_of(energy_uwh: int, factor_ppm: int) -> int:
    """The part that takes part, rounded down: the rest, and the fraction, stay outside."""
    return energy_uwh * factor_ppm // WHOLE_PPM


def by_shares(
    producers: Iterable[MeteredFlow],
    consumers: Iterable[MeteredFlow],
    shares_ppm: Mapping[str, int],
) -> AllocatedEnergy:
    """`static`, and `time_varying` with the interval's shares: each consumer has its part.

    What is left of a share, because its consumer used less, is surplus and nobody else's (ElWOG
    2010 § 16e (3); RD 244/2019 annex I). So is what the shares leave below 100 %. A consumer that
    the key does not name has no share.
    """
    giving, taking = _ordered(producers), _ordered(consumers)
    offered_uwh = sum(_participating(flow) or 0 for flow in giving)
    shares = [shares_ppm.get(flow.id, 0) for flow in taking]
    rest_ppm = WHOLE_PPM - sum(shares)
    assert rest_ppm >= 0, "shares were checked to be 100 % at most"
    parts_uwh = apportion(offered_uwh, [*shares, rest_ppm])[: len(taking)]
    received = [
        _received(flow, share_uwh, share_uwh)
        for flow, share_uwh in zip(taking, parts_uwh, strict=True)
    ]
    return _attributed(giving, received)


def by_consumption(
    producers: Iterable[MeteredFlow], consumers: Iterable[MeteredFlow]
) -> AllocatedEnergy:
    """`dynamic`: the smaller of what was offered and what was consumed, pro rata to consumption.

    (ElWOG 2010 § 16e (3); EnWG § 42b (5); TIAD, "energia elettrica condivisa".)
    """
    giving, taking = _ordered(producers), _ordered(consumers)
    offered_uwh = sum(_participating(flow) or 0 for flow in giving)
    claims_uwh = [_claim(flow) for flow in taking]
    if any(claim_uwh is None for claim_uwh in claims_uwh):
        return _all_held(giving, taking)
    known_uwh = [claim_uwh or 0 for claim_uwh in claims_uwh]
    parts_uwh = apportion(min(offered_uwh, sum(known_uwh)), known_uwh)
    received = [
        _received(flow, part_uwh, None) for flow, part_uwh in zip(taking, parts_uwh, strict=True)
    ]
    return _attributed(giving, received)


def as_imported(
    producers: Iterable[MeteredFlow],
    consumers: Iterable[MeteredFlow],
    allocated_uwh: Mapping[str, int],
) -> AllocatedEnergy:
    """`imported`: what the grid operator says that each consumer received, capped all the same.

    A consumer of whom it says nothing is missing, whatever the gateway measured.
    """
    giving, taking = _ordered(producers), _ordered(consumers)
    received = []
    for flow in taking:
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
        elif flow.energy_uwh is None:  # the operator knows what our gateway does not
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
    return _attributed(giving, received)


def _ordered(flows: Iterable[MeteredFlow]) -> list[MeteredFlow]:
    return sorted(flows, key=lambda flow: flow.id)


def _participating(flow: MeteredFlow) -> int | None:
    return None if flow.energy_uwh is None else part_of(flow.energy_uwh, flow.factor_ppm)


def _claim(flow: MeteredFlow) -> int | None:
    """The most that a consumer can have a claim to; None if nobody knows."""
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


def _all_held(giving: Sequence[MeteredFlow], taking: Sequence[MeteredFlow]) -> AllocatedEnergy:
    """Somebody's claim has no bound: nothing can be allocated without taking it from them."""
    producers = []
    for flow in giving:
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
    for flow in taking:
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


def _attributed(giving: Sequence[MeteredFlow], received: list[ConsumerEnergy]) -> AllocatedEnergy:
    """Charges what was received and held back to the producers, pro rata to what they offered."""
    offers_uwh = [_participating(flow) for flow in giving]
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
            giving, offers_uwh, given_uwh, left_uwh, held_uwh, strict=True
        )
    ]
    quality = of_slot([*(flow.quality for flow in giving), *(line.quality for line in received)])
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
    given: Sequence[tuple[str, int]], received: Sequence[tuple[str, int]]
) -> list[AllocationPair]:
    """Every consumer is served by every producer in the same proportion; both sums are exact.

    Both are (id, µWh) by id. Producer by producer: what it gave is apportioned over what the
    consumers still have to get. Whoever gave or received nothing may be left out.
    """
    needs_uwh = [energy_uwh for _, energy_uwh in received]
    given_uwh = sum(energy_uwh for _, energy_uwh in given)
    if sum(needs_uwh) != given_uwh:  # an operator's figure that nobody's offer covers
        needs_uwh = apportion(given_uwh, needs_uwh)
    pairs = []
    for producer, energy_uwh in given:
        if not energy_uwh:
            continue
        parts_uwh = apportion(energy_uwh, needs_uwh)
        for index, part_uwh in enumerate(parts_uwh):
            if part_uwh:
                pairs.append(
                    AllocationPair(
                        producer=producer, consumer=received[index][0], energy_uwh=part_uwh
                    )
                )
                needs_uwh[index] -= part_uwh
    return pairs
