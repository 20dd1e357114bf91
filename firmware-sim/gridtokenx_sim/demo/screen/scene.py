"""The community at one moment, as the picture shows it."""

from __future__ import annotations

import msgspec

from gridtokenx_sim.demo.api import Clearing, Level, ListedTrade
from gridtokenx_sim.demo.files.statement import Balance, Summary


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """A member with the meter. `power_w` is positive from the grid, None if not known yet."""

    member: str
    wallet: str
    meter: str
    model: str
    bus: str
    order: str
    power_w: int | None = None
    faults: tuple[str, ...] = ()
    balance: Balance | None = None


class Event(msgspec.Struct, frozen=True):
    time_ms: int
    text: str


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the screen shows. `bids` and `asks` have the best price first, `trades` the newest.

    Times are community time. `clearing` is the newest auction. `summary` is None until the backend
    has answered. `down` names the parts that are not running.
    """

    title: str
    time_zone: str
    time_ms: int
    speed: float
    sun_degrees: float
    sun_w_m2: int
    broker: str
    member_rows: tuple[MemberRow, ...]
    summary: Summary | None = None
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    trades: tuple[ListedTrade, ...] = ()
    clearing: Clearing | None = None
    down: tuple[str, ...] = ()
    restarts: int = 0
    events: tuple[Event, ...] = ()

    def name_of(self, wallet: str) -> str:
        """Return the member's name, or the start of an unknown wallet."""
        names = {row.wallet: row.member for row in self.member_rows}
        return names.get(wallet, wallet[:8])
