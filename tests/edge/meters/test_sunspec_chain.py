"""SunSpec's chain of models, also where it breaks, and registers of ill will."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.edge.meters.sunspec_dumps import found, nameplate_of, read, registers, values_of, walked

from gridtokenx_edge.meters.sunspec.chain import BASES, Chain, ModelAt, instances, walk
from gridtokenx_edge.meters.sunspec.models import Kind
from gridtokenx_edge.meters.sunspec.nameplate import decode_nameplate
from gridtokenx_edge.meters.sunspec.plan import is_complete
from gridtokenx_edge.meters.sunspec.points import ScaleError

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
        return Chain(
            40_000, tuple(ModelAt(id=number, address=40_002, length=200) for number in ids)
        )

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
                assert len(nameplate_of(device, instance.common).meter_id(instance.suffix)) <= 64


@given(st.lists(_WORD, min_size=66, max_size=66))
def test_any_common_model_gives_an_id_that_a_config_may_have(words: list[int]) -> None:
    name = decode_nameplate(words).meter_id("-METER")
    assert not name or (name.isascii() and " " not in name and name.endswith("-METER"))
