"""What a member reads of a balance, and of energy that is held."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from gridtokenx_client.answers import Balance
from gridtokenx_client.cli.tables import balance_table


def printed(**fields: str) -> str:
    own = {"grid": "1", "grid_held": "0", "grx": "2", "grx_held": "0", "rec": "0"}
    out = StringIO()
    Console(width=100, file=out).print(balance_table(Balance(wallet="4cn4", **(own | fields))))
    return out.getvalue()


@pytest.mark.parametrize(("pending", "is_told"), [("3741.000000000", True), ("0.000000000", False)])
def test_energy_that_waits_for_the_operator_is_told_where_there_is_some(
    pending: str, is_told: bool
) -> None:
    said = "3741 kWh wait until the operator has decided on them"
    assert (said in printed(grid_pending=pending)) is is_told
