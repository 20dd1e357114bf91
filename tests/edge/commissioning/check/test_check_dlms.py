"""`gridtokenx-edge check` on DLMS meters: each mistake is planted in a site of simulated ones.

The meters live two hundred times as fast, so that a minute's check takes a third of a second.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.edge.commissioning.check.checked_site import EVENING, SPEED, check, clock_table, errors
from tests.sim.dlms.reader import CIPHERED, KEYS

from gridtokenx_dlms import data
from gridtokenx_dlms.objects.registers import UNIT_WH, Register
from gridtokenx_edge.commissioning.check.finding import Finding, Severity
from gridtokenx_sim.config.faults import ClockJump, Drop, Refused, Silence
from gridtokenx_sim.config.loading import parse_config
from gridtokenx_sim.dlms import objects
from gridtokenx_sim.simulation import Simulation, serve
from gridtokenx_wire.clock import ClockConfig

ISKRA, EDMI = "ISKRAEMECO-40012345", "EDMI-EDM252730415"
PUBLIC = {"address": 16, "reads": "identity"}
WITH_KEYS = {"address": 1, "mechanism": "gmac", "protection": CIPHERED, **KEYS}
PASSWORD = {"address": 1, "mechanism": "low", "password": "12345678"}

Change = tuple[str, str]
Found = dict[tuple[str, str], Finding]
CONFIG = """
{clock}
site = {{community = "lane"}}
device = {{key = "edge.key", outbox = "outbox.db"}}
backend = {{ack_key = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"}}
broker = {{host = "127.0.0.1", port = 1, insecure = true}}

[[dlms]]
name = "hall"
kind = "serial"
port = "{port}"
timeout_ms = 300
retries = 1

[[dlms.meter]]
id = "ISKRAEMECO-40012345"
profile = "iskraemeco_am550"
encryption_key = "ek"
authentication_key = "ak"
poll_every_s = 600

[[dlms]]
name = "mill"
kind = "tcp"
host = "127.0.0.1"
port = {tcp}
timeout_ms = 300
retries = 0

[[dlms.meter]]
id = "EDMI-EDM252730415"
profile = "edmi_mk10"
password = "password"
poll_every_s = 600
"""


def meter(model: str, serial: str, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "serial": serial,
        "address": 17,
        "annual_load_kwh": "60000",
        "import_kwh": "1234.5",
        "export_kwh": "67.25",
        **more,
    }


class DlmsSite:
    """Two meters, one behind each kind of line, and the edge's config for them."""

    def __init__(self, folder: Path, served: Simulation, clock: ClockConfig) -> None:
        self.folder = folder
        self.config = folder / "edge.toml"
        self.served = served
        hall, mill = served.buses
        self.config.write_text(
            CONFIG.format(
                port=getattr(hall, "path", ""),
                tcp=getattr(mill, "port", 0),
                clock=clock_table(clock),
            )
        )
        secrets = {"ek": KEYS["encryption_key"], "ak": KEYS["authentication_key"]}
        for name, text in (secrets | {"password": "12345678"}).items():
            self.secret(name, text)

    def secret(self, name: str, text: str, mode: int = 0o600) -> None:
        file = self.folder / name
        file.write_text(text)
        file.chmod(mode)

    def change(self, *changes: Change) -> None:
        text = self.config.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text)


Site = Callable[..., contextlib.AbstractAsyncContextManager[DlmsSite]]


@pytest.fixture(name="dlms_site")
def _dlms_site(tmp_path: Path) -> Site:
    @contextlib.asynccontextmanager
    async def running(hours: int = 3, **more: Any) -> AsyncIterator[DlmsSite]:
        """Meters that have been there for some hours when the evening begins."""
        community_ms = round(EVENING.timestamp() * 1000)
        clock = ClockConfig(
            source="scaled", wall_ms=time.time_ns() // 10**6, community_ms=community_ms, speed=SPEED
        )
        hall = {"name": "hall", "kind": "dlms_serial", "link": str(tmp_path / "tty")}
        mill = {"name": "mill", "kind": "dlms_tcp"}
        iskra = meter("iskraemeco_am550", "40012345", client=[PUBLIC, WITH_KEYS])
        edmi = meter("edmi_mk10", "252730415", client=[PUBLIC, PASSWORD])
        config = parse_config(
            {
                "site": {
                    "latitude": 48.2,
                    "longitude": 16.37,
                    "start": (EVENING - timedelta(hours=hours)).isoformat(),
                },
                "clock": {
                    "source": "scaled",
                    "wall_ms": clock.wall_ms,
                    "community_ms": clock.community_ms,
                    "speed": clock.speed,
                },
                "bus": [hall | {"meter": [iskra | more]}, mill | {"meter": [edmi]}],
            },
            folder=tmp_path,
        )
        async with serve(config) as served:
            yield DlmsSite(tmp_path, served, clock)

    return running


def of(meter: str, found: Found) -> dict[str, Finding]:
    """What was said of a meter, without what concerns it no more than others."""
    return {name: finding for (name, about), finding in found.items() if about == meter}


def worst(found: Found) -> list[tuple[str, str]]:
    """The errors of meters and lines; the gateway's own are not looked at here."""
    return [key for key in errors(found) if key[1]]


async def test_a_site_in_order_has_only_good_findings(dlms_site: Site) -> None:
    async with dlms_site() as site:
        found = await check(site.config, flow="import")
    assert worst(found) == []
    iskra = of(ISKRA, found)
    for name in ("identity", "meter_clock", "load_profile", "wiring", "counter", "direction"):
        assert iskra[name].severity is Severity.OK, iskra[name]
    assert iskra["load_profile"].seen.startswith("12 rows of the last 24 h, every 15 min")
    for about in ("hall", "mill"):
        assert found["bus_time", about].severity is Severity.OK
    assert of(EDMI, found)["counter"].severity is Severity.OK


@pytest.mark.parametrize(
    ("plant", "meter", "name", "seen"),
    [
        pytest.param(
            lambda site: site.secret("password", "87654321"),
            EDMI, "not_let_in", "refused", id="wrong password",
        ),
        pytest.param(
            lambda site: site.secret("ak", "00" * 16),
            ISKRA, "not_let_in", "are the keys this meter's", id="wrong key",
        ),
        pytest.param(
            lambda site: site.secret("ek", KEYS["encryption_key"], 0o644),
            ISKRA, "not_let_in", "chmod 600", id="key for everybody",
        ),
        pytest.param(
            lambda site: site.served.meter(ISKRA).inject(Refused()),
            ISKRA, "not_let_in", "refused", id="association refused",
        ),
        pytest.param(
            lambda site: site.change(("40012345", "40099999")),
            "ISKRAEMECO-40099999", "another_meter", f"the meter says it is {ISKRA}", id="another",
        ),
        pytest.param(
            lambda site: site.change(('"ek"', '"ek"\nphysical_address = 19')),
            ISKRA, "silent_meter", "gridtokenx-edge scan", id="wrong address",
        ),
        pytest.param(
            lambda site: site.served.meter(EDMI).inject(Silence()),
            EDMI, "silent_meter", "", id="silent",
        ),
        pytest.param(
            lambda site: site.change(('/tty"', '/tty2"')),
            "hall", "port", "", id="no port",
        ),
    ],
)  # fmt: skip
async def test_a_planted_mistake_is_the_only_error(
    dlms_site: Site, plant: Callable[[DlmsSite], None], meter: str, name: str, seen: str
) -> None:
    async with dlms_site() as site:
        plant(site)
        found = await check(site.config)
    assert worst(found) == [(name, meter)], errors(found)
    assert seen in found[name, meter].seen + found[name, meter].do
    assert found[name, meter].do


async def test_exchanged_ids_are_told_as_such(dlms_site: Site) -> None:
    async with dlms_site(client=[PUBLIC, PASSWORD]) as site:
        low = ('encryption_key = "ek"\nauthentication_key = "ak"', 'password = "password"')
        site.change(low, ("iskraemeco_am550", "dlms_generic"), ("edmi_mk10", "dlms_generic"))
        site.change((ISKRA, "DLMS-EDM252730415"), (EDMI, "DLMS-ISK40012345"))
        site.change(('"dlms_generic"', '"dlms_generic"\nphysical_address = 17'))
        found = await check(site.config)
    assert worst(found) == [
        ("ids_exchanged", "DLMS-EDM252730415"),
        ("ids_exchanged", "DLMS-ISK40012345"),
    ]


async def test_a_clock_that_is_wrong_is_a_warning_with_its_error(dlms_site: Site) -> None:
    async with dlms_site() as site:
        site.served.meter(ISKRA).inject(ClockJump(seconds=-900))
        finding = (await check(site.config))["meter_clock", ISKRA]
    assert finding.severity is Severity.WARNING
    assert "off by -9" in finding.seen or "off by -8" in finding.seen
    assert "gaps are not repaired" in finding.do


async def test_a_load_profile_without_rows_is_a_warning(dlms_site: Site) -> None:
    async with dlms_site(hours=0) as site:
        finding = (await check(site.config, duration_s=30))["load_profile", ISKRA]
    assert finding.severity is Severity.WARNING
    assert finding.seen == "no row of the last 24 h"


async def test_a_meter_that_feeds_in_where_the_site_draws_is_inverted(dlms_site: Site) -> None:
    async with dlms_site() as site:
        site.change(('encryption_key = "ek"', 'encryption_key = "ek"\ninvert = true'))
        found = await check(site.config, flow="import")
    assert worst(found) == [("inverted", ISKRA)]
    assert "set invert = false" in found["inverted", ISKRA].do


async def test_a_meter_whose_scaler_is_wrong_is_found_by_its_power(
    dlms_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the register counts tens of Wh, and the meter says that it counts single ones."""

    def wrong(source: objects.Source) -> Any:
        def tens() -> data.Data:
            return data.double_long_unsigned((source.snapshot().import_uwh or 0) // 10**7)

        yield Register(objects.IMPORT, tens, 0, UNIT_WH)
        yield Register(objects.EXPORT, lambda: data.double_long_unsigned(67_250), 0, UNIT_WH)

    monkeypatch.setattr(objects, "_energy", wrong)
    async with dlms_site() as site:
        found = await check(site.config, duration_s=600, flow="import")
    assert ("scale", ISKRA) in worst(found), found
    assert "10 times too low" in found["scale", ISKRA].do


async def test_a_line_that_loses_bytes_is_told_with_its_losses(dlms_site: Site) -> None:
    async with dlms_site() as site:
        site.change(("timeout_ms = 300\nretries = 1", "timeout_ms = 100\nretries = 0"))
        site.served.meter(ISKRA).inject(Drop(every=20))
        found = await check(site.config, duration_s=400)
    ((name, about),) = worst(found)
    assert (name, about) == ("lost_replies", ISKRA)
    assert "without reply" in found[name, about].seen
