"""`gridtokenx-backend market` against a running backend with two zones and a link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.commands import Command, Ran
from tests.backend.running import write_configs
from tests.backend.village import Village

from gridtokenx_backend.cli.market import _zone

VIENNA = ZoneInfo("Europe/Vienna")
ZONES = [
    {
        "name": "north",
        "floor_grx_per_kwh": "0.02",
        "ceiling_grx_per_kwh": "0.5",
        "breaker_bps": 1250,
        "breaker_pause_s": 60,
    },
    {"name": "south"},
]
LINK = {
    "from": "north",
    "to": "south",
    "capacity_kwh": "12.5",
    "wheeling_grx_per_kwh": "0.01",
    "loss_bps": 500,
    "loss_price_grx_per_kwh": "0.2",
}


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The config and the API's address of a running backend."""
    folder = tmp_path_factory.mktemp("zones")
    config = write_configs(folder, Village(zone=ZONES, link=[LINK]).document, free_port())
    (folder / "data").mkdir(mode=0o700)
    with BackendProcess(folder, config) as backend:
        yield str(config), backend.ready(60)["api"]


class Operator:
    def __init__(self, site: tuple[str, str], command: Command) -> None:
        self._where = ("--config", site[0], "--api", site[1])
        self._command = command

    def __call__(self, *words: str) -> Ran:
        return self._command("market", *words, *self._where)

    def states(self) -> dict[str, tuple[str, str]]:
        found = json.loads(self("status", "--json").out)
        return {zone["zone"]: (zone["status"], zone["reason"]) for zone in found["zones"]}


@pytest.fixture(name="operator")
def _operator(
    site: tuple[str, str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operator]:
    """The command of the operator; after the test all zones trade again."""
    monkeypatch.setenv("COLUMNS", "120")
    operator = Operator(site, command)
    yield operator
    assert operator("resume", "--reason", "over").status == 0


def test_one_zone_is_halted_and_resumes(operator: Operator) -> None:
    halted = operator("halt", "--zone", "north", "--reason", "works on the feeder")
    assert halted.status == 0
    assert halted.out.startswith("north: halted (entry ")
    assert operator.states() == {"north": ("halted", "works on the feeder"), "south": ("open", "")}
    resumed = operator("resume", "--zone", "north", "--reason", "done")
    assert resumed.out.startswith("north: open (entry ")
    assert operator.states() == {"north": ("open", ""), "south": ("open", "")}


def test_without_a_zone_all_are_meant(operator: Operator) -> None:
    done = json.loads(operator("cancel-only", "--reason", "a faulty meter", "--json").out)
    assert done.pop("journal_seq") > 0
    assert done == {"zones": ["north", "south"], "status": "cancel_only"}
    assert set(operator.states().values()) == {("cancel_only", "a faulty meter")}


def test_status_shows_zones_and_links_as_tables(operator: Operator) -> None:
    operator("cancel-only", "--zone", "south", "--reason", "a faulty meter")
    shown = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in operator("status").out.splitlines()
        if line.startswith("│")
    ]
    assert shown == [
        ["north", "open", "-", "0.020000", "0.500000", "12.5 %", ""],
        ["south", "cancel-only", "-", "-", "-", "off", "a faulty meter"],
        ["north", "south", "12.500000000", "12.500000000", "0.010000", "0.010000"],
    ]


def test_a_breakers_pause_is_shown_with_its_end() -> None:
    zone = {
        "zone": "north",
        "status": "paused",
        "reason": "",
        "paused_until_ms": 1_781_776_860_000,
        "floor_grx_per_kwh": "",
        "ceiling_grx_per_kwh": "",
        "last_price_grx_per_kwh": "",
        "breaker_bps": 500,
    }
    assert _zone(zone, VIENNA)[1] == "paused until 2026-06-18 12:01:00 CEST"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("halt", "--zone", "west", "--reason", "storm"), "expected one of north, south"),
        (("halt", "--reason", ""), "reason: expected 1 to 500 printable characters"),
        (("halt", "--zone", "north"), "Missing option '--reason'"),
    ],
)
def test_what_the_operator_can_mend_is_one_line(
    operator: Operator, words: tuple[str, ...], expected: str
) -> None:
    ran = operator(*words)
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
    assert expected in ran.err
    assert set(operator.states().values()) == {("open", "")}
