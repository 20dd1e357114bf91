"""From a display to registers: what agrees, what stays open, and the file that is written."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from gridtokenx_edge.commissioning.profile.displayed_values import parse_displayed
from gridtokenx_edge.commissioning.profile.profile_text import ProfileDraft, profile_text
from gridtokenx_edge.commissioning.profile.registers import (
    parse_ranges,
    parse_register,
    register_text,
)
from gridtokenx_edge.commissioning.profile.search import (
    choices,
    find,
    find_serial,
    still_fits,
    with_order,
)
from gridtokenx_edge.commissioning.profile.survey import CHUNK, survey, usual_places
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.commissioning.scan.recording import (
    RecordedExchange,
    RecordedMeter,
    Recorder,
    Replay,
)
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import Profile, load_profile, profile_names
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.polling.faults import MeterSilent
from gridtokenx_wire.config import load_toml


def words(start: int, data: bytes, fc: int = 4) -> dict[tuple[int, int], int]:
    return {
        (fc, start + at // 2): int.from_bytes(data[at : at + 2], "big")
        for at in range(0, len(data), 2)
    }


def ways(held: dict[tuple[int, int], int], text: str) -> set[str]:
    return {register_text(fits[0]) for fits in choices(find(held, parse_displayed(text)))}


@pytest.mark.parametrize(
    ("data", "text", "expected"),
    [
        (struct.pack(">f", 1234.567), "import=1234.5", "import=4:0x0010:float32:msw_first:1"),
        (struct.pack(">f", 1234567.0), "import=1234.5", "import=4:0x0010:float32:msw_first:0.001"),
        (struct.pack(">I", 1_234_567), "import=1234.5", "import=4:0x0010:uint32:msw_first:0.001"),
        (b"\xd6\x87\x00\x12", "import=1234.5", "import=4:0x0010:uint32:lsw_first:0.001"),
        (struct.pack(">Q", 1_234_567_890_123), "import=1234567890",
         "import=4:0x0010:uint64:msw_first:0.001"),
        (struct.pack(">i", -5120), "power=-512", "power=4:0x0010:int32:msw_first:0.1"),
        (struct.pack(">h", -512), "power=-512", "power=4:0x0010:int16:msw_first:1"),
        (struct.pack(">H", 2301), "voltage=230", "voltage=4:0x0010:uint16:msw_first:0.1"),
    ],
)  # fmt: skip
def test_a_shown_value_finds_its_registers(data: bytes, text: str, expected: str) -> None:
    assert ways(words(0x10, data), text) == {expected}


def test_while_a_count_is_small_both_word_orders_stay_open() -> None:
    held = words(0x10, bytes.fromhex("0000 3039 0000"))
    assert ways(held, "import=1234.5") == {
        "import=4:0x0010:uint32:msw_first:0.1",
        "import=4:0x0011:uint32:lsw_first:0.1",
    }
    fits = with_order(find(held, parse_displayed("import=1234.5")), "lsw_first")
    assert [register_text(of[0]) for of in choices(fits)] == [
        "import=4:0x0011:uint32:lsw_first:0.1"
    ]


def test_a_second_look_tells_a_counter_from_a_number_that_stands_still() -> None:
    first = words(0x10, struct.pack(">ff", 1234.5, 1234.6))
    later = words(0x10, struct.pack(">ff", 1240.1, 1234.6))
    fits = find(first, parse_displayed("import=1234.5"))
    assert {0x10, 0x12} <= {fit.address for fit in fits}
    fits = still_fits(fits, later, parse_displayed("import=1240.1"))
    assert {fit.address for fit in fits} == {0x10}


def test_two_function_codes_with_the_same_map_are_one_way() -> None:
    data = struct.pack(">f", 1234.5)
    assert ways(words(0x10, data, 3) | words(0x10, data, 4), "import=1234.5") == {
        "import=3:0x0010:float32:msw_first:1"
    }


def test_zeros_and_gaps_agree_with_nothing() -> None:
    assert find(words(0x10, bytes(40)), parse_displayed("import=0.1")) == []
    assert find({(4, 0x10): 0x449A, (4, 0x12): 0x5225}, parse_displayed("import=1234.5")) == []


def test_a_serial_number_is_found_as_number_and_as_text() -> None:
    assert find_serial(words(7, struct.pack(">I", 12345678)), "12345678") == (4, 7, "uint32", 2)
    assert find_serial(words(7, b"xxKY12345\0"), "KY12345") == (4, 8, "ascii", 4)
    assert find_serial(words(7, bytes(20)), "KY12345") is None


@pytest.mark.parametrize(
    "text", ["", "import", "import=", "import=x", "import=0", "import=nan", "heat=1", "power=1e99"]
)
def test_what_is_no_display_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_displayed(text)


def test_a_value_may_be_off_by_what_happens_between_two_looks() -> None:
    assert parse_displayed("import=1234.5").span == (Fraction("1234.4"), Fraction("1234.8"))
    low, high = parse_displayed("power=500").span
    assert (low, high) == (438, 562)


@pytest.mark.parametrize(
    "text",
    ["", "import", "import=4", "import=4:x:uint32", "import=5:0:uint32", "import=4:0:uint33",
     "import=4:0:uint32:up", "import=4:0:uint32:msw_first:zero", "import=4:0:uint32:msw_first:1:2",
     "x=4:0:uint32", "import=4:65535:uint32"],
)  # fmt: skip
def test_what_is_no_register_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_register(text)


def test_registers_and_ranges_are_typed_as_in_a_manual() -> None:
    name, point = parse_register("export=3:0x0C87:int64::0.001")
    assert name == "energy_export"
    assert (point.fc, point.address, point.scale) == (3, 0xC87, "0.001")
    assert parse_ranges("0-3,0x10") == [range(4), range(16, 17)]
    for wrong in ("", "3-1", "0-65535", "x"):
        with pytest.raises(ValueError, match="expected"):
            parse_ranges(wrong)


async def test_a_survey_reads_what_is_there_around_holes() -> None:
    held = {address: address for address in (0x10, 0x11, 0x14, 0x15, 0x16, 0x17, *range(32, 40))}

    class Holes:
        async def read(self, block: Block) -> list[int]:
            found = [held.get(block.address + offset) for offset in range(block.count)]
            if block.fc == 3 or None in found:
                raise MeterRefused(2)
            return [word for word in found if word is not None]

    asker = Prober(Holes())
    found = await survey(asker, {3: [0x10], 4: [0x10, 0x18, 0x20]}, lambda: None)
    assert found == {(4, address): address for address in held}
    assert asker.asked <= 3 * (1 + CHUNK // 2) + 3


def test_a_survey_looks_where_known_models_keep_their_values() -> None:
    places = usual_places(map(load_profile, profile_names()))
    for point in load_profile("abb_b23").points().values():
        assert point.address - point.address % CHUNK in places[point.fc]
    assert sum(map(len, places.values())) * CHUNK < 5000


def test_a_written_profile_loads_and_says_what_is_open(tmp_path: Path) -> None:
    power = Point(fc=3, address=3, type="int16", unit="W")
    energy = Point(fc=4, address=0x10, type="float32", unit="kWh", resolution="0.001")
    fits = find(words(0x10, struct.pack(">I", 12345)), parse_displayed("import=1234.5"))
    draft = ProfileDraft(
        name='Acme "EM3"',
        maker="ACME",
        date="2026-06-21",
        points={"active_power": power, "energy_import": energy},
        serial=(3, 0x5000, "uint32", 2),
        others={"energy_import": fits},
        settings={"baud": 19200, "parity": "E", "stop_bits": 1, "address": 7},
    )
    file = tmp_path / "acme.toml"
    file.write_text(profile_text(draft))
    profile = load_toml(file, Profile)
    assert (profile.name, profile.maker, profile.confidence) == ('Acme "EM3"', "ACME", "single")
    assert (profile.energy_import, profile.active_power) == (energy, power)
    assert profile.identity
    assert profile.identity.address == 0x5000
    assert (profile.serial.baud, profile.serial.parity, profile.serial.address) == (19200, "E", 7)
    (source,) = profile.provenance
    assert (source.repo, source.commit) == ("measured on site", "2026-06-21")
    comments = [line for line in file.read_text().splitlines() if line.startswith("# -")]
    assert any("without one no GRID is minted" in line for line in comments)
    assert any("energy_import: while the number is small" in line for line in comments)


async def test_a_recording_answers_as_the_meter_did() -> None:
    class Meter:
        async def read(self, block: Block) -> list[int]:
            if block.address == 9:
                raise MeterSilent("no reply")
            if block.address == 8:
                raise MeterRefused(2)
            return [block.address + offset for offset in range(block.count)]

    recorder = Recorder(Meter())
    blocks = [
        Block(fc=4, address=16, count=4),
        Block(fc=3, address=8, count=2),
        Block(fc=3, address=9, count=2),
    ]
    await recorder.read(blocks[0])
    for block in blocks[1:]:
        with pytest.raises((MeterRefused, MeterSilent)):
            await recorder.read(block)
    assert recorder.exchanges[0] == RecordedExchange(
        request="04 00 10 00 04", reply="04 08 00 10 00 11 00 12 00 13"
    )
    replay = Replay(RecordedMeter(1, tuple(recorder.exchanges)))
    assert await replay.read(blocks[0]) == [16, 17, 18, 19]
    assert await replay.read(Block(fc=4, address=17, count=2)) == [17, 18]  # a part of it
    with pytest.raises(MeterRefused, match="exception 2"):
        await replay.read(blocks[1])
    with pytest.raises(MeterSilent):
        await replay.read(blocks[2])
    with pytest.raises(MeterRefused):
        await replay.read(Block(fc=4, address=19, count=2))


@pytest.mark.parametrize(
    ("request_", "reply"),
    [("06 00 00 00 01", ""), ("03 00 00 00", ""), ("03 00 00 00 01", "03 04 00 00"),
     ("03 00 00 00 01", "04 02 00 00"), ("03 00 00 00 01", "84 02"), ("xx", "")],
)  # fmt: skip
def test_a_recording_holds_reads_and_their_replies_only(request_: str, reply: str) -> None:
    with pytest.raises(ValueError, match=r"expected|hexadecimal"):
        RecordedExchange(request=request_, reply=reply)
