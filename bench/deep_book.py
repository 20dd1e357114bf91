"""orders --via core and settle: the core alone under a deep book, and settlements made durable.

`core` puts decoded orders to `machine.apply` and nothing else: no signature, queue, journal or
reply. `settle` puts orders that each fill one resting order through writer and SQLite journal, so
every settlement is one durable entry of its own, committed in batches as in the running backend.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
from pathlib import Path

from bench.orders import MEMBERS, _stored, _submit
from bench.rig.community import NAME, community_toml, make_gateways, make_members, write_configs
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import OrderInput, configuration_input
from gridtokenx_backend.core.messages.outcomes import OrderAccepted
from gridtokenx_backend.core.model.ledger import ASSETS, Movement, issuer
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.memory import collect_rarely
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.order import Order

RESTING = 100_000
_RAW = b"x" * 500  # as long as an order's JWS
_MID = 200


def _community(wallets_of: list[str], now_ms: int, folder: Path) -> Community:
    """Return a community whose members have more than they will need."""
    members = make_members(MEMBERS)
    wallets_of += [member.wallet for member in members]
    config = write_configs(
        folder, 1883, community_toml(make_gateways(1, MEMBERS, members), members)
    )
    terms = load_terms(load_settings(config).community)
    community = Community()
    machine.apply(community, configuration_input(terms), now_ms)
    for wallet in wallets_of:
        for asset in ASSETS[:2]:
            assert (
                community.ledger.post(
                    [Movement(asset=asset, debit=issuer(asset), credit=wallet, amount=10**15)]
                )
                is None
            )
    return community


class _Source:
    """Makes orders with ids of their own."""

    def __init__(self, wallets: list[str], now_ms: int) -> None:
        self.wallets = wallets
        self.now_ms = now_ms
        self.chance = random.Random(7)
        self.made = 0

    def order(self, side: str, price: int, quantity: int) -> OrderInput:
        """Return a price in ticks and a quantity in lots, for a random member."""
        self.made += 1
        wallet = self.wallets[self.chance.randrange(len(self.wallets))]
        kwh, grx = f"{quantity / 1000:.3f}", f"{price / 1000:.3f}"
        order = Order(
            v=1,
            community=NAME,
            wallet=wallet,
            id=f"bench-{self.made}",
            issued_ms=self.now_ms,
            side="buy" if side == "buy" else "sell",
            quantity_kwh=kwh,
            price_grx_per_kwh=grx,
        )
        return OrderInput(_RAW, order)

    def deep_book(self) -> list[OrderInput]:
        """Return resting orders: half of them bids and half asks, on 100 prices each, apart from
        each other.
        """
        draw = self.chance.randint
        return [
            self.order("buy", _MID - draw(1, 100), draw(1, 5000))
            if number % 2
            else self.order("sell", _MID + draw(1, 100), draw(1, 5000))
            for number in range(RESTING)
        ]

    def traffic(self, count: int) -> list[OrderInput]:
        """Return orders of either side around the middle: some rest within the spread, some trade
        at once.
        """
        draw = self.chance.randint
        return [
            self.order("buy", _MID + draw(-20, 6), draw(1, 5000))
            if draw(0, 1)
            else self.order("sell", _MID + draw(-6, 20), draw(1, 5000))
            for _ in range(count)
        ]


def run_core(orders: int) -> dict[str, object]:
    """Return orders a second through `machine.apply`, with 100,000 resting."""
    collect_rarely()
    now_ms = SystemClock().now_ms()
    wallets: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        community = _community(wallets, now_ms, Path(name))
    source = _Source(wallets, now_ms)
    _place_all(community, source.deep_book(), now_ms)
    assert len(community.book.orders) == RESTING
    traffic = source.traffic(orders)
    trades_before = community.counters.trades
    gc.collect()
    started, cpu_started = time.perf_counter(), time.process_time()
    _place_all(community, traffic, now_ms)
    elapsed_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    trades = community.counters.trades - trades_before
    return {
        "via": "core",
        "orders_per_s": round(orders / elapsed_s),
        "trades_per_s": round(trades / elapsed_s),
        "orders": orders,
        "trades": trades,
        "resting": RESTING,
        "resting_after": len(community.book.orders),
        "elapsed_s": round(elapsed_s, 2),
        "cpu_s": round(cpu_s, 2),
    }


def _place_all(community: Community, inputs: list[OrderInput], now_ms: int) -> None:
    apply = machine.apply
    for each in inputs:
        outcome = apply(community, each, now_ms)
        assert type(outcome) is OrderAccepted, outcome


def run_settle(settlements: int) -> dict[str, object]:
    """Return settlements a second, each an entry of its own: one fill, committed with its batch."""
    collect_rarely()
    now_ms = SystemClock().now_ms()
    wallets: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        community = _community(wallets, now_ms, folder)
        half = len(wallets) // 2
        sellers, buyers = _Source(wallets[:half], now_ms), _Source(wallets[half:], now_ms)
        resting = [sellers.order("sell", _MID, 1000) for _ in range(settlements)]
        _place_all(community, resting, now_ms)
        taking = [buyers.order("buy", _MID, 1000) for _ in range(settlements)]
        community.entries = 0  # the journal starts with what is measured
        gc.collect()
        cpu_started = time.process_time()
        elapsed_s, latencies_ms = asyncio.run(_submit(community, folder, taking))
        cpu_s = time.process_time() - cpu_started
        stored, trades = _stored(folder / "journal.db")
    assert stored == trades == settlements, (stored, trades)
    assert not community.book.orders
    latencies_ms.sort()
    return {
        "via": "settle",
        "settlements_per_s": round(trades / elapsed_s),
        "settlements": trades,
        "entries": stored,
        "p50_ms": round(latencies_ms[len(latencies_ms) // 2], 2),
        "p99_ms": round(latencies_ms[len(latencies_ms) * 99 // 100], 2),
        "elapsed_s": round(elapsed_s, 2),
        "cpu_s": round(cpu_s, 2),
    }
