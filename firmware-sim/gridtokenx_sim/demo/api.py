"""The backend's answers over HTTP, as integers."""

from __future__ import annotations

from typing import TypeVar

import httpx
import msgspec

from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.files.statement import Balance, Summary
from gridtokenx_wire.units import parse_grx, parse_kwh

T = TypeVar("T")

_TIMEOUT_S = 3.0


class ApiSilent(Exception):
    """The backend does not answer now, or not as expected."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """All orders that rest at one price."""

    price_ugrx: int
    quantity_uwh: int


class ListedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade in the list of the last ones.

    `segment` is the market it came of: realtime, or interval for an auction.
    """

    time_ms: int
    price_ugrx: int
    quantity_uwh: int
    buyer: str
    seller: str
    segment: str


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """The auction of the 15 minutes from `interval_ms`; it has no price where nothing traded."""

    interval_ms: int
    price_ugrx: int | None
    volume_uwh: int


class _Level(msgspec.Struct, kw_only=True):
    price_grx_per_kwh: str
    quantity_kwh: str


class _Book(msgspec.Struct, kw_only=True):
    bids: list[_Level]
    asks: list[_Level]


class _TradeText(msgspec.Struct, kw_only=True):
    time_ms: int
    price_grx_per_kwh: str
    quantity_kwh: str
    buyer: str
    seller: str
    segment: str


class _Trades(msgspec.Struct):
    trades: list[_TradeText]


class _Clearing(msgspec.Struct):
    interval_ms: int
    price_grx_per_kwh: str | None
    volume_kwh: str


class _Clearings(msgspec.Struct):
    clearings: list[_Clearing]


class _Balance(msgspec.Struct, kw_only=True):
    grid: str
    grid_held: str
    grx: str
    grx_held: str


class _Device(msgspec.Struct):
    device: str
    next_seq: int


class _Standing(msgspec.Struct, kw_only=True):
    side: str
    price_grx_per_kwh: str


class _Orders(msgspec.Struct):
    standing: list[_Standing]


class Api:
    """One backend at `url`. Every method raises ApiSilent."""

    def __init__(self, url: str, folder: Folder) -> None:
        # The environment's proxy is not used, as the backend is on this machine.
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False)
        self._token = folder.operator_token

    async def close(self) -> None:
        await self._http.aclose()

    async def summary(self) -> Summary:
        return await self._get("/v1/summary", Summary)

    async def balance(self, wallet: str) -> Balance:
        said = await self._get(f"/v1/balances/{wallet}", _Balance)
        return Balance(
            grid_uwh=parse_kwh(said.grid),
            grid_held_uwh=parse_kwh(said.grid_held),
            grx_ugrx=parse_grx(said.grx),
            grx_held_ugrx=parse_grx(said.grx_held),
        )

    async def book(self) -> tuple[list[Level], list[Level]]:
        """Return bids and asks, best price first."""
        said = await self._get("/v1/book", _Book)
        return _levels(said.bids), _levels(said.asks)

    async def trades(self, limit: int) -> list[ListedTrade]:
        """Return the last trades, newest first."""
        said = await self._get(f"/v1/trades?limit={limit}", _Trades)
        return [
            ListedTrade(
                time_ms=trade.time_ms,
                price_ugrx=parse_grx(trade.price_grx_per_kwh),
                quantity_uwh=parse_kwh(trade.quantity_kwh),
                buyer=trade.buyer,
                seller=trade.seller,
                segment=trade.segment,
            )
            for trade in said.trades
        ]

    async def last_clearing(self) -> Clearing | None:
        """Return the newest auction, None before the first."""
        said = await self._get("/v1/clearings?limit=1", _Clearings)
        for found in said.clearings:
            price = found.price_grx_per_kwh
            return Clearing(
                interval_ms=found.interval_ms,
                price_ugrx=None if price is None else parse_grx(price),
                volume_uwh=parse_kwh(found.volume_kwh),
            )
        return None

    async def frames_of(self, device: str) -> int:
        """Return how many of a gateway's frames are stored."""
        token = self._token.read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        devices = await self._get("/v1/devices", list[_Device], headers)
        return next((entry.next_seq for entry in devices if entry.device == device), 0)

    async def standing_price(self, wallet: str, side: str) -> int | None:
        """Return the price in µGRX of a wallet's standing order, None without one."""
        said = await self._get(f"/v1/orders/{wallet}", _Orders)
        return next(
            (parse_grx(order.price_grx_per_kwh) for order in said.standing if order.side == side),
            None,
        )

    async def _get(self, path: str, kind: type[T], headers: dict[str, str] | None = None) -> T:
        try:
            response = await self._http.get(path, headers=headers)
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=kind)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ApiSilent(f"{path}: {error or type(error).__name__}") from None


def _levels(said: list[_Level]) -> list[Level]:
    return [
        Level(
            price_ugrx=parse_grx(level.price_grx_per_kwh),
            quantity_uwh=parse_kwh(level.quantity_kwh),
        )
        for level in said
    ]
