"""What a check says: tables of what was seen and what is found, without any line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_edge.commissioning.check.bus_time import PollTime, judge_bus_time, line_us, rest_us
from gridtokenx_edge.commissioning.check.finding import (
    Finding,
    Severity,
    error,
    is_ready,
    note,
    ok,
    verdict,
    warning,
)
from gridtokenx_edge.commissioning.check.host import judge_clock, judge_down, judge_port
from gridtokenx_edge.commissioning.check.identities import (
    IdentityAnswer,
    judge_identities,
    judge_profile,
)
from gridtokenx_edge.commissioning.check.line_exchanges import ExchangeOutcome, LineExchange
from gridtokenx_edge.commissioning.check.plausibility import judge_values, power_fits
from gridtokenx_edge.commissioning.check.ports import adapters, holders, lasting_name
from gridtokenx_edge.commissioning.check.wiring import RequestStatistics, judge_bus
from gridtokenx_edge.config.edge_config import MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_wire.clock import ClockConfig

CABINET = SerialBus(name="cabinet", port="/dev/ttyUSB0", meter=[])
HALL = TcpBus(name="hall", host="10.0.0.9", meter=[])
BLOCK = Block(fc=4, address=0, count=2)


def statistics(
    answered: int = 0, silent: int = 0, noise: int = 0, took_us: int = 9_000
) -> RequestStatistics:
    counted = RequestStatistics()
    for outcome, count in (
        (ExchangeOutcome.ANSWERED, answered),
        (ExchangeOutcome.SILENT, silent),
        (ExchangeOutcome.NOISE, noise),
    ):
        for _ in range(count):
            counted.add(
                LineExchange(address=1, block=BLOCK, time_ms=0, took_us=took_us, outcome=outcome)
            )
    return counted


@pytest.mark.parametrize(
    ("seen", "name", "severity"),
    [
        ({"answered": 200}, "wiring", Severity.OK),
        ({"answered": 200, "noise": 1}, "wiring", Severity.OK),
        ({"answered": 400, "noise": 2}, "wiring", Severity.OK),
        ({"answered": 198, "noise": 2}, "noise", Severity.WARNING),
        ({"answered": 190, "noise": 10}, "noise", Severity.ERROR),
        ({"answered": 190, "silent": 6, "noise": 4}, "lost_replies", Severity.ERROR),
        ({"answered": 196, "silent": 4}, "lost_replies", Severity.WARNING),
        ({"silent": 9}, "silent_meter", Severity.ERROR),
        ({"silent": 5, "noise": 4}, "noise", Severity.ERROR),
    ],
)
def test_a_lines_quality_has_stated_limits(
    seen: dict[str, int], name: str, severity: Severity
) -> None:
    for bus in (CABINET, HALL):
        (finding,) = judge_bus(bus, [("M-1", statistics(**seen))])
        assert (finding.name, finding.severity) == (name, severity)
        assert bool(finding.do) == (severity is not Severity.OK)


def test_a_silent_bus_is_one_finding_and_noise_hints_at_the_baud_rate() -> None:
    (finding,) = judge_bus(CABINET, [("M-1", statistics(silent=9)), ("M-2", statistics(silent=9))])
    assert (finding.name, finding.about) == ("silent_bus", "cabinet")
    assert "A and B exchanged" in finding.do
    (finding,) = judge_bus(CABINET, [("M-1", statistics(noise=9)), ("M-2", statistics(noise=9))])
    assert "is it 9600 baud, parity N" in finding.do
    silent, fine = judge_bus(CABINET, [("M-1", statistics(silent=9)), ("M-2", statistics(9))])
    assert (silent.name, fine.name) == ("silent_meter", "wiring")
    assert list(judge_bus(CABINET, [("M-1", RequestStatistics())])) == []


def test_replies_that_come_now_and_then_late_are_told() -> None:
    times = statistics(90)
    for _ in range(10):
        times.add(
            LineExchange(
                address=1, block=BLOCK, time_ms=0, took_us=450_000, outcome=ExchangeOutcome.ANSWERED
            )
        )
    (finding,) = judge_bus(HALL, [("M-1", times)])
    assert (finding.name, finding.severity) == ("restless", Severity.WARNING)


def test_the_time_on_a_line_follows_from_its_speed() -> None:
    """An SDM120: both energies in one request and the power in another, 8 + 13 and 8 + 9 bytes."""
    profile = load_profile("eastron_sdm120")
    slow = SerialBus(name="slow", port="/dev/null", meter=[], baud=1200)
    assert line_us(profile, slow) == pytest.approx(38 * 10 * 10**6 / 1200 + 4 * 29_167, rel=0.01)
    assert (
        line_us(profile, SerialBus(name="fast", port="/dev/null", meter=[], baud=115_200))
        > 4 * 1_750
    )
    assert line_us(profile, HALL) == 0
    assert rest_us(load_profile("eastron_sdm72d_m")) == 500_000


@pytest.mark.parametrize(
    ("takes_ms", "every_ms", "name", "severity"),
    [
        (100, 1_000, "bus_time", Severity.OK),
        (790, 1_000, "bus_time", Severity.OK),
        (820, 1_000, "bus_too_slow", Severity.WARNING),
        (1_010, 1_000, "bus_too_slow", Severity.ERROR),
    ],
)
def test_a_bus_has_time_for_its_polls_or_not(
    takes_ms: int, every_ms: int, name: str, severity: Severity
) -> None:
    polls = [
        PollTime(meter=f"M-{at}", takes_us=takes_ms * 1000 // 2, every_us=every_ms * 1000)
        for at in range(2)
    ]
    (finding,) = judge_bus_time(CABINET, polls)
    assert (finding.name, finding.severity) == (name, severity)


def test_a_meter_that_wants_longer_rests_than_its_interval_is_told() -> None:
    slow, bus = judge_bus_time(
        CABINET, [PollTime(meter="M-1", takes_us=1_000, every_us=500_000, rest_us=1_000_000)]
    )
    assert (slow.name, slow.about) == ("meter_too_slow", "M-1")
    assert slow.do == "raise poll_every_s to 1 or more"
    assert bus.severity is Severity.OK


GOOD = {"voltage_l1": 231_400, "current_l1": 2_300, "frequency": 49_980}


@pytest.mark.parametrize(
    ("change", "power_w", "name", "severity"),
    [
        ({}, 530, "plausible", Severity.OK),
        ({}, -530, "plausible", Severity.OK),
        ({}, 53_000, "power_scale", Severity.ERROR),
        ({"voltage_l1": 23_140}, 53, "implausible", Severity.ERROR),
        ({"voltage_l1": 2_314_000}, 530, "implausible", Severity.ERROR),
        ({"frequency": 499_800}, 530, "implausible", Severity.ERROR),
        ({"current_l1": 2_300_000_000 // 1000}, 530, "implausible", Severity.ERROR),
        ({"voltage_l2": 400}, 530, "dead_phase", Severity.WARNING),
    ],
)
def test_what_no_grid_has_is_told(
    change: dict[str, int | None], power_w: int, name: str, severity: Severity
) -> None:
    found = {each.name: each for each in judge_values("M-1", "x", GOOD | change, power_w)}
    assert found[name].severity is severity


@pytest.mark.parametrize("values", [{}, {"frequency": 0}, {"voltage_l1": 0, "frequency": 0}])
def test_a_meter_that_measures_no_voltage_is_not_judged(values: dict[str, int | None]) -> None:
    assert list(judge_values("M-1", "x", values, 530)) == []


@pytest.mark.parametrize(
    ("values", "power_w", "fits"),
    [
        (GOOD, 530, True),
        (GOOD, 5_300, False),
        (GOOD, 53, None),
        (GOOD | {"current_l1": None}, 530, None),
        ({}, 530, None),
        (GOOD, None, None),
    ],
)
def test_voltages_and_currents_carry_a_power_or_not(
    values: dict[str, int | None], power_w: int | None, fits: bool | None
) -> None:
    assert power_fits(values, power_w) is fits


def test_ids_are_compared_across_buses() -> None:
    first, second, third = (
        MeterConfig(id=f"ABB-{at}", profile="abb_b23", address=at) for at in (1, 2, 3)
    )
    found = list(
        judge_identities(
            [
                IdentityAnswer(bus="a", meter=first, says="ABB-2"),
                IdentityAnswer(bus="b", meter=second, says="ABB-1"),
                IdentityAnswer(bus="b", meter=third, says="ABB-2"),
            ]
        )
    )
    assert [each.name for each in found] == ["ids_exchanged", "ids_exchanged", "another_meter"]
    assert "the ids of a, address 1 and b, address 2 are exchanged" in found[0].do
    assert "the config has that id at b, address 2" in found[2].do


def test_a_meter_that_does_not_fit_its_profile_is_told_with_those_that_fit() -> None:
    meter = MeterConfig(id="ABB-1", profile="abb_b23", address=1)
    (finding,) = judge_identities(
        [IdentityAnswer(bus="a", meter=meter, strange="answered exception 2")]
    )
    assert "gridtokenx-edge scan" in finding.do
    (finding,) = judge_identities(
        [IdentityAnswer(bus="a", meter=meter, strange="so", fits=("x (X-1)",))]
    )
    assert finding.do == "it answers by another profile: x (X-1)"
    assert list(judge_identities([IdentityAnswer(bus="a", meter=meter)])) == []


def test_what_only_the_display_can_tell_is_a_note() -> None:
    meter = MeterConfig(id="SCHNEIDER-1", profile="schneider_iem3155", address=1)
    contested = load_profile("schneider_iem3155")
    found = list(judge_profile(meter, contested.confidence, "import 5 kWh", has_identity=False))
    assert [each.name for each in found] == ["contested", "no_identity"]
    assert all(each.severity is Severity.NOTE for each in found)
    plain = load_profile("abb_b23")
    assert list(judge_profile(meter, plain.confidence, "import 5 kWh", has_identity=True)) == []


def test_the_clock_must_be_kept() -> None:
    assert judge_clock(ClockConfig(), lambda: True).severity is Severity.OK
    assert "quarantined" in judge_clock(ClockConfig(), lambda: False).seen
    assert judge_clock(ClockConfig(source="scaled"), lambda: False).severity is Severity.NOTE


@pytest.mark.parametrize(
    ("found", "text", "ready"),
    [
        ([ok("ack", "", "")], "ready", True),
        ([note("clock", "", ""), note("direction", "", "")], "ready, with 2 notes", True),
        ([warning("disk", "", "", "x")], "ready, with 1 warning", True),
        (
            [error("key", "", "", "x"), note("direction", "", "")],
            "not ready: 1 error, 1 note",
            False,
        ),
    ],
)
def test_only_an_error_keeps_a_site_from_being_left(
    found: list[Finding], text: str, ready: bool
) -> None:
    assert (verdict(found), is_ready(found)) == (text, ready)


def test_a_ports_lasting_name_is_advised(tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    port = tmp_path / "ttyUSB0"
    port.touch()
    (by_id / "usb-FTDI_A").symlink_to(tmp_path / "ttyUSB1")
    (by_id / "usb-FTDI_B").symlink_to(port)
    assert lasting_name(str(port), by_id) == f"{by_id}/usb-FTDI_B"
    assert lasting_name(f"{by_id}/usb-FTDI_B", by_id) == ""
    assert lasting_name(str(tmp_path / "ttyUSB7"), by_id) == ""
    assert lasting_name(str(port), tmp_path / "gone") == ""
    assert adapters(by_id) == [f"{by_id}/usb-FTDI_A", f"{by_id}/usb-FTDI_B"]
    assert adapters(tmp_path / "gone") == []


def test_who_has_a_port_open_is_named(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    with port.open() as opened:
        assert holders(str(port)) == [], "ourselves do not count"
        with subprocess.Popen(
            ["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[opened.fileno()]
        ) as cat:
            assert holders(str(port)) == [f"cat (pid {cat.pid})"]
            (finding,) = judge_port(SerialBus(name="a", port=str(port), meter=[]), agent_runs=False)
            assert cat.stdin
            cat.stdin.close()
    assert finding.name == "port_taken"
    assert f"cat (pid {cat.pid})" in finding.seen


def test_a_port_is_looked_at_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "ttyUSB0"
    bus = SerialBus(name="a", port=str(port), meter=[])
    (gone,) = judge_port(bus, agent_runs=False)
    port.touch()
    (taken,) = judge_port(bus, agent_runs=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    (forbidden,) = judge_port(bus, agent_runs=False)
    assert (gone.name, taken.name, forbidden.name) == ("port", "port_taken", "port")
    assert "dialout" in forbidden.do
    assert list(judge_port(HALL, agent_runs=True)) == []


@pytest.mark.parametrize(
    ("bus", "reason", "name"),
    [
        (CABINET, "expected /dev/x to be free, but another program uses it", "port_taken"),
        (CABINET, "the line is down", "line_down"),
        (HALL, "expected a Modbus server at 10.0.0.9:502, found none", "line_down"),
    ],
)
def test_a_line_that_is_down_says_why(bus: Any, reason: str, name: str) -> None:
    finding = judge_down(bus, reason)
    assert (finding.name, finding.seen) == (name, reason)
