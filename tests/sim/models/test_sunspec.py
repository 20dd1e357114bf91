"""The simulated SunSpec devices, read by an independent client that walks their models."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from pymodbus.client import AsyncModbusTcpClient

from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.config.loading import ConfigError
from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models.layout import ILLEGAL_ADDRESS
from gridtokenx_sim.models.snapshot import Snapshot
from gridtokenx_sim.simulation import serve

_NOON_MS = 12 * 3_600_000
MOMENT = Snapshot(
    time_ms=_NOON_MS,
    serial="7E1234",
    import_uwh=1_234_567_890_123,
    export_uwh=67_250_000_000,
    power_mw=-1_520_400,
    phase_mw=(-800_000, -400_000, -320_400),
    voltage_mv=(230_100, 231_200, 229_000),
    current_ma=(3042, 2000, 1394),
    frequency_mhz=50_020,
)


def block(model: str, offset: int, count: int, moment: Snapshot = MOMENT) -> list[int]:
    words = MODELS[model].read(moment, 3, 40_000 + offset, count)
    assert isinstance(words, list)
    return words


def floats(words: list[int]) -> list[float]:
    return list(struct.unpack(f">{len(words) // 2}f", struct.pack(f">{len(words)}H", *words)))


@pytest.mark.parametrize(
    ("model", "number", "length"),
    [
        ("sunspec_meter", 203, 105),
        ("sunspec_meter_float", 213, 124),
        ("sunspec_inverter", 103, 50),
        ("sunspec_inverter_float", 113, 60),
    ],
)
def test_a_device_has_a_common_model_one_that_measures_and_an_end(
    model: str, number: int, length: int
) -> None:
    assert block(model, 0, 4) == [0x5375, 0x6E53, 1, 66]
    assert block(model, 4, 4) == [0x5375, 0x6E20, 0x5369, 0x6D00]
    assert block(model, 52, 4) == [0x3745, 0x3132, 0x3334, 0]
    assert block(model, 70, 2) == [number, length]
    assert block(model, 72 + length, 2) == [0xFFFF, 0]
    assert MODELS[model].read(MOMENT, 3, 40_074 + length, 1) == ILLEGAL_ADDRESS


def test_power_has_a_scale_factor_of_its_size() -> None:
    assert block("sunspec_meter", 88, 5) == [50_332, 57_536, 61_536, 62_332, 0xFFFF]
    large = msgspec.structs.replace(MOMENT, power_mw=-9_000_400)
    assert block("sunspec_meter", 88, 1, large) == [0x10000 - 9000]
    assert block("sunspec_meter", 92, 1, large) == [0]
    assert block("sunspec_inverter", 84, 2) == [15_204, 0xFFFF]


def test_energies_are_cut_off_and_zero_is_not_accumulated() -> None:
    assert block("sunspec_meter", 108, 2) == [1, 67_250 - 65_536]
    assert block("sunspec_meter", 116, 2) == [0x0012, 0xD687]
    assert block("sunspec_inverter", 94, 3) == [0, 6725, 1]
    # A float32 has 24 bits: here steps of an eighth of a Wh.
    assert floats(block("sunspec_meter_float", 138, 2)) == [1234567.875]


def test_an_inverter_at_night_shows_its_energy_only() -> None:
    night = msgspec.structs.replace(MOMENT, power_mw=0, phase_mw=(0, 0, 0))
    assert block("sunspec_inverter", 84, 1, night) == [0x8000]
    assert block("sunspec_inverter", 80, 3, night) == [0xFFFF] * 3
    assert block("sunspec_inverter", 94, 2, night) == [0, 6725]
    assert block("sunspec_inverter_float", 92, 2, night) == [0x7FC0, 0]


@pytest.mark.parametrize("base", [0, 40_000, 50_000])
async def test_an_independent_client_walks_the_models_and_reads_the_truth(
    site_config: Any, clock: HandClock, base: int
) -> None:
    meter = {
        "model": "sunspec_meter",
        "address": 126,
        "serial": "7E1234",
        "solar_kwp": "8",
        "annual_load_kwh": "4000",
        "sunspec_base": base,
    }
    bus = {"name": "all", "kind": "tcp", "meter": [meter]}
    async with serve(site_config(bus), clock) as running:
        clock.advance(_NOON_MS)
        client = AsyncModbusTcpClient("127.0.0.1", port=running.announcement()["buses"][0]["port"])
        assert await client.connect()

        async def read(address: int, count: int) -> list[int]:
            reply = await client.read_holding_registers(address, count=count, device_id=126)
            assert not reply.isError()
            return list(reply.registers)

        models, address = {}, base + 2
        while (header := await read(address, 2)) != [0xFFFF, 0]:
            models[header[0]] = address
            address += 2 + header[1]
        assert list(models) == [1, 203]
        words = await read(models[203], 107)
        client.close()
        (truth,) = (meter.registers() for meter in running.meters)
    power, scale = (struct.unpack(">h", struct.pack(">H", words[at]))[0] for at in (18, 22))
    assert power * 10**scale == pytest.approx(truth.power_mw / 1000, abs=0.5)
    assert (words[38] << 16) + words[39] == truth.export_uwh // 10**6
    assert (words[46] << 16) + words[47] == truth.import_uwh // 10**6


@pytest.mark.parametrize(
    ("model", "base", "mistake"),
    [
        ("sunspec_meter", 40_001, "sunspec_base: expected 0, 40000 or 50000, got 40001"),
        ("abb_b23", 0, "sunspec_base: expected a SunSpec model for it, got 'abb_b23'"),
    ],
)
def test_a_base_that_cannot_be_is_a_mistake(
    one_meter: Any, model: str, base: int, mistake: str
) -> None:
    with pytest.raises(ConfigError, match=mistake):
        one_meter(model=model, sunspec_base=base)
