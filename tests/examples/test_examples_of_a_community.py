"""The examples that talk to a community, as processes, beside one of real programs.

The community has meters, a gateway, Mosquitto and a backend; five minutes of it take a second.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.rig.community import NAME
from bench.rig.processes import Process, wait_for
from bench.rig.site import CLOCK, Site, SitePlan
from tests.e2e.conftest import running_site
from tests.examples.example import command, example

from gridtokenx_client.api import Api
from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.clock import SystemClock

MORNING_MS = 1_782_028_800_000  # 08:00 UTC
SPEED = 300


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One member owns the meters and sells what they export; the other one has GRX to buy with."""
    folder = tmp_path_factory.mktemp("community")
    buyer = Wallet.create(folder / "buyer.key").address
    plan = SitePlan(
        lines=1,
        meters_a_line=2,
        poll_every_s=60,
        start="2026-06-21T00:00:00Z",
        clock=CLOCK.format(wall_ms=SystemClock().now_ms(), community_ms=MORNING_MS, speed=SPEED),
        uplink="[uplink]\nack_timeout_s = 1\nseal_after_s = 0\n",
        community_extra=f'[[member]]\nname = "two"\nwallet = "{buyer}"\nopening_grx = "100"\n',
    )
    with running_site(folder, plan) as site:
        yield site


def placed(site: Site, key: Path, *order: str) -> subprocess.CompletedProcess[str]:
    done = example("place_order", site.backend.api(), str(key), *order)
    assert (done.returncode, done.stderr) == (0, "")
    return done


def minted(site: Site) -> bool:
    """Whether the owner of the meters has a whole kWh to sell."""
    with Api(site.backend.api()) as api:
        return float(api.balance(site.wallet).grid) >= 1


def test_orders_are_placed_and_trade(site: Site) -> None:
    wait_for(lambda: minted(site), "a kWh to be minted", 60)
    offered = placed(site, site.wallet_key, "sell", "0.5", "0.1")
    assert "resting, 0.500000000 kWh open" in offered.stdout
    taken = placed(site, site.folder / "buyer.key", "buy", "0.2", "0.12")
    order, trade = taken.stdout.splitlines()
    assert order.endswith(": filled, 0.000000000 kWh open")
    assert trade == "  traded 0.200000000 kWh at 0.100000 GRX/kWh"


def test_an_order_that_is_refused_is_told_in_one_line(site: Site) -> None:
    key = str(site.folder / "buyer.key")
    done = example("place_order", site.backend.api(), key, "buy", "100000", "0.12")
    assert done.returncode == 1
    assert done.stderr.startswith("place_order: insufficient_balance: ")


def test_a_clearing_is_verified(site: Site) -> None:
    wait_for(lambda: minted(site), "a kWh to be minted", 60)
    placed(site, site.wallet_key, "sell", "0.3", "0.1", "interval")
    placed(site, site.folder / "buyer.key", "buy", "0.2", "0.2", "interval")
    with Api(site.backend.api()) as api:
        interval_ms = wait_for(
            lambda: next(
                (c.interval_ms for c in api.clearings().clearings if float(c.volume_kwh)), None
            ),
            "an auction with trades",
            60,
        )
    done = example("verify_clearing", site.backend.api(), str(interval_ms))
    assert (done.returncode, done.stderr) == (0, "")
    assert "main: volume: 0.200000000: holds" in done.stdout.splitlines()
    assert done.stdout.endswith(" checks, 0 differ\n")


def test_gateways_and_acks_are_watched(site: Site) -> None:
    key = subprocess.run(
        [*command("place_order")[:1], "-m", "gridtokenx_backend", "key", "--json"],
        cwd=site.folder,
        capture_output=True,
        check=True,
    ).stdout
    words = ["127.0.0.1", str(site.broker.port), NAME, json.loads(key)["ack_key"]]
    watcher = Process("watcher", command("watch_community", *words), site.folder)
    with watcher:
        wait_for(lambda: "is stored" in watcher.stdout.read_text(), "an ack to be shown")
    shown = watcher.stdout.read_text()
    assert '/status: {"state":"online"' in shown
    assert "forged" not in shown
