"""Whatever stands in a config file is a finding, or it can be used: there is no third."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.commands import Command
from tests.backend.config.nasty_values import file_of, with_nasty_values
from tests.backend.running import write_configs
from tests.backend.village import START_MS, Village

from gridtokenx_backend.api.http_server import listen
from gridtokenx_backend.config.settings import BackendConfig, load_settings
from gridtokenx_backend.config.surroundings import check_surroundings
from gridtokenx_backend.config.terms_file import load_terms, terms_digest
from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.market.book import NEVER_MS
from gridtokenx_backend.core.messages.inputs import (
    TickInput,
    clearing_input,
    configuration_input,
    parse,
)
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_wire.clock import make_clock
from gridtokenx_wire.errors import ConfigError

SECTIONS: dict[str, Any] = {
    "community": {"name": "lane", "time_zone": "Europe/Vienna", "mode": "market"},
    "oracle": {"future_tolerance_s": 60, "oldest_reading_s": 604_800, "ratio_window_s": 86_400},
    "market": {
        "lot_kwh": "0.001",
        "tick_grx_per_kwh": "0.001",
        "highest_price_grx_per_kwh": "1000",
        "largest_order_kwh": "1000000",
        "fee_bps": 50,
        "order_window_s": 3600,
        "tick_s": 900,
        "fee_payer": "seller",
        "network_payer": "buyer",
        "min_fee_grx": "0",
        "most_open_orders": 1000,
    },
    "rotation": {"overlap_hours": 48},
    "interval": {
        "correction_hours": 72,
        "finality_hours": 168,
        "bound_tolerance_s": 60,
        "enabled": True,
        "mode": "ex_post",
        "gate_s": 300,
        "grace_s": 300,
        "coupling": True,
    },
    "sharing": {
        "price_rule": "balance",
        "price_grx_per_kwh": "0.1",
        "floor_grx_per_kwh": "0.05",
        "ceiling_grx_per_kwh": "0.2",
        "settle": "grx",
        "key": [
            {
                "version": 1,
                "valid_from": "2026-01-01T00:00Z",
                "mode": "time_varying",
                "shares_percent": {"ABB-1": "50"},
                "table": "",
                "hours": [{"hour": 5, "shares_percent": {"ABB-2": "10"}, "days": "all"}],
            }
        ],
        "participation": [
            {
                "meter": "ABB-1",
                "valid_from": "2026-01-01T00:00Z",
                "percent": "50",
                "elsewhere_percent": "10",
            }
        ],
    },
    "zone": [
        {
            "name": "north",
            "floor_grx_per_kwh": "0.01",
            "ceiling_grx_per_kwh": "1",
            "breaker_bps": 100,
            "breaker_pause_s": 300,
        },
        {"name": "south"},
    ],
    "link": [
        {
            "from": "north",
            "to": "south",
            "capacity_kwh": "5",
            "wheeling_grx_per_kwh": "0.01",
            "loss_bps": 10,
            "loss_price_grx_per_kwh": "0.2",
        }
    ],
    "tariff": [
        {
            "name": "household",
            "valid_from": date(2026, 1, 1),
            "energy_grx_per_kwh": "0.3",
            "feed_in_grx_per_kwh": "0.1",
            "fixed_grx_per_month": "1",
            "window": [
                {
                    "name": "night",
                    "energy_grx_per_kwh": "0.1",
                    "from_hour": 22,
                    "to_hour": 6,
                    "days": ["mon"],
                }
            ],
            "line": [
                {"name": "levy", "grx_per_kwh": "0.1", "grx_per_month": "0", "basis": "import"}
            ],
        }
    ],
    "carbon": {"g_per_kwh": 100, "source": "a report of 2025"},
    "settlement": {"feed_in_unsold": True, "cover_hours": 72},
}
MEMBER = {"zone": "north", "tariff": "household"}
DEVICE = {"site": "Lane 1", "status": "active", "chain": "0102030405060708"}
METER = {
    "policy": "export",
    "active": True,
    "min_interval_s": 1,
    "resolution_kwh": "0.1",
    "max_production_ratio": 50,
    "rollover_kwh": "100000",
    "epoch": 1,
    "renewable": True,
    "technology": "solar",
}
NAMED: dict[str, dict[str, Any]] = {
    "backend": {"verify_workers": 1},
    "broker": {"port": 1883, "insecure": True, "reload_command": ["true"]},
    "api": {"port": 0, "trusted_proxies": ["10.0.0.0/8"]},
}


def backend_document() -> dict[str, Any]:
    """Return a server's config that has every key."""
    config = BackendConfig()
    return {
        name: msgspec.structs.asdict(getattr(config, name)) | NAMED.get(name, {})
        for name in config.__struct_fields__
    }


def whole_document(mode: str) -> dict[str, Any]:
    """A community whose file has every key."""
    document = Village().document | SECTIONS
    for section, keys in (("member", MEMBER), ("device", DEVICE), ("meter", METER)):
        document[section] = [each | keys for each in document[section]]
    for meter in document["meter"]:
        meter["metering_point"] = f"AT{meter['id']}"
    document["community"] = document["community"] | {"mode": mode}
    if mode == "market":
        document["sharing"] = document["sharing"] | {"key": []}
    return document


def use_terms(terms: CommunityTerms) -> None:
    """What a start does with terms, up to the first clearing and the first snapshot."""
    input_ = configuration_input(terms, bytes(32), look_up(terms.community.time_zone))
    parse("configure", input_.raw)
    community = Community()
    machine.apply(community, input_, START_MS)
    at_ms = START_MS
    if community.clear_due_ms < NEVER_MS:
        at_ms = max(START_MS, community.clear_due_ms)
        machine.apply(community, clearing_input(community.cleared_ms), at_ms)
    machine.apply(community, TickInput(), at_ms + 1_000_000)
    restore(community.snapshot())


@pytest.mark.parametrize("mode", ["market", "time_varying"])
def test_every_value_of_the_terms_is_a_finding_or_can_be_used(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "community.toml"
    document = whole_document(mode)
    path.write_text(file_of(document))
    use_terms(load_terms(path))
    used = findings = 0
    for key, value, changed in with_nasty_values(document):
        path.write_text(file_of(changed))
        try:
            terms_digest(path)
            terms = load_terms(path)
        except ConfigError:
            findings += 1
            continue
        try:
            use_terms(terms)
        except Exception as error:
            pytest.fail(f"{key} = {value!r}: {error!r}")
        used += 1
    assert used > 100
    assert findings > 500


def test_every_value_of_the_servers_config_is_a_finding_or_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "backend.toml"
    used = findings = 0
    for key, _, changed in with_nasty_values(backend_document()):
        path.write_text(file_of(changed))
        try:
            settings = load_settings(path)
            check_surroundings(settings, path)
        except ConfigError:
            findings += 1
            continue
        make_clock(settings.backend.clock).now_ms().to_bytes(8, "big")
        if key != "api.port":
            with listen(settings):
                pass
        used += 1
    assert used > 30
    assert findings > 100


@pytest.mark.parametrize("zone", ["Vienna", "Europe/Wien", "", "Europe", "zone.tab"])
def test_a_time_zone_that_nobody_knows_is_one_line(
    tmp_path: Path, command: Command, zone: str
) -> None:
    ran = command("check-config", "--config", str(lane_in(tmp_path, zone)))
    assert ran.status == 2
    (line,) = ran.lines
    assert "community.time_zone: expected an IANA time zone such as Europe/Vienna" in line


def test_a_server_with_a_time_zone_that_nobody_knows_ends_with_one_line(tmp_path: Path) -> None:
    config = lane_in(tmp_path, "Europe/Wien")
    ran = subprocess.run(
        [sys.executable, "-m", "gridtokenx_backend", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "community.time_zone: expected an IANA time zone" in ran.stderr.splitlines()[-1]


def lane_in(folder: Path, zone: str) -> Path:
    """Write the configs of a community in this time zone."""
    document = Village().document
    document["community"] = document["community"] | {"time_zone": zone}
    return write_configs(folder, document, 1883)


SURROUNDINGS: list[tuple[str, str, str, Callable[[Path], None]]] = [
    ("[api]", '[api]\nhost = "192.0.2.7"', "api.host: expected an address", lambda _: None),
    ("[api]", '[api]\nhost = "nowhere.invalid"', "api.host: expected an address", lambda _: None),
    (
        "[broker]",
        '[broker]\naccess = "broker"',
        "broker.access: expected the folder of broker-config",
        lambda _: None,
    ),
    (
        "[broker]",
        '[broker]\nreload_command = ["no-such-program"]',
        "broker.reload_command: expected a program, got 'no-such-program'",
        lambda _: None,
    ),
    (
        "[api]",
        '[api]\ncert = "cert.pem"\nkey = "key.pem"',
        "api: cert or key cannot be used",
        lambda folder: [  # type: ignore[return-value]
            (folder / name).write_text("none") for name in ("cert.pem", "key.pem")
        ],
    ),
    (
        "[backend]",
        '[backend]\ndata = "file"',
        "backend.data: expected a folder, found another file",
        lambda folder: (folder / "file").write_text(""),  # type: ignore[return-value]
    ),
]


@pytest.mark.parametrize("name", ["check-config", "run"])
@pytest.mark.parametrize(("section", "instead", "expected", "prepare"), SURROUNDINGS)
def test_what_the_config_names_in_vain_is_one_line(
    tmp_path: Path,
    command: Command,
    name: str,
    section: str,
    instead: str,
    expected: str,
    prepare: Callable[[Path], None],
) -> None:
    config = write_configs(tmp_path, Village().document, 1883)
    config.write_text(config.read_text().replace(section, instead))
    prepare(tmp_path)
    ran = command(name, "--config", str(config))
    assert ran.status == 2
    (line,) = ran.lines
    assert expected in line
