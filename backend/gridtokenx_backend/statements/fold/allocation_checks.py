"""An independent check of what the community's key allocated in an interval.

An allocation must follow from its own lines, from the key and from the meters:

- It is by the version of the key that is in force, in the mode of that version.
- Each metering point stands under its owner of then. Where its interval was never revised, what it
  offered or consumed is the part of its metered energy that takes part.
- Energy that is held, or void by the operator's decision, is not offered.
- What a producer offered is given, held back or surplus. What consumers received, as far as known
  producers cover it, is what producers gave, each in proportion to its offer, to less than 1 µWh.
  Nobody received more than they consumed.
- By a key of shares, a share is that part of the offer, to less than 1 µWh, and what is received is
  the share or the consumption, whichever is less. By the key `dynamic`, the smaller of offer and
  consumption is divided in proportion to consumption, to less than 1 µWh.
- Its revision follows that of the allocation before it, whose entry it names.
- A kWh has the price of the terms, what is received costs that price, rounded down, and what
  consumers owe is what producers earned, each in proportion to what it gave, to less than 1 µGRX.
  At the first allocation nobody pays more than they owe.

These functions of the core are shared, so a mistake in them is not noticed: those that read keys,
participation and prices from the terms (`key_versions`, `sharing_keys`, `sharing_price`), and
`covered_of`. Also not noticed are: how rounding gives the last µWh or µGRX to one of several; how
much is held back for missing metering points, and `dynamic` allocations while one is missing; what
the grid operator's file says in the mode `imported`; and that an interval is not allocated at all,
or not again after a change. What an allocation moves on the ledger is compared by the statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gridtokenx_backend.core.messages.sharing_outcomes import (
    Allocation,
    ConsumerAllocation,
    ProducerAllocation,
)
from gridtokenx_backend.core.model import sharing_price
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.sharing_keys import (
    WHOLE_PPM,
    Participation,
    SharingKey,
    active_key,
    factor_at,
    interval_shares,
)
from gridtokenx_backend.core.model.sharing_state import SharingState
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.core.sharing import key_versions
from gridtokenx_backend.core.sharing.allocation_pairs import covered_of
from gridtokenx_backend.statements.fold.allocations import AllocatedSlot
from gridtokenx_backend.statements.fold.energy import MeterMonth, slot_of
from gridtokenx_backend.statements.fold.findings import COMMUNITY, Finding
from gridtokenx_backend.statements.fold.held_spans import HeldSpans
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month
from gridtokenx_wire.keys import public_key_text
from gridtokenx_wire.units import UWH_PER_KWH, format_grx, format_kwh


class SharingAgreement:
    """What the terms so far say of sharing: versions of the key, participation, price, owners."""

    def __init__(self) -> None:
        self._state = SharingState()
        self._owners: dict[str, str] = {}
        self._former: dict[str, list[tuple[int, str]]] = {}
        """By meter: until when who owned it, as far as rules from version 2 on changed that."""
        self._participation: dict[str, list[Participation]] = {}
        self._price = sharing_price.CommunityPrice()
        self.held = HeldSpans()

    def apply_terms(self, terms: CommunityTerms, at_ms: int, rules: int) -> None:
        """Take terms that come into force; versions of the key that are known stay.

        By rules version 1 a meter was its present owner's at all times.
        """
        key_versions.add(self._state, terms)
        self._price = key_versions.rules_of(terms).price
        wallets = {member.name: public_key_text(bytes(member.wallet)) for member in terms.member}
        for meter in terms.meter:
            owner, former = wallets[meter.owner], self._owners.get(meter.id)
            if former not in (None, owner) and rules >= 2:
                until_ms = at_ms - at_ms % INTERVAL_MS
                self._former.setdefault(meter.id, []).append((until_ms, former or ""))
            self._owners[meter.id] = owner
        self._participation = {}
        for version in self._state.participation:  # ascending by time
            self._participation.setdefault(version.meter, []).append(version)

    def set_back(self, at_ms: int) -> None:
        """Date anew what was dated in a wrong time, which was ended at `at_ms`."""
        begin_ms = at_ms - at_ms % INTERVAL_MS
        for meter, former in self._former.items():
            kept = [each for each in former if each[0] < begin_ms]
            if ahead := former[len(kept) :]:
                self._former[meter] = [*kept, (begin_ms, ahead[0][1])]

    def owner(self, meter: str, interval_ms: int) -> str:
        """Return the wallet that owned a meter in an interval; empty if no meter has that id."""
        for until_ms, wallet in self._former.get(meter, ()):
            if interval_ms < until_ms:
                return wallet
        return self._owners.get(meter, "")

    def factor_ppm(self, meter: str, interval_ms: int) -> int:
        """Return which part of a meter's energy takes part, in millionths."""
        versions = self._participation.get(meter)
        return factor_at(versions, interval_ms) if versions else WHOLE_PPM

    def price_ugrx(self, offered_uwh: int, consumed_uwh: int) -> int:
        """Return the price of a kWh where so much was offered and consumed."""
        return sharing_price.interval_price(self._price, offered_uwh, consumed_uwh)

    def key(self, interval_ms: int) -> SharingKey | None:
        """Return the version of the key that is in force in an interval."""
        return active_key(self._state.keys, interval_ms)

    def shares_ppm(self, version: int, interval_ms: int, local_ms: int) -> Mapping[str, int]:
        """Return the shares of an interval by a version of the key; none if it is not known."""
        key = next((each for each in self._state.keys if each.version == version), None)
        return interval_shares(key, interval_ms, local_ms) if key else {}


def wrong_revision(
    entry: int, allocation: Allocation, former: AllocatedSlot | None
) -> Iterator[Finding]:
    """Yield a finding where an allocation does not follow the one before it, without a gap.

    By rules version 1 it counted clearings that journaled nothing.
    """
    if former is not None and former.rules < 2:
        return
    revision, corrects = (former.revision + 1, former.entry) if former else (0, 0)
    for text, found, expected in (
        ("revision of an interval's allocation = the next one", allocation.revision, revision),
        ("entry that an allocation corrects = the one before", allocation.corrects, corrects),
    ):
        if found != expected:
            yield Finding(
                wallet=COMMUNITY,
                entry=entry,
                text=text,
                found=str(found),
                expected=str(expected),
            )


class AllocationCheck:
    """The check of one allocation, which the journal's entry `entry` has."""

    def __init__(
        self,
        *,
        entry: int,
        allocation: Allocation,
        agreement: SharingAgreement,
        meters: Mapping[str, MeterMonth],
        month: Month,
    ) -> None:
        self._entry = entry
        self._allocation = allocation
        self._agreement = agreement
        self._meters = meters
        self._month = month
        self._offered_uwh = sum(out.offered_uwh or 0 for out in allocation.producers)
        self._consumed_uwh = sum(line.consumed_uwh or 0 for line in allocation.consumers)
        self._given_uwh = sum(out.given_uwh for out in allocation.producers)
        self._earned_ugrx = sum(out.earned_ugrx for out in allocation.producers)

    def findings(self) -> Iterator[Finding]:
        """Yield what the allocation ought to say and does not."""
        yield from self._key()
        yield from self._sums()
        covered = covered_of(self._allocation)
        for out in self._allocation.producers:
            yield from self._producer(out)
        for line in self._allocation.consumers:
            yield from self._consumer(line, covered.get(line.meter, 0))
        yield from self._payments()
        match self._allocation.mode:
            case "static" | "time_varying":
                yield from self._by_shares()
            case "dynamic":
                yield from self._by_consumption()

    def _key(self) -> Iterator[Finding]:
        key = self._agreement.key(self._allocation.interval_ms)
        version = key.version if key else 0
        if self._allocation.key != version:
            text = "version of the key that allocated an interval = the one in force"
            yield self._finding(COMMUNITY, text, str(self._allocation.key), str(version))
        elif key is not None and self._allocation.mode != key.mode:
            text = "intervals allocated in another mode than the key's"
            yield self._finding(COMMUNITY, text, "1", "0")

    def _sums(self) -> Iterator[Finding]:
        allocation = self._allocation
        received_uwh = sum(line.received_uwh or 0 for line in allocation.consumers)
        covered_uwh = received_uwh - allocation.uncovered_uwh
        if covered_uwh != self._given_uwh:
            text = "received by the key in an interval, as far as producers cover it = given"
            yield self._energy(COMMUNITY, text, covered_uwh, self._given_uwh)
        cost_ugrx = sum(line.cost_ugrx for line in allocation.consumers)
        if self._earned_ugrx != cost_ugrx:
            text = "earned by sharing in an interval = cost of what was received"
            yield self._money(COMMUNITY, text, self._earned_ugrx, cost_ugrx)
        if not allocation.revision:  # the price stays when an interval is allocated again
            price_ugrx = self._agreement.price_ugrx(self._offered_uwh, self._consumed_uwh)
            if allocation.price_ugrx != price_ugrx:
                text = "price of a shared kWh in an interval = the price by the terms"
                yield self._money(COMMUNITY, text, allocation.price_ugrx, price_ugrx)

    def _producer(self, out: ProducerAllocation) -> Iterator[Finding]:
        offered_uwh, wallet = out.offered_uwh or 0, out.wallet
        if self._agreement.owner(out.meter, self._allocation.interval_ms) != wallet:
            yield self._of_another(out.meter, wallet, out.given_uwh)
        parts_uwh = out.given_uwh + out.held_uwh + out.surplus_uwh
        if offered_uwh != parts_uwh:
            text = f"{out.meter}: offered in an interval = given + held back + surplus"
            yield self._energy(wallet, text, offered_uwh, parts_uwh)
        yield from self._offer(out)
        part_uwh = _near_part(out.given_uwh, self._given_uwh, offered_uwh, self._offered_uwh)
        if out.given_uwh != part_uwh:
            text = f"{out.meter}: given in an interval = its part by what it offered"
            yield self._energy(wallet, text, out.given_uwh, part_uwh)
        part_ugrx = _near_part(out.earned_ugrx, self._earned_ugrx, out.given_uwh, self._given_uwh)
        if out.earned_ugrx != part_ugrx:
            text = f"{out.meter}: earned in an interval = its part by what it gave"
            yield self._money(wallet, text, out.earned_ugrx, part_ugrx)

    def _offer(self, out: ProducerAllocation) -> Iterator[Finding]:
        """What is offered is metered, and neither held nor void; in part, it is less than that."""
        held, interval_ms = self._agreement.held, self._allocation.interval_ms
        if out.offered_uwh is None or self._allocation.mode == "imported":
            return
        if held.has_all_of(out.meter, interval_ms):
            if out.offered_uwh:
                text = f"{out.meter}: offered in an interval of energy that is held or void"
                yield self._energy(out.wallet, text, out.offered_uwh, 0)
            return
        metered_uwh = self._metered_uwh(out.meter, is_consumer=False)
        if metered_uwh is None or metered_uwh == out.offered_uwh:
            return
        if out.offered_uwh > metered_uwh or not held.has_some_of(out.meter, interval_ms):
            text = f"{out.meter}: offered in an interval = the part of its export that takes part"
            yield self._energy(out.wallet, text, out.offered_uwh, metered_uwh)

    def _consumer(self, line: ConsumerAllocation, covered_uwh: int) -> Iterator[Finding]:
        received_uwh, consumed_uwh, wallet = line.received_uwh or 0, line.consumed_uwh, line.wallet
        if self._agreement.owner(line.meter, self._allocation.interval_ms) != wallet:
            yield self._of_another(line.meter, wallet, received_uwh)
        cost_ugrx = covered_uwh * self._allocation.price_ugrx // UWH_PER_KWH
        if line.cost_ugrx != cost_ugrx:
            text = f"{line.meter}: cost in an interval = received × price"
            yield self._money(wallet, text, line.cost_ugrx, cost_ugrx)
        if consumed_uwh is None:
            return
        if received_uwh > consumed_uwh:
            text = f"{line.meter}: received in an interval, at most what was consumed"
            yield self._energy(wallet, text, received_uwh, consumed_uwh)
        metered_uwh = self._metered_uwh(line.meter, is_consumer=True)
        if metered_uwh not in (None, consumed_uwh):
            text = f"{line.meter}: consumed in an interval = the part of its import that takes part"
            yield self._energy(wallet, text, consumed_uwh, metered_uwh or 0)

    def _metered_uwh(self, meter: str, *, is_consumer: bool) -> int | None:
        """Return the part of a meter's energy that takes part; None where that is not certain.

        Of an interval that was revised, the core may have seen another value at this entry.
        """
        months, interval_ms = self._meters.get(meter), self._allocation.interval_ms
        slot = slot_of(self._month, interval_ms)
        if self._allocation.mode == "imported" or months is None:
            return None
        if months.revision[slot] or months.quality[slot] == Quality.MISSING:
            return None
        energy_uwh = (months.import_uwh if is_consumer else months.export_uwh)[slot]
        return energy_uwh * self._agreement.factor_ppm(meter, interval_ms) // WHOLE_PPM

    def _by_shares(self) -> Iterator[Finding]:
        """A consumer gets its share of the offer, or what it consumed if that is less."""
        allocation = self._allocation
        offset = self._month.local(allocation.interval_ms).utcoffset()
        assert offset is not None
        local_ms = allocation.interval_ms + int(offset.total_seconds()) * 1000
        shares = self._agreement.shares_ppm(allocation.key, allocation.interval_ms, local_ms)
        for line in allocation.consumers:
            share_uwh, share_ppm = line.share_uwh or 0, shares.get(line.meter, 0)
            part_uwh = _near_part(share_uwh, self._offered_uwh, share_ppm, WHOLE_PPM)
            if share_uwh != part_uwh:
                text = f"{line.meter}: share of an interval's offer = the share by the key"
                yield self._energy(line.wallet, text, share_uwh, part_uwh)
            if line.consumed_uwh is None:
                continue
            received_uwh = min(share_uwh, line.consumed_uwh)
            if line.received_uwh != received_uwh:
                text = f"{line.meter}: received in an interval = its share, or what it consumed"
                yield self._energy(line.wallet, text, line.received_uwh or 0, received_uwh)

    def _by_consumption(self) -> Iterator[Finding]:
        """Each consumer gets the same part of its consumption; not while one is missing."""
        lines, consumed_uwh = self._allocation.consumers, self._consumed_uwh
        if any(line.consumed_uwh is None for line in lines):
            return
        allocated_uwh = min(self._offered_uwh, consumed_uwh)
        received_uwh = sum(line.received_uwh or 0 for line in lines)
        if received_uwh != allocated_uwh:
            text = "received by the key in an interval = offered or consumed, whichever is less"
            yield self._energy(COMMUNITY, text, received_uwh, allocated_uwh)
        for line in lines:
            line_uwh = line.received_uwh or 0
            part_uwh = _near_part(line_uwh, allocated_uwh, line.consumed_uwh or 0, consumed_uwh)
            if line_uwh != part_uwh:
                text = f"{line.meter}: received in an interval = its part by consumption"
                yield self._energy(line.wallet, text, line_uwh, part_uwh)

    def _payments(self) -> Iterator[Finding]:
        """Nobody pays, or is paid, more than the first allocation of an interval says."""
        if self._allocation.revision:
            return
        owed: dict[str, int] = {}
        for line in self._allocation.consumers:
            owed[line.wallet] = owed.get(line.wallet, 0) + line.cost_ugrx
        for out in self._allocation.producers:
            owed[out.wallet] = owed.get(out.wallet, 0) - out.earned_ugrx
        for wallet, paid_ugrx in self._allocation.paid_ugrx.items():
            owed_ugrx = owed.get(wallet, 0)
            if not min(0, owed_ugrx) <= paid_ugrx <= max(0, owed_ugrx):
                text = "paid for shared energy of an interval, at most what is owed"
                yield self._money(wallet, text, paid_ugrx, owed_ugrx)

    def _of_another(self, meter: str, wallet: str, energy_uwh: int) -> Finding:
        text = f"{meter}: shared energy of an interval under another wallet than its owner's"
        return self._energy(wallet, text, energy_uwh, 0)

    def _energy(self, wallet: str, text: str, found_uwh: int, expected_uwh: int) -> Finding:
        return self._finding(wallet, text, format_kwh(found_uwh), format_kwh(expected_uwh))

    def _money(self, wallet: str, text: str, found_ugrx: int, expected_ugrx: int) -> Finding:
        return self._finding(wallet, text, format_grx(found_ugrx), format_grx(expected_ugrx))

    def _finding(self, wallet: str, text: str, found: str, expected: str) -> Finding:
        return Finding(wallet=wallet, entry=self._entry, text=text, found=found, expected=expected)


def _near_part(amount: int, total: int, weight: int, whole: int) -> int:
    """Return `amount` if it is the part of `total` that `weight` has in `whole`, to less than 1.

    If it is not, return that part, rounded down.
    """
    if not whole:
        return 0
    return amount if abs(amount * whole - total * weight) < whole else total * weight // whole
