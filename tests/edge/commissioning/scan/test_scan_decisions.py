"""A scan's decisions without a bus: what to try, what was heard, what is plausible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gridtokenx_edge.commissioning.scan.candidates import Candidate, rank
from gridtokenx_edge.commissioning.scan.line_noise import (
    ByteRecorder,
    LineResponse,
    ResponseKind,
    judge_bytes,
)
from gridtokenx_edge.commissioning.scan.plausibility import ProfileClue, judge, score
from gridtokenx_edge.commissioning.scan.settings import (
    ADDRESSES,
    LineSettings,
    factory_settings,
    first_addresses,
    parse_addresses,
    parse_bauds,
    parse_parities,
)
from gridtokenx_edge.commissioning.scan.target import SerialTarget, TcpTarget, parse_target
from gridtokenx_edge.commissioning.scan.timing import probe_timeout_s, read_timeout_s
from gridtokenx_edge.meters.profile import SerialDefaults, load_profile

Frame = Callable[[str], bytes]
SDM630 = load_profile("eastron_sdm630")


def made(*settings: tuple[int, str, int]) -> list[Any]:
    return [
        msgspec.structs.replace(
            SDM630, serial=SerialDefaults(baud=baud, parity=parity, address=address)
        )
        for baud, parity, address in settings
    ]


def test_the_most_common_factory_settings_come_first() -> None:
    profiles = made(
        (19200, "E", 1), (9600, "N", 1), (9600, "N", 5), (19200, "E", 44), (9600, "N", 1)
    )
    assert [str(settings) for settings in factory_settings(profiles)] == ["9600 8N1", "19200 8E1"]
    assert first_addresses(profiles) == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 44)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [("7", (7,)), ("1-3", (1, 2, 3)), ("3,1-3, 9", (3, 1, 2, 9)), ("246-247", (246, 247))],
)
def test_addresses_are_lists_and_ranges(text: str, addresses: tuple[int, ...]) -> None:
    assert parse_addresses(text, ADDRESSES) == addresses


@pytest.mark.parametrize("text", ["", "a", "0", "248", "1-", "-3", "5-2", "1,,2", "1-999999999999"])
def test_what_is_no_list_of_addresses_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected addresses"):
        parse_addresses(text, ADDRESSES)


def test_rates_and_parities_are_lists() -> None:
    assert parse_bauds("19200, 9600,19200") == (19200, 9600)
    assert parse_parities("e,N") == ("E", "N")
    for wrong in ("", "9601", "9600,x"):
        with pytest.raises(ValueError, match="expected baud rates"):
            parse_bauds(wrong)
    with pytest.raises(ValueError, match="expected parities"):
        parse_parities("N,M")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/dev/ttyUSB0", SerialTarget("/dev/ttyUSB0")),
        ("./roof.tty", SerialTarget("./roof.tty")),
        ("192.0.2.7", TcpTarget("192.0.2.7", 502)),
        ("gateway.local:1502", TcpTarget("gateway.local", 1502)),
        ("[2001:db8::7]:1502", TcpTarget("2001:db8::7", 1502)),
        ("2001:db8::7", TcpTarget("2001:db8::7", 502)),
    ],
)
def test_a_target_is_a_port_or_a_host(text: str, target: object) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", ":502", "host:", "host:0", "host:70000", "host:x", "a b"])
def test_what_is_no_target_is_told(text: str) -> None:
    if text == "host:":
        assert parse_target(text) == TcpTarget("host")
        return
    with pytest.raises(ValueError, match="expected a"):
        parse_target(text)


def test_a_faster_bus_is_waited_for_shorter() -> None:
    at_9600, at_1200 = LineSettings(9600), LineSettings(1200)
    assert probe_timeout_s(at_9600, []) == pytest.approx(0.25 + 24 * 10 / 9600)
    assert probe_timeout_s(at_9600, [0.03, 0.02]) == pytest.approx(0.1 + 24 * 10 / 9600)
    assert probe_timeout_s(at_9600, [0.1]) == pytest.approx(0.2125, abs=1e-3)
    assert probe_timeout_s(at_9600, [5.0]) == probe_timeout_s(at_9600, [])
    assert probe_timeout_s(at_1200, []) > probe_timeout_s(at_9600, [])
    assert read_timeout_s(at_9600) > 260 * 10 / 9600
    assert LineSettings(9600, "E").character_s == pytest.approx(11 / 9600)


def test_bytes_are_told_apart(rtu: Frame) -> None:
    request = rtu("05 04 00 00 00 02")
    cases = [
        (b"", LineResponse(ResponseKind.NOTHING)),
        (request, LineResponse(ResponseKind.ECHO)),
        (request + rtu("05 04 04 00 00 00 00"), LineResponse(ResponseKind.ECHO)),
        (rtu("04 04 04 00 00 00 00"), LineResponse(ResponseKind.LATE, 4)),
        (rtu("04 84 02"), LineResponse(ResponseKind.LATE, 4)),
        (rtu("04 04 04 00 00 00 00")[:-1], LineResponse(ResponseKind.GARBLED)),
        (bytes.fromhex("04 04 04 00 00 00 00 12 34"), LineResponse(ResponseKind.GARBLED)),
        (bytes(2), LineResponse(ResponseKind.GARBLED)),
    ]
    for heard, expected in cases:
        assert judge_bytes(request, heard) == expected


def test_an_ear_joins_what_comes_in_pieces_and_forgets_the_last_request(rtu: Frame) -> None:
    ear = ByteRecorder()
    late = rtu("04 04 04 00 00 00 00")
    ear(True, rtu("05 04 00 00 00 02"))
    ear(False, late[:3])
    ear(False, late[3:])
    assert ear.judge() == LineResponse(ResponseKind.LATE, 4)
    ear(True, rtu("06 04 00 00 00 02"))
    assert ear.judge() == LineResponse(ResponseKind.NOTHING)
    ear(False, b"\x01")
    ear(False, b"\x02")  # the first was thrown away as no frame
    assert ear.heard == b"\x01\x02"


GOOD = {
    "energy_import": 1234 * 10**9,
    "energy_export": 0,
    "active_power": 690,
    "voltage_l1": 230_100,
    "current_l1": 3_000,
    "frequency": 50_010,
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"voltage_l1": 23_010}, "23.01 V on L1, expected 80 to 300"),
        ({"voltage_l1": 2_301_000}, "2301 V on L1, expected 80 to 300"),
        ({"frequency": 500}, "0.5 Hz, expected 45 to 65"),
        ({"energy_import": None}, "no import register"),
        ({"energy_import": 81 * 10**15}, "81000000 kWh import, expected at most 10000000"),
        ({"energy_export": 10**17}, "100000000 kWh export, expected at most 10000000"),
        ({"active_power": 6_900}, "6900 W of power, but volts and amperes give 690 VA"),
        ({"active_power": -6_900}, "-6900 W of power, but volts and amperes give 690 VA"),
        ({"active_power": 3_000_000}, "3000000 W, expected at most 2000000"),
    ],
)
def test_a_value_that_cannot_be_rules_a_profile_out(change: dict[str, Any], text: str) -> None:
    assert not any(finding.rules_out for finding in judge(GOOD))
    findings = judge(GOOD | change)
    assert text in [finding.text for finding in findings if finding.rules_out]


@pytest.mark.parametrize(
    "change",
    [
        {"active_power": 0},  # a thousandth of it, rounded: kW taken for W
        {"voltage_l1": 0, "active_power": 0},
        {"voltage_l1": None},
        {"frequency": 0},
        {"voltage_l2": 0, "voltage_l3": 0},
        {"power_l1": 100, "power_l2": 0, "power_l3": 0},
    ],
)
def test_a_doubtful_value_weighs_against_a_profile(change: dict[str, Any]) -> None:
    assert score(judge(GOOD | change)) < score(judge(GOOD))
    assert not any(finding.rules_out for finding in judge(GOOD | change))


def test_zeros_speak_for_nothing() -> None:
    assert score(judge(dict.fromkeys(GOOD, 0))) < 0


def candidate(
    name: str, weight: int, profile: str = "eastron_sdm630", *out: ProfileClue
) -> Candidate:
    return Candidate(
        name=name,
        profile=load_profile(profile),
        serial="",
        findings=(ProfileClue(text="so", weight=weight), *out),
    )


def test_equal_fits_are_all_named() -> None:
    alike = rank([candidate("b", 9), candidate("a", 9), candidate("c", 5)])
    assert alike.sureness == "alike"
    assert [of.name for of in alike.best] == ["a", "b"]
    assert [of.name for of in alike.weaker] == ["c"]
    assert rank([candidate("a", 9), candidate("b", 9, "abb_b23")]).sureness == "ambiguous"
    assert rank([candidate("a", 9), candidate("b", 8)]).sureness == "likely"
    assert rank([candidate("a", 20)]).sureness == "identified"
    ruled_out = candidate("a", 30, "abb_b23", ProfileClue(text="no", weight=-3, rules_out=True))
    assert rank([ruled_out, candidate("b", 2)]).sureness == "unknown"
