"""A member's month by the community's key: energy, money, and the lines that say so.

What is left of import is the utility's, and so is what of the export nobody of the community got.
In the mode `imported` both begin with the grid operator's figures, for its allocation rests on
them; otherwise with the gateways'.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.sharing_keys import Participation, factor_at
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


class EntryRange(msgspec.Struct, frozen=True):
    """The first and the last journal entry behind a sum, and how many there are."""

    first: int = 0
    last: int = 0
    count: int = 0


class SharedEnergy(msgspec.Struct, frozen=True):
    """`imports` and `exports` are by meter and interval of the month, `received` by interval."""

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
    """Of the intervals in which anything was received or given, each once and ascending."""
    taken: EntryRange
    given: EntryRange


def shared_of(
    shares: MonthAllocations,
    figures: OperatorFigures,
    wallet: str,
    meters: Sequence[MeteredSpan],
    terms: SharingTerms,
) -> SharedEnergy | None:
    """None where nothing was shared in the month."""
    if shares.is_empty:
        return None
    month = shares.month
    taken, given = shares.taken.get(wallet, {}), shares.given.get(wallet, {})
    names = dict.fromkeys([*(metered.meter for metered in meters), *taken, *given])
    imports: list[Sequence[int]] = []
    exports: list[Sequence[int]] = []
    surplus_uwh = 0
    for name in names:
        spans = [metered for metered in meters if metered.meter == name]
        imported, exported = _energies(month, name, spans, shares.slots, figures)
        got = taken[name].received_uwh if name in taken else _NOTHING
        imports.append([*map(max, imported, got)] if got else imported)
        exports.append(exported)
        surplus_uwh += _surplus(month, name, exported, given.get(name), shares, terms)
    received = array("q", bytes(8 * month.intervals))
    for each in taken.values():
        received = array("q", map(int.__add__, received, each.received_uwh))
    rows_in = [slot for slot in range(month.intervals) if received[slot]]
    rows_out = sorted({slot for each in given.values() for slot in _filled(each.given_uwh)})
    return SharedEnergy(
        imports,
        exports,
        received,
        sum(received),
        sum(sum(each.given_uwh) for each in given.values()),
        surplus_uwh,
        sum(sum(each.held_uwh.values()) for each in given.values()),
        sum(sum(each.cost_ugrx) for each in taken.values()),
        sum(sum(each.earned_ugrx) for each in given.values()),
        shares.allocated(wallet).paid_ugrx,
        sorted({shares.slots[slot].price_ugrx for slot in {*rows_in, *rows_out}}),
        _evidence(shares, rows_in),
        _evidence(shares, rows_out),
    )


def _filled(energies: Sequence[int]) -> list[int]:
    return [slot for slot, energy in enumerate(energies) if energy]


def _evidence(shares: MonthAllocations, slots: Iterable[int]) -> EntryRange:
    entries = {shares.slots[slot].entry for slot in slots}
    return EntryRange(min(entries), max(entries), len(entries)) if entries else EntryRange()


def _energies(
    month: Month,
    meter: str,
    spans: Sequence[MeteredSpan],
    slots: Mapping[int, AllocatedSlot],
    figures: OperatorFigures,
) -> tuple[array[int], array[int]]:
    """A meter's import and export by interval of the month; zero where nothing is known."""
    imported = array("q", bytes(8 * month.intervals))
    exported = array("q", bytes(8 * month.intervals))
    for metered in spans:
        if metered.of_month is not None:
            within = slice(metered.first, metered.end)
            imported[within] = metered.of_month.import_uwh[within]
            exported[within] = metered.of_month.export_uwh[within]
    said = figures.by_meter.get(meter, {})
    for energies, quantity in ((imported, "consumption"), (exported, "generation")):
        theirs = said.get(quantity)
        for slot, shared in slots.items() if theirs else ():
            if shared.mode == "imported" and theirs and theirs[slot] != UNKNOWN:
                energies[slot] = theirs[slot]
    return imported, exported


def _surplus(
    month: Month,
    meter: str,
    exported: Sequence[int],
    given: ProducerMonth | None,
    shares: MonthAllocations,
    terms: SharingTerms,
) -> int:
    """What of a meter's export is the utility's: nobody got it, here or in another community.

    Not what is held back for a missing meter, nor intervals that are still to be allocated.
    """
    elsewhere = [
        Participation(each.meter, moment_ms(each.valid_from), int(each.elsewhere_percent))
        for each in terms.participation
        if each.meter == meter
    ]
    elsewhere.sort(key=lambda each: each.valid_from_ms)
    surplus_uwh = 0
    for slot in range(max(shares.slots) + 1):
        if energy_uwh := exported[slot]:
            if given is not None:
                energy_uwh -= given.given_uwh[slot] + given.held_uwh.get(slot, 0)
            if elsewhere and elsewhere[0].valid_from_ms <= _start(month, slot):
                factor_ppm = factor_at(elsewhere, _start(month, slot))
                energy_uwh -= part_of(exported[slot], factor_ppm)
            surplus_uwh += max(0, energy_uwh)
    return surplus_uwh


def _start(month: Month, slot: int) -> int:
    return month.from_ms + slot * INTERVAL_MS


def allocation_of(
    shares: MonthAllocations,
    wallet: str,
    shared: SharedEnergy,
    terms: SharingTerms,
    serving: PairSums,
) -> KeyAllocation:
    """The key's part of the document."""
    taken, given = shares.taken.get(wallet, {}), shares.given.get(wallet, {})
    unknown = {slot for got in taken.values() for slot in got.missing}
    unknown |= {slot for made in given.values() for slot in made.missing}
    worth = EnergyPrices()
    worth.add_all(shares, [shared.received, *(made.given_uwh for made in given.values())])
    return KeyAllocation(
        keys_used(shares, terms),
        slot_counts(shares),
        len(unknown),
        *worth.prices(),
        format_kwh(shared.held_uwh),
        format_kwh(shares.waiting_uwh),
        format_grx(shared.cost_ugrx),
        format_grx(shared.earned_ugrx),
        format_grx(shared.paid_ugrx),
        _lines(shares, taken, given),
        serving.of(wallet),
    )


class EnergyPrices(msgspec.Struct):
    """Community prices, weighted by energy."""

    energy_uwh: int = 0
    weighted: int = 0
    lowest_ugrx: int = 0
    highest_ugrx: int = 0

    def add_all(self, shares: MonthAllocations, energies: Iterable[Sequence[int]]) -> None:
        """Takes energies by interval."""
        for by_slot in energies:
            for slot in _filled(by_slot):
                price_ugrx, energy_uwh = shares.slots[slot].price_ugrx, by_slot[slot]
                first = not self.energy_uwh
                self.lowest_ugrx = price_ugrx if first else min(self.lowest_ugrx, price_ugrx)
                self.highest_ugrx = max(self.highest_ugrx, price_ugrx)
                self.energy_uwh += energy_uwh
                self.weighted += energy_uwh * price_ugrx

    def prices(self) -> tuple[str, str, str]:
        """Lowest, mean and highest; empty where there was no energy."""
        if not self.energy_uwh:
            return "", "", ""
        mean_ugrx = self.weighted // self.energy_uwh
        low, mean, high = map(format_grx, (self.lowest_ugrx, mean_ugrx, self.highest_ugrx))
        return low, mean, high


def community_prices(shares: MonthAllocations) -> tuple[str, str, str]:
    """The lowest price of a shared kWh in the month, the mean by energy, and the highest."""
    worth = EnergyPrices()
    parts = shares.taken.values()
    worth.add_all(shares, (taken.received_uwh for each in parts for taken in each.values()))
    return worth.prices()


def keys_used(shares: MonthAllocations, terms: SharingTerms) -> list[KeyUsage]:
    """The versions of the key that allocated anything of the month."""
    agreed = {key.version: key for key in terms.key}
    counts: dict[tuple[int, str], int] = {}
    for slot in shares.slots.values():
        counts[slot.key, slot.mode] = counts.get((slot.key, slot.mode), 0) + 1
    found = []
    for (version, mode), count in sorted(counts.items()):
        key = agreed.get(version)
        table = key.of_table if key else None
        source = table.source if table else ""
        found.append(KeyUsage(version, mode, key.valid_from if key else "", count, source))
    return found


def slot_counts(shares: MonthAllocations) -> QualityCounts:
    """How well the month is allocated."""
    slots = shares.slots.values()
    counts = {quality.label: 0 for quality in Quality}
    for slot in slots:
        counts[Quality(slot.quality).label] += 1
    counts[Quality.MISSING.label] = shares.month.intervals - len(slots)
    revised = sum(1 for slot in slots if slot.revision)
    return QualityCounts(shares.month.intervals, revised=revised, **counts)


def _lines(
    shares: MonthAllocations, taken: Mapping[str, ConsumerMonth], given: Mapping[str, ProducerMonth]
) -> list[SharedLine]:
    """In the order of the intervals. Where nothing is missing, and no energy is or ever was, there
    is no line.
    """
    found = []
    for slot in sorted(shares.slots):
        of_slot = shares.slots[slot]
        for meter, got in taken.items():
            energy_uwh, held_uwh = got.received_uwh[slot], got.held_uwh.get(slot, 0)
            is_missing = slot in got.missing
            if energy_uwh or held_uwh or is_missing or slot in got.was:
                amounts = (energy_uwh, got.cost_ugrx[slot], held_uwh, is_missing)
                found.append(_line(shares.month, slot, of_slot, meter, "received", amounts))
        for meter, made in given.items():
            energy_uwh, held_uwh = made.given_uwh[slot], made.held_uwh.get(slot, 0)
            is_missing = slot in made.missing
            if energy_uwh or held_uwh or is_missing or slot in made.was:
                amounts = (energy_uwh, -made.earned_ugrx[slot], held_uwh, is_missing)
                found.append(_line(shares.month, slot, of_slot, meter, "given", amounts))
    return found


def _line(
    month: Month,
    slot: int,
    shared: AllocatedSlot,
    meter: str,
    side: Literal["received", "given"],
    amounts: tuple[int, int, int, bool],
) -> SharedLine:
    energy_uwh, amount_ugrx, held_uwh, is_missing = amounts
    return SharedLine(
        shared.entry,
        _start(month, slot),
        meter,
        side,
        shared.key,
        Quality(shared.quality).label,
        format_grx(shared.price_ugrx),
        "" if is_missing else format_kwh(energy_uwh),
        "" if is_missing else format_grx(amount_ugrx),
        format_kwh(held_uwh) if held_uwh else "",
        shared.revision,
        shared.corrects,
    )
