"""check-config: every mistake is one line that says where it is and what to write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.backend.commands import Command
from tests.backend.village import Gateway, Resident

ANNA, BEN, CLEO = Resident("anna"), Resident("ben"), Resident("cleo")
NORTH, SOUTH, WEST = Gateway("north"), Gateway("south"), Gateway("west")

COMMUNITY = f"""\
[community]
name = "lane"
[oracle]
future_tolerance_s = 60
oldest_reading_s = 604800
ratio_window_s = 86400
[market]
lot_kwh = "0.001"
tick_grx_per_kwh = "0.001"
highest_price_grx_per_kwh = "1000"
largest_order_kwh = "1000000"
fee_bps = 50
order_window_s = 3600
tick_s = 900
[[member]]
name = "anna"
wallet = "{ANNA.wallet}"
opening_grx = "1000"
[[member]]
name = "ben"
wallet = "{BEN.wallet}"
[[member]]
name = "cleo"
wallet = "{CLEO.wallet}"
[[device]]
public_key = "{NORTH.public_key}"
site = "Lane 1"
status = "active"
chain = "0102030405060708"
[[device]]
public_key = "{SOUTH.public_key}"
[[device]]
public_key = "{WEST.public_key}"
[[meter]]
id = "ABB-1"
device = "{NORTH.name}"
owner = "anna"
max_power_kw = "10"
policy = "export"
active = true
min_interval_s = 1
resolution_kwh = "0.1"
max_production_ratio = 50
epoch = 0
[[meter]]
id = "ABB-2"
device = "{SOUTH.name}"
owner = "ben"
max_power_kw = "17.25"
"""
BACKEND = """\
[backend]
community = "community.toml"
data = "data"
verify_workers = 1
snapshot_every = 50000
[broker]
host = "127.0.0.1"
port = 1883
qos = 1
insecure = true
[api]
host = "127.0.0.1"
port = 0
[clock]
source = "system"
speed = 1.0
"""


def write(folder: Path, community: str = COMMUNITY, backend: str = BACKEND) -> str:
    (folder / "community.toml").write_text(community)
    (folder / "backend.toml").write_text(backend)
    return str(folder / "backend.toml")


def test_two_good_files_are_said_to_be_good(tmp_path: Path, command: Command) -> None:
    config = write(tmp_path)
    ran = command("check-config", "--config", config)
    assert ran == (0, f"{config}: ok: community lane: 3 members, 3 devices, 2 meters\n", "")
    ran = command("check-config", "--config", config, "--json")
    assert json.loads(ran.out) == {"community": "lane", "members": 3, "devices": 3, "meters": 2}
    assert not (tmp_path / "data").exists()


def test_what_may_be_left_out_may_be_left_out(tmp_path: Path, command: Command) -> None:
    config = write(tmp_path, '[community]\nname = "lane"\n', "[broker]\ninsecure = true\n")
    assert command("check-config", "-c", config).status == 0


LOT = "expected lot × tick to be a whole number of µGRX (0.000001 GRX)"
UNIQUE = "expected a printable ASCII id that no other meter has"
IN_QUOTES = "expected a number of {} in quotes, got {}"
PRECISE = "expected at most {} decimals, got {!r} (a number of {})"

# (what is there, what is written instead, key, what is said); the line is that of the change
COMMUNITY_MISTAKES: list[tuple[str, str, str, str]] = [
    ('name = "lane"', 'nam = "lane"', "community.nam", "unknown key; expected one of name"),
    ("[oracle]", "[orakel]", "orakel", "unknown key; expected one of community, oracle, market"),
    ("fee_bps = 50", "fee_percent = 1", "market.fee_percent", "unknown key; expected one of lot"),
    ('opening_grx = "1000"', "open = 1", "member[0].open", "unknown key; expected one of name"),
    ('site = "Lane 1"', "age = 1", "device[0].age", "unknown key; expected one of public_key"),
    ("epoch = 0", "epoche = 0", "meter[0].epoche", "unknown key; expected one of id, owner"),
    ("fee_bps = 50", 'fee_bps = "50"', "market.fee_bps", "expected `int`, got `str`"),
    ("fee_bps = 50", "fee_bps = 0.5", "market.fee_bps", "expected `int`, got `float`"),
    ("tick_s = 900", "tick_s = true", "market.tick_s", "expected `int`, got `bool`"),
    ("active = true", 'active = "yes"', "meter[0].active", "expected `bool`, got `str`"),
    ('name = "anna"', "name = 1", "member[0].name", "expected `str`, got `int`"),
    ('"0.001"', "0.001", "market.lot_kwh", IN_QUOTES.format("kWh", 0.001)),
    ('"1000"', "1000", "market.highest_price_grx_per_kwh", IN_QUOTES.format("GRX", 1000)),
    ('"10"', "10", "meter[0].max_power_kw", IN_QUOTES.format("kW", 10)),
    ('"10"', '"10 kW"', "meter[0].max_power_kw", "expected a decimal number such as 1.5, got '10"),
    ('"10"', '"1e4"', "meter[0].max_power_kw", "expected a decimal number such as 1.5, got '1e4'"),
    ('"10"', '"0.0001"', "meter[0].max_power_kw", PRECISE.format(3, "0.0001", "kW")),
    (
        '"0.1"',
        '"0.0000000001"',
        "meter[0].resolution_kwh",
        PRECISE.format(9, "0.0000000001", "kWh"),
    ),
    (
        'opening_grx = "1000"',
        'opening_grx = "0.0000001"',
        "member[0].opening_grx",
        PRECISE.format(6, "0.0000001", "GRX"),
    ),
    ('"1000000"', '"9223372036.854775808"', "market.largest_order_kwh", "expected an amount below"),
    ("e_s = 60", "e_s = -1", "oracle.future_tolerance_s", "expected 0 to 10000000000 seconds"),
    ("= 604800", f"= {10**30}", "oracle.oldest_reading_s", "expected 0 to 10000000000 seconds"),
    ('lot_kwh = "0.001"', 'lot_kwh = "0.0005"', "market.lot_kwh", LOT),
    ('lot_kwh = "0.001"', 'lot_kwh = "0"', "market.lot_kwh", "expected more than 0"),
    ('"1000000"', '"-1"', "market.largest_order_kwh", "expected more than 0"),
    ("fee_bps = 50", "fee_bps = -1", "market.fee_bps", "expected 0 to 10000 basis points, got -1"),
    ("fee_bps = 50", "fee_bps = 10001", "market.fee_bps", "expected 0 to 10000 basis points, got"),
    ("tick_s = 900", "tick_s = 0", "market.tick_s", "expected 1 to 10000000000 seconds"),
    ("= 3600", f"= {10**30}", "market.order_window_s", "expected 1 to 10000000000 seconds"),
    ('name = "cleo"', 'name = "anna"', "member[2].name", "expected a name of its own, got 'anna'"),
    ('name = "cleo"', 'name = ""', "member[2].name", "expected a name of its own, got ''"),
    (BEN.wallet, ANNA.wallet, "member[1].wallet", "expected a wallet that no other member has"),
    (BEN.wallet, "ben", "member[1].wallet", "expected a Base58 Ed25519 public key of 32 bytes"),
    (BEN.wallet, "0OIl", "member[1].wallet", "expected a Base58 Ed25519 public key"),
    ('opening_grx = "1000"', 'opening_grx = "-1"', "member[0].opening_grx", "expected 0 or more"),
    (
        WEST.public_key,
        NORTH.public_key,
        "device[2].public_key",
        "expected a key that no other device has",
    ),
    ('"active"', '"gone"', "device[0].status", "invalid enum value 'gone'; expected one of 'act"),
    (
        "0102030405060708",
        "0102",
        "device[0].chain",
        "expected 16 lower-case hex digits, or nothing",
    ),
    ("0102030405060708", "0102030405060G08", "device[0].chain", "expected 16 lower-case hex dig"),
    ('"ABB-2"', '"ABB-1"', "meter[1].id", UNIQUE),
    ('"ABB-2"', '""', "meter[1].id", UNIQUE),
    (
        '"ABB-2"',
        f'"{"x" * 65}"',
        "meter[1].id",
        UNIQUE,
    ),
    ('"ABB-2"', '"ABB-ü"', "meter[1].id", UNIQUE),
    (
        '"ABB-2"',
        '"ABB\\t2"',
        "meter[1].id",
        UNIQUE,
    ),
    (f'"{SOUTH.name}"', '"south"', "meter[1].device", "expected the id of a device of this file"),
    ('owner = "ben"', 'owner = "dora"', "meter[1].owner", "expected the name of a member of this"),
    ('"17.25"', '"0"', "meter[1].max_power_kw", "expected more than 0"),
    ('"export"', '"import"', "meter[0].policy", "invalid enum value 'import'; expected one of 'ex"),
    ("_interval_s = 1", "_interval_s = -1", "meter[0].min_interval_s", "expected 0 to 1000000000"),
    (
        '"0.1"',
        '"-0.1"',
        "meter[0].resolution_kwh",
        "expected 0 to 100 kWh, one step of the register",
    ),
    ("epoch = 0", 'rollover_kwh = "-1"', "meter[0].rollover_kwh", "expected 0 to 1000000000 kWh"),
    ("epoch = 0", 'rollover_kwh = "1e9"', "meter[0].rollover_kwh", "expected a decimal"),
    (
        "epoch = 0",
        'rollover_kwh = "1000000000.1"',
        "meter[0].rollover_kwh",
        "expected 0 to 1000000000 kWh",
    ),
    ("_ratio = 50", "_ratio = -1", "meter[0].max_production_ratio", "expected 0 to 1000000000"),
    ("_ratio = 50", f"_ratio = {10**30}", "meter[0].max_production_ratio", "expected 0 to 10000"),
    ("epoch = 0", f"epoch = {2**64}", "meter[0].epoch", "expected 0 to 10000000000"),
    (
        'name = "lane"',
        'name = "Lane"',
        "community.name",
        "expected 1 to 40 lower-case letters",
    ),
    ('name = "lane"', 'name = "a/b"', "community.name", "expected 1 to 40 lower-case letters"),
    (
        'name = "lane"',
        'name = "#"',
        "community.name",
        "expected 1 to 40 lower-case letters",
    ),
]
BACKEND_MISTAKES: list[tuple[str, str, str, str]] = [
    ("data =", "folder =", "backend.folder", "unknown key; expected one of community, data, veri"),
    ("[api]", "[http]", "http", "unknown key; expected one of backend, broker, api, enrol"),
    ("= 1883", '= "1883"', "broker.port", "expected `int`, got `str`"),
    ("= 1883", "= 0", "broker.port", "expected 1 to 65535, got 0"),
    ("= 1883", "= 65536", "broker.port", "expected 1 to 65535, got 65536"),
    ("port = 0", "port = -1", "api.port", "expected 0 (take a free one) to 65535, got -1"),
    ("port = 0", "port = 65536", "api.port", "expected 0 (take a free one) to 65535, got 65536"),
    (
        "qos = 1",
        "longest_retry_s = 3601",
        "broker.longest_retry_s",
        "expected 1 to 3600, got 3601",
    ),
    ("qos = 1", "qos = 2", "broker.qos", "invalid enum value 2; expected one of 0, 1"),
    ("= 1\n", "= -1\n", "backend.verify_workers", "expected 0 to 64"),
    ("= 1\n", "= 65\n", "backend.verify_workers", "expected 0 to 64"),
    ("= 50000", "= 0", "backend.snapshot_every", "expected at least 1"),
    ('"system"', '"moon"', "clock.source", "invalid enum value 'moon'; expected one of"),
    ("= 1.0", "= 0.0", "clock", "expected a speed above 0 and at most 100000"),
    ("= 1.0", "= nan", "clock", "expected a speed above 0 and at most 100000"),
]


def _line_of(text: str, changed: str) -> int:
    """Return the number of the first line on which two texts differ."""
    pairs = enumerate(zip(text.splitlines(), changed.splitlines(), strict=False), start=1)
    return next(number for number, (old, new) in pairs if old != new)


@pytest.mark.parametrize(
    ("there", "instead", "key", "said"),
    COMMUNITY_MISTAKES,
    ids=[f"{key}: {instead[:24]}" for _, instead, key, _ in COMMUNITY_MISTAKES],
)
def test_a_mistake_in_the_communitys_terms_is_one_line(
    tmp_path: Path, command: Command, there: str, instead: str, key: str, said: str
) -> None:
    assert there in COMMUNITY
    changed = COMMUNITY.replace(there, instead, 1)
    ran = command("check-config", "-c", write(tmp_path, changed))
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
    line = _line_of(COMMUNITY, changed)
    assert ran.err.startswith(f"{tmp_path}/community.toml:{line}: {key}: {said}"), ran.err


@pytest.mark.parametrize(
    ("there", "instead", "key", "said"),
    BACKEND_MISTAKES,
    ids=[f"{key}: {instead[:24]}" for _, instead, key, _ in BACKEND_MISTAKES],
)
def test_a_mistake_in_the_servers_config_is_one_line(
    tmp_path: Path, command: Command, there: str, instead: str, key: str, said: str
) -> None:
    assert there in BACKEND
    changed = BACKEND.replace(there, instead, 1)
    config = write(tmp_path, COMMUNITY, changed)
    for arguments in (["check-config"], ["run"], ["key"], ["replay"]):
        ran = command(*arguments, "-c", config)
        assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
        found = re.fullmatch(rf"{re.escape(config)}:(\d+): {re.escape(key)}: (.*)\n", ran.err)
        assert found is not None, ran.err
        assert found[2].startswith(said)
        line = _line_of(BACKEND, changed)
        header = changed.splitlines()[int(found[1]) - 1].startswith("[")
        assert int(found[1]) == line or (header and "." not in key), ran.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("community", "said"),
    [
        (None, "community.toml: cannot be read: No such file or directory"),
        (b"[community]\nname = \xff\n", "community.toml: expected a TOML file in UTF-8"),
        (b"[community]\nname = lane\n", "community.toml:2: expected TOML: "),
        (b"[community]\nname = 'a'\nname = 'b'\n", "community.toml:3: expected TOML: "),
        (b"", "community.toml:1: community: missing; this key is required"),
        (b"[community]\n", "community.toml:1: community.name: missing; this key is required"),
        (
            b"[community]\nname='a'\n\n[[member]]\nname='b'\n",
            "community.toml:4: member[0].wallet: missing; this key is required",
        ),
        (b"community = 'lane'\n", "community.toml:1: community: expected `object`, got `str`"),
        (b"a = " + b"[" * 5000, "community.toml:1: expected TOML: "),
    ],
)
def test_a_file_that_is_no_config_is_one_line(
    tmp_path: Path, command: Command, community: bytes | None, said: str
) -> None:
    config = write(tmp_path)
    path = tmp_path / "community.toml"
    path.unlink()
    if community is not None:
        path.write_bytes(community)
    ran = command("check-config", "-c", config)
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1), ran
    assert ran.err.startswith(f"{tmp_path}/{said}"), ran.err


def test_plain_text_must_be_meant(tmp_path: Path, command: Command) -> None:
    config = write(tmp_path, COMMUNITY, BACKEND.replace("insecure = true\n", ""))
    ran = command("check-config", "-c", config)
    expected = "expected ca, cert and key (files for TLS), or insecure = true"
    assert ran == (2, "", f"{config}:6: broker: {expected}\n")


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        (f'device = "{SOUTH.name}"\n', "", "45: meter[1]: expected a device or a site"),
        (f'"{SOUTH.name}"\n', f'"{SOUTH.name}"\nsite="A"\n', "45: meter[1]: expected a device or"),
        (
            "[market]\n",
            "[rotation]\noverlap_hours = -1\n[market]\n",
            "8: rotation.overlap_hours: expected 0 to 8760",
        ),
    ],
)
def test_a_mistake_on_several_lines_is_shown_where_it_begins(
    tmp_path: Path, command: Command, there: str, instead: str, said: str
) -> None:
    ran = command("check-config", "-c", write(tmp_path, COMMUNITY.replace(there, instead)))
    assert (ran.status, len(ran.lines)) == (2, 1)
    assert ran.err.startswith(f"{tmp_path}/community.toml:{said}"), ran.err


def test_a_meter_may_be_bound_to_a_site_that_has_no_device_yet(
    tmp_path: Path, command: Command
) -> None:
    changed = COMMUNITY.replace(f'device = "{SOUTH.name}"', 'site = "Lane 9"')
    assert command("check-config", "-c", write(tmp_path, changed)).status == 0


def test_tls_files_that_are_not_there_are_told_one_by_one(tmp_path: Path, command: Command) -> None:
    tls = 'ca = "ca.pem"\ncert = "tls.pem"\nkey = "tls.key"\n'
    backend = BACKEND.replace("insecure = true\n", tls)
    backend = backend.replace("port = 0\n", 'port = 0\ncert = "api.pem"\nkey = "api.key"\n')
    config = write(tmp_path, COMMUNITY, backend)
    (tmp_path / "ca.pem").touch()
    ran = command("check-config", "-c", config)
    files = {"broker.cert": "tls.pem", "broker.key": "tls.key"}
    files |= {"api.cert": "api.pem", "api.key": "api.key"}
    assert ran.status == 2
    assert [line.split(": ", 1)[1] for line in ran.lines] == [
        f"{key}: expected a file, found none at {tmp_path / name}" for key, name in files.items()
    ]


def test_every_finding_has_its_line(tmp_path: Path, command: Command) -> None:
    changed = COMMUNITY.replace('"10"', '"0"').replace('owner = "ben"', 'owner = "x"')
    ran = command("check-config", "-c", write(tmp_path, changed.replace("= 50\n", "= -5\n", 1)))
    keys = [line.split(": ")[1] for line in ran.lines]
    assert ran.status == 2
    assert keys == ["market.fee_bps", "meter[0].max_power_kw", "meter[1].owner"]


def test_more_money_than_64_bits_hold_is_not_opened(tmp_path: Path, command: Command) -> None:
    most = 'opening_grx = "9223372036854.775807"'
    changed = COMMUNITY.replace('opening_grx = "1000"', most)
    assert command("check-config", "-c", write(tmp_path, changed)).status == 0
    changed = changed.replace('name = "ben"', 'name = "ben"\nopening_grx = "0.000001"')
    ran = command("check-config", "-c", write(tmp_path, changed))
    said = "expected opening balances of at most 9223372036854.775807 GRX together"
    assert ran == (2, "", f"{tmp_path}/community.toml:21: member[1].opening_grx: {said}\n")
