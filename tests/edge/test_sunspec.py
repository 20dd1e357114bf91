"""SunSpec without I/O: dumps of real devices, what is no value, and registers of ill will."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.edge.sunspec_dumps import (
    FRONIUS_FLOAT,
    KOSTAL,
    SMA_AT_NIGHT,
    SOLAREDGE,
    changed,
    read,
    registers,
)

from gridtokenx_edge.meters.sunspec.chain import BASES, Chain, ModelAt, instances, walk
from gridtokenx_edge.meters.sunspec.common import Common, common_block, decode_common
from gridtokenx_edge.meters.sunspec.models import MODELS, OF_KIND, Kind
from gridtokenx_edge.meters.sunspec.plan import (
    MovedError,
    decode_model,
    is_complete,
    plan_model,
)
from gridtokenx_edge.meters.sunspec.points import ScaleError, SunSpecPoint
from gridtokenx_edge.meters.sunspec.profile import load_sunspec, sunspec_names

_MOST_REQUESTS = 3 + 3 * 101
"""Three markers; for each model its header, and two other places where the next may be."""


def walked(words: Mapping[int, int], bases: Sequence[int] = BASES) -> Chain | None:
    steps = walk(bases)
    requests = 0
    try:
        block = next(steps)
        while True:
            requests += 1
            assert requests <= _MOST_REQUESTS
            assert 0 <= block.address <= block.address + block.count - 1 <= 0xFFFF
            block = steps.send(read(words, block.address, block.count))
    except StopIteration as end:
        found: Chain | None = end.value
        return found


def found(words: Mapping[int, int]) -> Chain:
    chain = walked(words)
    assert chain is not None
    return chain


def common_of(words: Mapping[int, int], model: ModelAt) -> Common:
    block = common_block(model)
    reply = read(words, block.address, block.count)
    assert reply is not None
    return decode_common(reply)


def values_of(
    words: Mapping[int, int], model: ModelAt, names: Sequence[str] = (), **more: bool
) -> dict[str, int | None]:
    plan = plan_model(model, 100, names or MODELS[model.id].points)
    replies = [read(words, block.address, block.count) or [] for block in plan.blocks]
    return decode_model(plan, replies, **more)


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
    common = common_of(words, instance.common)
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
    common = common_of(words, ModelAt(1, 40_002, 65))
    assert common == Common("SOLAREDGE", "SE3000H-RW000BNN4", "", "0004.0006.0024", "731A2B70")


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
    assert decode_common(words).meter_id(suffix) == name
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
    point = SunSpecPoint(2, kind, "Wh", 9)  # type: ignore[arg-type]
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
    assert SunSpecPoint(2, kind, unit, 9).decode(words, scale) == value  # type: ignore[arg-type]


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


# --- the chain ----------------------------------------------------------------------------------

COMMON_WORDS = "4142 4300 [40068] 0001"


@pytest.mark.parametrize(
    ("dump", "models", "broken"),
    [
        pytest.param(f"0001 0041 {COMMON_WORDS} FFFF 0000", [1], "", id="a common model alone"),
        pytest.param(
            f"0001 0041 {COMMON_WORDS} 0065 0032 [40121] 0000",
            [1, 101],
            "expected a model at register 40121, which was refused",
            id="half an end",
        ),
        pytest.param(
            f"0001 0041 {COMMON_WORDS} 0065 0032 [40121] 0000 0000",
            [1, 101],
            "expected a model at register 40121, found id 0 and length 0",
            id="an end of zeros (sunspec/models issue 44)",
        ),
        pytest.param(
            f"0001 0042 {COMMON_WORDS} 0065 0032 [40121] FFFF 0000",
            [1, 101],
            "",
            id="a length of one too many",
        ),
        pytest.param(
            f"0001 0041 {COMMON_WORDS} 0065 0031 [40121] 00CB 0069 [40228] FFFF 0000",
            [1, 101, 203],
            "",
            id="a length of one too few",
        ),
        pytest.param(
            f"0001 0041 {COMMON_WORDS} 0065 FF00 [40121] 00CB 0069 [40228] FFFF 0000",
            [1],
            "expected model 101 at register 40069 to end, but it is 65280 long",
            id="a length beyond the registers",
        ),
        pytest.param(
            f"0001 0041 {COMMON_WORDS} 0065 0032 [40121] 1F40 0001 0000 FFFF 0000",
            [1, 101],
            "expected a model at register 40121, found id 8000 and length 1",
            id="an id that nobody has",
        ),
        pytest.param(
            f"0001 0041 {COMMON_WORDS} 0065 0032 [40121] FA01 0001 0000 FFFF 0000",
            [1, 101, 64_001],
            "",
            id="a maker's own model",
        ),
    ],
)
def test_a_chain_is_walked_to_its_end_or_to_where_it_breaks(
    dump: str, models: list[int], broken: str
) -> None:
    chain = found(registers(f"5375 6E53 {dump}"))
    assert [model.id for model in chain.models] == models
    assert chain.broken == broken


def test_a_chain_without_an_end_is_given_up() -> None:
    words = dict.fromkeys(range(40_002, 45_000), 1)  # model 1 of length 1, for ever
    chain = found({40_000: 0x5375, 40_001: 0x6E53, **words})
    assert (len(chain.models), chain.broken) == (100, "expected at most 100 models")


@pytest.mark.parametrize("words", [{}, {40_000: 0x5375}, dict.fromkeys(range(65_536), 0xFFFF)])
def test_registers_without_the_marker_are_not_sunspec(words: dict[int, int]) -> None:
    assert walked(words) is None


def test_a_known_base_is_tried_first() -> None:
    assert next(walk((0, 40_000))).address == 0


def test_of_models_that_say_the_same_one_is_chosen() -> None:
    def chain(*ids: int) -> Chain:
        return Chain(40_000, tuple(ModelAt(number, 40_002, 200) for number in ids))

    def chosen(kind: Kind, *ids: int) -> list[tuple[int, str]]:
        return [(of.model.id, of.suffix) for of in instances(chain(*ids), kind)]

    assert chosen("inverter", 1, 113, 103, 701) == [(103, "")]
    assert chosen("inverter", 1, 701, 111) == [(111, "")]
    assert chosen("inverter", 1, 101, 1, 203, 1, 101) == [(101, ""), (101, "")]
    assert chosen("meter", 1, 213, 203) == [(203, "")]
    assert chosen("meter", 1, 203, 203) == [(203, ""), (203, "-METER2")]
    assert chosen("meter", 1, 103, 203, 203) == [(203, "-METER"), (203, "-METER2")]
    assert chosen("meter", 1, 103) == []
    assert chosen("meter", 203) == []  # nobody says whose it is
    assert chosen("inverter") == []


# --- the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_reading_takes_one_request_but_for_the_longest_model(kind: Kind) -> None:
    for number in OF_KIND[kind]:
        plan = plan_model(ModelAt(number, 40_069, MODELS[number].length), 100)
        assert len(plan.blocks) == (3 if number == 701 else 1)
        assert all(block.count <= 100 for block in plan.blocks)
        assert all(block.fc == 3 for block in plan.blocks)


def test_a_model_that_is_too_short_is_not_complete() -> None:
    assert is_complete(ModelAt(103, 40_069, 25))
    assert not is_complete(ModelAt(103, 40_069, 24))
    assert is_complete(ModelAt(203, 40_069, 53))
    assert not is_complete(ModelAt(203, 40_069, 52))


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
    values = values_of(words, ModelAt(701, 40_069, 153))
    assert values["active_power"] == 100
    assert values["power_l3"] == -700
    assert values["energy_export"] == 655_360 * 10**6
    assert values["energy_import"] is None
    assert values["energy_export_l1"] == 50 * 10**6


def test_scale_factors_that_change_between_two_requests_are_a_fault() -> None:
    plan = plan_model(ModelAt(701, 40_069, 153), 100)
    factors, values = [0] * 5, [701, 153, *[0] * 25]
    with pytest.raises(MovedError, match="changed while they were read"):
        decode_model(plan, [factors, values, [0, 0, 0, 0, 1]])
    assert decode_model(plan, [factors, values, factors])["active_power"] == 0


def test_another_model_in_the_place_is_a_fault() -> None:
    plan = plan_model(ModelAt(103, 40_069, 50), 100)
    with pytest.raises(MovedError, match="expected model 103 at register 40069, found 203"):
        decode_model(plan, [[203, 105, *[0] * 25]])


@pytest.mark.parametrize("name", sunspec_names())
def test_a_profile_reads_models_that_are_known(name: str) -> None:
    profile = load_sunspec(name)
    assert profile.kind in name
    assert set(profile.models) <= set(MODELS)


# --- ill will -----------------------------------------------------------------------------------

_WORD = st.one_of(
    st.sampled_from([0, 1, 50, 65, 66, 101, 103, 105, 113, 203, 213, 701, 0x8000, 0xFFFF]),
    st.integers(0, 0xFFFF),
)


@given(
    st.lists(_WORD, max_size=300), st.sampled_from(BASES), st.sampled_from(["meter", "inverter"])
)
def test_any_registers_give_values_or_a_clear_fault(
    behind: list[int], base: int, kind: Kind
) -> None:
    words = dict(enumerate([0x5375, 0x6E53, *behind], start=base))
    padded = {place: words.get(place, 0) for place in range(base, base + 2000)}
    for device in (words, padded):
        chain = found(device)
        for instance in instances(chain, kind):
            if is_complete(instance.model) and read(device, instance.model.address, 140):
                try:
                    values = values_of(device, instance.model)
                except ScaleError:
                    continue
                assert all(value is None or abs(value) < 2**63 for value in values.values())
            if read(device, instance.common.address, 68):
                assert len(common_of(device, instance.common).meter_id(instance.suffix)) <= 64


@given(st.lists(_WORD, min_size=66, max_size=66))
def test_any_common_model_gives_an_id_that_a_config_may_have(words: list[int]) -> None:
    name = decode_common(words).meter_id("-METER")
    assert not name or (name.isascii() and " " not in name and name.endswith("-METER"))
