"""The bill: what the community settled, what the utility bills, what it pays for the surplus."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal

import msgspec

from gridtokenx_backend.statements.documents.sharing import EntryRange, SharedEnergy
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.tariffs import TariffPlan, worth_ugrx
from gridtokenx_backend.statements.fold.trade_lines import TradeSums
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import Bill, BillLine, WithoutCommunity
from gridtokenx_backend.statements.model.months import Month
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx

_SHARED_BASIS = "meters' intervals less what the key took"


class EnergyUsage(msgspec.Struct, frozen=True):
    """The energy of all metering points. Import and residual import are also by tariff band."""

    known: bool
    """Whether any interval is."""
    missing: int
    import_uwh: int
    export_uwh: int
    retired_uwh: int
    import_by_band: list[int]
    residual_uwh: list[int]
    received_uwh: int = 0


def usage(
    month: Month,
    plan: TariffPlan | None,
    meters: Sequence[MeteredSpan],
    retired: array[int] | None,
    shared: SharedEnergy | None = None,
) -> EnergyUsage:
    """Sums the intervals, and takes off what bought GRID covered in each, or what was shared."""
    bands = len(plan.bands) if plan else 1
    band_of = plan.band_of if plan else bytes(month.intervals)
    imported = [0] * bands
    if shared is None:
        by_meter = [(metered.first, metered.imports) for metered in meters]
        export_uwh = sum(metered.export_uwh for metered in meters)
    else:
        by_meter = [(0, imports) for imports in shared.imports]
        export_uwh = sum(map(sum, shared.exports))
    for first, imports in by_meter:
        for band, import_uwh in zip(band_of[first:], imports, strict=False):
            imported[band] += import_uwh
    residual = list(imported)
    for covered in (retired, shared.received if shared else None):
        for slot, quantity_uwh in enumerate(covered or ()):
            if quantity_uwh:
                residual[band_of[slot]] -= quantity_uwh
    return EnergyUsage(
        any(metered.known for metered in meters) or sum(imported) + export_uwh > 0,
        sum(metered.missing for metered in meters),
        sum(imported),
        export_uwh,
        sum(retired or ()),
        imported,
        residual,
        shared.received_uwh if shared else 0,
    )


def bill_of(
    wallet: WalletMonth,
    energy: EnergyUsage,
    plan: TariffPlan | None,
    fed_in_uwh: int,
    shared: SharedEnergy | None = None,
) -> Bill:
    """All lines. Without a tariff there are only those of the community.

    `fed_in_uwh` is the surplus that the utility pays for.
    """
    community = [*_side(wallet.bought, bought=True), *_side(wallet.sold, bought=False)]
    sharing = _sharing(shared) if shared else []
    utility = _utility(energy, plan, residual=True) if plan and energy.known else []
    if shared is None:
        feed_in = _feed_in(fed_in_uwh, plan, "surplus that nobody bought", wallet)
    else:
        feed_in = _feed_in(fed_in_uwh, plan, "surplus that no member used", None, _SHARED_BASIS)
    lines = [*community, *sharing, *utility, *feed_in]
    return Bill(
        lines,
        _sum(community),
        _sum(utility),
        _sum(feed_in),
        _sum(lines),
        _sum(sharing),
        format_grx(shared.paid_ugrx if shared else 0),
    )


def _sharing(shared: SharedEnergy) -> list[BillLine]:
    """What the key gave and took. The price is there if it was one all month."""
    price = format_grx(shared.prices[0]) if len(shared.prices) == 1 else ""

    def line(text: str, amount_ugrx: int, energy_uwh: int, seen: EntryRange) -> BillLine:
        amount, quantity = format_grx(amount_ugrx), format_kwh(energy_uwh)
        entries = (seen.first, seen.last, seen.count)
        return BillLine("sharing", text, amount, quantity, price, *entries)

    found = []
    if shared.received_uwh:
        text = "energy received by the key"
        found.append(line(text, shared.cost_ugrx, shared.received_uwh, shared.taken))
    if shared.given_uwh:
        text = "energy given by the key"
        found.append(line(text, -shared.earned_ugrx, shared.given_uwh, shared.given))
    return found


def alone(bill: Bill, energy: EnergyUsage, plan: TariffPlan | None) -> WithoutCommunity | None:
    """The same month without the community; None where tariff or energy is not known."""
    if plan is None or not energy.known:
        return None
    lines = _utility(energy, plan, residual=False)
    lines += _feed_in(energy.export_uwh, plan, "all of the export", None)
    total = _sum(lines)
    saved = format_grx(parse_grx(total) - parse_grx(bill.total_grx))
    return WithoutCommunity(lines, total, saved)


def _side(side: TradeSums, *, bought: bool) -> list[BillLine]:
    if not side.trades:
        return []
    sign, word = (1, "purchases") if bought else (-1, "sales")
    seen = (side.first_entry, side.last_entry, side.trades)
    first = BillLine(
        "community",
        "energy bought in the community" if bought else "energy sold in the community",
        format_grx(sign * side.value_ugrx),
        format_kwh(side.quantity_uwh),
        "",
        *seen,
    )
    charges = (
        (f"market fee on {word}", side.fee_ugrx),
        (f"network between zones on {word}", side.wheeling_ugrx),
        (f"losses between zones on {word}", side.loss_ugrx),
        (f"congestion between zones on {word}", side.rent_ugrx),
    )
    lines = [
        BillLine("community", text, format_grx(amount), "", "", *seen)
        for text, amount in charges
        if amount
    ]
    return [first, *lines]


def _utility(energy: EnergyUsage, plan: TariffPlan, *, residual: bool) -> list[BillLine]:
    """Energy by time of use, and the tariff's other lines."""
    terms = plan.terms
    shares = energy.residual_uwh if residual else energy.import_by_band
    covered = "what the key gave" if energy.received_uwh else "retired GRID"
    basis = f"meters' intervals less {covered}" if residual else "meters' intervals"
    lines = [
        _priced(f"energy, {band.window}", quantity_uwh, band.price_ugrx, basis)
        for band, quantity_uwh in zip(plan.bands, shares, strict=True)
        if quantity_uwh or len(plan.bands) == 1
    ]
    for line in terms.line:
        if line.grx_per_kwh:
            on_import = line.basis == "import" or not residual
            quantity_uwh = energy.import_uwh if on_import else sum(energy.residual_uwh)
            on = "meters' intervals" if on_import else basis
            lines.append(_priced(line.name, quantity_uwh, int(line.grx_per_kwh), on))
        if line.grx_per_month:
            lines.append(_monthly(f"{line.name}, a month", int(line.grx_per_month)))
    if terms.fixed_grx_per_month:
        lines.append(_monthly("basic fee, a month", int(terms.fixed_grx_per_month)))
    return lines


def _feed_in(
    quantity_uwh: int,
    plan: TariffPlan | None,
    text: str,
    wallet: WalletMonth | None,
    basis: str = "meters' intervals",
) -> list[BillLine]:
    if plan is None or not quantity_uwh:
        return []
    price_ugrx = int(plan.terms.feed_in_grx_per_kwh)
    minted = wallet.tallies.get(("GRID", "minted")) if wallet else None
    seen = (minted.first_entry, minted.last_entry, minted.count) if minted else (0, 0, 0)
    line = BillLine(
        "feed_in",
        text,
        format_grx(-worth_ugrx(quantity_uwh, price_ugrx)),
        format_kwh(quantity_uwh),
        format_grx(price_ugrx),
        *seen,
        "minted GRID that is left" if wallet else basis,
    )
    return [line]


def _priced(text: str, quantity_uwh: int, price_ugrx: int, basis: str) -> BillLine:
    kind: Literal["utility"] = "utility"
    amount = format_grx(worth_ugrx(quantity_uwh, price_ugrx))
    return BillLine(
        kind, text, amount, format_kwh(quantity_uwh), format_grx(price_ugrx), basis=basis
    )


def _monthly(text: str, amount_ugrx: int) -> BillLine:
    return BillLine("utility", text, format_grx(amount_ugrx), basis="tariff")


def _sum(lines: Sequence[BillLine]) -> str:
    return format_grx(sum(parse_grx(line.amount_grx) for line in lines))
