"""Terms that a community may come under, one after the other: markets, zones, intervals, keys."""

from __future__ import annotations

from typing import Any

from tests.backend.core.whole_market import KEY

EAST_WEST = [{"name": "east"}, {"name": "west"}]
LINKS: list[dict[str, Any]] = [
    {"from": "east", "to": "west", "capacity_kwh": "0.5", "wheeling_grx_per_kwh": "0.01"},
    {"from": "west", "to": "east", "capacity_kwh": "2", "loss_bps": 300},
]
LINKS[1]["loss_price_grx_per_kwh"] = "0.2"
MARKETS: list[dict[str, Any]] = [
    {},
    {"fee_bps": 0},
    {"fee_bps": 777, "fee_payer": "buyer"},
    {"fee_bps": 50, "fee_payer": "buyer", "network_payer": "seller"},
    {"min_fee_grx": "0.00005", "network_payer": "seller"},
    {"lot_kwh": "0.1", "tick_grx_per_kwh": "0.01"},
    {"lot_kwh": "0.02", "tick_grx_per_kwh": "0.005"},
    {"largest_order_kwh": "2", "most_open_orders": 3},
    {"highest_price_grx_per_kwh": "0.2"},
]
ZONES: list[list[dict[str, Any]]] = [
    EAST_WEST,
    EAST_WEST,
    [{"name": "east", "breaker_bps": 1500, "breaker_pause_s": 600}, EAST_WEST[1]],
    [{"name": "east", "floor_grx_per_kwh": "0.1", "ceiling_grx_per_kwh": "0.2"}, EAST_WEST[1]],
    [{"name": "west"}],
]
INTERVALS: list[dict[str, Any]] = [
    {},
    {"grace_s": 0},
    {"mode": "ex_ante"},
    {"coupling": False},
    {},
    {},
    {"enabled": False},
    {"correction_hours": 1, "finality_hours": 2},
]
SHARING: list[dict[str, Any]] = [
    {"key": [KEY], "settle": "grx", "price_grx_per_kwh": "0.1"},
    {"key": [KEY]},
]
