"""Application of new terms: members, devices and meters come, change and go; history stays."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.timetable import IntervalRules, first_to_clear
from gridtokenx_backend.core.messages.inputs import ConfigurationInput
from gridtokenx_backend.core.messages.outcomes import Configured
from gridtokenx_backend.core.model.ledger import GRX, Movement, issuer
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.ownership import interval_start_of
from gridtokenx_backend.core.model.registry import Device, Member, Meter, MeterRules
from gridtokenx_backend.core.model.terms import (
    CommunityTerms,
    DeviceTerms,
    MemberTerms,
    MeterTerms,
    ZoneTerms,
)
from gridtokenx_backend.core.model.zones import ONLY_ZONE, LinkRules, ZoneRules, loss_per_kwh_ugrx
from gridtokenx_backend.core.oracle import registers
from gridtokenx_backend.core.orders import standing_orders
from gridtokenx_backend.core.registration.enrolment import reset_chain
from gridtokenx_backend.core.settlement import certificates
from gridtokenx_backend.core.sharing import key_versions
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.core.state.snapshot import ActiveTerms
from gridtokenx_wire.frame import GENESIS_PREV
from gridtokenx_wire.keys import device_id, device_text, public_key_text


def configure(community: Community, input_: ConfigurationInput, at_ms: int) -> Configured:
    """Apply new terms, and return the opening transfers of new members.

    The terms were checked before, by `gridtokenx_backend.config`: every name in them refers to
    something. A device that they no longer name is revoked, unless it was enrolled; a meter is
    switched off; members keep their tokens. An open order is cancelled if its value may no longer
    be a whole number, its escrow may no longer be enough, its owner is in another zone, its price
    would be refused now, or the community shares by keys from here on.
    """
    previous_rules, previous_interval = community.market.rules, community.active_terms.interval
    was_sharing = community.active_terms.sharing.is_sharing
    community.apply_terms(_active_terms(input_))
    _begin_clearing(community, previous_interval, at_ms)
    movements = [
        movement
        for terms in input_.terms.member
        if (movement := _member(community, terms)) is not None
    ]
    _settle_zones(community)
    _cancel_unfit(community, previous_rules)
    if was_sharing and not community.active_terms.sharing.is_sharing:
        standing_orders.begin_again(community)
    key_versions.add(community.sharing, input_.terms)
    _devices(community, input_.terms.device)
    _meters(community, input_.terms, at_ms)
    return Configured(movements)


def _active_terms(input_: ConfigurationInput) -> ActiveTerms:
    """Return the terms as the core uses them: in integers."""
    oracle_terms, market = input_.terms.oracle, input_.terms.market
    interval = input_.terms.interval
    return ActiveTerms(
        name=input_.terms.community.name,
        source=input_.source,
        limits=OracleLimits(
            future_tolerance_ms=oracle_terms.future_tolerance_s * 1000,
            oldest_reading_ms=oracle_terms.oldest_reading_s * 1000,
            ratio_window_ms=oracle_terms.ratio_window_s * 1000,
            late_reading_ms=interval.correction_hours * 3_600_000,
            finality_ms=interval.finality_hours * 3_600_000,
            boundary_tolerance_ms=interval.bound_tolerance_s * 1000,
        ),
        rules=MarketRules(
            lot_uwh=int(market.lot_kwh),
            tick_ugrx=int(market.tick_grx_per_kwh),
            highest_price_ugrx=int(market.highest_price_grx_per_kwh),
            largest_order_uwh=int(market.largest_order_kwh),
            fee_bps=market.fee_bps,
            fee_payer=market.fee_payer,
            network_payer=market.network_payer,
            min_fee_ugrx=int(market.min_fee_grx),
            zones=_zones(input_.terms),
            links=_links(input_.terms),
            most_open_orders=market.most_open_orders,
        ),
        order_window_ms=market.order_window_s * 1000,
        tick_ms=market.tick_s * 1000,
        rotation_overlap_ms=input_.terms.rotation.overlap_hours * 3_600_000,
        time_zone=input_.zone,
        cover_ms=input_.terms.settlement.cover_hours * 3_600_000,
        interval=IntervalRules(
            enabled=interval.enabled,
            mode=interval.mode,
            gate_ms=interval.gate_s * 1000,
            grace_ms=interval.grace_s * 1000,
            coupling=interval.coupling,
        ),
        sharing=key_versions.rules_of(input_.terms),
    )


def _begin_clearing(community: Community, previous: IntervalRules, at_ms: int) -> None:
    """Begin with the next interval where clearing is switched on: past ones stay as they are."""
    rules = community.active_terms.interval
    if rules.enabled and not previous.enabled:
        first_ms = first_to_clear(rules, at_ms)
        community.cleared_ms = max(community.cleared_ms, first_ms)


def _settle_zones(community: Community) -> None:
    """Move members whose zone is gone to the first zone; the terms may no longer list them."""
    zones = community.market.trading.zones
    for member in community.members.values():
        if member.zone not in zones:
            member.zone = community.market.rules.zones[0].name


def _cancel_unfit(community: Community, previous: MarketRules) -> None:
    """Cancel the open orders that the new terms do not allow."""
    market, rules = community.market, community.market.rules
    is_all = _basis(rules) != _basis(previous) or community.active_terms.sharing.is_sharing
    for order in [*community.book.orders.values(), *community.interval.book.orders.values()]:
        zone = community.members[order.wallet].zone
        if is_all or order.zone != zone or market.entry_rules.bad_price(zone, order.price_ugrx):
            community.market_of(order).cancel(order)
            standing_orders.order_again(community, order)


def _basis(rules: MarketRules) -> tuple[int, int, str, int]:
    """Return the rules with which the value and the escrow of an order are computed."""
    fee_on_top_bps = rules.fee_bps if rules.fee_payer == "buyer" else 0
    return rules.lot_uwh, rules.tick_ugrx, rules.fee_payer, fee_on_top_bps


def _zones(terms: CommunityTerms) -> tuple[ZoneRules, ...]:
    zones = terms.zone or [ZoneTerms(name=ONLY_ZONE)]
    return tuple(
        ZoneRules(
            name=zone.name,
            floor_ugrx=int(zone.floor_grx_per_kwh),
            ceiling_ugrx=int(zone.ceiling_grx_per_kwh),
            breaker_bps=zone.breaker_bps,
            breaker_pause_ms=zone.breaker_pause_s * 1000,
        )
        for zone in zones
    )


def _links(terms: CommunityTerms) -> tuple[LinkRules, ...]:
    tick_ugrx = int(terms.market.tick_grx_per_kwh)
    return tuple(
        LinkRules(
            from_zone=link.from_zone,
            to_zone=link.to_zone,
            capacity_uwh=int(link.capacity_kwh),
            wheeling_ugrx=int(link.wheeling_grx_per_kwh),
            loss_ugrx=loss_per_kwh_ugrx(link.loss_bps, int(link.loss_price_grx_per_kwh), tick_ugrx),
        )
        for link in terms.link
    )


def _member(community: Community, terms: MemberTerms) -> Movement | None:
    wallet = public_key_text(bytes(terms.wallet))
    zone = terms.zone or community.market.rules.zones[0].name
    known = community.members.get(wallet)
    if known is not None:
        known.name, known.zone = terms.name, zone
        return None
    community.members[wallet] = Member(name=terms.name, wallet=wallet, zone=zone)
    if not terms.opening_grx:
        return None
    movement = Movement(asset=GRX, debit=issuer(GRX), credit=wallet, amount=int(terms.opening_grx))
    return movement if community.ledger.post([movement]) is None else None


def _devices(community: Community, listed: list[DeviceTerms]) -> None:
    named = set()
    for terms in listed:
        key = bytes(terms.public_key)
        name = device_id(key)
        named.add(name)
        chain = bytes.fromhex(terms.chain)
        device = community.devices.get(name)
        if device is None:
            community.devices[name] = Device(
                id=name,
                public_key=key,
                site=terms.site,
                status=terms.status,
                chain=chain,
                next_seq=0,
                prev=GENESIS_PREV,
            )
            continue
        device.origin, device.site = "config", terms.site
        if not device.why:  # what was revoked for a reason stays so
            device.status = terms.status
        if chain and chain != device.chain:
            reset_chain(device, chain)
    for name, device in community.devices.items():
        if name not in named and device.origin == "config":
            device.status = "revoked"


def _meters(community: Community, terms: CommunityTerms, at_ms: int) -> None:
    devices = {device_text(device): device for device in community.devices}
    wallets = {member.name: public_key_text(bytes(member.wallet)) for member in terms.member}
    owners = {wallet: wallet for wallet in community.members}
    shared: dict[MeterRules, MeterRules] = {}
    named, listed_ms = set(), interval_start_of(at_ms)
    for listed in terms.meter:
        named.add(listed.id)
        rules = _rules(listed)
        rules = shared.setdefault(rules, rules)
        device = devices[listed.device] if listed.device else b""
        owner = owners[wallets[listed.owner]]
        meter = community.meters.get(listed.id)
        if meter is None:
            meter = Meter(
                id=listed.id,
                device=device,
                owner=owner,
                rules=rules,
                epoch=listed.epoch,
                site=listed.site,
            )
            meter.metering_point = listed.metering_point
            if community.rules >= 2:
                meter.owners_from_ms, meter.listed_ms = 0, listed_ms
            community.meters[listed.id] = meter
            continue
        if community.rules >= 2:
            _change_owner(meter, owner, at_ms)
            meter.unlisted_ms = 0
        policy_changed = meter.rules.policy != rules.policy
        meter.device, meter.site, meter.owner, meter.rules = device, listed.site, owner, rules
        meter.metering_point = listed.metering_point
        if policy_changed:  # the mark counts what the previous policy called surplus
            meter.settled_uwh = registers.surplus_uwh(meter)
        if meter.epoch != listed.epoch:
            meter.epoch = listed.epoch
            registers.begin_anew(meter)
    for name, meter in community.meters.items():
        if name not in named:
            off = _switched_off(community, meter.rules)
            meter.rules = shared.setdefault(off, off)
            if community.rules >= 2 and not meter.unlisted_ms:
                meter.unlisted_ms = listed_ms


def _change_owner(meter: Meter, owner: str, at_ms: int) -> None:
    """Let a known meter be its owner's from now on, and remember whose it was.

    Surplus that a meter of the policy `net` still lacks is the former owner's: the new one begins
    with none.
    """
    if meter.owners_from_ms < 0:  # it was the present owner's at least until now
        meter.owners_from_ms = interval_start_of(at_ms)
    if meter.owner == owner:
        return
    certificates.leave_to(meter, meter.owner)
    surplus_uwh = registers.surplus_uwh(meter)
    deficit_uwh = max(0, meter.settled_uwh - surplus_uwh)
    meter.settled_uwh -= deficit_uwh
    meter.change_owner(owner, at_ms, deficit_uwh)


def _switched_off(community: Community, rules: MeterRules) -> MeterRules:
    """Return the rules of a meter that the terms no longer name.

    Its rating stays, because what it counted can still be corrected.
    """
    if community.rules >= 2:
        return msgspec.structs.replace(rules, active=False)
    return MeterRules(
        policy=rules.policy,
        active=False,
        max_power_w=0,
        min_interval_ms=0,
        resolution_uwh=0,
        max_production_ratio=0,
        technology=rules.technology,
    )


def _rules(terms: MeterTerms) -> MeterRules:
    return MeterRules(
        policy=terms.policy,
        active=terms.active,
        max_power_w=int(terms.max_power_kw),
        min_interval_ms=terms.min_interval_s * 1000,
        resolution_uwh=int(terms.resolution_kwh),
        max_production_ratio=terms.max_production_ratio,
        rollover_uwh=int(terms.rollover_kwh),
        renewable=terms.renewable,
        technology=terms.technology,
        first_energy_uwh=int(terms.first_energy_kwh),
        starts_at_zero=terms.starts_at_zero,
    )
