"""A member's month: from the fold, the meters' intervals and the tariff to the document's data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gridtokenx_backend.core.ledger import ASSETS, GRID, GRX
from gridtokenx_backend.core.series import Quality
from gridtokenx_backend.statements import bill as billing
from gridtokenx_backend.statements.document import (
    FORMAT,
    Account,
    Bill,
    Block,
    Check,
    Corrected,
    Data,
    Energy,
    Note,
    QualityCounts,
    Statement,
    Status,
    Sum,
    WindowEnergy,
    canonical,
    sha256,
)
from gridtokenx_backend.statements.energy import Metered
from gridtokenx_backend.statements.fold import Fold, Wallet
from gridtokenx_backend.statements.kinds import spell
from gridtokenx_backend.statements.months import INTERVAL_MS, Month
from gridtokenx_backend.statements.spool import Part, Spool
from gridtokenx_backend.statements.tariffs import ROUNDING, Plan
from gridtokenx_wire.config import encode_hook
from gridtokenx_wire.units import format_grx, format_kwh, parse_grx

FORMULAS = [
    "residual import = import of the meters − bought GRID retired against the same intervals",
    "a purchase is on the statement of the month in which it was made, also if it covers import"
    " of the month before",
    "amount of a line = quantity × price",
    "a sale's or purchase's value = quantity × price; charges are added for the buyer who bears"
    " them and subtracted from the seller who does",
    "unsold surplus = GRID minted by the end of the month that is still held when it is final;"
    " a sale takes the oldest minted GRID first and bought GRID last",
    "total = community + utility − feed-in",
    "saved = cost of all import and export under the utility tariff alone − total",
]


class Person(msgspec.Struct, frozen=True):
    """Whose statement it is, on which tariff, with which metering points."""

    name: str
    wallet: str
    plan: Plan | None
    meters: Sequence[Metered]
    feeds_in: bool = True
    """Whether what nobody bought goes to the utility."""


def data_of(fold: Fold, person: Person, community: str, spool: Spool) -> Data:
    """What the month was for this member."""
    month = fold.month
    wallet = fold.wallets.get(person.wallet) or Wallet()
    usage = billing.usage(month, person.plan, person.meters, wallet.retired)
    unsold_uwh = fold.unsold_uwh(wallet)
    fed_in_uwh = unsold_uwh if person.feeds_in else 0
    bill = billing.bill_of(wallet, usage, person.plan, fed_in_uwh)
    accounts = [_account(asset, wallet, spool, person.wallet) for asset in ASSETS]
    return Data(
        community,
        month.name,
        month.zone,
        month.from_ms,
        month.to_ms,
        month.days,
        person.name,
        person.wallet,
        _energy(wallet, usage, unsold_uwh),
        bill,
        billing.alone(bill, usage, person.plan),
        [_block(month, person.plan, metered) for metered in person.meters],
        spool.lines(person.wallet, "trade"),
        accounts,
        _snapshot(person.plan),
        None,
        ROUNDING,
        FORMULAS,
        checks(wallet, bill, usage),
    )


def statement_of(
    data: Data,
    status: Status,
    revision: int,
    corrects: Corrected | None = None,
    notes: Sequence[Note] = (),
) -> Statement:
    """The document around the data."""
    found = sha256(canonical(data))
    return Statement(FORMAT, status, revision, corrects, list(notes), data, found)


def _snapshot(plan: Plan | None) -> Any:
    if plan is None:
        return None
    return msgspec.json.decode(msgspec.json.encode(plan.terms, enc_hook=encode_hook))


def _energy(wallet: Wallet, usage: billing.Usage, unsold_uwh: int) -> Energy:
    known = usage.known
    minted = wallet.tallies.get((GRID, "minted"))
    return Energy(
        format_kwh(usage.import_uwh) if known else "",
        format_kwh(usage.retired_uwh),
        format_kwh(usage.import_uwh - usage.retired_uwh) if known else "",
        format_kwh(usage.export_uwh) if known else "",
        format_kwh(minted.amount if minted else 0),
        format_kwh(wallet.bought.quantity_uwh),
        format_kwh(wallet.sold.quantity_uwh),
        format_kwh(unsold_uwh),
    )


def _block(month: Month, plan: Plan | None, metered: Metered) -> Block:
    known = metered.known
    windows = []
    if plan is not None and known:
        sums = [0] * len(plan.bands)
        bands = plan.band_of[metered.first : metered.end]
        for band_index, import_uwh in zip(bands, metered.imports, strict=False):
            sums[band_index] += import_uwh
        windows = [
            WindowEnergy(band.window, format_kwh(amount))
            for band, amount in zip(plan.bands, sums, strict=True)
        ]
    return Block(
        metered.meter,
        metered.policy,
        month.from_ms + metered.first * INTERVAL_MS,
        month.from_ms + metered.end * INTERVAL_MS,
        format_kwh(metered.import_uwh) if known else "",
        format_kwh(metered.export_uwh) if known else "",
        windows,
        quality_of(metered),
    )


def quality_of(metered: Metered) -> QualityCounts:
    """How well the intervals are known."""
    qualities = metered.qualities
    counts = {quality.label: qualities.count(quality) for quality in Quality}
    return QualityCounts(metered.expected, revised=metered.revised, **counts)


def _account(asset: str, wallet: Wallet, spool: Spool, address: str) -> Account:
    part: Part = "GRX" if asset == GRX else "GRID" if asset == GRID else "REC"
    opening = wallet.before[asset]
    return Account(
        asset,
        spell(asset, opening),
        [
            Sum(kind, spell(asset, tally.amount), tally.count, tally.first_entry, tally.last_entry)
            for (of, kind), tally in sorted(wallet.tallies.items())
            if of == asset
        ],
        spell(asset, opening + wallet.within[asset]),
        spool.lines(address, part),
    )


def checks(wallet: Wallet, bill: Bill, usage: billing.Usage) -> list[Check]:
    """What must agree: the lines with the ledger, the total with its lines."""
    found = []
    for asset in ASSETS:
        lines = sum(tally.amount for (of, _), tally in wallet.tallies.items() if of == asset)
        found.append(
            _check(
                f"{asset}: the lines of this statement = the ledger's movements",
                spell(asset, lines),
                spell(asset, wallet.within[asset]),
            )
        )
    settled = wallet.bought.amount_ugrx + wallet.sold.amount_ugrx
    found.append(
        _check(
            "community lines of the bill = GRX that trades moved",
            bill.settled_grx,
            format_grx(-settled),
        )
    )
    total = sum(parse_grx(line.amount_grx) for line in bill.lines)
    found.append(_check("total = sum of the bill's lines", format_grx(total), bill.total_grx))
    if usage.known:
        by_band = sum(usage.residual_uwh)
        found.append(
            _check(
                "residual import by time of use = import − retired",
                format_kwh(by_band),
                format_kwh(usage.import_uwh - usage.retired_uwh),
            )
        )
    return found


def _check(text: str, left: str, right: str) -> Check:
    return Check(text, left, right, left == right)
