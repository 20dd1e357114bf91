"""Config files: each mistake is one line that says where it is and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import (
    Grx,
    Kilowatt,
    Kwh,
    PublicKey,
    encode_hook,
    finding,
    load_toml,
)
from gridtokenx_wire.errors import ConfigError


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Meter(_Table, frozen=True):
    id: str
    address: Annotated[int, msgspec.Meta(ge=1, le=247)]
    rated_kw: Kilowatt = Kilowatt(0)


class SerialBus(_Table, frozen=True, tag="serial", tag_field="kind"):
    port: str
    baud: Literal[9600, 19200] = 9600
    meter: list[Meter] = []


class TcpBus(_Table, frozen=True, tag="tcp", tag_field="kind"):
    host: str
    meter: list[Meter] = []


class Site(_Table, frozen=True):
    community: str
    parity: Literal["even", "none"] | None = None
    price: Grx = Grx(0)
    keep: Kwh = Kwh(0)
    key: PublicKey | None = None


class Config(_Table, frozen=True):
    site: Site
    bus: list[SerialBus | TcpBus]
    clock: ClockConfig = ClockConfig()


KEY = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"
SITE = '[site]\ncommunity = "sonnenweg"\n'
BUS = SITE + '\n[[bus]]\nkind = "serial"\nport = "/dev/ttyUSB0"\n'
METER = BUS + '\n# the roof\n[[bus.meter]]\nid = "ABB-1"\naddress = 1\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "edge.toml"


def test_a_right_file_is_read_into_its_structs(file: Path) -> None:
    file.write_text(
        METER + 'rated_kw = "6.5"\n[[bus]]\nkind = "tcp"\nhost = "10.0.0.7"\n[clock]\nspeed = 2\n'
    )
    config = load_toml(file, Config)
    assert config.site.community == "sonnenweg"
    first, second = config.bus
    assert isinstance(first, SerialBus)
    assert isinstance(second, TcpBus)
    assert first.meter == [Meter("ABB-1", 1, Kilowatt(6500))]
    assert (second.host, config.clock.speed) == ("10.0.0.7", 2)


def test_a_file_may_say_which_format_it_has(file: Path) -> None:
    file.write_text("format = 1\n" + BUS)
    assert load_toml(file, Config).bus[0].port == "/dev/ttyUSB0"


def test_a_file_may_begin_with_a_byte_order_mark(file: Path) -> None:
    file.write_text(BUS, encoding="utf-8-sig")
    assert load_toml(file, Config).bus[0].port == "/dev/ttyUSB0"


def test_amounts_are_decimal_strings_and_become_integer_units(file: Path) -> None:
    file.write_text(
        SITE + f'price = "0.25"\nkeep = "1.5"\nkey = "{KEY}"\n\n[[bus]]\nkind = "tcp"\nhost = "h"\n'
    )
    site = load_toml(file, Config).site
    assert (site.price, site.keep) == (250_000, 1_500_000_000)
    assert site.key is not None
    assert site.key.hex().startswith("d75a9801")
    written = msgspec.to_builtins(site, enc_hook=encode_hook)
    assert (written["price"], written["keep"], written["key"]) == ("0.250000", "1.500000000", KEY)


MISTAKES = {
    "an unknown table": (
        METER + "[mqtt]\n",
        "12: mqtt: unknown key; expected one of site, bus, clock",
    ),
    "an unknown key": (
        METER + "adress = 2\n",
        "12: bus[0].meter[0].adress: unknown key; expected one of id, address, rated_kw",
    ),
    "an unknown key in an inline table": (
        BUS + 'meter = [{ id = "A", address = 1, colour = 1 }]\n',
        "7: bus[0].meter[0].colour: unknown key; expected one of id, address, rated_kw",
    ),
    "a missing table": ("bus = []\n", "1: site: missing; this key is required"),
    "a missing key": (
        BUS + "\n[[bus.meter]]\naddress = 1\n",
        "8: bus[0].meter[0].id: missing; this key is required",
    ),
    "a missing kind": (
        SITE + '\n[[bus]]\nhost = "h"\n',
        "4: bus[0].kind: missing; this key is required; expected one of 'serial', 'tcp'",
    ),
    "an unknown kind": (
        SITE + '\n[[bus]]\nkind = "usb"\n',
        "5: bus[0].kind: invalid value 'usb'; expected one of 'serial', 'tcp'",
    ),
    "the wrong kind's key": (
        SITE + '\n[[bus]]\nkind = "tcp"\nport = "/dev/ttyUSB0"\n',
        "6: bus[0].port: unknown key; expected one of kind, baud, meter, host",
    ),
    "a number that is not offered": (
        BUS + "baud = 1200\n",
        "7: bus[0].baud: invalid enum value 1200; expected one of 9600, 19200",
    ),
    "a word that is not offered": (
        SITE + 'parity = "odd"\nbus = []\n',
        "3: site.parity: invalid enum value 'odd'; expected one of 'even', 'none'",
    ),
    "text for a number": (
        METER.replace("address = 1", 'address = "1"'),
        "11: bus[0].meter[0].address: expected `int`, got `str`",
    ),
    "a truth value for a number": (
        METER.replace("address = 1", "address = true"),
        "11: bus[0].meter[0].address: expected `int`, got `bool`",
    ),
    "a number out of range": (
        METER.replace("address = 1", "address = 248"),
        "11: bus[0].meter[0].address: expected `int` <= 247",
    ),
    "a table for a list of tables": (
        SITE + '\n[bus]\nkind = "tcp"\n',
        "4: bus: expected `array`, got `object`",
    ),
    "the second bus of two": (
        METER + '\n[[bus]]\nkind = "serial"\nport = 1\n',
        "15: bus[1].port: expected `str`, got `int`",
    ),
    "the second meter of the second bus": (
        METER
        + '\n[[bus]]\nkind = "tcp"\nhost = "h"\n[[bus.meter]]\nid = "B"\naddress = 2\n'
        + '[[bus.meter]]\nid = "C"\naddress = 0\n',
        "21: bus[1].meter[1].address: expected `int` >= 1",
    ),
    "an amount as a number": (
        SITE + "price = 0.25\n",
        "3: site.price: expected a number of GRX in quotes, got 0.25",
    ),
    "an amount with its unit": (
        SITE + 'keep = "5 kWh"\n',
        "3: site.keep: expected a decimal number such as 1.5, got '5 kWh' (a number of kWh)",
    ),
    "an amount finer than its unit": (
        SITE + 'price = "0.1234567"\n',
        "3: site.price: expected at most 6 decimals, got '0.1234567' (a number of GRX)",
    ),
    "an amount beyond 63 bits": (
        SITE + 'keep = "9999999999"\n',
        "3: site.keep: expected an amount below 2^63 base units, got '9999999999'"
        " (a number of kWh)",
    ),
    "power in the wrong unit": (
        METER + "rated_kw = 6500\n",
        "12: bus[0].meter[0].rated_kw: expected a number of kW in quotes, got 6500",
    ),
    "a key in hex": (
        SITE + f'key = "{32 * "d7"}"\n',
        "3: site.key: expected a Base58 Ed25519 public key of 32 bytes",
    ),
    "a clock that stands": (
        SITE + "\n[clock]\nspeed = 0\n",
        "4: clock: expected a speed above 0 and at most 100000",
    ),
    "a key in front of its table": (
        'community = "sonnenweg"\n' + BUS,
        "1: community: unknown key; expected one of site, bus, clock",
    ),
    "a dotted key": (
        "site.community = 1\nbus = []\n",
        "1: site.community: expected `str`, got `int`",
    ),
    "a format that is not there yet": (
        "format = 2\n" + BUS,
        "1: format: expected 1 at most, got 2: install the version it is for",
    ),
    "a format that never was": ("format = 0\n" + BUS, "1: format: expected 1, got 0"),
    "a format that is no number": ('format = "1"\n' + BUS, "1: format: expected 1, got '1'"),
    "an empty file": ("", "1: site: missing; this key is required"),
    "an open table header": (
        SITE + "[[bus\n",
        "3: expected TOML: Expected ']]' at the end of an array declaration",
    ),
    "a value without quotes": (
        "[site]\ncommunity = sonnenweg\n",
        "2: expected TOML: Invalid value",
    ),
    "a key given twice": (
        SITE + 'community = "b"\n',
        "3: expected TOML: Cannot overwrite a value",
    ),
    "text that never ends": (
        SITE + 'name = """\n\n',
        "4: expected TOML: Unterminated string",
    ),
    "a key with a line feed in it": (
        SITE + '"a\\nb" = 1\n',
        "1: site.a b: unknown key; expected one of community, parity, price, keep, key",
    ),
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_what_was_expected(
    file: Path, text: str, line: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_toml(file, Config)
    assert caught.value.lines == [f"{file}:{line}"]


@pytest.mark.parametrize(
    "text", ["a = " + 5000 * "[", "a = " + 5000 * "9"], ids=["arrays", "digits"]
)
def test_what_brings_down_the_toml_parser_is_one_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_toml(file, Config)
    [message] = caught.value.lines
    assert message.startswith(f"{file}:1: expected TOML: ")


def test_a_missing_file_is_one_line(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_toml(file, Config)
    assert caught.value.lines == [f"{file}: cannot be read: No such file or directory"]


def test_a_folder_is_one_line(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_toml(file.parent, Config)
    assert caught.value.lines == [f"{file.parent}: cannot be read: Is a directory"]


def test_a_file_in_another_encoding_is_one_line(file: Path) -> None:
    file.write_text(SITE + 'name = "Südhang"\n', encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        load_toml(file, Config)
    assert caught.value.lines == [f"{file}: expected a TOML file in UTF-8"]


@given(st.text(max_size=200) | st.text("[]{}=.\"'#\n ab1,-_:", max_size=60))
def test_any_text_is_read_or_explained(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(text.encode(errors="replace"))
    with pytest.raises(ConfigError) as caught:
        load_toml(file, Config)
    [message] = caught.value.lines
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("bus[0].meter[0].address", 11),
        ("bus[0].meter[0].rated_kw", 9),
        ("bus[0].meter", 4),
        ("bus[3]", 1),
        ("site.community", 2),
        ("nothing", 1),
    ],
)
def test_a_finding_of_a_programs_own_check_looks_the_same(file: Path, key: str, line: int) -> None:
    file.write_text(METER)
    assert finding(file, key, "expected another") == f"{file}:{line}: {key}: expected another"


def test_a_finding_about_a_file_that_is_gone_still_has_a_line(file: Path) -> None:
    assert finding(file, "site", "expected a file") == f"{file}:1: site: expected a file"


def test_an_error_prints_its_lines() -> None:
    assert str(ConfigError(["a:1: x: expected y", "a:2: z: expected y"])) == (
        "a:1: x: expected y\na:2: z: expected y"
    )
