"""Clearings in an allocation mode: what is allocated, what the ledger moves, and corrections."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.sharing_village import (
    FIRST_MS,
    WH,
    SharingVillage,
    assert_balanced,
    gave,
    got,
    key,
    only,
)

from gridtokenx_backend.core.messages.outcomes import OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.model.ledger import GRID, GRX, RETIRED, Movement
from gridtokenx_backend.core.sharing import transfers
from gridtokenx_backend.core.state import community as communities


def test_a_cleared_interval_moves_from_the_producer_to_the_consumers_and_is_retired() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    cleared = village.clear(0)
    allocation = only(cleared.allocations)
    assert got(allocation) == {"flat-b": 150 * WH, "flat-c": 450 * WH}
    assert gave(allocation) == {"plant": (600 * WH, 0, 0)}
    assert (allocation.revision, allocation.corrects, allocation.key) == (0, 0, 1)
    assert allocation.quality == Quality.MEASURED
    anna, ben, cleo = village.anna.wallet, village.ben.wallet, village.cleo.wallet
    assert sorted(cleared.movements[:2], key=lambda movement: movement.amount) == [
        Movement(asset=GRID, debit=anna, credit=ben, amount=150 * WH),
        Movement(asset=GRID, debit=anna, credit=cleo, amount=450 * WH),
    ]
    assert sorted(cleared.movements[2:], key=lambda movement: movement.amount) == [
        Movement(asset=GRID, debit=ben, credit=RETIRED, amount=150 * WH),
        Movement(asset=GRID, debit=cleo, credit=RETIRED, amount=450 * WH),
    ]
    assert village.grid(village.anna) == (0, 0)
    assert village.retired() == 600 * WH


def test_surplus_stays_with_the_producer() -> None:
    village = SharingVillage("static", key("static", shares_percent={"flat-b": "50"}))
    village.quarter(0, plant=600 * WH, flat_b=100 * WH, flat_c=900 * WH)
    allocation = only(village.clear(0).allocations)
    assert got(allocation) == {"flat-b": 100 * WH, "flat-c": 0}
    assert gave(allocation) == {"plant": (100 * WH, 0, 500 * WH)}
    assert village.grid(village.anna) == (500 * WH, 0)


def test_what_is_not_minted_yet_waits_for_the_next_clearing() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=600 * WH, flat_c=0)
    # As if the mint were behind: another claim has taken a part of the GRID away.
    anna = village.anna.wallet
    away = Movement(asset=GRID, debit=anna, credit="community:fed-in", amount=500 * WH)
    assert village.community.ledger.post([away]) is None
    cleared = village.clear(0)
    assert only(cleared.allocations).waiting_uwh == 500 * WH
    assert got(only(cleared.allocations))["flat-b"] == 600 * WH  # allocated all the same
    assert village.retired() == 100 * WH
    back = Movement(asset=GRID, debit="community:fed-in", credit=anna, amount=500 * WH)
    assert village.community.ledger.post([back]) is None
    village.quarter(1, plant=0, flat_b=0, flat_c=0)
    late, new = village.clear(1).allocations
    assert (late.interval_ms, late.waiting_uwh, late.corrects) == (
        FIRST_MS,
        0,
        village.cleared_by[0],
    )
    assert new.interval_ms == FIRST_MS + INTERVAL_MS
    assert village.retired() == 600 * WH
    assert village.clear(2).movements == []


def test_a_silent_meter_is_missing_and_settles_when_it_comes() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    early = only(village.clear(0).allocations)
    assert got(early)["flat-c"] is None
    assert early.quality == Quality.PROVISIONAL
    given_uwh, held_uwh, surplus_uwh = gave(early)["plant"]
    assert (given_uwh + held_uwh, surplus_uwh) == (600 * WH, 0)
    assert 0 < given_uwh < 300 * WH  # c's connection could have carried 2.5 kWh
    village.quarter(1, plant=0, flat_b=0)
    village.read(FIRST_MS + INTERVAL_MS, flat_c=900 * WH)  # its gateway was offline
    village.read(FIRST_MS + 2 * INTERVAL_MS, flat_c=0)
    late, _ = village.clear(1).allocations
    assert got(late) == {"flat-b": 150 * WH, "flat-c": 450 * WH}
    assert (late.revision, late.interval_ms) == (1, FIRST_MS)
    assert late.corrects == village.cleared_by[0]
    assert late.quality == Quality.MEASURED
    assert village.retired() == 600 * WH


def test_a_correction_moves_the_difference_back() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    first = village.clear(0)
    assert only(first.allocations).producers[0].given_uwh == 600 * WH
    revised = IntervalEnergy(
        interval_ms=FIRST_MS,
        import_uwh=100 * WH,
        export_uwh=0,
        quality=Quality.SUBSTITUTE,
        revision=1,
    )
    village.community.sharing.note("flat-b", [revised])
    village.quarter(1, plant=0, flat_b=0, flat_c=0)
    corrected, _ = village.clear(1).allocations
    assert got(corrected) == {"flat-b": 100 * WH, "flat-c": 300 * WH}
    assert corrected.quality == Quality.SUBSTITUTE
    assert corrected.revision == 1
    assert village.grid(village.anna) == (200 * WH, 0)
    assert village.retired() == 400 * WH


def test_a_producers_correction_is_made_good_by_the_other_one() -> None:
    before = transfers.energy({"a": 60, "b": 40}, {"c": 100}, {}, {}, lambda _: 1000)
    assert before.gave == {"a": 60, "b": 40}
    after = transfers.energy({"a": 10, "b": 90}, {"c": 100}, before.gave, before.took, lambda _: 90)
    assert after.movements == [Movement(asset=GRID, debit="b", credit="a", amount=50)]
    assert after.gave == {"a": 10, "b": 90}


amounts = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6)


Amounts = dict[str, int]


def balanced(gives: Amounts, takes: Amounts) -> tuple[Amounts, Amounts]:
    """Both sides with the same sum."""
    more = sum(gives.values()) - sum(takes.values())
    return gives | {"x": max(0, -more)}, takes | {"x": max(0, more)}


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=4), st.integers(0, 60))
def test_the_ledger_ends_up_with_what_is_allocated_however_it_was_reached(
    steps: list[tuple[dict[str, int], dict[str, int]]], mint: int
) -> None:
    """Mints come by and by: in the end what was moved is what is allocated, wallet by wallet."""
    balances: dict[str, int] = {}

    def available(wallet: str) -> int:
        return balances.get(wallet, 0)

    gave_so_far: dict[str, int] = {}
    took_so_far: dict[str, int] = {}
    wanted = [balanced(*step) for step in steps]
    mints = [mint] * len(wanted) + [10**6]
    for (gives, takes), minted in zip([*wanted, wanted[-1]], mints, strict=True):
        for wallet in "abcdefx":
            balances[wallet] = balances.get(wallet, 0) + minted
        moved = transfers.energy(gives, takes, gave_so_far, took_so_far, available)
        for movement in moved.movements:
            assert movement.amount > 0
            balances[movement.debit] = balances.get(movement.debit, 0) - movement.amount
            balances[movement.credit] = balances.get(movement.credit, 0) + movement.amount
            assert balances[movement.debit] >= 0
        gave_so_far, took_so_far = moved.gave, moved.took
        assert sum(gave_so_far.values()) == sum(took_so_far.values()) == available(RETIRED)
    assert moved.waiting_uwh == 0
    assert gave_so_far == {wallet: amount for wallet, amount in gives.items() if amount}
    assert took_so_far == {wallet: amount for wallet, amount in takes.items() if amount}


# Money ------------------------------------------------------------------------------------------

PRICED = {"price_grx_per_kwh": "0.12"}


def test_costs_and_earnings_of_an_interval_are_the_same_sum() -> None:
    village = SharingVillage(**PRICED)
    village.quarter(0, plant=600 * WH + 1, flat_b=300 * WH + 1, flat_c=900 * WH)
    allocation = only(village.clear(0).allocations)
    assert allocation.price_ugrx == 120_000
    costs = [line.cost_ugrx for line in allocation.consumers]
    assert costs == [18_000, 54_000]
    assert [line.earned_ugrx for line in allocation.producers] == [72_000]
    assert allocation.paid_ugrx == {}
    assert village.grx(village.ben) == (1_000_000_000, 0)  # it is a line of the statement


def test_with_cover_a_shared_kwh_is_paid_on_the_ledger() -> None:
    village = SharingVillage(**PRICED, settle="grx")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    allocation = only(village.clear(0).allocations)
    assert village.grx(village.ben)[0] == 1_000_000_000 - 18_000
    assert village.grx(village.anna)[0] == 1_000_000_000 + 72_000
    assert allocation.paid_ugrx == {
        village.ben.wallet: 18_000,
        village.cleo.wallet: 54_000,
        village.anna.wallet: -72_000,
    }


def test_without_cover_the_rest_stays_a_line_of_the_statement() -> None:
    village = SharingVillage(**PRICED, settle="grx")
    gone = Movement(
        asset=GRX, debit=village.ben.wallet, credit="community:fees", amount=1_000_000_000 - 5
    )
    assert village.community.ledger.post([gone]) is None
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=900 * WH)
    allocation = only(village.clear(0).allocations)
    assert village.grx(village.ben) == (0, 0)
    assert allocation.paid_ugrx[village.ben.wallet] == 5
    assert allocation.paid_ugrx[village.anna.wallet] == -54_005
    assert allocation.consumers[0].cost_ugrx + allocation.consumers[1].cost_ugrx == 72_000


def test_a_correction_pays_back() -> None:
    village = SharingVillage(**PRICED, settle="grx")
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    village.clear(0)
    revised = IntervalEnergy(
        interval_ms=FIRST_MS,
        import_uwh=100 * WH,
        export_uwh=0,
        quality=Quality.SUBSTITUTE,
        revision=1,
    )
    village.community.sharing.note("flat-b", [revised])
    village.clear(1)
    assert village.grx(village.ben)[0] == 1_000_000_000 - 12_000
    assert village.grx(village.anna)[0] == 1_000_000_000 + 48_000


def test_the_price_of_an_interval_stays_when_it_is_corrected() -> None:
    band = {"floor_grx_per_kwh": "0.1", "ceiling_grx_per_kwh": "0.2", **PRICED}
    village = SharingVillage(**band, price_rule="balance")
    village.quarter(0, plant=300 * WH, flat_b=300 * WH, flat_c=300 * WH)
    first = only(village.clear(0).allocations)
    assert first.price_ugrx == 160_000  # half is lacking: half of the way from 0.12 to 0.20
    revised = IntervalEnergy(
        interval_ms=FIRST_MS, import_uwh=0, export_uwh=0, quality=Quality.SUBSTITUTE, revision=1
    )
    village.community.sharing.note("flat-b", [revised])
    corrected, _ = village.clear(1).allocations
    assert corrected.price_ugrx == 160_000


# Keys, participation, time ----------------------------------------------------------------------


def test_an_old_interval_is_corrected_by_the_key_that_held_for_it() -> None:
    later = key("dynamic", 2) | {"valid_from": "2026-05-28T20:30:00+00:00"}
    village = SharingVillage("static", key("static", shares_percent={"flat-b": "100"}), later)
    second = 1 if village.community.sharing.keys[1].valid_from_ms <= FIRST_MS + INTERVAL_MS else 0
    assert second == 1
    village.quarter(0, plant=300 * WH, flat_b=300 * WH, flat_c=300 * WH)
    village.quarter(1, plant=300 * WH, flat_b=300 * WH, flat_c=300 * WH)
    assert got(only(village.clear(0).allocations)) == {"flat-b": 300 * WH, "flat-c": 0}
    village.community.sharing.note(
        "flat-b",
        [
            IntervalEnergy(
                interval_ms=FIRST_MS,
                import_uwh=200 * WH,
                export_uwh=0,
                quality=Quality.SUBSTITUTE,
                revision=1,
            )
        ],
    )
    old, new = village.clear(1).allocations
    assert (old.key, got(old)) == (1, {"flat-b": 200 * WH, "flat-c": 0})
    assert (new.key, got(new)) == (2, {"flat-b": 150 * WH, "flat-c": 150 * WH})


def test_a_meter_takes_part_with_its_factor_only() -> None:
    half = [{"meter": "plant", "valid_from": "2026-01-01T00:00:00Z", "percent": "50"}]
    village = SharingVillage(participation=half)
    village.quarter(0, plant=600 * WH, flat_b=900 * WH, flat_c=0)
    allocation = only(village.clear(0).allocations)
    assert gave(allocation) == {"plant": (300 * WH, 0, 0)}
    assert village.grid(village.anna) == (300 * WH, 0)


def test_a_meter_that_is_switched_off_is_not_missed() -> None:
    village = SharingVillage()
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[2]["active"] = False
    village.configure(meter=meters)
    village.quarter(0, plant=600 * WH, flat_b=600 * WH)
    assert only(village.clear(0).allocations).quality == Quality.MEASURED


def test_before_the_first_key_nothing_is_shared() -> None:
    later = key() | {"valid_from": "2030-01-01T00:00:00Z"}
    village = SharingVillage("dynamic", later)
    village.quarter(0, plant=600 * WH, flat_b=600 * WH, flat_c=0)
    assert village.clear(0).allocations == []
    assert village.community.sharing.new_readings == {}


def test_after_finality_an_interval_is_forgotten() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=600 * WH, flat_c=0)
    village.clear(0)
    assert list(village.community.sharing.stored_intervals) == [FIRST_MS]
    quarters = village.community.limits.finality_ms // INTERVAL_MS
    village.clear(quarters - 1)
    assert FIRST_MS in village.community.sharing.stored_intervals
    village.clear(quarters)
    assert FIRST_MS not in village.community.sharing.stored_intervals


def test_a_restored_community_goes_on_where_it_was() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    village.clear(0)
    village.quarter(1, plant=100 * WH, flat_b=0)
    snapshot = village.community.snapshot()
    restored = communities.restore(snapshot)
    assert restored.snapshot() == snapshot
    before = village.clear(1)
    village.community = restored
    assert village.clear(1) == before


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2000), st.none() | st.integers(0, 2000), st.none() | st.integers(0, 2000)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_in_the_end_it_does_not_matter_when_readings_came(
    energies: list[tuple[int, int | None, int | None]],
) -> None:
    """Late meters: after all came, everybody has what they would have had at once."""
    village, prompt = SharingVillage(), SharingVillage()
    late: list[tuple[str, int, int]] = []
    for number, (made, *used) in enumerate(energies):
        for meter, energy in zip(("flat-b", "flat-c"), used, strict=True):
            row = _row(number, 700 if energy is None else energy)
            if energy is None:
                late.append((meter, number, 700))
            else:
                village.community.sharing.note(meter, [row])
            prompt.community.sharing.note(meter, [row])
        for each in (village, prompt):
            each.quarter(number, plant=made * WH)
            each.clear(number)
    for meter, number, energy in late:
        village.community.sharing.note(meter, [_row(number, energy)])
    for each in (village, prompt):
        each.clear(len(energies))
        assert_balanced(each)
    for who in ("anna", "ben", "cleo"):
        assert village.grid(getattr(village, who)) == prompt.grid(getattr(prompt, who))
    assert village.retired() == prompt.retired()


def _row(number: int, energy_wh: int) -> IntervalEnergy:
    return IntervalEnergy(
        interval_ms=FIRST_MS + number * INTERVAL_MS,
        import_uwh=energy_wh * WH,
        export_uwh=0,
        quality=Quality.MEASURED,
    )


def test_a_market_keeps_nothing_of_intervals_for_sharing() -> None:
    village = SharingVillage("market", key("dynamic"))
    village.quarter(0, plant=600 * WH, flat_b=300 * WH, flat_c=300 * WH)
    assert village.community.sharing.new_readings == {}
    assert village.community.sharing.keys == []


def test_a_community_that_shares_takes_no_orders() -> None:
    """What a plant gave to its neighbours must not have been sold meanwhile."""
    village = SharingVillage()
    for instruction in (
        village.anna.order("1", "sell", "0.1", "0.1"),
        village.anna.standing("2", "sell", "0.1"),
    ):
        refused = village.tell(instruction)
        assert isinstance(refused, OrderRefused)
        assert refused.reason is OrderRefusal.SEGMENT_CLOSED
