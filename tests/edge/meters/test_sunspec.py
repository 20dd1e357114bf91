"""SunSpec without I/O: dumps of real devices, what is no value, and registers of ill will."""

from __future__ import annotations

import pytest
from tests.edge.meters.sunspec_dumps import (
    FRONIUS_FLOAT,
    KOSTAL,
    SMA_AT_NIGHT,
    SOLAREDGE,
    changed,
    found,
    nameplate_of,
    registers,
    values_of,
)

from gridtokenx_edge.meters.sunspec.chain import BASES, ModelAt, instances
from gridtokenx_edge.meters.sunspec.models import MODELS, OF_KIND, Kind
from gridtokenx_edge.meters.sunspec.nameplate import Nameplate, decode_nameplate
from gridtokenx_edge.meters.sunspec.plan import (
    MovedError,
    decode_model,
    is_complete,
    plan_model,
)
from gridtokenx_edge.meters.sunspec.points import ScaleError, SunSpecPoint
from gridtokenx_edge.meters.sunspec.profile import load_sunspec, sunspec_names

DEVICES = [
    pytest.param(
        SMA_AT_NIGHT,
        "inverter",
        1,
        "SMA-3005067415",
        {"energy_export": 29_479_140 * 10**6, "active_power": None, "voltage_l1": None},
        id="SMA at night",
    ),
    pytest.param(
        SOLAREDGE,
        "inverter",
        1,
        "SOLAREDGE-731A2B70",
        {
            "energy_export": 17_679 * 10**6,
            "active_power": -509,
            "current_l1": 2_200,
            "current_l2": None,
            "frequency": 50_006,
            "apparent_power": 531,
            "power_factor": 958,
        },
        id="SolarEdge by day",
    ),
    pytest.param(
        SOLAREDGE,
        "meter",
        1,
        "",
        {
            "energy_import": 18_090_016 * 10**6,
            "energy_export": 21_267_458 * 10**6,
            "active_power": -91,
            "power_l1": 1_032,
            "power_l2": -123,
            "power_l3": -1_000,
            "voltage_l1": 234_480,
            "energy_import_l3": 11_614_309 * 10**6,
            "energy_export_l2": None,
            "frequency": 49_990,
        },
        id="a meter behind it, without a serial number",
    ),
    pytest.param(
        SOLAREDGE,
        "meter",
        2,
        "SOLAREDGE-AB12",
        {"energy_import": 18_090_016 * 10**6, "active_power": -91},
        id="another one behind that",
    ),
    pytest.param(
        FRONIUS_FLOAT,
        "inverter",
        1,
        "FRONIUS-31329509",
        {
            "energy_export": 26_320_000 * 10**6,
            "active_power": -177,
            "voltage_l1": 230_600,
            "current_l3": 250,
            "frequency": 50_000,
        },
        id="Fronius with floats",
    ),
    pytest.param(
        KOSTAL,
        "inverter",
        1,
        "KOSTAL-93558WFJ00073",
        {"energy_export": 1_234 * 10**6, "active_power": -940},
        id="Kostal's inverter",
    ),
    pytest.param(
        KOSTAL,
        "meter",
        1,
        "KOSTAL-93558WFJ00073-METER",
        {"energy_import": 6_789 * 10**6, "energy_export": 4_711 * 10**6, "active_power": 100},
        id="the meter that shares its name, and counts downwards",
    ),
]


@pytest.mark.parametrize(("dump", "kind", "number", "name", "expected"), DEVICES)
@pytest.mark.parametrize("base", BASES)
def test_a_devices_registers_become_values(
    dump: str, kind: Kind, number: int, name: str, expected: dict[str, int | None], base: int
) -> None:
    words = registers(dump, base)
    instance = instances(found(words), kind)[number - 1]
    common = nameplate_of(words, instance.common)
    assert common.meter_id(instance.suffix) == name
    values = values_of(words, instance.model, signed_counters=common.maker == "KOSTAL")
    assert {key: values[key] for key in expected} == expected
    reading = values_of(
        words,
        instance.model,
        ("energy_import", "energy_export", "active_power"),
        signed_counters=common.maker == "KOSTAL",
    )
    assert reading.items() <= values.items()


def test_texts_of_the_common_model_are_told_as_they_are() -> None:
    words = registers(SOLAREDGE)
    common = nameplate_of(words, ModelAt(id=1, address=40_002, length=65))
    assert common == Nameplate(
        maker="SOLAREDGE",
        model="SE3000H-RW000BNN4",
        options="",
        version="0004.0006.0024",
        serial="731A2B70",
    )


@pytest.mark.parametrize(
    ("maker", "serial", "suffix", "name"),
    [
        ("Huawei Technologies Co., Ltd.", "HV 12 34", "", "HUAWEI-TECHNOLOGIES-CO-LTD-HV-12-34"),
        ("Förde Solar", "7E1234", "-METER", "F-RDE-SOLAR-7E1234-METER"),
        ("M" * 32, "S" * 32, "", "M" * 31 + "-" + "S" * 32),
        ("ABB", "0", "", ""),
        ("ABB", "0000000000", "", ""),
        ("ABB", "  ", "", ""),
        ("ABB", "--", "", ""),
        ("ABB", "\x01\x02", "", ""),
        ("ABB", "A/1.2_3", "", "ABB-A/1.2_3"),
    ],
)
def test_an_id_is_made_of_letters_and_digits(
    maker: str, serial: str, suffix: str, name: str
) -> None:
    data = bytearray(132)
    for offset, text in ((4, maker), (100, serial)):
        raw = text.encode("latin-1")[:32]
        data[offset : offset + len(raw)] = raw
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    assert decode_nameplate(words).meter_id(suffix) == name
    assert len(name) <= 64


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int16", [0x8000]),
        ("uint16", [0xFFFF]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("uint64", [0xFFFF] * 4),
        ("acc32", [0, 0]),
        ("float32", [0x7FC0, 0]),
        ("float32", [0x7F80, 0]),
        ("float32", [0xFF80, 0]),
        ("float32", [0xFFC0, 1]),
    ],
)
@pytest.mark.parametrize("scale", [0, 0xFFFE, 0x8000, 11])
def test_what_is_not_implemented_is_no_value_whatever_its_scale(
    kind: str, words: list[int], scale: int
) -> None:
    point = SunSpecPoint(offset=2, type=kind, unit="Wh", scale=9)  # type: ignore[arg-type]
    assert point.decode(words, scale) is None


@pytest.mark.parametrize(
    ("kind", "unit", "words", "scale", "value"),
    [
        ("int16", "W", [0x7FFF], 0, 32_767),
        ("int16", "W", [0x8001], 0, -32_767),
        ("int16", "W", [0xFFFB], 0xFFFF, -1),  # -0.5 W: halves go away from zero
        ("int16", "W", [0x0004], 0xFFFF, 0),
        ("int16", "W", [0x0001], 6, 1_000_000),
        ("int16", "W", [0x0001], 10, None),  # beyond 32 bits
        ("uint16", "V", [0xFFFE], 0xFFFE, 655_340),
        ("uint32", "Hz", [0x0000, 0x1388], 0xFFFE, 50_000),
        ("acc32", "Wh", [0xFFFF, 0xFFFF], 0, 4_294_967_295_000_000),
        ("acc32", "Wh", [0x0000, 0x0001], 0xFFFD, 1_000),
        ("acc32", "Wh", [0x0000, 0x0001], 0xFFF6, 0),  # 10^-10 Wh: less than a µWh
        ("acc32", "Wh", [0x0000, 0x2710], 0xFFF6, 1),
        ("acc32", "Wh", [0xFFFF, 0xFFFF], 3, 4_294_967_295_000_000_000),
        ("acc32", "Wh", [0xFFFF, 0xFFFF], 4, None),  # beyond 2^63-1 µWh
        ("uint64", "Wh", [0, 0, 0, 0], 0, 0),
        ("uint64", "Wh", [0, 1, 0, 0], 0, 4_294_967_296_000_000),
        ("float32", "Wh", [0x4B80, 0x0001], None, 16_777_218_000_000),  # 2^24 and one step: 2 Wh
        ("float32", "Wh", [0x3F00, 0x0000], None, 1_000_000),  # 0.5 Wh: a whole Wh
        ("float32", "Wh", [0xBF80, 0x0000], None, None),  # below zero
        ("float32", "A", [0x3E80, 0x0000], None, 250),
        ("float32", "W", [0x7F7F, 0xFFFF], None, None),
    ],
)
def test_raw_registers_are_scaled_exactly(
    kind: str, unit: str, words: list[int], scale: int | None, value: int | None
) -> None:
    assert SunSpecPoint(offset=2, type=kind, unit=unit, scale=9).decode(words, scale) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scale", "text"),
    [
        (0x8000, "its scale factor is not implemented"),
        (11, "expected a scale factor of -10 to 10, got 11"),
        (0xFFF5, "expected a scale factor of -10 to 10, got -11"),
        (0x7FFF, "expected a scale factor of -10 to 10, got 32767"),
    ],
)
def test_a_value_without_a_proper_scale_factor_is_a_fault(scale: int, text: str) -> None:
    words = changed(registers(SOLAREDGE), 40_071 + 24, [scale])
    model = instances(found(words), "inverter")[0].model
    with pytest.raises(ScaleError, match=f"^energy export: {text}$"):
        values_of(words, model)


# --- the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_reading_takes_one_request_but_for_the_longest_model(kind: Kind) -> None:
    for number in OF_KIND[kind]:
        plan = plan_model(ModelAt(id=number, address=40_069, length=MODELS[number].length), 100)
        assert len(plan.blocks) == (3 if number == 701 else 1)
        assert all(block.count <= 100 for block in plan.blocks)
        assert all(block.fc == 3 for block in plan.blocks)


def test_a_model_that_is_too_short_is_not_complete() -> None:
    assert is_complete(ModelAt(id=103, address=40_069, length=25))
    assert not is_complete(ModelAt(id=103, address=40_069, length=24))
    assert is_complete(ModelAt(id=203, address=40_069, length=53))
    assert not is_complete(ModelAt(id=203, address=40_069, length=52))


def test_model_701_tells_both_energies_and_the_phases() -> None:
    words = dict.fromkeys(range(40_069, 40_069 + 155), 0)
    for offset, new in (
        (0, [701, 153]),
        (10, [0xFFFF]),  # -1
        (19, [0, 0, 1, 0]),
        (23, [0xFFFF] * 4),
        (48, [0, 0, 0, 5]),
        (87, [0x0007]),
        (116, [2, 0, 0, 0, 1]),  # power × 100, energy × 10
    ):
        words = changed(words, 40_069 + offset, new)
    values = values_of(words, ModelAt(id=701, address=40_069, length=153))
    assert values["active_power"] == 100
    assert values["power_l3"] == -700
    assert values["energy_export"] == 655_360 * 10**6
    assert values["energy_import"] is None
    assert values["energy_export_l1"] == 50 * 10**6


def test_scale_factors_that_change_between_two_requests_are_a_fault() -> None:
    plan = plan_model(ModelAt(id=701, address=40_069, length=153), 100)
    factors, values = [0] * 5, [701, 153, *[0] * 25]
    with pytest.raises(MovedError, match="changed while they were read"):
        decode_model(plan, [factors, values, [0, 0, 0, 0, 1]])
    assert decode_model(plan, [factors, values, factors])["active_power"] == 0


def test_another_model_in_the_place_is_a_fault() -> None:
    plan = plan_model(ModelAt(id=103, address=40_069, length=50), 100)
    with pytest.raises(MovedError, match="expected model 103 at register 40069, found 203"):
        decode_model(plan, [[203, 105, *[0] * 25]])


@pytest.mark.parametrize("name", sunspec_names())
def test_a_profile_reads_models_that_are_known(name: str) -> None:
    profile = load_sunspec(name)
    assert profile.kind in name
    assert set(profile.models) <= set(MODELS)
