"""Looks at the running parts, again and again, and makes a scene of what it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.api import Api, ApiSilent, Clearing, Level, ListedTrade
from gridtokenx_sim.demo.files.config_files import Identities
from gridtokenx_sim.demo.files.statement import Balance, Statement, Summary
from gridtokenx_sim.demo.screen.picture import of_market
from gridtokenx_sim.demo.screen.scene import Event, MemberRow, Scene
from gridtokenx_sim.physics.noise import seed_for
from gridtokenx_sim.physics.site import DAY_MS, MINUTE_MS, Sky
from gridtokenx_sim.physics.sun import elevation_degrees
from gridtokenx_wire.clock import Clock

_LEVELS = 4
_TRADES = 8
_ALL_TRADES = 1000  # as many as the backend tells at once: two days of this town's


class _Meter(msgspec.Struct):
    id: str
    power_w: int
    faults: list[str]


class _Meters(msgspec.Struct):
    meters: list[_Meter]


class Observer:
    """Keeps the state that was last seen. `look` refreshes what the parts answer."""

    def __init__(
        self,
        api: Api,
        meters: Path,
        identities: Identities,
        clock: Clock,
        speed: float,
        broker: str,
    ) -> None:
        self._api = api
        self._meters = meters
        self._wallets = identities.wallets
        self._clock = clock
        self._speed = speed
        self._broker = broker
        self._sky = Sky(town.LATITUDE, town.LONGITUDE, seed_for(town.SEED, "sky"))
        self._summary: Summary | None = None
        self._balances: dict[str, Balance] = {}
        self._book: tuple[list[Level], list[Level]] = ([], [])
        self._trades: list[ListedTrade] = []
        self._clearing: Clearing | None = None

    async def markets_traded(self) -> set[str]:
        """Return the segments in which something has traded; none while the backend does not
        answer.
        """
        try:
            return {trade.segment for trade in await self._api.trades(_ALL_TRADES)}
        except ApiSilent:
            return set()

    async def look(self) -> None:
        """Ask the backend for everything; what it does not answer stays as it was."""
        try:
            self._summary = await self._api.summary()
            self._book = await self._api.book()
            self._trades = await self._api.trades(_TRADES)
            self._clearing = await self._api.last_clearing()
            for wallet in self._wallets.values():
                self._balances[wallet] = await self._api.balance(wallet)
        except ApiSilent:
            return

    async def statement(self) -> Statement:
        """Return totals and balances of one moment: asked again until nothing moves.

        Raises ApiSilent.
        """
        while True:
            before = await self._api.summary()
            balances = {
                wallet: await self._api.balance(wallet) for wallet in self._wallets.values()
            }
            after = await self._api.summary()
            if before == after:
                return Statement(after, balances)

    def scene(self, down: list[str], restarts: int, events: list[Event]) -> Scene:
        """Return what was last seen, with the time and the sun of now."""
        now_ms = self._clock.now_ms()
        bids, asks = self._book
        return Scene(
            title=town.TITLE,
            time_zone=town.TIME_ZONE,
            time_ms=now_ms,
            speed=self._speed,
            sun_degrees=elevation_degrees(now_ms, town.LATITUDE, town.LONGITUDE),
            sun_w_m2=self._sky.day_mw_m2(now_ms // DAY_MS)[now_ms % DAY_MS // MINUTE_MS] // 1000,
            broker=self._broker,
            member_rows=self._member_rows(),
            summary=self._summary,
            bids=tuple(bids[:_LEVELS]),
            asks=tuple(asks[:_LEVELS]),
            trades=tuple(self._trades),
            clearing=self._clearing,
            down=tuple(down),
            restarts=restarts,
            events=tuple(events),
        )

    def _member_rows(self) -> tuple[MemberRow, ...]:
        seen = _read_meters(self._meters)
        return tuple(
            self._member_row(bus, member, seen.get(member.meter.id))
            for bus in town.BUSES
            for member in bus.members
        )

    def _member_row(self, bus: town.Bus, member: town.Member, seen: _Meter | None) -> MemberRow:
        wallet = self._wallets[member.name]
        sign = "≥" if member.side == "sell" else "≤"
        known: dict[str, Any] = {}
        if seen is not None:
            known = {"power_w": seen.power_w, "faults": tuple(seen.faults)}
        return MemberRow(
            member=member.name,
            wallet=wallet,
            meter=member.meter.id,
            model=_model_name(member.meter),
            bus=f"{bus.name} {member.meter.address}" if bus.baud else f"{bus.name} TCP",
            order=f"{member.side} {sign} {member.price_grx_per_kwh}{of_market(member.segment)}",
            balance=self._balances.get(wallet),
            **known,
        )


def _model_name(meter: town.MeterPlan) -> str:
    """Return the makers' names as people say them."""
    return meter.model_name.removesuffix("-Modbus").replace("Schneider Electric", "Schneider")


def _read_meters(path: Path) -> dict[str, _Meter]:
    """Return the meters' state by id; nothing while they have not written any."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Meters)
    except (OSError, msgspec.DecodeError):
        return {}
    return {meter.id: meter for meter in found.meters}
