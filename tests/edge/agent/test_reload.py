"""What a new config changes, and what it may not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gridtokenx_edge.agent.reload import plan_reload
from gridtokenx_edge.config.edge_config import (
    BackendConfig,
    BrokerConfig,
    DeviceConfig,
    EdgeConfig,
    HomeAssistantConfig,
    MeterConfig,
    SerialBus,
    SiteConfig,
    StatusConfig,
    TcpBus,
    UplinkConfig,
)
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import PublicKey

ONE = MeterConfig(id="ABB-1", profile="abb_b23", address=1)
TWO = MeterConfig(id="ABB-2", profile="abb_b23", address=2)
ROOF = SerialBus(name="roof", port="/dev/ttyUSB0", meter=[ONE, TWO])
HALL = TcpBus(
    name="hall", host="192.0.2.1", meter=[MeterConfig(id="ABB-3", profile="abb_b23", address=1)]
)
CONFIG = EdgeConfig(
    site=SiteConfig(community="lane", name="Lane 3"),
    device=DeviceConfig(key="edge.key", outbox="outbox.db"),
    backend=BackendConfig(PublicKey(bytes(32))),
    broker=BrokerConfig(host="broker"),
    bus=[ROOF, HALL],
)
change = msgspec.structs.replace


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("site", SiteConfig(community="street")),
        ("device", DeviceConfig(key="other.key", outbox="outbox.db")),
        ("device", DeviceConfig(key="edge.key", outbox="other.db")),
        ("clock", ClockConfig(source="scaled")),
    ],
)
def test_what_belongs_to_the_device_and_its_chain_wants_a_restart(section: str, value: Any) -> None:
    plan = plan_reload(CONFIG, change(CONFIG, **{section: value}))
    (line,) = plan.refused
    assert line.startswith(f"[{section}] cannot change while the agent runs; restart it")


@pytest.mark.parametrize(
    ("changes", "sections", "parts"),
    [
        ({}, (), set()),
        ({"site": SiteConfig(community="lane", name="Lane 4")}, (), set()),
        ({"broker": BrokerConfig(host="other")}, ("broker",), {"uplink"}),
        ({"backend": BackendConfig(PublicKey(bytes(31) + b"1"))}, ("backend",), {"uplink"}),
        ({"uplink": UplinkConfig(seal_after_s=900)}, ("uplink",), {"uplink"}),
        ({"status": StatusConfig(9480)}, ("status",), {"status"}),
        (
            {"home_assistant": HomeAssistantConfig(enabled=True)},
            ("home_assistant",),
            {"home_assistant"},
        ),
        ({"bus": [ROOF]}, ("bus",), set()),
    ],
)
def test_only_the_parts_made_from_what_changed_are_restarted(
    changes: dict[str, Any], sections: tuple[str, ...], parts: set[str]
) -> None:
    plan = plan_reload(CONFIG, change(CONFIG, **changes))
    assert plan.refused == ()
    assert plan.sections == sections
    assert {name for name in ("uplink", "status", "home_assistant") if getattr(plan, name)} == parts


def test_a_renewed_certificate_restarts_the_uplink_though_its_name_is_the_same() -> None:
    assert plan_reload(CONFIG, CONFIG, tls_files=True).uplink
    assert plan_reload(CONFIG, CONFIG, home_assistant_files=True).home_assistant


def test_a_section_that_nobody_taught_to_change_wants_a_restart() -> None:
    replaceable = {"bus", "dlms", "backend", "broker", "uplink", "status", "home_assistant"}
    for section in CONFIG.__struct_fields__:
        if section in replaceable:
            continue
        plan = plan_reload(CONFIG, change(CONFIG, **{section: object()}) if section != "site"
                           else change(CONFIG, site=SiteConfig(community="other")))  # fmt: skip
        assert plan.refused, section
