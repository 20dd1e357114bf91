"""All that must hold after a month, recomputed from what is stored. Docstrings are the rules."""

from __future__ import annotations

from collections.abc import Callable

from bench.rig import (
    month_bill_checks as bill,
)
from bench.rig import (
    month_energy_checks as energy,
)
from bench.rig import (
    month_evidence_checks as evidence,
)
from bench.rig import (
    month_market_checks as market,
)
from bench.rig.month_audit import Month

CHECKS: tuple[Callable[[Month], str], ...] = (
    evidence.journal_is_gapless,
    evidence.leaf_hashes_hold,
    evidence.leaves_tell_what_happened,
    evidence.commitments_hold,
    evidence.frames_are_signed,
    evidence.frame_chains_are_gapless,
    evidence.instructions_are_signed,
    energy.readings_in_are_judged,
    energy.readings_are_the_meters,
    energy.intervals_add_up_to_the_registers,
    energy.minted_is_the_export,
    energy.minted_is_held_retired_or_fed_in,
    market.assets_sum_to_zero,
    market.no_account_goes_below_zero,
    market.charges_add_up,
    market.settlement_is_delivery_versus_payment,
    market.nobody_trades_with_itself,
    market.realtime_keeps_limits,
    market.intervals_are_cleared_once_in_order,
    market.books_have_their_hashes,
    market.volumes_are_the_most,
    market.prices_are_in_their_intervals,
    energy.energy_is_retired_once,
    bill.statements_are_the_ledger,
    bill.statements_name_every_trade,
    energy.certificates_are_no_more_than_was_minted,
    evidence.replay_agrees,
)
