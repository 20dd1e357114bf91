"""Which requests a reading takes."""

from __future__ import annotations

import msgspec
import pytest

from gridtokenx_edge.meters.plan import Block, decode_points, plan_blocks, quantities, resync_block
from gridtokenx_edge.meters.profile import load_profile

ALL = ("energy_import", "energy_export", "active_power")
ENERGIES = ALL[:2]


@pytest.mark.parametrize(
    ("model", "spans"),
    [
        ("eastron_sdm120", [(4, 0x48, 4, ENERGIES), (4, 0x0C, 2, ALL[2:])]),
        ("eastron_sdm630", [(4, 0x34, 24, ALL)]),
        ("abb_b23", [(3, 0x5000, 8, ENERGIES), (3, 0x5B14, 2, ALL[2:])]),
        (
            "carlo_gavazzi_em24_rs485",
            [(4, 0x3E, 2, ALL[:1]), (4, 0x5C, 2, ALL[1:2]), (4, 0x28, 2, ALL[2:])],
        ),
        ("carlo_gavazzi_em340", [(4, 0x28, 40, ALL)]),
        ("schneider_iem3155", [(3, 0xC83, 8, ENERGIES), (3, 0xBF3, 2, ALL[2:])]),
    ],
)
def test_neighbours_share_a_request(
    model: str, spans: list[tuple[int, int, int, tuple[str, ...]]]
) -> None:
    blocks = plan_blocks(load_profile(model))
    assert [(b.fc, b.address, b.count, b.points) for b in blocks] == spans


def test_without_bridging_only_touching_registers_share_a_request() -> None:
    blocks = plan_blocks(load_profile("eastron_sdm630"), bridge=False)
    assert [(b.address, b.count) for b in blocks] == [(0x48, 4), (0x34, 2)]


def test_the_limit_of_a_request_keeps_neighbours_apart() -> None:
    small = msgspec.structs.replace(load_profile("abb_b23"), max_registers=4)
    assert [b.count for b in plan_blocks(small)] == [4, 4, 2]


def test_a_register_that_may_be_refused_stands_alone() -> None:
    blocks = plan_blocks(load_profile("carlo_gavazzi_em24_rs485"))
    assert [b.optional for b in blocks] == [False, True, False]


def test_what_a_meter_does_not_have_is_not_asked_for_again() -> None:
    blocks = plan_blocks(load_profile("carlo_gavazzi_em24_rs485"), {"energy_export"})
    assert [b.address for b in blocks] == [0x3E, 0x28]


def test_each_point_is_cut_out_of_its_block() -> None:
    profile = load_profile("eastron_sdm120")
    energies, power = plan_blocks(profile)
    replies = [(energies, [0x3F80, 0, 0x4000, 0]), (power, [0x4040, 0])]
    values = decode_points(profile, replies)
    assert values == {
        "energy_import": 10**9,
        "energy_export": 2 * 10**9,
        "active_power": 3,
    }


def test_the_quantities_of_a_reading_are_taken_from_the_points_and_may_be_missing() -> None:
    said = quantities({"energy_import": 1, "energy_export": 2, "active_power": -3})
    assert (said.import_uwh, said.export_uwh, said.power_w) == (1, 2, -3)
    said = quantities({"energy_import": 1, "active_power": None})
    assert (said.import_uwh, said.export_uwh, said.power_w) == (1, None, None)


@pytest.mark.parametrize(
    ("others", "lost", "asked"),
    [
        (
            [Block(fc=3, address=0xFC00, count=2)],
            Block(fc=4, address=0x34, count=24),
            Block(fc=3, address=0xFC00, count=2),
        ),
        (
            [Block(fc=4, address=0, count=2), Block(fc=4, address=8, count=4)],
            Block(fc=4, address=0x40, count=2),
            Block(fc=4, address=8, count=4),
        ),
        (
            [Block(fc=3, address=0x5B14, count=2), Block(fc=3, address=0x5000, count=8)],
            Block(fc=3, address=0x8900, count=2),
            Block(fc=3, address=0x5000, count=8),
        ),
        (
            [Block(fc=4, address=0, count=2)],
            Block(fc=4, address=0x40, count=2),
            Block(fc=4, address=0x40, count=1),
        ),
        ([], Block(fc=4, address=0x40, count=1), Block(fc=4, address=0x40, count=2)),
    ],
)
def test_after_a_lost_reply_the_next_request_cannot_be_answered_by_it(
    others: list[Block], lost: Block, asked: Block
) -> None:
    assert resync_block(others, [lost]) == asked
    assert asked.shape != lost.shape
