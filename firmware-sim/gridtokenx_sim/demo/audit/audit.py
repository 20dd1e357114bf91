"""All checks over what a demo stored, and the totals that the journal gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import msgspec

from gridtokenx_sim.demo.audit import (
    auction_checks,
    energy_checks,
    frame_checks,
    journal_checks,
    ledger_checks,
    market_checks,
)
from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.records import Movement
from gridtokenx_sim.demo.audit.signed_messages import EvidenceError
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.processes.commands import python
from gridtokenx_sim.demo.processes.parent_bond import bound_to_parent

_REPLAY_TIMEOUT_S = 60.0

Check = Callable[[Evidence], str]
"""Says what it looked at; raises Violation or EvidenceError. Its docstring is the invariant."""


class Finding(msgspec.Struct, frozen=True):
    """A check's result: what it looked at, or what was wrong."""

    name: str
    passed: bool
    detail: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The totals of a run, counted from the journal's entries and not from what the backend says.

    `auction_trades` are those of `trades` that an interval's auction made, the others are realtime.
    """

    readings_accepted: int
    readings_rejected: int
    minted_uwh: int
    orders: int
    trades: int
    auction_trades: int
    settlements: int


def replay_agrees(evidence: Evidence) -> str:
    """The backend's own replay of the journal, with every signature, comes to the same
    state.
    """
    config = evidence.folder.config / "backend.toml"
    command = python("gridtokenx_backend", "replay", "--verify", "--json", "--config", str(config))
    try:
        done = subprocess.run(
            bound_to_parent(command),
            capture_output=True,
            timeout=_REPLAY_TIMEOUT_S,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise Violation(f"replay took longer than {_REPLAY_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        raise Violation(f"replay: {done.stderr.strip() or f'exit code {done.returncode}'}")
    entries = msgspec.json.decode(done.stdout)["entries"]
    if entries != len(evidence.entries):
        raise Violation(f"replay: {entries} entries of {len(evidence.entries)}")
    return f"{entries} entries"


CHECKS: tuple[Check, ...] = (
    journal_checks.journal_is_gapless,
    journal_checks.leaf_hashes_hold,
    journal_checks.leaves_tell_what_happened,
    journal_checks.commitments_hold,
    frame_checks.frames_are_signed,
    frame_checks.frame_chains_are_gapless,
    frame_checks.no_frame_is_stored_twice,
    frame_checks.readings_are_accounted_for,
    frame_checks.accepted_readings_are_bound,
    frame_checks.outboxes_hold_the_rest,
    ledger_checks.instructions_are_signed,
    ledger_checks.assets_sum_to_zero,
    ledger_checks.no_account_goes_below_zero,
    ledger_checks.only_issuers_issue,
    energy_checks.mint_is_the_export,
    energy_checks.mint_is_no_more_than_the_truth,
    market_checks.trades_are_exact,
    market_checks.settlement_is_delivery_versus_payment,
    market_checks.history_is_the_journal,
    auction_checks.intervals_are_cleared_in_order,
    auction_checks.books_have_their_hashes,
    auction_checks.auctions_move_the_most,
    ledger_checks.balances_are_as_told,
    replay_agrees,
)


def audit(folder: Folder) -> tuple[Totals, list[Finding]]:
    """Check everything in `folder`, whose processes have stopped."""
    evidence = Evidence(folder)
    return _totals(evidence), [run_check(check, evidence) for check in CHECKS]


def run_check(check: Check, evidence: Evidence) -> Finding:
    """Return one check over the evidence."""
    name = check.__name__
    try:
        return Finding(name, passed=True, detail=check(evidence))
    except (Violation, EvidenceError) as error:
        return Finding(name, passed=False, detail=" ".join(str(error).split()))


def _totals(evidence: Evidence) -> Totals:
    """Return the totals.

    They are zeros where the journal cannot be read, and the checks say why.
    """
    try:
        accepted, rejected, _ = frame_checks.verdict_counts(evidence)
        minted = [
            m.amount for e in evidence.entries for m in e.movements if m.debit == "issuer:GRID"
        ]
        orders = [order for entry in evidence.entries for order in entry.orders]
        trades = [trade for entry in evidence.entries for trade in entry.trades]
        deliveries = [m for e in evidence.entries for m in e.movements if _is_delivery(m)]
    except (Violation, EvidenceError):
        return Totals(
            readings_accepted=0,
            readings_rejected=0,
            minted_uwh=0,
            orders=0,
            trades=0,
            auction_trades=0,
            settlements=0,
        )
    auctioned = sum(trade.segment == "interval" for trade in trades)
    return Totals(
        readings_accepted=accepted,
        readings_rejected=rejected,
        minted_uwh=sum(minted),
        orders=len(orders),
        trades=len(trades),
        auction_trades=auctioned,
        settlements=len(deliveries),
    )


def _is_delivery(movement: Movement) -> bool:
    """Return whether energy moves from one wallet to another.

    The names of all other accounts have a colon.
    """
    return movement.asset == "GRID" and ":" not in movement.debit + movement.credit
