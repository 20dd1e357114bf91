"""edge.toml: what is wrong with it, one line each."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import gridtokenx_edge
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import SerialBus, TcpBus, resolve_paths
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_wire.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "config" / "edge.toml"
PACKAGED = Path(gridtokenx_edge.__file__).parent / "profiles" / "abb_b23.toml"

GOOD = """\
[site]
community = "lane"
name = "Lane 3"

[device]
key = "edge.key"
outbox = "outbox.db"

[backend]
ack_key = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"

[broker]
host = "broker"
insecure = true

[uplink]
max_unacked_frames = 64
ack_timeout_s = 10
seal_after_s = 0

[[bus]]
name = "roof"
kind = "serial"
port = "/dev/ttyUSB0"
baud = 9600

[[bus.meter]]
id = "EASTRON-1"
profile = "eastron_sdm630"
address = 1

[[bus.meter]]
id = "ABB-2"
profile = "abb_b23"
address = 2

[[bus]]
name = "hall"
kind = "tcp"
host = "10.0.0.7"

[[bus.meter]]
id = "CARLO-GAVAZZI-K3"
profile = "carlo_gavazzi_em24_e1"
address = 1
"""

SAME_METER = '"EASTRON-1"\nprofile = "eastron_sdm630"'

# what is replaced, by what, the line, and what is said
SLIPS = [
    ('"10.0.0.7"', '"a..b"', "host: expected a host name or address"),
    ('"10.0.0.7"', '"two words"', "host: expected a host name or address"),
    ('community = "lane"', 'community = "a/b"', "2: site.community: expected 1 to 40 lower-case"),
    ('community = "lane"', "community = 7", "2: site.community: expected `str`, got `int`"),
    ('community = "lane"\n', "", "1: site.community: missing"),
    ('name = "Lane 3"', 'nmae = "Lane 3"', "3: site.nmae: unknown key"),
    ('key = "edge.key"', 'key = ""', "6: device.key: expected a file name"),
    ("ack_key = ", "ackkey = ", "10: backend.ackkey: unknown key"),
    ("FVen3X669x", "0Ven3X669x", "10: backend.ack_key: expected a Base58 Ed25519 public key"),
    (
        "insecure = true",
        "insecure = true\nlongest_retry_s = 0",
        "15: broker.longest_retry_s: expected 1 to 3600, got 0",
    ),
    ("insecure = true", "", "12: broker: expected ca, cert and key .TLS., or insecure = true"),
    ('host = "broker"', 'host = ""', "13: broker.host: expected a host"),
    ("insecure = true", "insecure = true\nport = 0", "15: broker.port: expected 1 to 65535, got 0"),
    ("insecure = true", "insecure = true\nqos = 2", "15: broker.qos: invalid enum value 2"),
    ("insecure = true", 'insecure = true\nca = "x"', "14: broker.insecure: expected false"),
    (
        "ed_frames = 64",
        "ed_frames = 0",
        "17: uplink.max_unacked_frames: expected 1 to 10000",
    ),
    (
        "timeout_s = 10",
        "timeout_s = nan",
        "18: uplink.ack_timeout_s: expected 0.1 to 3600",
    ),
    ("seal_after_s = 0", "seal_after_s = -1", "19: uplink.seal_after_s: expected 0 to 86400"),
    ("seal_after_s = 0", "max_readings_per_frame = 1001", "19: uplink.max_readings_per_frame"),
    ("seal_after_s = 0", "max_held_readings = 99", "19: uplink.max_held_readings: expected 100"),
    ('kind = "serial"', 'kind = "can"', "23: bus.0..kind: invalid value 'can'"),
    ('kind = "serial"\n', "", "21: bus.0..kind: missing"),
    ('name = "hall"', 'name = "roof"', "38: bus.1..name: expected another than 'roof', which"),
    ("baud = 9600", "baud = 9601", "25: bus.0..baud: expected one of 1200, 2400"),
    ("baud = 9600", 'parity = "X"', "25: bus.0..parity: invalid enum"),
    ("baud = 9600", "timeout_ms = 5", "25: bus.0..timeout_ms: expected 10 to 60000, got 5"),
    ("baud = 9600", "retries = 6", "25: bus.0..retries: expected 0 to 5, got 6"),
    ("baud = 9600", "silent_share_percent = 0", "25: bus.0..silent_share_percent: expected 1 to"),
    ('port = "/dev/ttyUSB0"', "port = 502", "24: bus.0..port: expected `str`, got `int`"),
    ('port = "/dev/ttyUSB0"', 'port = ""', "24: bus.0..port: expected a serial port such as"),
    ('host = "10.0.0.7"', 'host = "10.0.0.7"\nbaud = 9600', "41: bus.1..baud: unknown key"),
    ('host = "10.0.0.7"', 'host = ""', "40: bus.1..host: expected a host"),
    ('"ABB-2"\nprofile = "abb_b23"', SAME_METER, "33: bus.0..meter.1..id: expected another than"),
    ('id = "ABB-2"', 'id = "EASTRON-2"', '33: bus.0..meter.1..id: expected "ABB-" and the serial'),
    ('id = "ABB-2"', 'id = "ABB-"', '33: bus.0..meter.1..id: expected "ABB-" and the serial'),
    ('id = "ABB-2"', f'id = "ABB-{"2" * 61}"', '33: bus.0..meter.1..id: expected "ABB-"'),
    ("address = 2", "address = 1", "35: bus.0..meter.1..address: expected another than 1, which"),
    ("address = 2", "address = 248", "35: bus.0..meter.1..address: expected 1 to 247, got 248"),
    ("address = 2", "address = 0", "35: bus.0..meter.1..address: expected 1 to 247, got 0"),
    ("address = 2", "address = 2\npoll_every_s = 0.05", "36: bus.0..meter.1..poll_every_s: exp"),
    ("address = 2", "address = 2\ninvert = 1", "36: bus.0..meter.1..invert: expected `bool`"),
    ("address = 2", "address = 2\ntimeout_ms = 9", "36: bus.0..meter.1..timeout_ms: expected 10"),
    ("address = 2", "address = 2\nretries = -1", "36: bus.0..meter.1..retries: expected 0 to 5"),
    ("address = 2", "address = 2\ngap_ms = 10001", "36: bus.0..meter.1..gap_ms: expected 0 to"),
    ("address = 2", "address = 2\nclock_utc_offset_min = 60", "36: .*abb_b23 has no readable cl"),
    (
        '"abb_b23"',
        '"abb_b99"',
        "34: bus.0..meter.1..profile: expected one of abb_b21, abb_b23, got",
    ),
    (
        '"abb_b23"',
        '"x"',
        "34: bus.0..meter.1..profile: expected a model of docs/meters.md, got 'x'",
    ),
    ("[site]", "[clock]\nspeed = 0\n[site]", "2: clock.speed: expected a speed above 0|clock"),
    ("[site]", "[site", ": expected TOML"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "edge.toml"
    file.write_text(GOOD)
    return file


def test_a_good_config_has_its_defaults(config: Path) -> None:
    loaded = load_config(config)
    serial, tcp = loaded.bus
    assert isinstance(serial, SerialBus)
    assert isinstance(tcp, TcpBus)
    assert (serial.parity, serial.stop_bits, serial.timeout_ms, serial.retries) == ("N", 1, 500, 1)
    assert (serial.silent_share_percent, tcp.silent_share_percent) == (10, 10)
    (own,) = {(meter.timeout_ms, meter.retries, meter.gap_ms) for meter in serial.meter}
    assert own == (None, None, None), "the bus's and the profile's hold"
    assert (tcp.port, tcp.timeout_ms, tcp.rtu_over_tcp) == (502, 1000, False)
    assert (loaded.broker.port, loaded.broker.qos) == (8883, 1)
    assert serial.meter[0].every_ms == 10_000
    assert not serial.meter[0].invert
    assert loaded.uplink.max_readings_per_frame == 100
    assert loaded.clock.source == "system"


def test_paths_are_relative_to_the_config_file(config: Path) -> None:
    paths = resolve_paths(load_config(config), config)
    assert paths.key == config.parent / "edge.key"
    absolute = GOOD.replace('"outbox.db"', '"/var/lib/outbox.db"')
    config.write_text(absolute)
    assert resolve_paths(load_config(config), config).outbox == Path("/var/lib/outbox.db")


@pytest.mark.parametrize(("old", "new", "expected"), SLIPS, ids=[slip[2][:40] for slip in SLIPS])
def test_a_slip_is_one_line_with_its_place_and_what_was_expected(
    config: Path, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    config.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    (line,) = caught.value.lines
    assert line.startswith(str(config))
    assert "\n" not in line
    caught.match(expected)


def test_all_slips_of_meaning_are_found_at_once(config: Path) -> None:
    text = GOOD.replace("baud = 9600", "baud = 1").replace("address = 2", "address = 300")
    config.write_text(text.replace('"10.0.0.7"', '""'))
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert len(caught.value.lines) == 3


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "none.toml")


def test_tls_needs_three_files_that_exist(config: Path) -> None:
    tls = 'ca = "ca.pem"\ncert = "cert.pem"'
    config.write_text(GOOD.replace("insecure = true", tls))
    (config.parent / "cert.pem").touch()
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    ca, key = caught.value.lines
    assert ca.endswith(f"14: broker.ca: expected a file, found none at {config.parent}/ca.pem")
    assert key.endswith("broker.key: expected a file for TLS (ca, cert and key go together)")


def test_a_site_whose_frames_could_be_too_large_is_refused(config: Path) -> None:
    buses = "".join(
        f'[[bus]]\nkind = "tcp"\nname = "{name}"\nhost = "{name}"\n'
        + "".join(
            f'[[bus.meter]]\nid = "ABB-{name}{at:059}"\nprofile = "abb_b23"\naddress = {at}\n'
            for at in range(200)
        )
        for name in "abc"
    )
    frames = "max_readings_per_frame = 1000\nmax_held_readings = 1000"
    config.write_text(GOOD.replace("seal_after_s = 0", frames) + buses)
    with pytest.raises(ConfigError, match=r"frame: expected at most 8\d\d for so many") as caught:
        load_config(config)
    most = caught.value.lines[0].split("at most ")[1].split()[0]
    config.write_text(config.read_text().replace("frame = 1000", f"frame = {most}"))
    assert load_config(config).uplink.max_readings_per_frame == int(most)


def test_the_example_passes_and_its_comments_show_the_defaults(tmp_path: Path) -> None:
    loaded = load_config(EXAMPLE)
    text = EXAMPLE.read_text()
    shown = [
        line.replace("# ", "", 1)
        for line in text.splitlines()
        if line.startswith("# ")
        and " = " in line
        and not line.startswith(("# ca", "# cert", "# k"))
    ]
    assert len(shown) >= 12
    everything = tmp_path / "edge.toml"
    lines = [
        line.replace("# ", "", 1) if line in {f"# {rest}" for rest in shown} else line
        for line in text.splitlines()
    ]
    lines = [line.replace("# [", "[") if line.startswith("# [") else line for line in lines]
    lines = ["  invert = false" if "# invert" in line else line for line in lines]
    everything.write_text("\n".join(lines))
    same = load_config(everything)
    assert msgspec.structs.asdict(same) == msgspec.structs.asdict(loaded)


SUNSPEC = """
[[bus]]
name = "inverter"
kind = "tcp"
host = "10.0.0.8"
port = 1502

[[bus.meter]]
id = "SOLAREDGE-7E1234"
profile = "sunspec_inverter"
address = 1

[[bus.meter]]
id = "SOLAREDGE-5B/77"
profile = "sunspec_meter"
address = 1

[[bus.meter]]
id = "KOSTAL-9-METER"
profile = "sunspec_meter"
address = 1
instance = 2
"""


def test_an_inverter_and_its_meters_share_an_address(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(GOOD + SUNSPEC)
    meters = load_config(path).bus[-1].meter
    assert [(meter.address, meter.instance) for meter in meters] == [(1, 1), (1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("instance = 2", "instance = 1", "bus[2].meter[2].address: expected another than"),
        ("instance = 2", "instance = 0", "bus[2].meter[2].instance: expected 1 to 100, got 0"),
        ('"SOLAREDGE-5B/77"', '"SolarEdge-5"', "bus[2].meter[1].id: expected the maker"),
        ('"SOLAREDGE-5B/77"', '"SOLAREDGE"', "bus[2].meter[1].id: expected the maker"),
        ('"SOLAREDGE-5B/77"', f'"A-{"5" * 63}"', "bus[2].meter[1].id: expected the maker"),
        (
            'id = "KOSTAL-9-METER"\nprofile = "sunspec_meter"',
            'id = "ABB-9"\nprofile = "abb_b23"',
            "bus[2].meter[2].instance: expected 1, or a SunSpec profile, got 2",
        ),
        (
            'id = "KOSTAL-9-METER"\nprofile = "sunspec_meter"\naddress = 1\ninstance = 2',
            'id = "ABB-9"\nprofile = "abb_b23"\naddress = 1',
            "bus[2].meter[2].address: expected another than 1, a SunSpec unit's",
        ),
        ('profile = "sunspec_meter"', 'profile = "sunspec"', "sunspec_inverter, sunspec_meter"),
    ],
)
def test_a_slip_in_a_sunspec_meter_is_told(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(GOOD + SUNSPEC.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert any(expected in line for line in str(caught.value).splitlines())


def test_a_profile_may_be_a_file_beside_the_config(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(GOOD.replace('profile = "abb_b23"', 'profile = "mine.toml"'))
    with pytest.raises(ConfigError, match=r"bus\[0\].meter\[1\].profile: expected a profile: .*"):
        load_config(config)
    mine = tmp_path / "mine.toml"
    mine.write_text(PACKAGED.read_text().replace('maker = "ABB"', 'maker = "ACME"'))
    with pytest.raises(ConfigError, match='expected "ACME-" and the serial number'):
        load_config(config)
    config.write_text(config.read_text().replace('id = "ABB-2"', 'id = "ACME-2"'))
    meter = load_config(config).bus[0].meter[1]
    assert meter.profile == str(mine)
    assert load_profile(meter.profile).maker == "ACME"
    mine.write_text(PACKAGED.read_text())  # an edited file is read anew
    assert load_profile(meter.profile).maker == "ABB"
