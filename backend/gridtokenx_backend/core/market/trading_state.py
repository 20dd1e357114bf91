"""The state of trading: which zones are open, their circuit breakers, and the room on the links."""

from __future__ import annotations

from typing import Final

import msgspec

from gridtokenx_backend.core.market.book import BUY, NEVER_MS
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.messages.outcomes import ZoneStatus
from gridtokenx_backend.core.model.local_time import TimeZone, local_text
from gridtokenx_backend.core.model.zones import LinkRules, ZoneRules, interval_of
from gridtokenx_wire.order import Side

OPEN: Final = "open"
HALTED: Final = "halted"
CANCEL_ONLY: Final = "cancel_only"
_BOUNDLESS_UWH: Final = 2**63
_KEPT_INTERVALS: Final = 200
"""These are two days, and an interval is cleared a day after its end at the latest."""


class ZoneState(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """The state of one zone. The operator sets `status`, and gives a `reason` for it.

    Until `paused_until_ms` (0: not paused) the zone's circuit breaker only lets orders be
    cancelled. `reference_ugrx` is the last price before the interval `interval_ms`, or the first
    price after a pause; 0 means that there is none yet.
    """

    name: str
    status: ZoneStatus = OPEN
    reason: str = ""
    paused_until_ms: int = 0
    last_ugrx: int = 0
    reference_ugrx: int = 0
    interval_ms: int = 0


class LinkUse(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """What passed over a link in the interval `interval_ms`, and in `others` near to it."""

    from_zone: str
    to_zone: str
    interval_ms: int = 0
    used_uwh: int = 0
    others: dict[int, int] = {}


class Route(msgspec.Struct, kw_only=True, gc=False):
    """A zone that an order may trade with: what the way there costs, and how much still fits."""

    zone: str
    charge_ugrx: int
    link: LinkRules | None
    room_uwh: int


class PriceBand(msgspec.Struct, kw_only=True, gc=False):
    """The prices that a zone's breaker lets pass, around a reference (0: none yet)."""

    breaker_bps: int
    reference_ugrx: int

    def admits(self, price_ugrx: int) -> bool:
        """Return whether a price may pass. Without a reference every price may."""
        distance_ugrx = abs(price_ugrx - self.reference_ugrx)
        is_near = distance_ugrx * 10_000 <= self.breaker_bps * self.reference_ugrx
        return is_near or not self.reference_ugrx

    def note(self, price_ugrx: int) -> None:
        """Take the first price that passes as the reference if there is none."""
        if not self.reference_ugrx:
            self.reference_ugrx = price_ugrx


class TradingState:
    """The states of the zones and the use of the links, under the active rules.

    `time_zone` is that in which people read times.
    """

    def __init__(self, rules: MarketRules) -> None:
        self.time_zone = TimeZone()
        self.zones: dict[str, ZoneState] = {}
        self.uses: dict[tuple[str, str], LinkUse] = {}
        self.apply_terms(rules)

    def apply_terms(self, rules: MarketRules) -> None:
        """Let these rules hold from here on. Zones and links that stay keep their state."""
        self._rules = {zone.name: zone for zone in rules.zones}
        self._links = rules.links
        self._lot_uwh = rules.lot_uwh
        # Without a link nothing of a route ever changes.
        self._own = {
            zone: [Route(zone=zone, charge_ugrx=0, link=None, room_uwh=_BOUNDLESS_UWH)]
            for zone in self._rules
        }
        self.has_breakers = any(zone.breaker_bps for zone in rules.zones)
        self.zones = {name: self.zones.get(name) or ZoneState(name=name) for name in self._rules}
        self.uses = {
            (link.from_zone, link.to_zone): self.uses.get((link.from_zone, link.to_zone))
            or LinkUse(from_zone=link.from_zone, to_zone=link.to_zone)
            for link in rules.links
        }
        self._note_pauses()

    def rules_of(self, zone: str) -> ZoneRules:
        """Return the rules of a zone: its price band and its breaker."""
        return self._rules[zone]

    def closed(self, zone: str, at_ms: int) -> str:
        """Return why no order may enter the zone now, or an empty text."""
        state = self.zones[zone]
        if state.status != OPEN:
            return f"zone {zone!r} is {state.status.replace('_', '-')}: {state.reason}"
        if at_ms < state.paused_until_ms:
            until = local_text(self.time_zone, state.paused_until_ms, "%Y-%m-%dT%H:%M:%S")
            return f"zone {zone!r} is paused by its breaker until {until}"
        return ""

    def frozen(self, zone: str) -> str:
        """Return why no order of the zone may be cancelled now, or an empty text."""
        state = self.zones[zone]
        return f"zone {zone!r} is halted: {state.reason}" if state.status == HALTED else ""

    def routes(self, zone: str, side: Side, at_ms: int) -> list[Route]:
        """Return where an order of `zone` may trade now. Its own zone is the first."""
        if not self._links:
            return self._own[zone]
        routes = [*self._own[zone]]
        for link in self._links:
            here, there = link.from_zone, link.to_zone
            if side == BUY:
                here, there = there, here
            if here == zone and not self.closed(there, at_ms):
                room_uwh = self.room_uwh(link, at_ms)
                if room_uwh:
                    routes.append(
                        Route(
                            zone=there, charge_ugrx=link.charge_ugrx, link=link, room_uwh=room_uwh
                        )
                    )
        return routes

    def room_uwh(self, link: LinkRules, at_ms: int) -> int:
        """Return what still fits through a link in the interval of `at_ms`, in whole lots."""
        use = self.uses[link.from_zone, link.to_zone]
        interval_ms = interval_of(at_ms)
        if use.interval_ms == interval_ms:
            used_uwh = use.used_uwh
        else:
            used_uwh = use.others.get(interval_ms, 0)
        room_uwh = max(0, link.capacity_uwh - used_uwh)
        return room_uwh - room_uwh % self._lot_uwh

    def pass_through(self, link: LinkRules, quantity_uwh: int, at_ms: int) -> None:
        """Use up a part of a link's capacity in the interval of `at_ms`."""
        use, interval_ms = self.uses[link.from_zone, link.to_zone], interval_of(at_ms)
        if use.interval_ms < interval_ms:
            if use.used_uwh:
                use.others[use.interval_ms] = use.used_uwh
            use.interval_ms, use.used_uwh = interval_ms, use.others.pop(interval_ms, 0)
            while len(use.others) > _KEPT_INTERVALS:
                del use.others[min(use.others)]
        if use.interval_ms == interval_ms:
            use.used_uwh += quantity_uwh
        else:  # the coupling clears an interval that is over
            use.others[interval_ms] = use.others.get(interval_ms, 0) + quantity_uwh

    def bands(self, at_ms: int) -> dict[str, PriceBand]:
        """Return the zones with a breaker, and the prices that it lets pass."""
        interval_ms = interval_of(at_ms)
        return {
            zone.name: PriceBand(
                breaker_bps=zone.breaker_bps,
                reference_ugrx=_reference_ugrx(self.zones[zone.name], interval_ms),
            )
            for zone in self._rules.values()
            if zone.breaker_bps
        }

    def note_price(self, zone: str, price_ugrx: int, at_ms: int) -> None:
        """Note the zone's price of a trade."""
        state, interval_ms = self.zones[zone], interval_of(at_ms)
        if state.interval_ms != interval_ms or not state.reference_ugrx:
            state.reference_ugrx = _reference_ugrx(state, interval_ms) or price_ugrx
            state.interval_ms = interval_ms
        state.last_ugrx = price_ugrx

    def trip(self, zone: str, at_ms: int) -> None:
        """Pause a zone. The first trade after the pause sets a new reference price."""
        state = self.zones[zone]
        state.paused_until_ms = at_ms + self._rules[zone].breaker_pause_ms
        state.reference_ugrx = state.last_ugrx = 0
        self._note_pauses()

    def switch(self, zone: str, status: ZoneStatus, reason: str) -> None:
        """Set a zone's status by the operator's command. Opening a zone also ends its pause."""
        state = self.zones[zone]
        state.status, state.reason = status, reason if status != OPEN else ""
        if status == OPEN:
            state.paused_until_ms = 0
        self._note_pauses()

    def end_pauses(self, at_ms: int) -> list[str]:
        """End the pauses that are over by `at_ms`. Return their zones."""
        ended = [state.name for state in self.zones.values() if 0 < state.paused_until_ms <= at_ms]
        for name in ended:
            self.zones[name].paused_until_ms = 0
        self._note_pauses()
        return ended

    def set_back(self, to_ms: int) -> None:
        """Let no pause and no use of a link wait for a time that was wrong."""
        interval_ms = interval_of(to_ms)
        for state in self.zones.values():
            longest_ms = to_ms + self._rules[state.name].breaker_pause_ms
            state.paused_until_ms = min(state.paused_until_ms, longest_ms)
        for use in self.uses.values():
            if use.interval_ms > interval_ms:
                use.others = {at: used for at, used in use.others.items() if at <= interval_ms}
                use.interval_ms, use.used_uwh = interval_ms, use.others.pop(interval_ms, 0)
        self._note_pauses()

    def _note_pauses(self) -> None:
        pauses = [state.paused_until_ms for state in self.zones.values() if state.paused_until_ms]
        self.next_pause_end_ms = min(pauses, default=NEVER_MS)


def _reference_ugrx(state: ZoneState, interval_ms: int) -> int:
    """Return a zone's reference price in an interval; a new interval starts from the last price."""
    return state.reference_ugrx if state.interval_ms == interval_ms else state.last_ugrx
