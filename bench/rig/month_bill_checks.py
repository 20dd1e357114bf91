"""The checks that the members' statements say what the ledger says."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from bench.rig.month_audit import Month
from gridtokenx_sim.demo.audit.finding import Violation

_KWH = 10**9


def statements_are_the_ledger(month: Month) -> str:
    """Each member's statement closes with the ledger's balances, and its own checks hold."""
    if {each["data"]["wallet"] for each in month.statements} != set(month.wallets):
        raise Violation(f"{len(month.statements)} statements of {len(month.wallets)}")
    final = _balances_when_it_ended(month)
    for statement in month.statements:
        data = statement["data"]
        for account in data["accounts"]:
            unit = {"GRID": _KWH, "GRX": 10**6, "REC": 1}[account["asset"]]
            if int(Decimal(account["closing"]) * unit) != final[data["wallet"], account["asset"]]:
                raise Violation(f"{data['wallet']}: {account['asset']} closes differently")
        if wrong := [check for check in data["checks"] if not check["holds"]]:
            raise Violation(f"{data['wallet']}: {wrong[0]}")
    return f"{len(month.statements)} statements"


def statements_name_every_trade(month: Month) -> str:
    """What the statements say was bought and sold is what was traded in the month."""
    said = Counter[str]()
    for statement in month.statements:
        energy = statement["data"]["energy"]
        said["bought"] += int(Decimal(energy["bought_kwh"]) * _KWH)
        said["sold"] += int(Decimal(energy["sold_kwh"]) * _KWH)
    first, last = month.statements[0]["data"]["from_ms"], month.statements[0]["data"]["to_ms"]
    traded = sum(
        trade.quantity_uwh
        for entry in month.entries
        if first <= entry.at_ms < last
        for trade in entry.trades
    )
    if not said["bought"] == said["sold"] == traded:
        raise Violation(f"{traded} µWh traded, statements say {dict(said)}")
    return f"{traded} µWh"


def _balances_when_it_ended(month: Month) -> Counter[tuple[str, str]]:
    """Return what its entries moved; the feed-in of a final month comes after it."""
    to_ms = month.statements[0]["data"]["to_ms"]
    found: Counter[tuple[str, str]] = Counter()
    for entry in month.entries:
        if entry.at_ms < to_ms:
            for movement in entry.movements:
                found[movement.debit, movement.asset] -= movement.amount
                found[movement.credit, movement.asset] += movement.amount
    return found
