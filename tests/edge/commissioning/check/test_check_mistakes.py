"""`gridtokenx-edge check` names the mistake: each is planted in a site of simulated meters.

The meters live two hundred times as fast, so that a minute's check takes a third of a second.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.edge.commissioning.check.checked_site import HEAVY, SPEED, change, check, errors, running

from gridtokenx_edge.commissioning.check.finding import Severity
from gridtokenx_sim.config.faults import Crc
from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models import quantities as of
from gridtokenx_sim.models.layout import Table
from gridtokenx_wire.keys import public_key_text


def wired(monkeypatch: pytest.MonkeyPatch, model: str, function: int, **more: Any) -> None:
    """Meters of a model whose registers are otherwise: `at_0x5000 = {"lsw_first": True}`."""
    layout = MODELS[model]
    table = layout.tables[function]
    changes = {int(name.removeprefix("at_"), 16): change for name, change in more.items()}
    registers = [
        msgspec.structs.replace(each, **changes.get(each.address, {})) for each in table.registers
    ]
    filled = [range(0x0180)] if model.startswith("eastron") and function == 4 else []
    tables = layout.tables | {function: Table(registers, filled)}
    changed = msgspec.structs.replace(layout, tables=tables)
    monkeypatch.setitem(MODELS, model, changed)


async def test_a_site_in_order_is_ready_and_its_reading_is_acked(
    meters: Any, site: Any, backend: Any, write: Any
) -> None:
    roof = meters.serial(
        meters.meter("eastron_sdm630", 1, **HEAVY),
        meters.meter("abb_b23", 2, **HEAVY),
        meters.meter("carlo_gavazzi_em340", 3, "KY1", **HEAVY),
    )
    hall = meters.tcp(meters.meter("carlo_gavazzi_em24_e1", 3, "KY2", **HEAVY))
    async with running(roof, hall) as (served, clock):
        write(served, clock)
        found = await check(site.config, flow="import")
    assert errors(found) == {}
    for name, about in [
        ("key", ""),
        ("wiring", "EASTRON-1001"),
        ("identity", "ABB-1002"),
        ("counter", "EASTRON-1001"),
        ("direction", "CARLO-GAVAZZI-KY2"),
        ("bus_time", "roof"),
        ("broker_mqtt", ""),
        ("ack", ""),
    ]:
        assert found[name, about].severity is Severity.OK, (name, about)
    assert len(backend.readings) == 1


# --- the meters' registers ----------------------------------------------------------------------


async def test_1_a_meter_mounted_the_other_way_round_is_found_when_the_flow_is_told(
    meters: Any, site: Any, write: Any
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm120", 1, inverted=True, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        untold = await check(site.config)
        told = await check(site.config, flow="import")
        change(site, "poll_every_s = 600", "poll_every_s = 600\ninvert = true")
        mended = await check(site.config, flow="import")
    assert untold["direction", "EASTRON-1001"].severity is Severity.NOTE
    assert "if the site draws now, set invert = true" in untold["direction", "EASTRON-1001"].do
    (finding,) = errors(told).values()
    assert finding.name == "inverted"
    assert "set invert = true" in finding.do
    assert errors(mended) == {}
    assert mended["direction", "EASTRON-1001"].severity is Severity.OK


async def test_1_import_and_export_exchanged_against_the_power(
    meters: Any, site: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired(
        monkeypatch,
        "eastron_sdm120",
        4,
        at_0x48={"quantity": of.export_uwh},
        at_0x4A={"quantity": of.import_uwh},
    )
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("exchanged", "EASTRON-1001")
    assert "export moved" in finding.seen


async def test_2_a_counter_in_wh_that_the_profile_takes_for_kwh(
    meters: Any, site: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thousandth = {"per_count": 10**6, "step": 10**3}
    wired(monkeypatch, "eastron_sdm120", 4, at_0x48=thousandth, at_0x4A=thousandth)
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("scale", "EASTRON-1001")
    assert "1000 times too high: is its unit Wh and not kWh?" in finding.do


async def test_2_a_counter_in_mwh_stands_still(
    meters: Any, site: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thousandfold = {"per_count": 10**12}
    wired(monkeypatch, "eastron_sdm120", 4, at_0x48=thousandfold, at_0x4A=thousandfold)
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("standstill", "EASTRON-1001")
    assert "its unit is larger than profile eastron_sdm120 says" in finding.do


@pytest.mark.parametrize(
    ("model", "function", "registers", "expected"),
    [
        ("abb_b23", 3, {"at_0x5000": {}, "at_0x5004": {}}, "swapped, import would be 1234."),
        ("abb_b23", 3, {"at_0x5B14": {}}, "swapped, the power would be"),
        ("eastron_sdm120", 4, {"at_0x48": {}, "at_0x4A": {}}, "swapped, import would be 1234."),
        ("eastron_sdm120", 4, {"at_0xC": {}}, "swapped, the power would be"),
        (
            "eastron_sdm120",
            4,
            {"at_0x48": {}, "at_0x4A": {}, "at_0xC": {}},
            "swapped, import would be 1234.",
        ),
    ],
)
async def test_3_words_in_the_wrong_order(
    meters: Any,
    site: Any,
    write: Any,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    function: int,
    registers: dict[str, Any],
    expected: str,
) -> None:
    turned = {name: {"lsw_first": True} for name in registers}
    wired(monkeypatch, model, function, **turned)
    bus = meters.serial(meters.meter(model, 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert finding.name == "word_order", finding
    assert expected in finding.do


async def test_10_a_profile_of_another_maker_is_named_with_one_that_fits(
    meters: Any, site: Any, write: Any
) -> None:
    bus = meters.serial(meters.meter("abb_b23", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, 'profile = "abb_b23"', 'profile = "eastron_sdm630"')
        change(site, "ABB-1001", "EASTRON-1001")
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("wrong_profile", "EASTRON-1001")
    assert "abb_b23 (ABB-1001)" in finding.do


async def test_10_a_profile_of_the_makers_other_model_is_found_by_its_power(
    meters: Any, site: Any, write: Any
) -> None:
    """The one-phase model's power is the other's first phase."""
    bus = meters.serial(meters.meter("eastron_sdm630", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, 'profile = "eastron_sdm630"', 'profile = "eastron_sdm120"')
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("counter", "EASTRON-1001")
    assert "profile eastron_sdm120 may be another model's" in finding.do


# --- the line and who is on it ------------------------------------------------------------------


async def test_4_a_wrong_address_is_silence_of_one_meter_while_the_others_answer(
    meters: Any, site: Any, write: Any
) -> None:
    bus = meters.serial(
        meters.meter("eastron_sdm120", 1, **HEAVY), meters.meter("eastron_sdm120", 2, **HEAVY)
    )
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, "address = 2", "address = 7")
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("silent_meter", "EASTRON-1002")
    assert "address" in finding.do
    assert "gridtokenx-edge scan" in finding.do


async def test_4_a_bus_without_any_answer_is_one_finding(
    meters: Any, site: Any, write: Any
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm120", 1), meters.meter("eastron_sdm120", 2))
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, "timeout_ms = 150", "timeout_ms = 50\nbaud = 19200")
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("silent_bus", "roof")
    assert "19200 baud right? Then A and B exchanged" in finding.do


async def test_5_exchanged_ids_are_told_as_such(meters: Any, site: Any, write: Any) -> None:
    bus = meters.serial(
        meters.meter("eastron_sdm120", 1, **HEAVY),
        meters.meter("eastron_sdm120", 2, **HEAVY),
        meters.meter("eastron_sdm120", 3, **HEAVY),
    )
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, "EASTRON-1001", "EASTRON-X")
        change(site, "EASTRON-1002", "EASTRON-1001")
        change(site, "EASTRON-X", "EASTRON-1002")
        change(site, "EASTRON-1003", "EASTRON-4711")
        found = errors(await check(site.config))
    assert {key: each.name for key, each in found.items()} == {
        ("ids_exchanged", "EASTRON-1001"): "ids_exchanged",
        ("ids_exchanged", "EASTRON-1002"): "ids_exchanged",
        ("another_meter", "EASTRON-4711"): "another_meter",
    }
    assert "roof, address 1 and roof, address 2 are exchanged" in (
        found["ids_exchanged", "EASTRON-1002"].do
    )
    assert "EASTRON-1003?" in found["another_meter", "EASTRON-4711"].do


async def test_6_a_noisy_line_is_told_from_a_silent_one(meters: Any, site: Any, write: Any) -> None:
    bus = meters.serial(
        meters.meter("eastron_sdm120", 1, **HEAVY), meters.meter("eastron_sdm120", 2, **HEAVY)
    )
    async with running(bus) as (served, clock):
        served.meter("EASTRON-1001").inject(Crc(every=5))
        write(served, clock)
        change(site, "timeout_ms = 150", "timeout_ms = 30")
        found = await check(site.config)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("noise", "EASTRON-1001")
    assert "0 without reply" in finding.seen
    assert "limit 5 %" in finding.seen
    assert "120 ohm at both ends" in finding.do


async def test_9_a_bus_that_is_too_slow_for_its_intervals(
    meters: Any, site: Any, write: Any
) -> None:
    bus = meters.serial(*(meters.meter("eastron_sdm120", at + 1) for at in range(4)), baud=1200)
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, "timeout_ms = 150", "timeout_ms = 500\nbaud = 1200")
        change(site, "poll_every_s = 600", f"poll_every_s = {SPEED / 5}")
        found = await check(site.config, duration_s=10)
    (finding,) = errors(found).values()
    assert (finding.name, finding.about) == ("bus_too_slow", "roof")
    assert "raise poll_every_s" in finding.do


# --- the way to the backend ---------------------------------------------------------------------


async def test_7_an_ack_key_that_is_not_the_backends(
    meters: Any, site: Any, write: Any, backend: Any
) -> None:
    other = public_key_text(Ed25519PrivateKey.generate().public_key())
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock, other)
        found = await check(site.config, duration_s=10)
    (finding,) = errors(found).values()
    assert finding.name == "ack_key"
    assert "the pinned key did not sign" in finding.seen


async def test_7_a_device_that_the_backend_does_not_know(
    meters: Any, site: Any, write: Any, backend: Any
) -> None:
    backend.is_mute = True
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config, duration_s=10, ack_wait_s=0.3)
    (finding,) = errors(found).values()
    assert finding.name == "no_ack"
    assert "does not know this device yet" in finding.do
    assert "community is not called 'lane'" in finding.do


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('host = "127.0.0.1", port', 'host = "nowhere.invalid", port', "broker_name"),
        ("port = {port}, insecure", "port = 1, insecure", "broker_tcp"),
    ],
)
async def test_8_a_broker_that_is_not_reached(
    meters: Any, site: Any, write: Any, broker: Any, old: str, new: str, name: str
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, old.format(port=broker.port), new)
        found = await check(site.config, duration_s=10)
    (finding,) = errors(found).values()
    assert finding.name == name


# --- devices that describe themselves -----------------------------------------------------------


async def test_sunspec_devices_are_judged_by_their_readings(
    meters: Any, site: Any, write: Any
) -> None:
    solar = {"solar_kwp": 30_000, "annual_load_kwh": 0}
    hall = meters.tcp(
        meters.meter("sunspec_meter", 1, **HEAVY),
        meters.meter("sunspec_inverter", 2, **solar),
        meters.meter("sunspec_meter", 3, inverted=True, **HEAVY),
    )
    async with running(hall) as (served, clock):
        write(served, clock)
        ids = [meter.id for meter in served.meters]
        found = await check(site.config, flow="import")
        change(site, ids[0], "SUN-SIM-4711")
        strange = await check(site.config, duration_s=10)
    assert set(errors(found)) == {("inverted", ids[2])}
    for about in ids:
        assert found["identity", about].severity is Severity.OK
        assert found["plausible", about].severity is Severity.OK
        assert found["counter", about].severity is Severity.OK
    assert found["direction", ids[1]].seen.startswith("feeds in"), "an inverter always does"
    assert strange["another_meter", "SUN-SIM-4711"].do.endswith(f"{ids[0]}?")
