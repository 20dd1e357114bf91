"""Every profile as data, and raw frames of some models, through the reader, to their reading.

The frames are written by hand from the makers' documents; their checksums were computed apart.
Frames of all models are in `test_golden.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import gridtokenx_edge
from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import plan_blocks
from gridtokenx_edge.meters.profile import Profile, load_profile, profile_names
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.reading import ReadingFlag

MODELS = profile_names()
WH = 10**6
DOCUMENTS = (".pdf", ".html", ".xlsx")

Exchange = tuple[str, str]

_EM_BLOCK = (
    "fb 2e ff ff"  # -1234 in 0.1 W, low word first
    + " 00" * 20
    + " e2 40 00 01"  # 123456 in 0.1 kWh, low word first
    + " 00" * 48
    + " 00 0a 00 00"  # 10 in 0.1 kWh
)

# model, address, id, [(request, reply)], import, export, power, flags
GOLDEN: list[tuple[str, int, str, list[Exchange], int, int, int, ReadingFlag]] = [
    (
        "eastron_sdm630",
        1,
        "EASTRON-12345678",
        [
            ("01 03 fc 00 00 02 f4 5b", "01 03 04 00 bc 61 4e 92 73"),
            (
                "01 04 00 34 00 18 b1 ce",
                "01 04 30 c4 bb 90 00" + " 00" * 36 + " 44 9a 52 25 42 b2 33 33 c2 1b",
            ),
        ],
        1_234_567 * WH,  # 1234.567
        89_100 * WH,  # 89.1
        -1501,  # -1500.5, away from zero
        ReadingFlag(0),
    ),
    (
        "eastron_sdm72d_m",  # one that answers for nothing between the registers that it has
        1,
        "EASTRON-12345678",
        [
            ("01 03 fc 00 00 02 f4 5b", "01 03 04 00 bc 61 4e 92 73"),
            ("01 04 00 34 00 18 b1 ce", "01 84 02 c2 c1"),
            ("01 04 00 48 00 04 71 df", "01 04 08 44 9a 52 25 42 b2 33 33 bb 08"),
            ("01 04 00 34 00 02 30 05", "01 04 04 c4 bb 90 00 da 91"),
        ],
        1_234_567 * WH,
        89_100 * WH,
        -1501,
        ReadingFlag(0),
    ),
    *(
        (
            model,
            2,
            "EASTRON-12345678",
            [
                ("02 03 fc 00 00 02 f4 68", "02 03 04 00 bc 61 4e a1 73"),
                ("02 04 00 48 00 04 71 ec", "02 04 08 47 c3 50 00 00 00 00 00 91 c3"),
                ("02 04 00 0c 00 02 b1 fb", "02 04 04 be cc cc cd b8 06"),
            ],
            100_000_000 * WH,  # 100000
            0,
            0,  # -0.4
            ReadingFlag(0),
        )
        for model in ("eastron_sdm120", "eastron_sdm230")
    ),
    (
        "abb_b23",  # one without an export register
        3,
        "ABB-2345678",
        [
            ("03 03 89 00 00 02 ef b5", "03 03 04 00 23 ca ce ff 0d"),
            ("03 03 89 60 00 02 ef ab", "03 03 04 42 32 33 20 79 6c"),  # "B23 "
            (
                "03 03 50 00 00 08 54 ee",
                "03 03 10 00 00 00 00 00 12 d6 87 ff ff ff ff ff ff ff ff 20 5d",
            ),
            ("03 03 5b 14 00 02 96 c9", "03 03 04 ff ff f0 6a 1d f8"),  # -3990 in 0.01 W
        ],
        12_345_670 * WH,  # 1234567 in 0.01 kWh
        0,
        -40,
        ReadingFlag.NO_EXPORT,
    ),
    (
        "carlo_gavazzi_em24_rs485",  # an old one: no serial number, no export
        4,
        "CARLO-GAVAZZI-E24A0001",
        [
            ("04 03 13 00 00 07 00 d9", "04 83 02 d0 f0"),
            ("04 04 00 3e 00 02 10 52", "04 04 04 e2 40 00 01 58 e8"),
            ("04 04 00 5c 00 02 b1 8c", "04 84 02 d2 c0"),
            ("04 04 00 28 00 02 f1 96", "04 04 04 fb 2e ff ff fe 19"),
        ],
        12_345_600 * WH,
        0,
        -123,
        ReadingFlag.NO_EXPORT | ReadingFlag.CONFIGURED_ID,
    ),
    (
        "carlo_gavazzi_em24_e1",
        5,
        "CARLO-GAVAZZI-KY1234567890A",
        [
            (
                "05 03 50 00 00 07 14 8c",
                "05 03 0e 4b 59 31 32 33 34 35 36 37 38 39 30 41 00 e8 65",
            ),
            ("05 03 00 0b 00 01 f4 4c", "05 03 02 06 70 4b c0"),  # 1648
            ("05 04 00 28 00 28 71 98", f"05 04 50 {_EM_BLOCK} ef 1a"),
        ],
        12_345_600 * WH,
        1_000 * WH,
        -123,
        ReadingFlag(0),
    ),
    (
        "carlo_gavazzi_em340",  # one character a register
        6,
        "CARLO-GAVAZZI-BA31000",
        [
            (
                "06 03 50 00 00 07 14 bf",
                "06 03 0e 00 42 00 41 00 33 00 31 00 30 00 30 00 30 d5 b6",
            ),
            ("06 03 00 0b 00 01 f4 7f", "06 03 02 01 55 cc 2b"),  # 341
            ("06 04 00 28 00 28 71 ab", f"06 04 50 {_EM_BLOCK} ba 38"),
        ],
        12_345_600 * WH,
        1_000 * WH,
        -123,
        ReadingFlag(0),
    ),
    (
        "schneider_iem3155",
        7,
        "SCHNEIDER-12345678",
        [
            ("07 03 00 81 00 02 94 45", "07 03 04 00 bc 61 4e f4 73"),
            # its clock: 2026-11-23 23:15:32.012
            ("07 03 07 34 00 04 04 d5", "07 03 08 00 1a 0b 17 17 0f 7d 0c 51 04"),
            (
                "07 03 0c 83 00 08 b6 d2",
                "07 03 10 00 00 00 00 00 bc 61 4e 00 00 00 00 00 00 00 07 6b 59",
            ),
            ("07 03 0b f3 00 02 36 7a", "07 03 04 40 5d 3a 93 4a ec"),  # 3.4567 kW
        ],
        12_345_678 * WH,  # raw is Wh
        7 * WH,
        3457,
        ReadingFlag(0),
    ),
]


def sources_of(profile: Profile) -> set[str]:
    """What a profile rests on: repositories of their own making, and makers' documents.

    evcc asks mbmd's library for many meters, and the two share people: they are one.
    """
    return {
        source.file
        if source.file.endswith(DOCUMENTS)
        else source.repo.replace("evcc-io/evcc", "volkszaehler/mbmd")
        for source in profile.provenance
    }


def test_there_are_enough_models_of_enough_makers_and_each_has_its_own_name() -> None:
    profiles = [load_profile(name) for name in MODELS]
    assert len(profiles) >= 42
    assert len({profile.maker for profile in profiles}) >= 13
    assert len({profile.name for profile in profiles}) == len(profiles)
    folded = [re.sub("[^A-Z0-9]", "", name.upper()) for name in MODELS]
    starts = [profile.maker.replace("-", "") for profile in profiles]
    assert all(name.startswith(start) for name, start in zip(folded, starts, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_every_profile_names_its_sources_and_is_no_surer_than_they_are(name: str) -> None:
    profile = load_profile(name)
    for source in profile.provenance:
        assert re.fullmatch("[0-9a-f]{40}", source.commit)
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.repo)
        assert source.file
        assert source.says
    assert profile.confidence == "confirmed" or profile.notes, "what is unsure must say why"
    assert profile.confidence != "confirmed" or len(sources_of(profile)) > 1
    assert profile.confidence != "contested" or "Compare with the meter's display" in "".join(
        profile.notes
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_request_of_a_profile_is_one_that_its_meter_takes(name: str) -> None:
    profile = load_profile(name)
    for points in (profile.points(), profile.all_points()):
        blocks = plan_blocks(profile, points=points)
        assert sorted(point for block in blocks for point in block.points) == sorted(points)
        assert all(block.count <= profile.max_registers for block in blocks)


@pytest.mark.parametrize("name", MODELS)
def test_no_two_values_of_a_profile_share_a_register(name: str) -> None:
    points = load_profile(name).all_points().values()
    registers = [(point.fc, point.address + at) for point in points for at in range(point.count)]
    assert len(set(registers)) == len(registers)


@pytest.mark.parametrize("name", MODELS)
def test_phases_are_told_one_by_one_or_all_three(name: str) -> None:
    values = load_profile(name).values
    for kind in ("voltage", "current", "power", "energy_import", "energy_export"):
        phases = [value[-1] for value in values if re.fullmatch(rf"{kind}_l\d", value)]
        assert phases in ([], ["1"], ["1", "2", "3"])


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden[0])
async def test_raw_frames_of_a_model_become_the_reading_that_its_documents_promise(
    golden: Any, rtu_server: Any
) -> None:
    model, address, meter_id, exchanges, import_uwh, export_uwh, power_w, flags = golden
    replies = {bytes.fromhex(request): bytes.fromhex(reply) for request, reply in exchanges}
    async with rtu_server(lambda request: [(0, replies[request])]) as server:
        meter = MeterConfig(id=meter_id, profile=model, address=address)
        bus = TcpBus(
            name="bench", host="127.0.0.1", meter=[meter], port=server.port, rtu_over_tcp=True
        )
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        clock = make_clock(ClockConfig())
        reader = RegisterReader(line, meter, load_profile(model), clock)
        before_ms = clock.now_ms()
        reading = await reader.poll()
        line.close()
    assert (reading.meter, reading.import_uwh, reading.export_uwh) == (
        meter_id,
        import_uwh,
        export_uwh,
    )
    assert (reading.power_w, ReadingFlag(reading.flags)) == (power_w, flags)
    assert before_ms <= reading.time_ms <= clock.now_ms()
    assert server.requests == list(replies), "no request but these, in this order"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_registers", "max_register", "max_register: unknown key"),
        ('maker = "ABB"', 'maker = "Abb_"', "expected a maker of capitals"),
        ("max_registers = 125", 'max_registers = 125\ntransports = ["usb"]', "transports"),
        ('unit = "W"', 'unit = "V"', "expected active_power in W or kW"),
        ("max_registers = 125", "max_registers = 126", "expected max_registers from 1 to 125"),
        ("max_registers = 125", "max_registers = 3", "to hold every point"),
        ("min_gap_ms = 0", "min_gap_ms = -1", "expected min_gap_ms"),
        ("min_gap_ms = 0", "bridge_registers = 125", "expected bridge_registers"),
        ('unit = "W"', 'unit = "Wh"', "expected active_power in W or kW"),
        ("address = 0x5000", "adress = 0x5000", "energy_import.adress: unknown key"),
        ('type = "uint64"\nunit = "kWh"', 'type = "uint64"\nunit = "W"', "expected energies"),
    ],
)
def test_a_slip_in_a_profile_is_found_when_it_is_loaded(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    folder = Path(gridtokenx_edge.__file__).parent / "profiles"
    text = (folder / "abb_b23.toml").read_text()
    assert old in text
    broken = tmp_path / "broken.toml"
    broken.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=expected):
        load_toml(broken, Profile)


def test_an_se_mtr_is_read_by_the_counters_that_nobody_can_set_over_the_bus() -> None:
    # mbmd, meters/rs485/semtr3y.go: 0x03EE and 0x045A are "non-reset", 0x03EA and 0x0458 are not.
    profile = load_profile("solaredge_se_mtr_3y")
    assert profile.energy_export
    assert (profile.energy_import.address, profile.energy_export.address) == (0x03EE, 0x045A)
    assert any("cannot be set or reset" in note for note in profile.notes)
