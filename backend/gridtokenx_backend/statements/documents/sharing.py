"""A member's month by the community's key: energy, money, and the lines that say so.

What is left of the import comes from the utility, and what of the export nobody of the community
received goes to it. In the mode `imported` both begin with the grid operator's figures, because its
allocation rests on them; otherwise with the gateways'.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.sharing_keys import Mode, Participation, factor_at
from gridtokenx_backend.core.model.sharing_terms import SharingTerms
from gridtokenx_backend.core.sharing.allocation import part_of
from gridtokenx_backend.core.sharing.key_versions import moment_ms
from gridtokenx_backend.statements.documents.allocation_pairs import PairSums
from gridtokenx_backend.statements.fold.allocations import (
    AllocatedSlot,
    ConsumerMonth,
    MonthAllocations,
    ProducerMonth,
)
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.operator_figures import UNKNOWN, OperatorFigures
from gridtokenx_backend.statements.model.document import (
    KeyAllocation,
    KeyUsage,
    QualityCounts,
    SharedLine,
)
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month
from gridtokenx_wire.units import format_grx, format_kwh

_NOTHING: array[int] = array("q")


class EntryRange(msgspec.Struct, frozen=True, kw_only=True):
    """The first and the last journal entry behind a sum, and how many there are."""

    first: int = 0
    last: int = 0
    count: int = 0


class SharedEnergy(msgspec.Struct, frozen=True, kw_only=True):
    """What a wallet's metering points received and gave by the key.

    `imports` and `exports` are by meter and interval of the month, `received` by interval.
    """

    imports: list[Sequence[int]]
    exports: list[Sequence[int]]
    received: array[int]
    received_uwh: int
    given_uwh: int
    surplus_uwh: int
    held_uwh: int
    cost_ugrx: int
    earned_ugrx: int
    paid_ugrx: int
    prices: list[int]
    """The prices of the intervals with received or given energy, each once and ascending."""
    received_in: EntryRange
    given_in: EntryRange


def shared_energy(
    allocations: MonthAllocations,
    figures: OperatorFigures,
    wallet: str,
    meters: Sequence[MeteredSpan],
    terms: SharingTerms,
) -> SharedEnergy | None:
    """Return what the key did for a wallet; None where nothing was shared in the month."""
    if allocations.is_empty:
        return None
    month = allocations.month
    consumers = allocations.consumers.get(wallet, {})
    producers = allocations.producers.get(wallet, {})
    names = dict.fromkeys([*(each.span.meter for each in meters), *consumers, *producers])
    imports: list[Sequence[int]] = []
    exports: list[Sequence[int]] = []
    surplus_uwh = 0
    for name in names:
        spans = [metered for metered in meters if metered.span.meter == name]
        imported, exported = _energies(month, name, spans, allocations.slots, figures)
        got = consumers[name].received_uwh if name in consumers else _NOTHING
        imports.append([*map(max, imported, got)] if got else imported)
        exports.append(exported)
        surplus_uwh += _surplus_uwh(name, exported, allocations, producers.get(name), terms)
    received = array("q", bytes(8 * month.intervals))
    for each in consumers.values():
        received = array("q", map(int.__add__, received, each.received_uwh))
    slots_in = [slot for slot in range(month.intervals) if received[slot]]
    slots_out = sorted({slot for each in producers.values() for slot in _filled(each.given_uwh)})
    return SharedEnergy(
        imports=imports,
        exports=exports,
        received=received,
        received_uwh=sum(received),
        given_uwh=sum(sum(each.given_uwh) for each in producers.values()),
        surplus_uwh=surplus_uwh,
        held_uwh=sum(sum(each.held_uwh.values()) for each in producers.values()),
        cost_ugrx=sum(sum(each.cost_ugrx) for each in consumers.values()),
        earned_ugrx=sum(sum(each.earned_ugrx) for each in producers.values()),
        paid_ugrx=allocations.allocated(wallet).paid_ugrx,
        prices=sorted({allocations.slots[slot].price_ugrx for slot in {*slots_in, *slots_out}}),
        received_in=_entries(allocations, slots_in),
        given_in=_entries(allocations, slots_out),
    )


def _filled(energies: Sequence[int]) -> list[int]:
    """Return the intervals with energy."""
    return [slot for slot, energy in enumerate(energies) if energy]


def _entries(allocations: MonthAllocations, slots: Iterable[int]) -> EntryRange:
    """Return the entries that allocated these intervals last."""
    entries = {allocations.slots[slot].entry for slot in slots}
    if not entries:
        return EntryRange()
    return EntryRange(first=min(entries), last=max(entries), count=len(entries))


def _energies(
    month: Month,
    meter: str,
    spans: Sequence[MeteredSpan],
    slots: Mapping[int, AllocatedSlot],
    figures: OperatorFigures,
) -> tuple[array[int], array[int]]:
    """Return a meter's import and export by interval of the month; zero where none is known."""
    imported = array("q", bytes(8 * month.intervals))
    exported = array("q", bytes(8 * month.intervals))
    for metered in spans:
        if metered.month is not None:
            within = slice(metered.span.first, metered.span.end)
            imported[within] = metered.month.import_uwh[within]
            exported[within] = metered.month.export_uwh[within]
    by_quantity = figures.by_meter.get(meter, {})
    for energies, quantity in ((imported, "consumption"), (exported, "generation")):
        operators = by_quantity.get(quantity)
        for slot, allocated in slots.items() if operators else ():
            if allocated.mode == "imported" and operators and operators[slot] != UNKNOWN:
                energies[slot] = operators[slot]
    return imported, exported


def _surplus_uwh(
    meter: str,
    exported: Sequence[int],
    allocations: MonthAllocations,
    producer: ProducerMonth | None,
    terms: SharingTerms,
) -> int:
    """Return what of a meter's export goes to the utility, because nobody received it.

    That is nobody here or in another community. Energy that is held back for a missing meter, and
    intervals that are still to be allocated, do not count.
    """
    month = allocations.month
    elsewhere = [
        Participation(
            meter=each.meter,
            valid_from_ms=moment_ms(each.valid_from),
            factor_ppm=int(each.elsewhere_percent),
        )
        for each in terms.participation
        if each.meter == meter
    ]
    elsewhere.sort(key=lambda each: each.valid_from_ms)
    surplus_uwh = 0
    for slot in range(max(allocations.slots) + 1):
        if energy_uwh := exported[slot]:
            if producer is not None:
                energy_uwh -= producer.given_uwh[slot] + producer.held_uwh.get(slot, 0)
            if elsewhere and elsewhere[0].valid_from_ms <= _start_ms(month, slot):
                factor_ppm = factor_at(elsewhere, _start_ms(month, slot))
                energy_uwh -= part_of(exported[slot], factor_ppm)
            surplus_uwh += max(0, energy_uwh)
    return surplus_uwh


def _start_ms(month: Month, slot: int) -> int:
    return month.from_ms + slot * INTERVAL_MS


def key_allocation(
    allocations: MonthAllocations,
    wallet: str,
    shared: SharedEnergy,
    terms: SharingTerms,
    pairs: PairSums,
) -> KeyAllocation:
    """Return the part of the document that is about the key."""
    consumers = allocations.consumers.get(wallet, {})
    producers = allocations.producers.get(wallet, {})
    unknown = {slot for each in consumers.values() for slot in each.missing}
    unknown |= {slot for each in producers.values() for slot in each.missing}
    energies = [shared.received, *(each.given_uwh for each in producers.values())]
    prices = energy_prices(allocations, energies)
    return KeyAllocation(
        keys=key_usages(allocations, terms),
        slots=slot_counts(allocations),
        unknown=len(unknown),
        lowest_grx_per_kwh=prices.lowest,
        mean_grx_per_kwh=prices.mean,
        highest_grx_per_kwh=prices.highest,
        held_kwh=format_kwh(shared.held_uwh),
        waiting_kwh=format_kwh(allocations.waiting_uwh),
        cost_grx=format_grx(shared.cost_ugrx),
        earned_grx=format_grx(shared.earned_ugrx),
        paid_grx=format_grx(shared.paid_ugrx),
        lines=_lines(allocations, consumers, producers),
        served=pairs.of(wallet),
    )


class EnergyPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of shared energy in GRX for a kWh; empty where there was no energy."""

    lowest: str = ""
    mean: str = ""
    highest: str = ""


def energy_prices(allocations: MonthAllocations, energies: Iterable[Sequence[int]]) -> EnergyPrices:
    """Return the prices of energies by interval; the mean is weighted by energy, rounded down."""
    energy_uwh = weighted = 0
    prices_ugrx: set[int] = set()
    for by_slot in energies:
        for slot in _filled(by_slot):
            price_ugrx = allocations.slots[slot].price_ugrx
            prices_ugrx.add(price_ugrx)
            energy_uwh += by_slot[slot]
            weighted += by_slot[slot] * price_ugrx
    if not energy_uwh:
        return EnergyPrices()
    return EnergyPrices(
        lowest=format_grx(min(prices_ugrx)),
        mean=format_grx(weighted // energy_uwh),
        highest=format_grx(max(prices_ugrx)),
    )


def community_prices(allocations: MonthAllocations) -> EnergyPrices:
    """Return the prices of all energy that was received by the key in the month."""
    wallets = allocations.consumers.values()
    return energy_prices(
        allocations, (each.received_uwh for meters in wallets for each in meters.values())
    )


def key_usages(allocations: MonthAllocations, terms: SharingTerms) -> list[KeyUsage]:
    """Return the versions of the key that allocated anything of the month."""
    agreed = {key.version: key for key in terms.key}
    counts: dict[tuple[int, Mode], int] = {}
    for slot in allocations.slots.values():
        counts[slot.key, slot.mode] = counts.get((slot.key, slot.mode), 0) + 1
    usages = []
    for (version, mode), count in sorted(counts.items()):
        key = agreed.get(version)
        table = key.of_table if key else None
        usage = KeyUsage(
            version=version,
            mode=mode,
            valid_from=key.valid_from if key else "",
            intervals=count,
            table_sha256=table.source if table else "",
        )
        usages.append(usage)
    return usages


def slot_counts(allocations: MonthAllocations) -> QualityCounts:
    """Return how many intervals of the month are allocated with which quality."""
    slots = allocations.slots.values()
    counts = {quality.label: 0 for quality in Quality}
    for slot in slots:
        counts[Quality(slot.quality).label] += 1
    intervals = allocations.month.intervals
    counts[Quality.MISSING.label] = intervals - len(slots)
    revised = sum(1 for slot in slots if slot.revision)
    return QualityCounts(expected=intervals, revised=revised, **counts)


def _lines(
    allocations: MonthAllocations,
    consumers: Mapping[str, ConsumerMonth],
    producers: Mapping[str, ProducerMonth],
) -> list[SharedLine]:
    """Return the lines in the order of the intervals.

    There is a line where energy is, is held back, is missing, or was in an earlier allocation.
    """
    lines: list[SharedLine] = []
    month = allocations.month
    for slot in sorted(allocations.slots):
        allocated = allocations.slots[slot]
        for meter, consumer in consumers.items():
            amounts = consumer.received_uwh[slot], consumer.cost_ugrx[slot]
            lines += _line(month, slot, allocated, meter, "received", consumer, amounts)
        for meter, producer in producers.items():
            amounts = producer.given_uwh[slot], -producer.earned_ugrx[slot]
            lines += _line(month, slot, allocated, meter, "given", producer, amounts)
    return lines


def _line(
    month: Month,
    slot: int,
    allocated: AllocatedSlot,
    meter: str,
    side: Literal["received", "given"],
    of_meter: ConsumerMonth | ProducerMonth,
    amounts: tuple[int, int],
) -> list[SharedLine]:
    """Return the line of a metering point in an interval, if there is one.

    `amounts` are its energy in µWh and what it owes for it in µGRX.
    """
    energy_uwh, amount_ugrx = amounts
    held_uwh = of_meter.held_uwh.get(slot, 0)
    is_missing = slot in of_meter.missing
    if not (energy_uwh or held_uwh or is_missing or slot in of_meter.formerly_filled):
        return []
    line = SharedLine(
        entry=allocated.entry,
        time_ms=_start_ms(month, slot),
        meter=meter,
        side=side,
        key=allocated.key,
        quality=Quality(allocated.quality).label,
        price_grx_per_kwh=format_grx(allocated.price_ugrx),
        energy_kwh="" if is_missing else format_kwh(energy_uwh),
        amount_grx="" if is_missing else format_grx(amount_ugrx),
        held_kwh=format_kwh(held_uwh) if held_uwh else "",
        revision=allocated.revision,
        corrects=allocated.corrects,
    )
    return [line]
