"""DLMS buses among the buses of an agent: opened, reloaded, with meters that cannot be read."""

from __future__ import annotations

from pathlib import Path

import msgspec
from tests.edge.conftest import free_port
from tests.edge.dlms.dlms_gateway import Gateway, Times, WaitUntil, tcp_bus
from tests.edge.dlms.dlms_meter import METER, TestedMeter

from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsPush

IDENTITY = "0-0:96.1.0.255"
PUSHED = DlmsMeter(
    id="SAGEMCOM-178210015165",
    profile="sagemcom_t210d",
    authentication="none",
    protection="none",
)


async def test_a_reload_leaves_the_association_of_an_unchanged_meter_open(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with meter.on_tcp() as port, Gateway(tmp_path, tcp_bus(port), clock) as gateway:

        def identified() -> int:
            return meter.requests.count(IDENTITY)

        await wait_until(lambda: gateway.sealer.sealed >= 2)
        before = identified()
        assert before == 1
        push = DlmsPush(name="push", port=f"tcp:{free_port()}", meter=[PUSHED])
        await gateway.buses.apply({"dlms": [tcp_bus(port), push]}, 1)
        await wait_until(gateway.buses.stats["push"].is_up)
        sealed = gateway.sealer.sealed
        await wait_until(lambda: gateway.sealer.sealed >= sealed + 2)
        assert identified() == before

        slower = msgspec.structs.replace(tcp_bus(port).meter[0], poll_every_s=0.2)
        changed = msgspec.structs.replace(tcp_bus(port), meter=[slower])
        await gateway.buses.apply({"dlms": [changed]}, 1)
        sealed = gateway.sealer.sealed
        await wait_until(lambda: gateway.sealer.sealed >= sealed + 2)
        assert identified() == before + 1
        assert list(gateway.buses.stats) == ["tcp"]
        readings = await gateway.readings()
    times = [reading.time_ms for reading in readings]
    assert times == sorted(set(times)), "none is read twice"


async def test_a_meter_without_its_secret_is_told_of_and_shown_without_a_reading(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with meter.on_tcp() as port:
        locked = DlmsMeter(
            id="ISK-1", profile="iskraemeco_am550", authentication="low", password="lost"
        )
        bus = tcp_bus(port)
        both = msgspec.structs.replace(bus, meter=[locked, *bus.meter])
        async with Gateway(tmp_path, both, clock) as gateway:
            await wait_until(lambda: gateway.sealer.sealed >= 2)
            (event,) = gateway.told("meter_unreadable")
            assert event["meter"] == "ISK-1"
            meters = gateway.buses.stats["tcp"].meters
            assert list(meters) == ["ISK-1", METER]
            assert meters["ISK-1"].last is None
