"""The bill: what the community settled, what the utility bills, what it pays for the surplus."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import msgspec

from gridtokenx_backend.statements.documents.sharing import EntryRange, SharedEnergy
from gridtokenx_backend.statements.fold.energy import MeteredSpan
from gridtokenx_backend.statements.fold.tariffs import TariffPlan, worth_ugrx
from gridtokenx_backend.statements.fold.trade_lines import TradeKind, TradeSums
from gridtokenx_backend.statements.fold.wallet import WalletMonth
from gridtokenx_backend.statements.model.document import Bill, BillLine, WithoutCommunity
from gridtokenx_backend.statements.model.months import Month
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx

_INTERVALS = "meters' intervals"
_SHARED_BASIS = "meters' intervals less what the key took"
_NO_ENTRIES = EntryRange()


class EnergyUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The energy of all metering points in µWh; two of the sums are by band of the tariff."""

    is_known: bool
    """Whether the energy of any interval is."""
    import_uwh: int
    export_uwh: int
    retired_uwh: int
    received_uwh: int
    import_by_band_uwh: list[int]
    residual_by_band_uwh: list[int]
    """Import that was neither covered by bought GRID nor received by the key."""

    @property
    def residual_uwh(self) -> int:
        return self.import_uwh - self.retired_uwh - self.received_uwh


def usage_of(
    month: Month,
    plan: TariffPlan | None,
    meters: Sequence[MeteredSpan],
    retired: array[int] | None,
    shared: SharedEnergy | None = None,
) -> EnergyUsage:
    """Return the sums of the intervals, less what bought GRID covered in each or what was shared.

    `retired` is by interval of the month.
    """
    bands = len(plan.bands) if plan else 1
    band_of = plan.band_of if plan else bytes(month.intervals)
    if shared is None:
        by_meter = [(metered.span.first, metered.imports) for metered in meters]
        export_uwh = sum(metered.export_uwh for metered in meters)
    else:
        by_meter = [(0, imports) for imports in shared.imports]
        export_uwh = sum(map(sum, shared.exports))
    imported = [0] * bands
    for first, imports in by_meter:
        for band, import_uwh in zip(band_of[first:], imports, strict=False):
            imported[band] += import_uwh
    residual = list(imported)
    for covered in (retired, shared.received if shared else None):
        for slot, quantity_uwh in enumerate(covered or ()):
            if quantity_uwh:
                residual[band_of[slot]] -= quantity_uwh
    return EnergyUsage(
        is_known=any(metered.is_known for metered in meters) or sum(imported) + export_uwh > 0,
        import_uwh=sum(imported),
        export_uwh=export_uwh,
        retired_uwh=sum(retired or ()),
        received_uwh=shared.received_uwh if shared else 0,
        import_by_band_uwh=imported,
        residual_by_band_uwh=residual,
    )


def bill_of(
    wallet: WalletMonth,
    usage: EnergyUsage,
    plan: TariffPlan | None,
    fed_in_uwh: int,
    shared: SharedEnergy | None = None,
) -> Bill:
    """Return all lines. Without a tariff there are only those of the community.

    `fed_in_uwh` is the surplus that the utility pays for.
    """
    community = [*_trade_lines(wallet.bought, "bought"), *_trade_lines(wallet.sold, "sold")]
    sharing = _sharing_lines(shared) if shared else []
    utility = _utility_lines(usage, plan, is_residual=True) if plan and usage.is_known else []
    feed_in = _surplus_lines(fed_in_uwh, plan, wallet, is_shared=shared is not None)
    lines = [*community, *sharing, *utility, *feed_in]
    return Bill(
        lines=lines,
        settled_grx=_total(community),
        utility_grx=_total(utility),
        feed_in_grx=_total(feed_in),
        total_grx=_total(lines),
        shared_grx=_total(sharing),
        shared_paid_grx=format_grx(shared.paid_ugrx if shared else 0),
    )


def without_community(
    bill: Bill, usage: EnergyUsage, plan: TariffPlan | None
) -> WithoutCommunity | None:
    """Return what the same month would have cost without the community.

    None where the tariff or the energy is not known.
    """
    if plan is None or not usage.is_known:
        return None
    lines = _utility_lines(usage, plan, is_residual=False)
    lines += _feed_in_lines(usage.export_uwh, plan, "all of the export", basis=_INTERVALS)
    total = _total(lines)
    saved = format_grx(parse_grx(total) - parse_grx(bill.total_grx))
    return WithoutCommunity(lines=lines, total_grx=total, saved_grx=saved)


def _sharing_lines(shared: SharedEnergy) -> list[BillLine]:
    """Return what the key gave and took. The price is there if it was one all month."""
    price = format_grx(shared.prices[0]) if len(shared.prices) == 1 else ""
    sides = (
        ("energy received by the key", shared.received_uwh, shared.cost_ugrx, shared.received_in),
        ("energy given by the key", shared.given_uwh, -shared.earned_ugrx, shared.given_in),
    )
    return [
        BillLine(
            group="sharing",
            text=text,
            amount_grx=format_grx(amount_ugrx),
            quantity_kwh=format_kwh(energy_uwh),
            price_grx_per_kwh=price,
            first_entry=entries.first,
            last_entry=entries.last,
            entries=entries.count,
        )
        for text, energy_uwh, amount_ugrx, entries in sides
        if energy_uwh
    ]


def _trade_lines(sums: TradeSums, kind: TradeKind) -> list[BillLine]:
    """Return the energy's value, and a line for each charge that this member bore."""
    if not sums.trades:
        return []
    sign, name = (1, "purchases") if kind == "bought" else (-1, "sales")
    first = _line_of_trades(
        sums,
        f"energy {kind} in the community",
        sign * sums.value_ugrx,
        format_kwh(sums.quantity_uwh),
    )
    charges = (
        (f"market fee on {name}", sums.fee_ugrx),
        (f"network between zones on {name}", sums.wheeling_ugrx),
        (f"losses between zones on {name}", sums.loss_ugrx),
        (f"congestion between zones on {name}", sums.rent_ugrx),
    )
    lines = [_line_of_trades(sums, text, amount) for text, amount in charges if amount]
    return [first, *lines]


def _line_of_trades(
    sums: TradeSums, text: str, amount_ugrx: int, quantity_kwh: str = ""
) -> BillLine:
    return BillLine(
        group="community",
        text=text,
        amount_grx=format_grx(amount_ugrx),
        quantity_kwh=quantity_kwh,
        first_entry=sums.first_entry,
        last_entry=sums.last_entry,
        entries=sums.trades,
    )


def _utility_lines(usage: EnergyUsage, plan: TariffPlan, *, is_residual: bool) -> list[BillLine]:
    """Return the energy by time of use, and the tariff's other lines."""
    terms = plan.terms
    by_band_uwh = usage.residual_by_band_uwh if is_residual else usage.import_by_band_uwh
    covered = "what the key gave" if usage.received_uwh else "retired GRID"
    basis = f"{_INTERVALS} less {covered}" if is_residual else _INTERVALS
    lines = [
        _priced(f"energy, {band.window}", quantity_uwh, band.price_ugrx, basis)
        for band, quantity_uwh in zip(plan.bands, by_band_uwh, strict=True)
        if quantity_uwh or len(plan.bands) == 1
    ]
    for line in terms.line:
        if line.grx_per_kwh:
            on_import = line.basis == "import" or not is_residual
            quantity_uwh = usage.import_uwh if on_import else sum(usage.residual_by_band_uwh)
            of = _INTERVALS if on_import else basis
            lines.append(_priced(line.name, quantity_uwh, int(line.grx_per_kwh), of))
        if line.grx_per_month:
            lines.append(_monthly(f"{line.name}, a month", int(line.grx_per_month)))
    if terms.fixed_grx_per_month:
        lines.append(_monthly("basic fee, a month", int(terms.fixed_grx_per_month)))
    return lines


def _surplus_lines(
    fed_in_uwh: int, plan: TariffPlan | None, wallet: WalletMonth, *, is_shared: bool
) -> list[BillLine]:
    """Return what the utility pays for the surplus, if there is any."""
    if is_shared:
        text = "surplus that no member used"
        return _feed_in_lines(fed_in_uwh, plan, text, basis=_SHARED_BASIS)
    minted = wallet.sums.get(("GRID", "minted"))
    entries = _NO_ENTRIES
    if minted is not None:
        entries = EntryRange(first=minted.first_entry, last=minted.last_entry, count=minted.count)
    text, basis = "surplus that nobody bought", "minted GRID that is left"
    return _feed_in_lines(fed_in_uwh, plan, text, basis=basis, entries=entries)


def _feed_in_lines(
    quantity_uwh: int,
    plan: TariffPlan | None,
    text: str,
    *,
    basis: str,
    entries: EntryRange = _NO_ENTRIES,
) -> list[BillLine]:
    if plan is None or not quantity_uwh:
        return []
    price_ugrx = int(plan.terms.feed_in_grx_per_kwh)
    line = BillLine(
        group="feed_in",
        text=text,
        amount_grx=format_grx(-worth_ugrx(quantity_uwh, price_ugrx)),
        quantity_kwh=format_kwh(quantity_uwh),
        price_grx_per_kwh=format_grx(price_ugrx),
        first_entry=entries.first,
        last_entry=entries.last,
        entries=entries.count,
        basis=basis,
    )
    return [line]


def _priced(text: str, quantity_uwh: int, price_ugrx: int, basis: str) -> BillLine:
    return BillLine(
        group="utility",
        text=text,
        amount_grx=format_grx(worth_ugrx(quantity_uwh, price_ugrx)),
        quantity_kwh=format_kwh(quantity_uwh),
        price_grx_per_kwh=format_grx(price_ugrx),
        basis=basis,
    )


def _monthly(text: str, amount_ugrx: int) -> BillLine:
    return BillLine(group="utility", text=text, amount_grx=format_grx(amount_ugrx), basis="tariff")


def _total(lines: Iterable[BillLine]) -> str:
    return format_grx(sum(parse_grx(line.amount_grx) for line in lines))
