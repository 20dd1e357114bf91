"""Checks of the community's terms that their types cannot express."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gridtokenx_backend.config.settlement_checks import check_settlement
from gridtokenx_backend.config.sharing_checks import check_sharing
from gridtokenx_backend.config.tariff_checks import check_tariffs
from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.config.zone_checks import check_zones
from gridtokenx_backend.core.model.terms import CommunityTerms, MeterTerms
from gridtokenx_wire.frame import MAX_METER_ID
from gridtokenx_wire.keys import device_id, device_text
from gridtokenx_wire.topics import COMMUNITY_RULE, is_community
from gridtokenx_wire.units import MAX_AMOUNT, UWH_PER_KWH, format_grx

_LARGEST = 10**10
"""The limit of seconds, ratios and epochs: the core keeps 64-bit integers, some in milliseconds."""
_LONGEST_OVERLAP_HOURS = 8760
_LONGEST_FINALITY_HOURS = 8760
_LARGEST_TOLERANCE_S = 450
_LONGEST_GRACE_S = 86_400
_MOST_OPEN_ORDERS = 1_000_000
# Large current transformers count in steps of 10 kWh.
_COARSEST_UWH = 100 * UWH_PER_KWH
_LARGEST_REGISTER_UWH = 10**9 * UWH_PER_KWH
_CHAIN = re.compile(r"(?:[0-9a-f]{16})?", re.ASCII)


def check_terms(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    """Yield (key path, what was expected) for each value that the types allow but that is wrong."""
    if not is_community(terms.community.name):
        yield "community.name", COMMUNITY_RULE
    try:
        look_up(terms.community.time_zone)
    except ValueError as error:
        yield "community.time_zone", str(error)
    if not 0 <= terms.rotation.overlap_hours <= _LONGEST_OVERLAP_HOURS:
        yield "rotation.overlap_hours", f"expected 0 to {_LONGEST_OVERLAP_HOURS}"
    yield from _check_oracle(terms)
    yield from _check_intervals(terms)
    yield from _check_market(terms)
    yield from check_zones(terms)
    yield from check_sharing(terms)
    yield from _check_members(terms)
    yield from _check_devices(terms)
    yield from _check_meters(terms)
    yield from check_tariffs(terms)
    yield from check_settlement(terms)


def _check_oracle(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    for name in terms.oracle.__struct_fields__:
        if not 0 <= getattr(terms.oracle, name) <= _LARGEST:
            yield f"oracle.{name}", f"expected 0 to {_LARGEST} seconds"


def _check_intervals(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    interval = terms.interval
    if not 0 <= interval.finality_hours <= _LONGEST_FINALITY_HOURS:
        yield "interval.finality_hours", f"expected 0 to {_LONGEST_FINALITY_HOURS}"
    elif not 0 <= interval.correction_hours <= interval.finality_hours:
        hours = interval.finality_hours
        yield "interval.correction_hours", f"expected 0 to {hours}, the finality_hours"
    for name in ("gate_s", "grace_s"):
        if not 0 <= getattr(interval, name) <= _LONGEST_GRACE_S:
            yield f"interval.{name}", f"expected 0 to {_LONGEST_GRACE_S}"
    if not 0 <= interval.bound_tolerance_s <= _LARGEST_TOLERANCE_S:
        yield (
            "interval.bound_tolerance_s",
            f"expected 0 to {_LARGEST_TOLERANCE_S}, half an interval",
        )


def _check_market(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    market = terms.market
    for name in ("lot_kwh", "tick_grx_per_kwh", "highest_price_grx_per_kwh", "largest_order_kwh"):
        if getattr(market, name) <= 0:
            yield f"market.{name}", "expected more than 0"
    if market.lot_kwh * market.tick_grx_per_kwh % UWH_PER_KWH:
        yield "market.lot_kwh", "expected lot × tick to be a whole number of µGRX (0.000001 GRX)"
    if not 0 <= market.fee_bps <= 10_000:
        yield "market.fee_bps", f"expected 0 to 10000 basis points, got {market.fee_bps}"
    if market.min_fee_grx and market.fee_payer == "buyer":
        yield "market.min_fee_grx", 'expected 0 with fee_payer = "buyer"'
    if not 0 <= market.min_fee_grx <= MAX_AMOUNT // 10**6:
        yield "market.min_fee_grx", f"expected 0 to {format_grx(MAX_AMOUNT // 10**6)} GRX"
    if not 1 <= market.most_open_orders <= _MOST_OPEN_ORDERS:
        yield "market.most_open_orders", f"expected 1 to {_MOST_OPEN_ORDERS}"
    for name in ("order_window_s", "tick_s"):
        if not 1 <= getattr(market, name) <= _LARGEST:
            yield f"market.{name}", f"expected 1 to {_LARGEST} seconds"


def _check_members(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    wallets: set[bytes] = set()
    opened_ugrx = 0
    for index, member in enumerate(terms.member):
        if member.name in names or not member.name:
            yield f"member[{index}].name", f"expected a name of its own, got {member.name!r}"
        if member.wallet in wallets:
            yield f"member[{index}].wallet", "expected a wallet that no other member has"
        if member.opening_grx < 0:
            yield f"member[{index}].opening_grx", "expected 0 or more"
        opened_ugrx += max(0, member.opening_grx)
        if opened_ugrx > MAX_AMOUNT:
            most = format_grx(MAX_AMOUNT)
            yield (
                f"member[{index}].opening_grx",
                f"expected opening balances of at most {most} GRX together",
            )
            return
        names.add(member.name)
        wallets.add(member.wallet)


def _check_devices(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    keys: set[bytes] = set()
    for index, device in enumerate(terms.device):
        if device.public_key in keys:
            yield f"device[{index}].public_key", "expected a key that no other device has"
        if _CHAIN.fullmatch(device.chain) is None:
            yield f"device[{index}].chain", "expected 16 lower-case hex digits, or nothing"
        keys.add(device.public_key)


def _check_meters(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    members = {member.name for member in terms.member}
    devices = {device_text(device_id(bytes(device.public_key))) for device in terms.device}
    ids: set[str] = set()
    for index, meter in enumerate(terms.meter):
        if meter.id in ids or not _is_meter_id(meter.id):
            yield f"meter[{index}].id", "expected a printable ASCII id that no other meter has"
        if bool(meter.device) == bool(meter.site):
            yield f"meter[{index}]", "expected a device or a site"
        elif meter.device and meter.device not in devices:
            yield f"meter[{index}].device", "expected the id of a device of this file"
        if meter.owner not in members:
            yield f"meter[{index}].owner", "expected the name of a member of this file"
        if meter.max_power_kw <= 0:
            yield f"meter[{index}].max_power_kw", "expected more than 0"
        if not 0 <= meter.rollover_kwh <= _LARGEST_REGISTER_UWH:
            yield f"meter[{index}].rollover_kwh", "expected 0 to 1000000000 kWh"
        yield from _check_resolution(meter, f"meter[{index}]")
        for name in ("min_interval_s", "max_production_ratio", "epoch"):
            if not 0 <= getattr(meter, name) <= _LARGEST:
                yield f"meter[{index}].{name}", f"expected 0 to {_LARGEST}"
        ids.add(meter.id)


def _check_resolution(meter: MeterTerms, at: str) -> Iterator[tuple[str, str]]:
    """Yield a mistake where a meter's resolution would let through what it cannot have measured.

    A reading may be off by one step of the register, so a large step is as good as no limit.
    """
    most_kwh = _COARSEST_UWH // UWH_PER_KWH
    if not 0 <= meter.resolution_kwh <= _COARSEST_UWH:
        yield f"{at}.resolution_kwh", f"expected 0 to {most_kwh} kWh, one step of the register"


def _is_meter_id(text: str) -> bool:
    """Return whether a frame can name a meter so."""
    return 1 <= len(text) <= MAX_METER_ID and text.isascii() and text.isprintable()
