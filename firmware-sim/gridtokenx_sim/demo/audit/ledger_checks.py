"""The checks that the money adds up, entry by entry, and is what members are told."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.records import (
    CertificatesOutcome,
    ConfigureOutcome,
    CorrectOutcome,
    DepositOutcome,
    Entry,
    FrameOutcome,
    Movement,
    PaidOutcome,
)
from gridtokenx_sim.demo.audit.signed_messages import instruction_is_signed, read_instruction

ASSETS = ("GRID", "GRX", "REC")
_ISSUERS = {f"issuer:{asset}": asset for asset in ASSETS}
_MAY_ISSUE: dict[str, tuple[type, ...]] = {
    "GRID": (FrameOutcome, CorrectOutcome),
    "GRX": (ConfigureOutcome, DepositOutcome),
    "REC": (CertificatesOutcome,),
}
_MAY_TAKE_BACK: dict[str, tuple[type, ...]] = {
    "GRID": (FrameOutcome, CorrectOutcome),
    "GRX": (PaidOutcome,),
    "REC": (),
}

Balances = dict[tuple[str, str], int]
"""(account, asset) → base units."""


def instructions_are_signed(evidence: Evidence) -> str:
    """Every instruction's JWS signature is valid under the wallet it names, a member's."""
    members = {member.wallet for member in evidence.terms.member}
    count = 0
    for entry in evidence.entries:
        if entry.kind != "order":
            continue
        if read_instruction(entry.input).wallet not in members:
            raise Violation(f"entry {entry.seq}: expected a member's wallet")
        if not instruction_is_signed(entry.input):
            raise Violation(f"entry {entry.seq}: its instruction is not signed by its wallet")
        count += 1
    return f"{count} signatures"


def assets_sum_to_zero(evidence: Evidence) -> str:
    """Every movement is a transfer, so that each asset sums to zero after every entry."""
    for entry, balances in _history(evidence):
        for movement in entry.movements:
            if movement.asset not in ASSETS or movement.debit == movement.credit:
                raise Violation(f"entry {entry.seq}: expected a transfer of an asset: {movement}")
            if movement.amount <= 0:
                raise Violation(f"entry {entry.seq}: expected an amount above zero: {movement}")
        for asset in ASSETS:
            if total := sum(v for (_, kind), v in balances.items() if kind == asset):
                raise Violation(f"entry {entry.seq}: {asset} sums to {total}")
    return f"{len(ASSETS)} assets after each of {len(evidence.entries)} entries"


def no_account_goes_below_zero(evidence: Evidence) -> str:
    """No account but an issuer's is below zero after any movement, and an issuer's only there."""
    balances: Balances = {}
    for entry in evidence.entries:
        for movement in entry.movements:
            _apply(balances, movement)
            account = movement.debit, movement.asset
            if balances[account] < 0 and _ISSUERS.get(movement.debit) != movement.asset:
                raise Violation(f"entry {entry.seq}: {account} falls to {balances[account]}")
    return f"{len({account for account, _ in balances})} accounts"


def only_issuers_issue(evidence: Evidence) -> str:
    """GRID comes from frames and corrections, GRX from opening balances and deposits.

    GRX goes back when a withdrawal is paid, GRID by a correction: at once, or out of later mints
    as far as it said that their owner owes.
    """
    openings = {m.wallet: m.opening_ugrx for m in evidence.terms.member if m.opening_ugrx}
    opened: dict[str, int] = {}
    owed_uwh: dict[str, int] = {}
    for entry in evidence.entries:
        for movement in entry.movements:
            issued, returned = _ISSUERS.get(movement.debit), _ISSUERS.get(movement.credit)
            may = _MAY_ISSUE if issued else _MAY_TAKE_BACK
            asset = issued or returned
            if asset is None:
                continue
            if movement.asset != asset or not isinstance(entry.outcome, may[asset]):
                raise Violation(f"entry {entry.seq}: must not issue or take back {movement}")
            if isinstance(entry.outcome, ConfigureOutcome):
                opened[movement.credit] = opened.get(movement.credit, 0) + movement.amount
            if returned and isinstance(entry.outcome, FrameOutcome):
                owed_uwh[movement.debit] = owed_uwh.get(movement.debit, 0) - movement.amount
                if owed_uwh[movement.debit] < 0:
                    raise Violation(f"entry {entry.seq}: takes back what nobody owes: {movement}")
        if isinstance(entry.outcome, CorrectOutcome):
            owed_uwh[entry.outcome.owner] = entry.outcome.owed_uwh
    if opened != openings:
        raise Violation("expected the opening balances of community.toml, each credited once")
    return f"{len(opened)} opening balances"


def balances_are_as_told(evidence: Evidence) -> str:
    """Balances recomputed from the movements are those that the API told last."""
    statement = evidence.statement
    balances = _after(evidence, statement.summary.journal_seq)
    if set(statement.balances) != {member.wallet for member in evidence.terms.member}:
        raise Violation("expected the API to tell every member's balance")
    for wallet, told in statement.balances.items():
        computed = balances.get((wallet, "GRID"), 0), balances.get((wallet, "GRX"), 0)
        if computed != (told.grid_uwh, told.grx_ugrx):
            raise Violation(f"{wallet}: the movements give {computed}, the API said {told}")
        if not (
            0 <= told.grid_held_uwh <= told.grid_uwh and 0 <= told.grx_held_ugrx <= told.grx_ugrx
        ):
            raise Violation(f"{wallet}: expected no more in escrow than it owns: {told}")
    return f"{len(statement.balances)} members"


def _history(evidence: Evidence) -> Iterator[tuple[Entry, Balances]]:
    """Yield each entry with the balances after it; they are one object that goes on changing."""
    balances: Balances = {}
    for entry in evidence.entries:
        for movement in entry.movements:
            _apply(balances, movement)
        yield entry, balances


def _after(evidence: Evidence, seq: int) -> Balances:
    """Return the balances after the entry `seq`. Raises Violation if there is none."""
    if not 0 < seq <= evidence.entries[-1].seq:
        raise Violation(f"expected entry {seq} in the journal")
    balances: Balances = {}
    for entry in evidence.entries:
        if entry.seq <= seq:
            for movement in entry.movements:
                _apply(balances, movement)
    return balances


def _apply(balances: Balances, movement: Movement) -> None:
    for account, change in ((movement.debit, -movement.amount), (movement.credit, movement.amount)):
        key = account, movement.asset
        balances[key] = balances.get(key, 0) + change
