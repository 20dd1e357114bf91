"""The demo's folder, its clock, its configs: what is written where, and what is left alone."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridtokenx_sim.config.loading import load_config
from gridtokenx_sim.demo import clock_file, town
from gridtokenx_sim.demo.files.config_files import (
    Device,
    Identities,
    Ports,
    community_toml,
    edge_toml,
    sim_toml,
)
from gridtokenx_sim.demo.files.folder import NAME, Folder, FolderError, open_folder, write_json
from gridtokenx_sim.demo.files.meter_secrets import meter_secrets
from gridtokenx_sim.demo.files.toml_text import toml_text
from gridtokenx_sim.demo.identities import known_identities
from gridtokenx_sim.demo.periods import Periods, periods_for
from gridtokenx_wire.clock import ClockConfig, make_clock

PORTS = Ports(broker=1883, api=8080, modbus=5020, dlms=4059)

ACK_KEY = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with open_folder(tmp_path / NAME, fresh=False) as opened:
        yield opened


@contextmanager
def refused(text: str) -> Iterator[None]:
    with pytest.raises(FolderError, match=text) as caught:
        yield
    assert "\n" not in str(caught.value)


def test_a_new_folder_is_private_and_marked(folder: Folder) -> None:
    assert folder.root.stat().st_mode & 0o777 == 0o700
    assert json.loads((folder.root / "demo.json").read_text())["made_by"] == "gridtokenx-sim demo"


def test_a_second_demo_in_the_same_folder_is_refused_with_the_first_ones_id(folder: Folder) -> None:
    with refused(f"process {os.getpid()}"), open_folder(folder.root, fresh=False):
        pass


def test_a_second_demo_is_refused_before_it_could_wipe(folder: Folder) -> None:
    write_json(folder.clock, {})
    with refused("another demo"), open_folder(folder.root, fresh=True):
        pass
    assert folder.clock.exists()


def test_a_folder_is_free_again_once_its_demo_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with open_folder(tmp_path / NAME, fresh=False):
            pass


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path, fresh: bool) -> None:
    root = tmp_path / NAME
    (root / "data").mkdir(parents=True)
    (root / "data" / "thesis.txt").write_text("years of work")
    with refused("left as it is"), open_folder(root, fresh=fresh):
        pass
    assert [path.name for path in root.iterdir()] == ["data"]
    assert (root / "data" / "thesis.txt").exists()


@pytest.mark.parametrize("mark", ["", "{}", '{"made_by":"somebody"}', "[1"])
def test_a_strange_mark_is_no_mark(tmp_path: Path, mark: str) -> None:
    root = tmp_path / NAME
    root.mkdir()
    (root / "demo.json").write_text(mark)
    with refused("left as it is"), open_folder(root, fresh=True):
        pass


def test_a_link_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with refused("found something else"), open_folder(tmp_path / NAME, fresh=False):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("")
    with refused("found something else"), open_folder(tmp_path / NAME, fresh=True):
        pass


def test_a_place_that_takes_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("file"), open_folder(tmp_path / "file" / NAME, fresh=False):
        pass


def test_fresh_deletes_what_the_demo_made_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / NAME
    with open_folder(root, fresh=False) as folder:
        folder.journal.parent.mkdir()
        folder.journal.write_text("old")
        write_json(folder.clock, {})
        (folder.root / ".meters.json.4711").write_text("half a file")
        (folder.root / "notes.txt").write_text("mine")
        (folder.lines / "cabinet").symlink_to(tmp_path)
    with open_folder(root, fresh=True) as folder:
        assert not folder.journal.parent.exists()
        assert list(folder.lines.iterdir()) == []
        left = sorted(path.name for path in root.iterdir() if path.is_file())
    assert left == ["demo.json", "lock", "notes.txt"]
    assert tmp_path.exists()


def test_fresh_after_a_wipe_that_was_cut_short(tmp_path: Path) -> None:
    root = tmp_path / NAME
    root.mkdir()
    (root / "lock").write_text("99999\n")  # the mark goes last, so this is all that can be left
    with open_folder(root, fresh=True) as folder:
        assert folder.data.is_dir()


def test_the_first_clock_starts_in_the_morning(folder: Folder) -> None:
    clock = clock_file.anchor(folder, 180.0)
    assert clock.community_ms == town.START_MS
    assert clock.speed == 180.0
    assert 0 <= make_clock(clock).now_ms() - town.START_MS < 180 * 60_000


def test_the_clock_goes_on_shortly_after_it_was_stopped(folder: Folder) -> None:
    stopped = ClockConfig(source="system", offset_ms=0)
    clock_file.beat(folder, stopped, last=True)
    shown_ms = json.loads(folder.clock.read_text())["newest_ms"]
    assert clock_file.anchor(folder, 60.0).community_ms == shown_ms + 60_000


def test_a_clock_that_was_killed_goes_on_after_all_that_it_could_have_shown(
    folder: Folder,
) -> None:
    first = clock_file.anchor(folder, 1000.0)
    clock_file.beat(folder, first)
    second = clock_file.anchor(folder, 180.0)
    assert second.community_ms >= make_clock(first).now_ms() + 2000 * 1000


def test_the_clock_never_stands_before_the_journal(folder: Folder) -> None:
    folder.journal.parent.mkdir()
    with sqlite3.connect(folder.journal) as rows:
        rows.execute("CREATE TABLE journal (at_ms INTEGER)")
        rows.execute("INSERT INTO journal VALUES (?)", (town.START_MS + 10**9,))
    rows.close()
    assert clock_file.anchor(folder, 180.0).community_ms > town.START_MS + 10**9


def test_a_damaged_clock_file_is_no_reason_not_to_start(folder: Folder) -> None:
    folder.clock.write_text("{")
    assert clock_file.anchor(folder, 180.0).community_ms == town.START_MS


@pytest.mark.parametrize(
    ("speed", "periods"),
    [
        (1.0, Periods(poll_s=5, tick_s=5, order_window_s=3600, grace_s=10)),
        (180.0, Periods(poll_s=240, tick_s=300, order_window_s=21_600, grace_s=300)),
        (600.0, Periods(poll_s=900, tick_s=1200, order_window_s=72_000, grace_s=1200)),
        (3600.0, Periods(poll_s=7200, tick_s=7200, order_window_s=432_000, grace_s=14_400)),
    ],
)
def test_things_happen_every_second_or_two_of_real_time(speed: float, periods: Periods) -> None:
    assert periods_for(speed) == periods


def test_toml_says_what_it_was_given() -> None:
    document = {
        "plain": 'quotes " and \\ and ü and \x7f and \n',
        "flag": True,
        "count": 2**53,
        "speed": 180.0,
        "table": {"a": 1, "deeper": {"b": "x"}},
        "bus": [{"name": "a", "meter": [{"id": "1"}, {"id": "2"}]}, {"name": "b"}],
    }
    assert tomllib.loads(toml_text(document)) == document


def test_the_simulators_config_is_one_that_the_simulator_takes(folder: Folder) -> None:
    file = folder.config / "sim.toml"
    file.write_text(sim_toml(folder, PORTS, ClockConfig(), meter_secrets(folder)))
    meters: Counter[str] = Counter()
    for bus in load_config(file).bus:
        meters[str(bus.__struct_config__.tag)] += len(bus.meter)
    assert meters == {"serial": 8, "tcp": 1, "dlms_serial": 3, "dlms_tcp": 1}


def test_the_gateways_configs_are_ones_that_a_gateway_takes_with_all_secrets_in_private_files(
    folder: Folder,
) -> None:
    made = meter_secrets(folder)
    for gateway in town.GATEWAYS:
        text = edge_toml(gateway, folder, PORTS, ClockConfig(), periods_for(180.0), ACK_KEY)
        file = folder.config / f"{gateway.name}.toml"
        file.write_text(text)
        command = [sys.executable, "-m", "gridtokenx_edge", "check-config", "--json"]
        done = subprocess.run(
            [*command, "--config", str(file)], capture_output=True, timeout=30, check=True
        )
        members = [member for bus in gateway.buses for member in bus.members]
        assert set(json.loads(done.stdout)["meters"]) == {member.meter.id for member in members}
        assert not any(secret in text for each in made.values() for secret in each.values())
    entries = sorted(member.meter.entry for member in town.MEMBERS if member.meter.is_dlms)
    assert entries == ["gmac", "gmac", "low", "low"]
    files = sorted(folder.keys.iterdir())
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 6
    assert meter_secrets(folder) == made


def test_everybody_has_a_meter_and_an_order() -> None:
    sellers = [member for member in town.MEMBERS if member.side == "sell"]
    assert len(town.MEMBERS) == 13
    assert len(sellers) == 7
    assert all((member.meter.solar_kwp != "0") == (member in sellers) for member in town.MEMBERS)
    prices = {member.price_grx_per_kwh for member in town.MEMBERS}
    assert len(prices) == 13


def test_who_was_known_before_others_moved_in_is_not_all_who_is_known(folder: Folder) -> None:
    wallets = {member.name: "wallet" for member in town.MEMBERS}
    write_json(folder.identities, Identities(ack_key="ack", gateways={}, wallets=wallets))
    assert known_identities(folder)
    del wallets["Weiss"]
    write_json(folder.identities, Identities(ack_key="ack", gateways={}, wallets=wallets))
    assert known_identities(folder) is None


def test_the_communitys_terms_bind_every_meter_to_its_gateway_and_owner() -> None:
    who = Identities(
        ack_key="ack",
        gateways={
            gateway.name: Device(device=f"id-{gateway.name}", public_key="key")
            for gateway in town.GATEWAYS
        },
        wallets={member.name: f"wallet-{member.name}" for member in town.MEMBERS},
    )
    terms = tomllib.loads(community_toml(who, periods_for(180.0)))
    assert len(terms["meter"]) == len(terms["member"]) == 13
    assert {meter["device"] for meter in terms["meter"]} == {"id-north", "id-south"}
    assert {meter["owner"] for meter in terms["meter"]} == {m["name"] for m in terms["member"]}
