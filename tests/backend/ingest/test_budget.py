"""A budget for each gateway and member: who sends too much waits, and nobody else does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backend.running import Site, site_in
from tests.backend.village import Gateway, Village, device_terms, meter_terms, reading

from gridtokenx_backend.config.settings import BudgetSection
from gridtokenx_backend.ingest.budget import Budgets, Owners, OwnersInForce
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.state_notice import GatewayState

NOW_MS = time.time_ns() // 1_000_000 - 60_000
MIB = 1 << 20
SMALL = BudgetSection(
    device_kib_per_s=512,
    device_burst_mib=1,
    device_readings_per_s=100,
    device_burst_readings=1000,
    member_factor=2,
)


class Spending:
    """Budgets of a village, and a clock that a test moves."""

    def __init__(self, village: Village, section: BudgetSection = SMALL) -> None:
        self.now_s = 50.0
        self.village = village
        owners = Owners(village.community.meters.values())
        self.budgets = Budgets(section, lambda: owners, lambda: self.now_s)

    def spend(self, gateway: Gateway, size: int = 0, readings: int = 0) -> int:
        device = self.village.community.devices[gateway.device]
        self.budgets.spend(device, size, readings)
        return self.budgets.wait_ms(gateway.device)


@pytest.mark.parametrize(
    ("size", "readings", "wait_ms"),
    [
        pytest.param(MIB - 1, 999, 0, id="just within"),
        pytest.param(MIB, 1, 1000, id="all the bytes"),
        pytest.param(2 * MIB, 1, 3000, id="twice the bytes"),
        pytest.param(1, 1000, 1000, id="all the readings"),
        pytest.param(1, 1500, 6000, id="half as many readings again"),
    ],
)
def test_a_gateway_waits_until_its_buckets_have_filled_again(
    village: Village, size: int, readings: int, wait_ms: int
) -> None:
    spending = Spending(village)
    assert spending.spend(village.north, size, readings) == wait_ms
    spending.now_s += wait_ms / 1000
    assert spending.budgets.wait_ms(village.north.device) == 0


def test_what_fills_at_the_steady_rate_is_never_too_much(village: Village) -> None:
    spending = Spending(village)
    for _ in range(1000):
        assert spending.spend(village.north, 512 << 10, 100) == 0
        spending.now_s += 1.0


def test_another_members_gateway_is_not_slowed_down(village: Village) -> None:
    spending = Spending(village)
    assert spending.spend(village.north, 9 * MIB) > 0
    assert spending.spend(village.south, MIB // 2) == 0


def test_many_gateways_of_one_member_share_the_members_budget() -> None:
    village = Village()
    gateways = [Gateway(f"anna-{n}") for n in range(3)]
    village.configure(
        device=[device_terms(each) for each in (village.north, village.south, *gateways)],
        meter=[meter_terms(f"M-{n}", each, village.anna) for n, each in enumerate(gateways)]
        + [meter_terms("ABB-2", village.south, village.ben)],
    )
    spending = Spending(village)
    within = MIB - 1000
    assert [spending.spend(each, within) for each in gateways[:2]] == [0, 0]
    assert spending.spend(gateways[2], within) > 0
    assert spending.spend(village.south, within) == 0


def test_a_gateway_of_several_members_counts_for_itself_only(village: Village) -> None:
    village.configure(
        meter=[
            meter_terms("ABB-1", village.north, village.anna),
            meter_terms("ABB-2", village.north, village.ben),
        ]
    )
    owners = Owners(village.community.meters.values())
    assert owners.of(village.community.devices[village.north.device]) == ""


def test_owners_are_looked_up_anew_when_the_terms_change(village: Village) -> None:
    community = village.community
    owners = OwnersInForce(community.meters, lambda: community.active_terms)
    north = community.devices[village.north.device]
    assert owners().of(north) == village.anna.wallet
    village.configure(meter=[meter_terms("ABB-1", village.north, village.cleo)])
    assert owners().of(north) == village.cleo.wallet


# --- over a broker ------------------------------------------------------------------------------


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


def at(second: int, meter: str = "ABB-1") -> Reading:
    return reading(meter, NOW_MS + 1000 * second)


async def test_who_sends_too_much_is_told_to_slow_down_and_loses_nothing(site: Site) -> None:
    budget = "[budget]\ndevice_burst_readings = 1000\ndevice_readings_per_s = 2000"
    await site.start(f"verify_workers = 0\n{budget}")
    north, south = site.village.north, site.village.south
    link, other = await site.link(north), await site.link(south)
    await link.publish(north.next([at(0, "ABB-9")] * 1000))
    await link.acked(1)
    frame = north.next([at(1)])
    await link.publish(frame)
    notice = await link.notice()
    assert notice.state is GatewayState.SLOW_DOWN
    assert 0 < notice.retry_ms <= 1000
    assert site.dropped() == {"over_budget": 1}
    await other.publish(south.next([at(1, "ABB-2")]))
    await other.acked(1)
    while not link.has_ack():  # as a gateway does, though it waits in between
        await link.publish(frame)
    await link.acked(2)
