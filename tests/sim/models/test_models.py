"""Every model's address space, word by word."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from pymodbus.client import AsyncModbusTcpClient

from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models.layout import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE
from gridtokenx_sim.models.snapshot import Snapshot, take_snapshot
from gridtokenx_sim.physics.energy import Registers
from gridtokenx_sim.simulation import serve

MOMENT = Snapshot(
    serial="12345678",
    import_uwh=1_234_567_890_123,  # 1234.567890123 kWh
    export_uwh=67_250_000_000,  # 67.25 kWh
    power_mw=-1_520_400,  # -1520.4 W
    phase_mw=(-700_000, -500_000, -320_400),
    voltage_mv=(230_100, 231_200, 229_900),
    current_ma=(3_042, 2_163, 1_394),
    frequency_mhz=50_020,
    time_ms=1_795_475_732_012,  # 2026-11-23 23:15:32.012 UTC
)
THREE_PHASE_ONLY = ("eastron_sdm120", "eastron_sdm230")

POWER = -1520.4


def bits(kind: str, value: float) -> list[int]:
    data = struct.pack(f">{kind}", value)
    return list(struct.unpack(f">{len(data) // 2}H", data))


def swapped(words: list[int]) -> list[int]:
    return words[::-1]


def text(value: str, registers: int) -> list[int]:
    return list(struct.unpack(f">{registers}H", value.encode().ljust(2 * registers, b"\0")))


EASTRON = [
    (4, 0x48, bits("f", 1234.567)),  # whole Wh, as a counter shows them
    (4, 0x4A, bits("f", 67.25)),
    (4, 0x156, bits("f", 1301.817)),
    (3, 0xFC00, bits("I", 12345678)),
]
GAVAZZI = [
    (4, 0x00, swapped(bits("i", 2301))),
    (4, 0x10, swapped(bits("i", 1394))),
    (4, 0x16, swapped(bits("i", -3204))),
    (4, 0x28, swapped(bits("i", -15204))),
    (3, 0x28, swapped(bits("i", -15204))),
    (3, 0x5000, text("12345678", 7)),
]

WORDS = {
    "eastron_sdm120": [
        *EASTRON,
        (4, 0x00, bits("f", 230.1)),
        (4, 0x06, bits("f", 3.042)),
        (4, 0x0C, bits("f", POWER)),
        (4, 0x46, bits("f", 50.02)),
    ],
    "eastron_sdm230": [*EASTRON, (4, 0x0C, bits("f", POWER))],
    "eastron_sdm630": [
        *EASTRON,
        (4, 0x02, bits("f", 231.2)),
        (4, 0x0A, bits("f", 1.394)),
        (4, 0x10, bits("f", -320.4)),
        (4, 0x34, bits("f", POWER)),
    ],
    "eastron_sdm72d_m": [*EASTRON, (4, 0x34, bits("f", POWER)), (4, 0x00, [0, 0])],
    "abb_b23": [
        (3, 0x5000, bits("Q", 123456)),
        (3, 0x5004, bits("Q", 6725)),
        (3, 0x5008, bits("q", 116731)),
        (3, 0x5B02, bits("I", 2312)),
        (3, 0x5B0C, bits("I", 304)),
        (3, 0x5B14, bits("i", -152040)),
        (3, 0x5B1A, bits("i", -32040)),
        (3, 0x5B2C, [5002]),
        (3, 0x8900, bits("I", 12345678)),
        (3, 0x8960, [0x4232, 0x3320]),
    ],
    "carlo_gavazzi_em24_rs485": [
        *GAVAZZI,
        (4, 0x37, [500]),
        (4, 0x3E, swapped(bits("i", 12345))),
        (4, 0x42, swapped(bits("i", 12345))),
        (4, 0x5C, swapped(bits("i", 672))),
        (4, 0x1300, text("12345678", 7)),
        (4, 0x0B, [71]),
    ],
    "carlo_gavazzi_em24_e1": [
        *GAVAZZI,
        (4, 0x34, swapped(bits("i", 12345))),
        (4, 0x4E, swapped(bits("i", 672))),
        (4, 0x0B, [1648]),
        (3, 0xA000, [7]),
    ],
    "carlo_gavazzi_em340": [
        *GAVAZZI,
        (4, 0x33, [500]),
        (4, 0x34, swapped(bits("i", 12345))),
        (4, 0x4E, swapped(bits("i", 672))),
        (4, 0x0B, [341]),
    ],
    "schneider_iem3155": [
        (3, 0x0734, [26, 11 << 8 | 23, 23 << 8 | 15, 32_012]),
        (3, 0x0BB7, bits("f", 3.042)),
        (3, 0x0BD3, bits("f", 230.1)),
        (3, 0x0BF1, bits("f", -0.3204)),
        (3, 0x0BF3, bits("f", -1.5204)),
        (3, 0x0C25, bits("f", 50.02)),
        (3, 0x0C83, bits("q", 1234567)),
        (3, 0x0C87, bits("q", 67250)),
        (3, 0xB02B, bits("f", 1234567.0)),
        (3, 129, bits("I", 12345678)),
        (3, 49, text("iEM3155", 20)),
    ],
}


# These describe themselves: test_sunspec.py.
SUNSPEC = {
    "sunspec_meter",
    "sunspec_meter_float",
    "sunspec_inverter",
    "sunspec_inverter_float",
}


def moment_for(model: str) -> Snapshot:
    if model in THREE_PHASE_ONLY:
        return msgspec.structs.replace(MOMENT, phase_mw=(MOMENT.power_mw,))
    return MOMENT


def test_every_model_of_the_contract_is_here() -> None:
    assert set(MODELS) == set(WORDS) | SUNSPEC


@pytest.mark.parametrize(
    ("model", "function", "address", "words"),
    [(model, *case) for model, cases in WORDS.items() for case in cases],
)
def test_a_register_shows_its_quantity_in_the_models_own_way(
    model: str, function: int, address: int, words: list[int]
) -> None:
    assert MODELS[model].read(moment_for(model), function, address, len(words)) == words


@pytest.mark.parametrize(
    ("model", "function", "address", "count", "code"),
    [
        ("eastron_sdm630", 3, 0x48, 2, ILLEGAL_ADDRESS),
        ("eastron_sdm630", 4, 0x0180, 2, ILLEGAL_ADDRESS),
        ("eastron_sdm630", 4, 0x017F, 2, ILLEGAL_ADDRESS),
        ("eastron_sdm630", 4, 0x00, 81, ILLEGAL_VALUE),
        ("eastron_sdm72d_m", 4, 0x00, 61, ILLEGAL_VALUE),
        ("abb_b23", 4, 0x5000, 4, ILLEGAL_FUNCTION),
        ("abb_b23", 3, 0x5000, 13, ILLEGAL_ADDRESS),
        ("abb_b23", 3, 0x5B06, 2, ILLEGAL_ADDRESS),
        ("carlo_gavazzi_em24_rs485", 4, 0x28, 12, ILLEGAL_VALUE),
        ("carlo_gavazzi_em340", 4, 0x28, 51, ILLEGAL_VALUE),
        ("carlo_gavazzi_em340", 4, 0x80, 1, ILLEGAL_ADDRESS),
        ("schneider_iem3155", 3, 3005, 2, ILLEGAL_ADDRESS),
        ("schneider_iem3155", 4, 3059, 2, ILLEGAL_FUNCTION),
        ("schneider_iem3155", 3, 65535, 2, ILLEGAL_ADDRESS),
        ("schneider_iem3155", 3, 3059, 0, ILLEGAL_VALUE),
    ],
)
def test_what_a_model_does_not_have_is_refused(
    model: str, function: int, address: int, count: int, code: int
) -> None:
    assert MODELS[model].read(moment_for(model), function, address, count) == code


def test_a_long_read_of_an_eastron_fills_the_gaps_with_zeros() -> None:
    words = MODELS["eastron_sdm630"].read(MOMENT, 4, 0x34, 24)
    assert isinstance(words, list)
    assert words[:2] == bits("f", POWER)
    assert words[2:18] == [0] * 16
    assert words[18:] == bits("f", 50.02) + bits("f", 1234.567) + bits("f", 67.25)


def test_a_gavazzis_identification_is_seen_only_alone() -> None:
    assert MODELS["carlo_gavazzi_em340"].read(MOMENT, 4, 0x0A, 2) == [0, 0]


def test_part_of_a_value_can_be_read() -> None:
    assert MODELS["eastron_sdm630"].read(MOMENT, 4, 0x49, 1) == bits("f", 1234.567)[1:]


def test_a_b23_without_export_answers_all_ones() -> None:
    without = msgspec.structs.replace(MOMENT, export_uwh=None)
    assert MODELS["abb_b23"].read(without, 3, 0x5004, 4) == [0xFFFF] * 4
    assert MODELS["abb_b23"].read(without, 3, 0x5000, 4) == bits("Q", 123456)


def test_an_em24_without_export_refuses_its_address() -> None:
    without = msgspec.structs.replace(MOMENT, export_uwh=None)
    assert MODELS["carlo_gavazzi_em24_rs485"].read(without, 4, 0x5C, 2) == ILLEGAL_ADDRESS


def test_a_b23_that_cannot_measure_power_answers_the_signed_maximum() -> None:
    blind = msgspec.structs.replace(MOMENT, power_mw=None)
    assert MODELS["abb_b23"].read(blind, 3, 0x5B14, 2) == [0x7FFF, 0xFFFF]


def test_a_full_counter_sticks_at_its_end() -> None:
    full = msgspec.structs.replace(MOMENT, import_uwh=10**18)
    assert MODELS["carlo_gavazzi_em340"].read(full, 4, 0x34, 2) == [0xFFFF, 0x7FFF]


@pytest.mark.parametrize("power_mw", [-9_999_999, -1, 0, 1, 123_456_789])
def test_the_phases_add_up_and_currents_follow_power(power_mw: int) -> None:
    registers = Registers(time_ms=0, import_uwh=1, export_uwh=2, power_mw=power_mw)
    snapshot = take_snapshot(registers, serial="1", phases=3, seed=4)
    assert sum(snapshot.phase_mw) == power_mw
    for phase in range(3):
        assert 200_000 < snapshot.voltage_mv[phase] < 260_000
        apparent_mw = snapshot.voltage_mv[phase] * snapshot.current_ma[phase] / 1000
        assert apparent_mw == pytest.approx(abs(snapshot.phase_mw[phase]), abs=250)


async def test_an_independent_client_reads_every_model_over_tcp(
    site_config: Any, clock: HandClock
) -> None:
    bus = {
        "name": "all",
        "kind": "tcp",
        "meter": [
            {
                "model": model,
                "address": 10 + index,
                "serial": str(1000 + index),
                "solar_kwp": "8",
                "annual_load_kwh": "4000",
            }
            for index, model in enumerate(WORDS)
        ],
    }
    async with serve(site_config(bus), clock) as running:
        clock.advance(36 * 3_600_000)
        client = AsyncModbusTcpClient("127.0.0.1", port=running.announcement()["buses"][0]["port"])
        assert await client.connect()
        for meter in running.meters:
            import_kwh, export_kwh, power_w = await read_main(client, meter.model, meter.address)
            truth = meter.registers()
            assert import_kwh == pytest.approx(truth.import_uwh / 10**9, abs=0.1)
            assert export_kwh == pytest.approx(truth.export_uwh / 10**9, abs=0.1)
            assert power_w == pytest.approx(truth.power_mw / 1000, abs=0.06)
        client.close()


# Function, import, export, power: address, registers, type, low word first, scale.
MAIN = {
    "abb_b23": (3, (20480, "Q", 0.01), (20484, "Q", 0.01), (23316, "i", 0.01)),
    "carlo_gavazzi_em24_rs485": (4, (66, "i", 0.1), (92, "i", 0.1), (40, "i", 0.1)),
    "carlo_gavazzi_em24_e1": (4, (52, "i", 0.1), (78, "i", 0.1), (40, "i", 0.1)),
    "carlo_gavazzi_em340": (4, (52, "i", 0.1), (78, "i", 0.1), (40, "i", 0.1)),
    "schneider_iem3155": (3, (3203, "q", 0.001), (3207, "q", 0.001), (3059, "f", 1000.0)),
    "eastron_sdm120": (4, (72, "f", 1.0), (74, "f", 1.0), (12, "f", 1.0)),
    "eastron_sdm230": (4, (72, "f", 1.0), (74, "f", 1.0), (12, "f", 1.0)),
    "eastron_sdm630": (4, (72, "f", 1.0), (74, "f", 1.0), (52, "f", 1.0)),
    "eastron_sdm72d_m": (4, (72, "f", 1.0), (74, "f", 1.0), (52, "f", 1.0)),
}


async def read_main(client: AsyncModbusTcpClient, model: str, unit: int) -> list[float]:
    function, *points = MAIN[model]
    read = client.read_holding_registers if function == 3 else client.read_input_registers
    values = []
    for address, kind, scale in points:
        reply = await read(address, count=struct.calcsize(kind) // 2, device_id=unit)
        assert not reply.isError(), (model, address, reply)
        words = reply.registers[::-1] if model.startswith("carlo") else reply.registers
        values.append(struct.unpack(f">{kind}", struct.pack(f">{len(words)}H", *words))[0] * scale)
    return values
