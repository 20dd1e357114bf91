"""Checks of `[[zone]]`, `[[link]]` and the zones of members that their types cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_backend.core.model.terms import CommunityTerms, LinkTerms, ZoneTerms
from gridtokenx_backend.core.model.zones import INTERVAL_MS, ONLY_ZONE
from gridtokenx_wire.topics import COMMUNITY_RULE, is_community

_LONGEST_PAUSE_S = 86_400
_LARGEST_BPS = 10_000
MOST_ZONES = 100
MOST_LINKS = 1000


def check_zones(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    """(key path, what was expected) for all that concerns zones."""
    if len(terms.zone) > MOST_ZONES:
        yield "zone", f"expected at most {MOST_ZONES} zones"
    if len(terms.link) > MOST_LINKS:
        yield "link", f"expected at most {MOST_LINKS} links"
    names: set[str] = set()
    for index, zone in enumerate(terms.zone):
        if zone.name in names:
            yield f"zone[{index}].name", f"expected a name of its own, got {zone.name!r}"
        names.add(zone.name)
        for key, expected in _check_zone(terms, zone):
            yield f"zone[{index}].{key}", expected
    names = names or {ONLY_ZONE}
    joined: set[tuple[str, str]] = set()
    for index, link in enumerate(terms.link):
        if (link.from_zone, link.to_zone) in joined:
            yield f"link[{index}]", "expected one link from a zone to another"
        joined.add((link.from_zone, link.to_zone))
        for key, expected in _check_link(terms, link, names):
            yield f"link[{index}].{key}", expected
    for index, member in enumerate(terms.member):
        if member.zone and member.zone not in names:
            yield f"member[{index}].zone", f"expected one of {', '.join(sorted(names))}"


def _check_zone(terms: CommunityTerms, zone: ZoneTerms) -> Iterator[tuple[str, str]]:
    if not is_community(zone.name):
        yield "name", COMMUNITY_RULE
    for key in ("floor_grx_per_kwh", "ceiling_grx_per_kwh"):
        price = getattr(zone, key)
        if price < 0 or price > terms.market.highest_price_grx_per_kwh:
            yield key, "expected 0 to the market's highest_price_grx_per_kwh"
    if zone.ceiling_grx_per_kwh and zone.ceiling_grx_per_kwh < zone.floor_grx_per_kwh:
        yield "ceiling_grx_per_kwh", "expected at least floor_grx_per_kwh, or 0 for none"
    if not 0 <= zone.breaker_bps <= 100 * _LARGEST_BPS:
        yield "breaker_bps", f"expected 0 to {100 * _LARGEST_BPS} basis points"
    if not 1 <= zone.breaker_pause_s <= _LONGEST_PAUSE_S:
        yield "breaker_pause_s", f"expected 1 to {_LONGEST_PAUSE_S} seconds"


def _check_link(
    terms: CommunityTerms, link: LinkTerms, names: set[str]
) -> Iterator[tuple[str, str]]:
    for key, zone in (("from", link.from_zone), ("to", link.to_zone)):
        if zone not in names:
            yield key, f"expected one of {', '.join(sorted(names))}"
    if link.from_zone == link.to_zone:
        yield "to", "expected another zone than from"
    market = terms.market
    if link.capacity_kwh < 0:
        yield "capacity_kwh", f"expected 0 or more, for each {INTERVAL_MS // 60_000} minutes"
    wheeling, highest = link.wheeling_grx_per_kwh, market.highest_price_grx_per_kwh
    is_whole = market.tick_grx_per_kwh <= 0 or wheeling % market.tick_grx_per_kwh == 0
    if not (0 <= wheeling <= highest and is_whole):
        yield "wheeling_grx_per_kwh", "expected a multiple of the market's tick, up to its highest"
    if not 0 <= link.loss_bps <= _LARGEST_BPS:
        yield "loss_bps", f"expected 0 to {_LARGEST_BPS} basis points"
    if not 0 <= link.loss_price_grx_per_kwh <= highest:
        yield "loss_price_grx_per_kwh", "expected 0 to the market's highest_price_grx_per_kwh"
