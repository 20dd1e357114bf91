"""The checks that every µWh is counted, minted, used up and certified once."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

from bench.rig.month_audit import Month
from gridtokenx_sim.demo.audit.finding import Violation

_MWH = 10**12
_SLOT_MS = 900_000


def readings_in_are_judged(month: Month) -> str:
    """Readings sent are those stored: accepted, rejected or quarantined, each once."""
    sent = sum(len(day) for history in month.histories for day in history.days)
    seen = {
        (frame.meters[which], time_ms)
        for _, frame in month.frames
        for which, time_ms in zip(frame.meter_index, frame.time_ms, strict=True)
    }
    stored = sum(frame.readings for _, frame in month.frames)
    refused = sum(len(entry.outcome[6]) for entry, _ in month.frames)
    if not sent == stored == len(seen):
        raise Violation(f"{sent} sent, {stored} stored, {len(seen)} of them different")
    return f"{stored} = {stored - refused} accepted + {refused} refused or quarantined"


def readings_are_the_meters(month: Month) -> str:
    """Every stored register is what the meter showed then."""
    shown = {
        (reading.meter, reading.time_ms): (reading.import_uwh, reading.export_uwh)
        for history in month.histories
        for day in history.days
        for reading in day
    }
    for entry, frame in month.frames:
        columns = zip(
            frame.meter_index, frame.time_ms, frame.import_uwh, frame.export_uwh, strict=True
        )
        for which, time_ms, import_uwh, export_uwh in columns:
            if shown.get((frame.meters[which], time_ms)) != (import_uwh, export_uwh):
                raise Violation(f"entry {entry.seq}: a register that {frame.meters[which]} hid")
    return f"{len(shown)} readings"


def intervals_add_up_to_the_registers(month: Month) -> str:
    """Each meter's intervals are gapless and their sum is its registers' movement, to the
    µWh.
    """
    rows: dict[str, list[list[int]]] = defaultdict(list)
    for entry, _ in month.frames:
        for meter, closed in entry.outcome[8]:
            rows[meter] += closed
    for history in month.histories:
        first, last = history.days[0][0], history.days[-1][-1]
        times = [row[0] for row in rows[history.meter]]
        if times != list(range(first.time_ms, last.time_ms, _SLOT_MS)):
            raise Violation(f"{history.meter}: its intervals have gaps")
        moved = (
            sum(row[1] for row in rows[history.meter]),
            sum(row[2] for row in rows[history.meter]),
        )
        if moved != (last.import_uwh - first.import_uwh, last.export_uwh - first.export_uwh):
            raise Violation(f"{history.meter}: its intervals are not what its registers moved")
    return f"{sum(map(len, rows.values()))} intervals"


def minted_is_the_export(month: Month) -> str:
    """Each owner was minted what the export registers moved, and nobody anything else."""
    due: Counter[str] = Counter()
    for history in month.histories:
        due[month.owners[history.meter]] += (
            history.days[-1][-1].export_uwh - history.days[0][0].export_uwh
        )
    minted: Counter[str] = Counter()
    for movement in month.movements():
        if movement.debit == "issuer:GRID":
            minted[movement.credit] += movement.amount
    if +due != +minted:
        raise Violation("what was minted is not what was exported")
    return f"{minted.total()} µWh"


def minted_is_held_retired_or_fed_in(month: Month) -> str:
    """GRID minted = in wallets (escrow included) + retired + fed in."""
    held = sum(month.balances[wallet, "GRID"] for wallet in month.wallets)
    fed_in = month.balances["community:fed-in", "GRID"]
    if month.minted_uwh != held + month.retired_uwh + fed_in:
        raise Violation(f"{month.minted_uwh} minted; {held} held, {fed_in} fed in")
    return f"{held} held + {month.retired_uwh} retired + {fed_in} fed in"


def energy_is_retired_once(month: Month) -> str:
    """No interval's import is covered twice, no purchase used twice, and all of it is retired."""
    covered: Counter[tuple[str, int]] = Counter()
    used: Counter[tuple[str, int]] = Counter()
    bought: Counter[tuple[str, int]] = Counter()
    for entry in month.entries:
        for trade in entry.trades:
            bought[trade.buyer, entry.seq] += trade.quantity_uwh
        for wallet, interval_ms, purchase, amount in entry.retirements:
            covered[wallet, interval_ms] += amount
            used[wallet, purchase] += amount
    imported = _imports(month)
    for key, amount in covered.items():
        if amount > imported[key]:
            raise Violation(f"{key}: {amount} µWh retired of {imported[key]} imported")
    for key, amount in used.items():
        if amount > bought[key]:
            raise Violation(f"{key}: {amount} µWh retired of {bought[key]} bought")
    if covered.total() != month.retired_uwh:
        raise Violation(f"{covered.total()} µWh in the list, {month.retired_uwh} moved")
    return f"{covered.total()} µWh over {len(covered)} intervals"


def certificates_are_no_more_than_was_minted(month: Month) -> str:
    """One REC for each full MWh of a meter, of its own µWh, with a serial of its own."""
    issued = [each for e in month.entries if e.tag == "rec_issue" for each in e.outcome[2]]
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for serial, meter, _, _, from_uwh, to_uwh, *_ in issued:
        if to_uwh - from_uwh != _MWH:
            raise Violation(f"{serial}: expected 1 MWh")
        spans[meter].append((from_uwh, to_uwh))
    for meter, found in spans.items():
        found.sort()
        if any(before[1] > after[0] for before, after in pairwise(found)):
            raise Violation(f"{meter}: the same µWh twice")
    if len({each[0] for each in issued}) != len(issued) or len(issued) != month.certificates:
        raise Violation(f"{len(issued)} certificates, {month.certificates} on the ledger")
    if len(issued) * _MWH > month.minted_uwh:
        raise Violation("more certificates than MWh")
    return f"{len(issued)} certificates"


def _imports(month: Month) -> Counter[tuple[str, int]]:
    """Return (wallet, interval_ms) → what its meters drew, as the frames' outcomes say."""
    found: Counter[tuple[str, int]] = Counter()
    for entry, _ in month.frames:
        for meter, closed in entry.outcome[8]:
            for row in closed:
                found[month.owners[meter], row[0]] += row[1]
    return found
