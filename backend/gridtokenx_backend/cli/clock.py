"""`gridtokenx-backend clock`: shows the server's clock with its witnesses, and confirms it."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import typer

from gridtokenx_backend.cli.local_time import local_second
from gridtokenx_backend.cli.operator_command import OperatorCall, with_operator_api
from gridtokenx_backend.cli.options import (
    ReasonOption,
    example,
)
from gridtokenx_backend.cli.output import print_json, print_table, say

clock = typer.Typer(no_args_is_help=True, help="Show and confirm the server's clock.")
_SYNCHRONISED = {True: "keeps it right", False: "does not keep it right", None: "cannot be asked"}


@clock.command(epilog=example("clock show"))
@with_operator_api
def show(call: OperatorCall) -> None:
    """Show the server's clock, and what the kernel, the journal and the gateways say of it."""
    found = call.api.get("/v1/operator/clock")
    if call.as_json:
        print_json(found)
        return
    zone = call.zone()
    print_table(("what", "time"), _rows(found, zone))
    say(found["detail"] or "The clock is believed.")


@clock.command(epilog=example('clock confirm --reason "compared with a radio clock"'))
@with_operator_api
def confirm(call: OperatorCall, reason: ReasonOption) -> None:
    """Say that the server's clock is right now; a community's time ahead of it is set back."""
    body = {"time_ms": call.api.get("/v1/operator/clock")["time_ms"], "reason": reason}
    done = call.api.post("/v1/operator/clock", body)
    zone = call.zone()
    before, after = (local_second(done[name], zone) for name in ("from_ms", "to_ms"))
    text = f"confirmed: {after}; the entry before was of {before} (entry {done['journal_seq']})"
    call.tell(done, text)


def _rows(found: dict[str, Any], zone: tzinfo) -> list[tuple[str, str]]:
    service = _SYNCHRONISED[found["synchronised"]]
    rows = [
        ("server's clock", local_second(found["time_ms"], zone)),
        ("newest journal entry", local_second(found["journal_ms"], zone)),
        ("time service", service),
    ]
    gateways = [(each["device"], local_second(each["time_ms"], zone)) for each in found["gateways"]]
    return rows + gateways
