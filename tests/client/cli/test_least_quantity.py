"""An amount that an order cannot say is refused by the name of its option."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from gridtokenx_client.__main__ import app
from gridtokenx_client.problem import Mistake


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("1", "--min", "0"), "--min"), (("0", "--min", "1"), "quantity in kWh")],
)
def test_the_amount_that_is_wrong_is_blamed(arguments: tuple[str, ...], name: str) -> None:
    done = CliRunner().invoke(app, ["order", "place", "buy", "--price", "0.2", *arguments])
    assert isinstance(done.exception, Mistake)
    assert str(done.exception) == f"{name}: expected more than 0, got '0'"
