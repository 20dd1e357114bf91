"""What hypothesis may put to the core: terms, readings, orders, from small pools that collide."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.backend.reference import KWH
from tests.backend.village import (
    HOUR_MS,
    Gateway,
    Resident,
    device_terms,
    member_terms,
    meter_terms,
)

from gridtokenx_backend.core.model.ledger import FEES, RETIRED

PEOPLE = {name: Resident(name) for name in ("anna", "ben", "cleo", "dora", "stranger")}
DEVICES = {name: Gateway(name) for name in ("north", "south", "stranger")}
NAMES = {person.wallet: name for name, person in PEOPLE.items()} | {
    FEES: "fees",
    RETIRED: "retired",
}
DAY_MS = 24 * HOUR_MS

FIRST_TERMS: dict[str, Any] = {
    "market": {
        "lot_kwh": "0.001",
        "tick_grx_per_kwh": "0.001",
        "highest_price_grx_per_kwh": "0.006",
        "fee_bps": 50,
    },
    "member": [member_terms(PEOPLE[name], "0.01") for name in ("anna", "ben", "cleo")],
    "devices": {"north": {"status": "active"}, "south": {"status": "active"}},
    "meters": {
        "ABB-1": {"device": "north", "owner": "anna"},
        "ABB-2": {"device": "north", "owner": "ben", "policy": "net", "max_production_ratio": 3},
        "ABB-3": {"device": "south", "owner": "ben", "min_interval_s": 10},
    },
}
METER_TERMS = {
    "max_power_kw": "100",
    "resolution_kwh": "0",  # what a step adds is shown in test_energy_windows
    "min_interval_s": 1,
    "max_production_ratio": 0,
}
CHANGES: list[tuple[str, Any]] = [
    ("market", {"fee_bps": 0}),
    ("market", {"fee_bps": 333}),
    ("market", {"fee_bps": 10_000}),
    ("market", {"lot_kwh": "0.002"}),
    ("market", {"tick_grx_per_kwh": "0.002"}),
    ("market", {"highest_price_grx_per_kwh": "0.002"}),
    ("member", [*FIRST_TERMS["member"], member_terms(PEOPLE["dora"], "0.5")]),
    ("devices", {"south": {"status": "revoked"}}),
    ("devices", {"south": {"status": "pending"}}),
    ("meters", {"ABB-1": {"epoch": 1}, "ABB-3": {"epoch": 1}}),
    ("meters", {"ABB-1": {"epoch": 2}, "ABB-2": {"epoch": 1, "device": "south"}}),
    ("meters", {"ABB-1": {"epoch": 3}, "ABB-2": {"epoch": 2, "device": "north"}}),
    ("meters", {"ABB-3": {"active": False}}),
    ("meters", {"ABB-3": {"owner": "cleo"}}),
]

# --- what is drawn ------------------------------------------------------------------------------

readings = st.lists(
    st.tuples(
        st.sampled_from(["ABB-1", "ABB-2", "ABB-3"] * 4 + ["ABB-9"]),
        st.sampled_from([0] * 8 + [-1, -1000, -HOUR_MS, 60_000, 60_001, -200 * HOUR_MS]),
        st.sampled_from([KWH // 500, KWH // 2, 0, 0, 1, 3 * KWH] * 2 + [-1, 10**6 * KWH]),
        st.sampled_from([KWH // 100, KWH // 2, 0, 1, 3 * KWH] * 2 + [-1, 10**6 * KWH]),
        st.sampled_from([0] * 8 + [100_000, -100_000, 100_001]),
    ),
    min_size=1,
    max_size=4,
)
links = st.sampled_from(["next"] * 12 + ["duplicate", "fork", "gap", "wrong chain", "broken chain"])
people = st.sampled_from(["anna", "ben", "cleo"] * 4 + ["dora", "stranger"])
sides = st.sampled_from(["buy", "sell"])
quantities = st.sampled_from(
    ["0.001", "0.002", "0.004", "0.006", "0.5"] * 4 + ["2", "0", "-1", "0.0005", "0.0000000001"]
)
prices = st.sampled_from(["0.002", "0.004", "0.006", "0.003"] * 5 + ["0.007", "0", "0.0005", "-1"])
client_ids = st.sampled_from([""] * 12 + ["a", "b", "c"])
issued = st.sampled_from([0] * 20 + [-HOUR_MS, -HOUR_MS - 1, 60_000, 60_001])
orders = st.lists(
    st.tuples(
        people,
        sides,
        quantities,
        prices,
        st.sampled_from(["GTC"] * 3 + ["IOC"]),
        client_ids,
        issued,
    ),
    min_size=3,
    max_size=8,
)


def core_terms(document: dict[str, Any]) -> dict[str, Any]:
    """The model's terms as `community.toml` spells them."""
    return {
        "community": {"name": "lane"},
        "oracle": {"ratio_window_s": 3600},
        "market": document["market"],
        "member": document["member"],
        "device": [
            device_terms(DEVICES[name], **terms) for name, terms in document["devices"].items()
        ],
        "meter": [
            meter_terms(name, DEVICES[terms["device"]], PEOPLE[terms["owner"]])
            | {key: value for key, value in terms.items() if key not in ("device", "owner")}
            for name, terms in document["meters"].items()
        ],
    }
