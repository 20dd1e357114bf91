"""What a new config changes on the buses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.polling.reload_plan import BusOutline, plan_buses

ONE = MeterConfig(id="ABB-1", profile="abb_b23", address=1)
TWO = MeterConfig(id="ABB-2", profile="abb_b23", address=2)
ROOF = SerialBus(name="roof", port="/dev/ttyUSB0", meter=[ONE, TWO])
HALL = TcpBus(
    name="hall", host="192.0.2.1", meter=[MeterConfig(id="ABB-3", profile="abb_b23", address=1)]
)
change = msgspec.structs.replace


def outlines(buses: Sequence[BusConfig]) -> dict[str, BusOutline]:
    return {
        bus.name: BusOutline(change(bus, meter=[]), {meter.id: meter for meter in bus.meter})
        for bus in buses
    }


MOVED = change(TWO, address=7)


@pytest.mark.parametrize(
    ("new", "stop_buses", "start_buses", "stop_meters", "start_meters"),
    [
        ([ROOF, HALL], "", "", "", ""),
        ([HALL, ROOF], "", "", "", ""),
        ([ROOF], "hall", "", "hall ABB-3", ""),
        ([change(ROOF, meter=[ONE]), HALL], "", "", "roof ABB-2", ""),
        ([change(ROOF, meter=[ONE, MOVED]), HALL], "", "", "roof ABB-2", "roof ABB-2"),
        (
            [change(ROOF, baud=19_200), HALL],
            "roof",
            "roof",
            "roof ABB-1,roof ABB-2",
            "roof ABB-1,roof ABB-2",
        ),
        (
            [change(ROOF, meter=[ONE]), change(HALL, meter=[*HALL.meter, TWO])],
            "",
            "",
            "roof ABB-2",
            "hall ABB-2",
        ),
        ([change(ROOF, name="cellar"), HALL], "roof", "cellar", "roof ABB-1,roof ABB-2",
         "cellar ABB-1,cellar ABB-2"),
    ],
)  # fmt: skip
def test_what_did_not_change_on_the_buses_is_not_touched(
    new: list[BusConfig], stop_buses: str, start_buses: str, stop_meters: str, start_meters: str
) -> None:
    plan = plan_buses(outlines([ROOF, HALL]), outlines(new))
    assert plan.stop_buses == set(stop_buses.split())
    assert plan.start_buses == set(start_buses.split())
    for found, expected in ((plan.stop_meters, stop_meters), (plan.start_meters, start_meters)):
        assert found == {tuple(at.split()) for at in expected.split(",") if at}
